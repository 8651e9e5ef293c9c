import shutil
from collections.abc import Callable
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

from simulation import SampleInfo
from simulation.revealed import reveal
from simulation.simulate import truth_path

Simulate = Callable[[str, str], SampleInfo]


def events_of(path: Path) -> ak.Array:
    with uproot.open(path) as file:
        return file["Events"].arrays()


def test_revealed_data_are_the_data_with_flavours(sample: Simulate, tmp_path: Path) -> None:
    data = sample("dy", "data").path
    before, truth = events_of(data), events_of(truth_path(data))
    after = events_of(reveal(data, tmp_path / "revealed.root"))
    assert set(before.fields) <= set(after.fields)
    for name in before.fields:
        np.testing.assert_array_equal(ak.flatten(after[name], axis=None), ak.flatten(before[name], axis=None))
    for name in ("Jet_hadronFlavour", "Jet_nBHadrons"):
        assert after[name].tolist() == truth[name].tolist()
    assert "genWeight" not in after.fields


def write_events(path: Path, events: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with uproot.recreate(path) as file:
        jets = events.pop("Jet")
        types = {name: column.dtype for name, column in events.items()} | {"Jet": jets.type.content}
        file.mktree(
            "Events",
            types,
            counter_name=lambda name: f"n{name}",
            field_name=lambda name, field: f"{name}_{field}",
        )
        file["Events"].extend({**events, "Jet": jets})


def keys(events: list[int]) -> dict:
    return {
        "run": np.full(len(events), 7, np.uint32),
        "luminosityBlock": np.ones(len(events), np.uint32),
        "event": np.array(events, np.uint64),
    }


def test_events_are_found_by_number_in_any_order(tmp_path: Path) -> None:
    data = tmp_path / "data.root"
    write_events(data, keys([3, 1]) | {"Jet": ak.zip({"pt": [[30.0, 20.0], [40.0]]})})
    flavours = ak.Array([[5], [4], [0, 5]])
    write_events(truth_path(data), keys([1, 2, 3]) | {"Jet": ak.zip({"hadronFlavour": flavours})})
    after = events_of(reveal(data, tmp_path / "revealed.root"))
    assert after["Jet_hadronFlavour"].tolist() == [[0, 5], [5]]


def test_truth_of_other_events_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "data.root"
    write_events(data, keys([3]) | {"Jet": ak.zip({"pt": [[30.0]]})})
    write_events(truth_path(data), keys([1]) | {"Jet": ak.zip({"hadronFlavour": ak.Array([[5]])})})
    with pytest.raises(ValueError, match=r"data\.root: event 3 of run 7 is not in the file of its truth"):
        reveal(data, tmp_path / "revealed.root")
    assert not (tmp_path / "revealed.root").exists()


def test_truth_of_other_jets_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "data.root"
    write_events(data, keys([3]) | {"Jet": ak.zip({"pt": [[30.0, 20.0]]})})
    write_events(truth_path(data), keys([3]) | {"Jet": ak.zip({"hadronFlavour": ak.Array([[5]])})})
    with pytest.raises(ValueError, match="other numbers of jets"):
        reveal(data, tmp_path / "revealed.root")


def test_missing_truth_is_named(sample: Simulate, tmp_path: Path) -> None:
    alone = tmp_path / "alone.root"
    shutil.copy(sample("dy", "data").path, alone)
    with pytest.raises(FileNotFoundError, match=r"truth/alone\.root"):
        reveal(alone, tmp_path / "revealed.root")
