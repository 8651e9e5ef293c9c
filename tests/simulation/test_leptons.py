import math

import numpy as np
import pytest

from simulation.jets import cluster
from simulation.leptons import find_electrons, find_muons
from simulation.scenarios import Detector


def found(seen, event, detector, finder=find_muons):
    detected = seen([event], detector)
    return detected, finder(detected, cluster(detected), detector).leptons


def always(detector):
    return detector._replace(muon_efficiency=1.0, efficiency_scale=1.0 / 0.995)


def test_isolation_is_what_lies_around_over_the_own_momentum(seen, perfect):
    event = [
        {"px": 40.0, "pdg": 13},
        {"px": 5.0 * math.cos(0.2), "py": 5.0 * math.sin(0.2)},  # within 0.3
        {"px": 4.0 * math.cos(0.35), "py": 4.0 * math.sin(0.35)},  # within 0.4
        {"px": 6.0 * math.cos(0.5), "py": 6.0 * math.sin(0.5)},  # outside
    ]
    detected, muons = found(seen, event, always(perfect))
    pt = detected.particles["pt"]
    assert muons["isolation_03"] == pytest.approx(pt[1] / pt[0])
    assert muons["isolation_04"] == pytest.approx((pt[1] + pt[2]) / pt[0])


def test_impact_parameters_are_those_of_the_track(seen, perfect):
    detector = always(perfect)._replace(d0_constant=0.002, dz_constant=0.004, vertex_xy=0.001, vertex_z=0.003)
    event = [{"px": 30.0, "py": 0.0, "pz": 0.0, "y": 0.3, "pdg": 13}]  # 0.3 mm beside the beam
    detected, muons = found(seen, event, detector)
    muon, particle = muons[0], detected.particles[0]
    assert muon["dxy"] == particle["d0"]
    assert muon["dxy"] == pytest.approx(0.03, abs=0.01)
    # At sin theta = 1 the two offsets are across the track as they stand.
    assert muon["ip3d"] == pytest.approx(math.hypot(muon["dxy"], muon["dz"]), rel=1e-3)
    errors = np.array([math.hypot(0.002, 0.001), math.hypot(0.004, 0.003)])
    direction = np.array([muon["dxy"], muon["dz"]]) / muon["ip3d"]
    assert muon["sip3d"] == pytest.approx(muon["ip3d"] / np.linalg.norm(direction * errors), rel=1e-3)


def test_leptons_come_in_order_of_momentum_and_know_their_jet(seen, perfect):
    event = [
        {"px": 8.0, "py": 0.5, "pdg": -13},
        {"px": 40.0},
        {"px": -35.0, "pdg": 13},
        {"py": 5.0, "pdg": 13},
    ]
    detected, muons = found(seen, event, always(perfect))
    assert np.all(np.diff(muons["pt"]) < 0)
    assert muons["charge"].tolist() == [-1, 1, -1]
    assert muons["pdg"].tolist() == [13, -13, 13]
    # The jets: 48 GeV along x and, by itself, the muon along -x; 5 GeV make no jet.
    assert muons["jet"].tolist() == [1, 0, -1]
    assert len(cluster(detected).jets) == 2


def test_electrons_are_tracked_ones_above_ten(seen):
    event = [{"px": 30.0, "pdg": 11}, {"py": 9.0, "pdg": 11}, {"px": -20.0, "pdg": -11}]
    _, electrons = found(seen, event, Detector(efficiency_scale=1.0 / 0.93), find_electrons)
    assert electrons["pdg"].tolist() == [11, -11]


def test_no_leptons_are_no_rows(seen):
    detected = seen([[], [{"px": 20.0}]], Detector(pion_to_muon=0.0))
    muons = find_muons(detected, cluster(detected), Detector())
    assert len(muons.leptons) == 0
    assert muons.offsets.tolist() == [0, 0, 0]
