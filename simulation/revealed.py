"""Data with their truth: a data file and the file beside it, joined into one that says every jet's flavour.

Such a file passes through an analysis as simulation does, so that "data" can be counted by flavour.
"""

from pathlib import Path

import awkward as ak
import numpy as np
import uproot

from events.files import open_root
from simulation.rewriting import extend_events, grouped
from simulation.simulate import truth_path
from storage.trees import replaced_root_file

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
    with open_root(data) as data_file, open_root(beside) as truth_file:
        tree, truth_tree = data_file.tree("Events"), truth_file.tree("Events")
        for path, known, names in ((data, tree, [*_KEYS, "nJet"]), (beside, truth_tree, _KEYS)):
            if missing := known.missing(names):
                raise ValueError(f"{path}: no branch {', '.join(missing)}: simulate the data again")
        truth = truth_tree.read([*_KEYS, *(name for name in truth_tree.names if name.startswith("Jet_"))])
        place = {key: i for i, key in enumerate(zip(*_key_columns(truth), strict=True))}
        with replaced_root_file(output, uproot.ZSTD(1)) as file:
            for start in range(0, max(tree.n_events, 1), _STEP):
                events = tree.read(tree.names, start=start, stop=start + _STEP)
                extend_events(file, grouped(_joined(events, truth, place, data)))
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
