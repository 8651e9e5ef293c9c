"""All good jets of the selected events."""

from pathlib import Path

import numpy as np
import pyarrow.parquet
import uproot

from processors.extras import Extras
from processors.run import run_selection
from simulation.fixture import fixture_files


def delta_r(eta: float, phi: float, other_eta: float, other_phi: float) -> float:
    distance = abs(phi - other_phi)
    return float(np.hypot(eta - other_eta, min(distance, 2 * np.pi - distance)))


def test_all_good_jets_of_z_events_are_those_of_a_loop_over_the_events(tmp_path: Path) -> None:
    """The events are those that were selected; their jets are cut on by hand."""
    path = fixture_files()["dy"]
    files = {"mc": [str(path)]}
    probes = run_selection(selection="dy", fileset=files, table=tmp_path / "probes")
    every = run_selection(selection="dy", fileset=files, table=tmp_path / "all", extras=Extras(all_jets=True))
    chosen, found = (
        pyarrow.parquet.read_table(tmp_path / name / "mc.parquet").to_pylist() for name in ("probes", "all")
    )
    with uproot.open(f"{path}:Events") as tree:
        events = {event["event"]: event for event in tree.arrays().to_list()}
    expected = []
    for row in chosen:
        event = events[row["event"]]
        muons = [
            at for at in range(event["nMuon"])
            if event["Muon_tightId"][at] and event["Muon_pfRelIso04_all"][at] <= 0.15
            and event["Muon_pt"][at] > 12 and abs(event["Muon_eta"][at]) < 2.4
        ]  # fmt: skip
        # The leading muon of each charge; events of this file have no third one.
        assert len(muons) == 2
        for jet in range(event["nJet"]):
            near = any(
                delta_r(
                    event["Jet_eta"][jet],
                    event["Jet_phi"][jet],
                    event["Muon_eta"][muon],
                    event["Muon_phi"][muon],
                )
                <= 0.4
                for muon in muons
            )
            loose = event["Jet_pt"][jet] < 50 and event["Jet_puId"][jet] < 7
            kinematic = event["Jet_pt"][jet] > 20 and abs(event["Jet_eta"][jet]) < 2.5
            if kinematic and not near and not loose and event["Jet_jetId"][jet] >= 5:
                expected.append((row["event"], jet, np.float32(event["Jet_pt"][jet])))
    assert [(row["event"], row["jet"], np.float32(row["jet_pt"])) for row in found] == expected
    assert len(found) > len(chosen) > 50
    assert {(row["event"], row["jet"]) for row in chosen} <= {(row["event"], row["jet"]) for row in found}
    assert every.cutflows == probes.cutflows
    assert every.config["jets"] == "all"
