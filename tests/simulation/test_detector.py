import itertools
import math

import numpy as np
import pytest

from simulation.detector import charge_of, tracking_efficiency
from simulation.measurement import impact_resolution
from simulation.scenarios import SCENARIOS, Detector

N_TRACKS = 20_000


def pull_width(detected):
    """Width of d0 over its reported error, by the interquartile range: 1.349 sigmas for a Gaussian."""
    tracks = detected.particles[detected.particles["tracked"] == 1]
    low, high = np.quantile(tracks["d0"] / tracks["sigma_d0"], [0.25, 0.75])
    return (high - low) / 1.349


def gun(n, **particle):
    phi = np.random.default_rng(1).uniform(-math.pi, math.pi, n)
    pt = particle.pop("pt")
    return [
        [{"px": pt * math.cos(angle), "py": pt * math.sin(angle), "pz": 0.3 * pt, **particle}]
        for angle in phi
    ]


@pytest.mark.parametrize(("scenario", "width"), [("mc", 1.0), ("data_resolution", 1.12), ("null", 1.0)])
def test_pulls_of_prompt_tracks_are_as_wide_as_the_scenario_says(seen, scenario, width):
    detector = SCENARIOS[scenario].detector._replace(vertex_xy=0.0, tail_fraction=0.0, kink_fraction=0.0)
    # The error of a width from 18 400 tracks is 1.1 / sqrt(18400) = 0.8 %.
    assert pull_width(seen(gun(N_TRACKS, pt=3.0), detector)) == pytest.approx(width, abs=0.025)


def test_data_have_wider_pulls_and_longer_tails_than_simulation(seen):
    mc, data = (
        seen(gun(N_TRACKS, pt=3.0), SCENARIOS[name].detector._replace(vertex_xy=0.0))
        for name in ("mc", "data")
    )
    assert pull_width(data) / pull_width(mc) == pytest.approx(1.15, abs=0.05)

    def tail(detected):
        tracks = detected.particles[detected.particles["tracked"] == 1]
        return np.mean(np.abs(tracks["d0"]) > 4 * tracks["sigma_d0"])

    assert tail(data) > 1.2 * tail(mc)


def test_the_primary_vertex_is_as_uncertain_as_the_detector_says(seen):
    detected = seen([[] for _ in range(5000)], Detector())
    np.testing.assert_allclose(detected.vertices.std(axis=0), [0.0012, 0.0012, 0.0018], rtol=0.05)


def test_the_resolution_adds_a_constant_and_scattering_in_quadrature():
    # At 1 GeV and sin theta 1: sqrt(12^2 + 65^2) = 66.1 um and sqrt(25^2 + 85^2) = 88.6 um.
    d0, dz = impact_resolution(1.0, 1.0, Detector())
    assert d0 == pytest.approx(66.1e-4, abs=1e-5)
    assert dz == pytest.approx(88.6e-4, abs=1e-5)


def test_a_displaced_track_passes_the_vertex_as_its_circle_does(seen, perfect):
    displaced = [
        {"px": pt, "py": 0.4 * pt, "pz": 0.7 * pt, "x": 3.0, "y": 2.0, "z": 1.0, "pdg": pdg}  # mm
        for pt in (0.8, 2.0, 20.0)
        for pdg in (211, -211)
    ]
    detected = seen([displaced], perfect)
    assert len(detected.particles) == len(displaced)
    for track in detected.particles:
        radius = track["pt"] / (0.003 * 3.8)  # cm
        ux, uy = track["px"] / track["pt"], track["py"] / track["pt"]
        centre = 0.3 + track["charge"] * radius * uy, 0.2 - track["charge"] * radius * ux
        distance = abs(math.hypot(*centre) - radius)
        assert abs(track["d0"]) == pytest.approx(distance, abs=1e-5)
        assert math.hypot(track["ip_x"], track["ip_y"]) == pytest.approx(distance, abs=1e-5)
        # Along the circle back to the nearest point, z changes by cot(theta) times the arc.
        angle = math.atan2(0.2 - centre[1], 0.3 - centre[0]) - math.atan2(-centre[1], -centre[0])
        arc = radius * math.atan2(math.sin(angle), math.cos(angle)) * -track["charge"]
        assert track["dz"] == pytest.approx(0.1 - arc * track["pz"] / track["pt"], abs=1e-4)


