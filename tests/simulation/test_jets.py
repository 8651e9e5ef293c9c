import math

import numpy as np
import pytest

from simulation.jets import MIN_PT, RADIUS, cluster, cluster_particles, measure_jets
from simulation.records import GHOST, PARTON
from simulation.scenarios import Detector


def anti_kt(momenta):
    """Anti-kT as the definition has it, in the slowest way; momenta (n, 4) as px, py, pz, E."""
    clusters = [(momentum, [i]) for i, momentum in enumerate(momenta)]
    jets = []

    def coordinates(p):
        rapidity = 0.5 * math.log((p[3] + p[2]) / (p[3] - p[2]))
        return math.hypot(p[0], p[1]), rapidity, math.atan2(p[1], p[0])

    while clusters:
        points = [coordinates(p) for p, _ in clusters]
        best = (math.inf, 0, -1)
        for i, (pt, y, phi) in enumerate(points):
            best = min(best, (pt**-2, i, -1))
            for k in range(i):
                angle = (phi - points[k][2] + math.pi) % (2 * math.pi) - math.pi
                distance = ((y - points[k][1]) ** 2 + angle**2) / RADIUS**2
                best = min(best, (min(pt**-2, points[k][0] ** -2) * distance, i, k))
        _, i, k = best
        if k < 0:
            jets.append(clusters.pop(i))
        else:
            (p1, members1), (p2, members2) = clusters.pop(i), clusters.pop(k)
            clusters.append((p1 + p2, members1 + members2))
    return [(p, sorted(members)) for p, members in jets if math.hypot(p[0], p[1]) >= MIN_PT]


def random_event(rng, n_particles):
    centres = rng.uniform([-2.0, -math.pi], [2.0, math.pi], (4, 2))
    event = []
    for _ in range(n_particles):
        eta, phi = centres[rng.integers(4)] + rng.normal(0.0, 0.25, 2)
        pt = rng.exponential(6.0) + 0.5
        kind = rng.choice([211, -211, 22, 130, 13])
        event.append(
            {"px": pt * math.cos(phi), "py": pt * math.sin(phi), "pz": pt * math.sinh(eta), "pdg": int(kind)}
        )
    return event


@pytest.fixture
def detected(seen):
    rng = np.random.default_rng(11)
    return seen([random_event(rng, n) for n in (40, 0, 25, 60)], Detector())


def test_jets_are_those_of_the_definition(detected):
    jets = cluster(detected)
    assert len(jets.jets) > 8
    for event in range(4):
        particles = detected.particles[detected.offsets[event] : detected.offsets[event + 1]]
        momenta = np.stack([particles[name] for name in ("px", "py", "pz", "energy")], axis=1)
        expected = sorted(anti_kt(momenta), key=lambda jet: -math.hypot(jet[0][0], jet[0][1]))
        rows = range(jets.offsets[event], jets.offsets[event + 1])
        assert len(rows) == len(expected)
        for row, (momentum, members) in zip(rows, expected, strict=True):
            jet = jets.jets[row]
            np.testing.assert_allclose([jet["px"], jet["py"], jet["pz"], jet["energy"]], momentum, rtol=1e-9)
            begin, end = jets.constituent_offsets[row : row + 2]
            assert sorted(jets.constituents[begin:end] - detected.offsets[event]) == members
            assert np.all(jets.jet_of_particle[jets.constituents[begin:end]] == row - jets.offsets[event])


def test_energy_fractions_add_up_to_one(detected):
    jets = cluster(detected).jets
    parts = ("charged_hadron", "neutral_hadron", "charged_em", "neutral_em", "muon")
    np.testing.assert_allclose(sum(jets[part] for part in parts), 1.0)
    assert jets["muon"].max() > 0
    assert jets["neutral_em"].max() > 0


def test_flavour_is_that_of_the_ghosts_and_leaves_jets_as_they_are(seen, perfect):
    event = [{"px": 30.0, "py": 1.0}, {"px": 20.0, "py": -1.0}, {"px": -40.0, "pz": 5.0}, {"py": 25.0}]
    detected = seen([event], perfect)
    without = cluster(detected)
    ghosts = np.zeros(3, GHOST)
    ghosts["px"], ghosts["py"] = [4e-17, 2e-17, -3e-17], [1e-18, 0.0, 1e-18]
    ghosts["pz"] = [0.0, 0.0, 3.7e-18]
    ghosts["energy"] = [4.1e-17, 2.1e-17, 3.1e-17]
    ghosts["flavour"] = [5, 4, 4]
    partons = np.zeros(3, PARTON)
    partons["pt"], partons["phi"], partons["pdg"] = [45.0, 60.0, 24.0], [0.0, 0.1, math.pi / 2], [-5, 21, 2]
    with_ghosts = cluster(
        detected._replace(
            ghosts=ghosts, ghost_offsets=np.array([0, 3]), partons=partons, parton_offsets=np.array([0, 3])
        )
    )
    np.testing.assert_array_equal(with_ghosts.jets["pt"], without.jets["pt"])
    assert with_ghosts.jets["hadron_flavour"].tolist() == [5, 4, 0]
    assert with_ghosts.jets["n_b_hadrons"].tolist() == [1, 0, 0]
    assert with_ghosts.jets["n_c_hadrons"].tolist() == [1, 1, 0]
    assert with_ghosts.jets["n_constituents"].tolist() == without.jets["n_constituents"].tolist() == [2, 1, 1]
    # A b goes before a harder gluon; the jet at -x has no parton near it.
    assert with_ghosts.jets["parton_flavour"].tolist() == [-5, 0, 2]


