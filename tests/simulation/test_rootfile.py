import numpy as np
import pytest
import uproot

from simulation import rootfile
from simulation.nanoaod import Collection, Columns
from simulation.provenance import read_provenance
from simulation.rootfile import NanoFile


def columns(first, n_events):
    """Event k holds k modulo 3 jets, whose pT is k."""
    numbers = np.arange(first, first + n_events)
    counts = numbers % 3
    return Columns(
        {
            "run": np.ones(n_events, np.uint32),
            "luminosityBlock": (1 + numbers // 4).astype(np.uint32),
            "event": numbers.astype(np.uint64),
        },
        {"Jet": Collection(counts, {"pt": np.repeat(numbers, counts).astype(np.float32)})},
    )


def test_batches_become_clusters_of_events(tmp_path, monkeypatch):
    monkeypatch.setattr(rootfile, "EVENTS_PER_CLUSTER", 5)
    with NanoFile(tmp_path / "f.root") as file:
        for first in range(0, 12, 2):
            file.extend(columns(first, 2))
        file.finish({"run": np.ones(1, np.uint32)}, {"made": "by hand"})
    with uproot.open(tmp_path / "f.root") as written:
        events = written["Events"]
        assert events["event"].num_baskets == 2
        assert events["event"].array().tolist() == list(range(12))
        assert events["nJet"].array().tolist() == [0, 1, 2] * 4
        assert events["Jet_pt"].array().tolist() == [[float(k)] * (k % 3) for k in range(12)]
        assert written["LuminosityBlocks"]["luminosityBlock"].array().tolist() == [1, 2, 3]
        assert written["Runs"]["run"].array().tolist() == [1]
        assert {written[name].classname for name in ("Events", "Runs", "LuminosityBlocks")} == {"TTree"}
    assert read_provenance(tmp_path / "f.root") == {"made": "by hand"}


def test_a_file_without_events_can_be_read(tmp_path):
    with NanoFile(tmp_path / "f.root") as file:
        file.extend(columns(0, 0))
        file.finish({"run": np.ones(1, np.uint32)}, {})
    events = uproot.open(tmp_path / "f.root")["Events"]
    assert events.num_entries == 0
    assert set(events.keys()) == {"run", "luminosityBlock", "event", "nJet", "Jet_pt"}


def test_a_failure_leaves_nothing_behind(tmp_path):
    with pytest.raises(KeyError), NanoFile(tmp_path / "f.root"):
        raise KeyError("broken")
    assert list(tmp_path.iterdir()) == []


def test_a_failure_keeps_the_file_that_was_there(tmp_path):
    (tmp_path / "f.root").write_text("precious")
    with pytest.raises(KeyError), NanoFile(tmp_path / "f.root"):
        raise KeyError("broken")
    assert (tmp_path / "f.root").read_text() == "precious"
