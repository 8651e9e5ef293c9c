"""Data with their truth: a data file and the file beside it, joined into one that says every jet's flavour.

Such a file passes through an analysis as simulation does, so that "data" can be counted by flavour.
"""

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot
from numpy.typing import NDArray

from simulation.simulate import truth_path
from storage.files import replaced_file

_KEYS = ("run", "luminosityBlock", "event")
_STEP = 20_000


def reveal(data: Path, output: Path) -> Path:
    """Write a data file with the true flavours of its jets, and return its path.

    Events are found by run, luminosity section and number, so the data may be some of the events only; their
    jets must be all there, since truth knows them by their place in the event.

    Args:
        data: Made by `simulate_sample`; its truth lies beside it, see `simulation.simulate.truth_path`.
        output: The file to write.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If truth lacks an event, or knows other jets.
    """
    beside = truth_path(data)
    for path in (data, beside):
        if not path.is_file():
            raise FileNotFoundError(
                f"{path}: no such file: simulate the data again, truth is written with them"
            )
    with uproot.open(data) as data_file, uproot.open(beside) as truth_file:
        truth = truth_file["Events"].arrays(filter_name=lambda name: name.startswith("Jet_") or name in _KEYS)
        place = {key: i for i, key in enumerate(zip(*_key_columns(truth), strict=True))}
        with (
            replaced_file(output) as temporary,
            uproot.recreate(temporary, compression=uproot.ZSTD(1)) as file,
        ):
            tree = data_file["Events"]
            for start in range(0, max(tree.num_entries, 1), _STEP):
                events = tree.arrays(entry_start=start, entry_stop=start + _STEP)
                _extend(file, _collections(_joined(events, truth, place, data)))
    return output


def _key_columns(events: ak.Array) -> list[list[int]]:
    return [np.asarray(events[name]).tolist() for name in _KEYS]


def _joined(
    events: ak.Array, truth: ak.Array, place: dict[tuple[int, ...], int], data: Path
) -> dict[str, ak.Array]:
    keys = list(zip(*_key_columns(events), strict=True))
    missing = [key for key in keys if key not in place]
    if missing:
        raise ValueError(
            f"{data}: event {missing[0][2]} of run {missing[0][0]} is not in the file of its truth: "
            "simulate the data again"
        )
    own = truth[np.array([place[key] for key in keys], dtype=np.int64)]
    columns = {name: events[name] for name in events.fields}
    revealed = {name: own[name] for name in own.fields if name.startswith("Jet_")}
    for name, column in revealed.items():
        if not ak.all(ak.num(column) == columns["nJet"]):
            raise ValueError(f"{data}: its truth ({name}) has other numbers of jets: simulate the data again")
    return columns | revealed


def _collections(columns: dict[str, ak.Array]) -> dict[str, Any]:
    """Return the columns as uproot writes them: one array a branch, one record array a collection."""
    names = [name.removeprefix("n") for name in columns if name.startswith("n")]
    collections = [name for name in names if f"{name}_pt" in columns]
    arrays: dict[str, Any] = {}
    for name, column in columns.items():
        prefix = name.partition("_")[0]
        if prefix not in collections and name.removeprefix("n") not in collections:
            arrays[name] = _plain(column)
    for collection in collections:
        fields = {
            name.partition("_")[2]: column
            for name, column in columns.items()
            if name.startswith(f"{collection}_")
        }
        arrays[collection] = ak.zip(fields, depth_limit=2)
    return arrays


def _plain(column: ak.Array) -> NDArray[Any]:
    return np.asarray(column)


def _extend(file: Any, arrays: dict[str, Any]) -> None:
    if "Events" not in file:
        types = {
            name: array.type.content if isinstance(array, ak.Array) else array.dtype
            for name, array in arrays.items()
        }
        file.mktree(
            "Events",
            types,
            counter_name=lambda collection: f"n{collection}",
            field_name=lambda collection, field: f"{collection}_{field}",
        )
    file["Events"].extend(arrays)