def test_smearing_changes_jets_and_nothing_is_lost(detected):
    seeds = np.arange(4, dtype=np.uint32)
    plain = cluster(detected)
    worst = Detector(jet_noise=0.0, jet_stochastic=0.0, jet_constant=0.0, jet_energy_scale=1.5)
    scaled = measure_jets(detected, cluster_particles(detected), seeds=seeds, detector=worst)
    # Jets of 10 to 15 GeV reach the threshold.
    assert len(scaled.jets) >= len(plain.jets)
    hadronic = plain.jets[plain.jets["muon"] == 0]
    assert len(hadronic) > 0
    for jet in hadronic:
        same = scaled.jets[np.abs(scaled.jets["eta"] - jet["eta"]) < 1e-9]
        assert same["pt"].tolist() == pytest.approx([1.5 * jet["pt"]])
        assert same["mass"].tolist() == pytest.approx([1.5 * jet["mass"]])
    # What is a muon is not scaled: a momentum p with a fraction f of muons becomes p (1 + 0.5 (1 - f)).
    before = scaled.jets["px"] / (1.0 + 0.5 * (1.0 - scaled.jets["muon"]))
    event = np.repeat(np.arange(4), np.diff(scaled.offsets))
    grown = np.bincount(event, weights=scaled.jets["px"] - before, minlength=4)
    assert np.all(np.abs(grown - scaled.added[:, 0]) < 0.5 * 15.0 * 3)  # jets that stayed below are missing
    np.testing.assert_array_equal(plain.added, 0.0)


def test_smearing_depends_on_the_seed_of_an_event_alone(detected):
    seeds = np.arange(4, dtype=np.uint32)
    first = measure_jets(detected, cluster_particles(detected), seeds=seeds, detector=Detector())
    again = measure_jets(detected, cluster_particles(detected), seeds=seeds, detector=Detector())
    other = measure_jets(detected, cluster_particles(detected), seeds=seeds + 7, detector=Detector())
    np.testing.assert_array_equal(first.jets, again.jets)
    assert first.jets["pt"].tolist() != other.jets["pt"].tolist()


def test_known_jets_serve_only_the_same_momenta(seen):
    event = [{"px": 40.0}, {"px": -30.0, "py": 5.0}, {"py": 25.0}]
    first, blurred, other = (
        cluster_particles(seen([event], detector))
        for detector in (Detector(), Detector(resolution_scale=2.0), Detector(efficiency_scale=0.5))
    )
    # The resolution of tracks moves impact parameters only; a lost track is measured by the calorimeter.
    np.testing.assert_array_equal(first.momenta, blurred.momenta)
    assert not np.array_equal(first.momenta, other.momenta)
    assert cluster_particles(seen([event], Detector(resolution_scale=2.0)), known=first) is first
    anew = cluster_particles(seen([event], Detector(efficiency_scale=0.5)), known=first)
    np.testing.assert_array_equal(anew.jets.momenta, other.jets.momenta)


def test_smearing_leaves_the_jets_before_it_alone(seen):
    detected = seen([[{"px": 40.0}, {"px": -30.0, "py": 5.0}]], Detector())
    clustering = cluster_particles(detected)
    before = clustering.jets.momenta.copy()
    measure_jets(detected, clustering, seeds=np.ones(1, np.uint32), detector=Detector(jet_noise=20.0))
    np.testing.assert_array_equal(clustering.jets.momenta, before)


def test_nothing_makes_no_jets(seen):
    jets = cluster(seen([[], []], Detector()))
    assert len(jets.jets) == 0
    assert jets.offsets.tolist() == [0, 0, 0]


def test_jets_are_those_of_fastjet(seen):
    fastjet = pytest.importorskip("fastjet")
    rng = np.random.default_rng(5)
    detected = seen([random_event(rng, n) for n in (300, 80, 3, 500)], Detector())
    jets = cluster(detected)
    definition = fastjet.JetDefinition(fastjet.antikt_algorithm, RADIUS)
    for event in range(4):
        rows = detected.particles[detected.offsets[event] : detected.offsets[event + 1]]
        particles = [fastjet.PseudoJet(*(float(row[name]) for name in COMPONENTS)) for row in rows]
        sequence = fastjet._swig.ClusterSequence(particles, definition)
        expected = fastjet.sorted_by_pt(sequence.inclusive_jets(MIN_PT))
        found = jets.jets[jets.offsets[event] : jets.offsets[event + 1]]
        assert len(found) == len(expected)
        for jet, other in zip(found, expected, strict=True):
            assert [jet[name] for name in COMPONENTS] == [other.px(), other.py(), other.pz(), other.E()]


COMPONENTS = ("px", "py", "pz", "energy")
