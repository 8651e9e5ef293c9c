"""Events written anew into another file are counted once, whatever the order and the cut of the file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest

from datamc.results import LedgerError, Result, merge_results
from processors.run import run_selection

Events = dict[str, ak.Array]
MakeEvents = Callable[..., Events]
Write = Callable[..., Path]


def part(events: Events, chosen: Any) -> Events:
    return {name: values[chosen] for name, values in events.items()}


def dataset(*paths: Path, is_data: bool, primary_dataset: str | None = None) -> dict[str, Any]:
    metadata: dict[str, Any] = {"is_data": is_data, "process": "data" if is_data else "dy"}
    if primary_dataset is not None:
        metadata["primary_dataset"] = primary_dataset
    return {"files": dict.fromkeys(map(str, paths), "Events"), "metadata": metadata}


def run(selection: str = "dy", **datasets: dict[str, Any]) -> Result:
    return run_selection(selection=selection, fileset=datasets, chunksize=100)


@pytest.fixture(scope="module", params=[True, False], ids=["data", "simulation"])
def is_data(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(scope="module")
def events(is_data: bool, make_events: MakeEvents) -> Events:
    return make_events(240, seed=4, is_data=is_data, features=False)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory, events: Events, write: Write) -> Path:
    return write(tmp_path_factory.mktemp("original") / "original.root", events, cluster=50)


ANEW: dict[str, Any] = {
    "as they are": slice(None),
    "backwards": slice(None, None, -1),
    "a part": slice(100, 170),
    "every third": slice(1, None, 3),
}


@pytest.mark.parametrize("how", ANEW)
@pytest.mark.parametrize("where", ["one dataset", "two datasets of data", "two jobs"])
def test_events_written_anew_are_not_counted_twice(
    tmp_path: Path, events: Events, original: Path, write: Write, is_data: bool, how: str, where: str
) -> None:
    anew = write(tmp_path / "anew.root", part(events, ANEW[how]), cluster=30)
    one, other = (dataset(path, is_data=is_data) for path in (original, anew))
    ways: dict[str, Callable[[], Result]] = {
        "one dataset": lambda: run(a=dataset(original, anew, is_data=is_data)),
        "two datasets of data": lambda: run(a=one, b=other),
        "two jobs": lambda: merge_results([run(a=one), run(a=other)]),
    }
    if "of data" in where and not is_data:
        # Each has a cross section of its own.
        assert sum(record.n_events for record in ways[where]().datasets.values()) > 240
        return
    with pytest.raises(LedgerError, match=r"(anew|original).root.*(anew|original).root, written anew"):
        ways[where]()


def test_parts_written_into_files_of_their_own_are_fine(
    tmp_path: Path, events: Events, write: Write, is_data: bool
) -> None:
    paths = [
        write(tmp_path / f"{start}.root", part(events, slice(start, start + 80))) for start in (0, 80, 160)
    ]
    assert run(a=dataset(*paths, is_data=is_data)).datasets["a"].n_events == 240


def test_a_file_that_holds_its_events_twice_is_named(
    tmp_path: Path, events: Events, write: Write, is_data: bool
) -> None:
    """As it comes of adding a file to itself, in one chunk and in several."""
    twice = {name: ak.concatenate([values, values]) for name, values in events.items()}
    twice = {name: column if column.ndim > 1 else np.asarray(column) for name, column in twice.items()}
    path = write(tmp_path / "twice.root", twice, cluster=60)
    for chunksize in (60, 1000):
        with pytest.raises(LedgerError, match=r"twice.root: holds events twice"):
            run_selection(selection="dy", fileset={"a": dataset(path, is_data=is_data)}, chunksize=chunksize)


def test_simulation_may_use_numbers_again(
    tmp_path: Path, events: Events, original: Path, make_events: MakeEvents, write: Write, is_data: bool
) -> None:
    """Extensions of a sample count their events from 1 again; recorded events are never numbered twice."""
    extension = make_events(240, seed=5, is_data=is_data, features=False)
    assert np.array_equal(extension["event"], events["event"])
    path = write(tmp_path / "extension.root", extension)
    if is_data:
        with pytest.raises(LedgerError, match="written anew"):
            run(a=dataset(original, path, is_data=True))
    else:
        assert run(a=dataset(original, path, is_data=False)).datasets["a"].n_events == 480


def test_an_event_may_be_in_several_primary_datasets(
    tmp_path: Path, make_events: MakeEvents, write: Write
) -> None:
    events = make_events(100, seed=4, is_data=True, features=False)
    paths = [write(tmp_path / f"{cluster}.root", events, cluster=cluster) for cluster in (40, 50)]
    first, second = (
        dataset(path, is_data=True, primary_dataset=name)
        for path, name in zip(paths, ("DoubleMuon", "SingleMuon"), strict=True)
    )
    assert sum(record.n_events for record in run("inclusive", a=first, b=second).datasets.values()) == 200
    second["metadata"]["primary_dataset"] = "DoubleMuon"
    with pytest.raises(LedgerError, match="written anew"):
        run("inclusive", a=first, b=second)