def test_a_prompt_track_has_no_impact_parameter(seen, perfect):
    detected = seen([[{"px": 0.5, "py": 1.0, "pz": 2.0}]], perfect)
    assert detected.particles["d0"][0] == pytest.approx(0.0, abs=1e-5)
    assert detected.particles["dz"][0] == pytest.approx(0.0, abs=1e-4)


def test_products_of_late_decays_reach_the_calorimeter_without_a_track(seen, perfect):
    particles = seen([[{"px": 50.0, "pdg": 211, "x": 1100.0}]], perfect).particles
    assert particles["tracked"].tolist() == [0]
    assert 20 < particles["pt"][0] < 80


@pytest.mark.parametrize(
    "unseen",
    [
        {"px": 50.0, "pdg": 12},  # a neutrino
        {"px": 50.0, "status": -1},  # it decayed
        {"px": 1.0, "pz": 100.0},  # beyond abs(eta) 5
        {"px": 0.2},  # curls up
    ],
)
def test_what_leaves_no_trace_is_not_seen(seen, perfect, unseen):
    assert len(seen([[unseen]], perfect).particles) == 0


def test_met_balances_what_is_seen(seen):
    events = [[{"px": 10.0, "py": 3.0}, {"px": -4.0, "py": 9.0, "pdg": 22}, {"px": 2.0, "pdg": 130}]]
    detected = seen(events, Detector())
    particles = detected.particles
    np.testing.assert_allclose(detected.met[0], [-particles["px"].sum(), -particles["py"].sum()])


def test_an_event_does_not_depend_on_those_before_it(seen):
    first, second = gun(2, pt=5.0)
    both = seen([first, second], Detector())
    with_another = seen([[], second], Detector())
    alone = both.particles[both.offsets[1] :]
    np.testing.assert_array_equal(alone, with_another.particles)


def test_tracks_are_lost_as_the_efficiency_says(seen):
    detected = seen(gun(N_TRACKS, pt=5.0), SCENARIOS["data"].detector)
    # 0.94 x 0.98 = 0.9212; the rest are seen by the calorimeter.
    assert np.mean(detected.particles["tracked"]) == pytest.approx(0.9212, abs=0.007)
    assert len(detected.particles) == N_TRACKS


def test_late_decays_leave_fewer_tracks():
    radii = [0.0, 3.0, 7.0, 11.0, 17.0, 41.0]
    efficiencies = [tracking_efficiency(211, 5.0, 0.0, radius, Detector()) for radius in radii]
    assert efficiencies[0] == 0.94
    assert all(later < earlier for earlier, later in itertools.pairwise(efficiencies))
    assert efficiencies[-1] == 0.0


def test_muons_are_found_and_rarely_faked(seen):
    muons = seen(gun(N_TRACKS, pt=10.0, pdg=13), Detector()).particles
    assert np.mean(muons["muon"] == 1) == pytest.approx(0.97, abs=0.005)
    kaons = seen(gun(N_TRACKS, pt=10.0, pdg=321), Detector()).particles
    assert set(np.unique(kaons["muon"])) == {0, 2}
    # 20 000 x 0.94 x 0.003 = 56 +- 7.
    assert 30 < np.count_nonzero(kaons["muon"]) < 85


@pytest.mark.parametrize(
    ("pdg", "charge"),
    [(11, -1), (-13, 1), (211, 1), (-321, -1), (2212, 1), (3112, -1), (3222, 1), (22, 0), (130, 0)],
)
def test_charges_are_those_of_the_particle_tables(pdg, charge):
    assert charge_of(pdg) == charge
