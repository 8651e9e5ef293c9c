import dataclasses

import numpy as np
import pytest

from simulation.processes import CHARM_HADRONS, PROCESSES
from simulation.pythia import EventGenerator
from simulation.scenarios import SCENARIOS


def batches(process, n_events, batch_size=500, seed=3, extra=()):
    chosen = dataclasses.replace(PROCESSES[process], pythia=PROCESSES[process].pythia + extra)
    generator = EventGenerator(chosen, SCENARIOS["mc"], seed=seed)
    return generator, list(generator.batches(n_events, batch_size))


def events_of(batch):
    particles = batch.particles
    for begin, end in zip(particles.offsets[:-1], particles.offsets[1:], strict=True):
        rows = slice(begin, end)
        yield {name: getattr(particles, name)[rows] for name in ("pdg", "status", "px", "py", "pz", "vertex")}


@pytest.mark.parametrize("process", [name for name in PROCESSES if name != "wc"])
def test_recorded_cross_sections_are_what_pythia_finds(process):
    generator, _ = batches(process, 2000, extra=("PartonLevel:all = off",))
    recorded = PROCESSES[process].cross_section_pb
    # The error of 2000 events is 2 to 4 % where weights vary.
    assert generator.cross_section_pb == pytest.approx(recorded, rel=0.08)


def test_the_cross_section_of_forced_decays_includes_their_branching_fractions():
    generator, made = batches("wc", 400)
    weights = np.concatenate([batch.weights for batch in made])
    assert generator.cross_section_pb == pytest.approx(PROCESSES["wc"].cross_section_pb, rel=0.15)
    assert weights.mean() == pytest.approx(PROCESSES["wc"].mean_weight, rel=0.1)
    # The branching fraction of the D+ is the largest, and reached; two forced decays weigh less.
    assert weights.max() == pytest.approx(PROCESSES["wc"].largest_weight, rel=1e-6)


def test_weights_are_products_of_branching_fractions():
    generator, made = batches("wc", 100)
    fractions = generator._branching_fractions
    assert fractions[421] == pytest.approx(0.066, abs=0.003)  # D0 -> mu X: 6.8 % in nature
    for event, weight in zip(events_of(made[0]), made[0].weights, strict=True):
        decayed = np.abs(event["pdg"][event["status"] < 0])
        expected = np.prod([fractions[pdg] for pdg in decayed if pdg in CHARM_HADRONS])
        assert weight == pytest.approx(expected)


def test_the_filter_keeps_what_it_says():
    _, made = batches("ttsl", 60)
    for event in events_of(made[0]):
        # Muons of the hard process: PYTHIA's status 23 is its outgoing particles.
        hard = (np.abs(event["pdg"]) == 13) & (np.abs(event["status"]) == 23)
        assert np.count_nonzero(hard) == 1
        pt = np.hypot(event["px"][hard], event["py"][hard])
        assert pt > 20.0  # 27 GeV before the shower recoils
    _, made = batches("wc", 60)
    for event in events_of(made[0]):
        assert np.any((np.abs(event["pdg"]) == 4) & (np.abs(event["status"]) == 23))


def test_w_with_and_without_charm_share_no_event():
    _, made = batches("wlight", 60)
    for event in events_of(made[0]):
        assert not np.any((np.abs(event["pdg"]) == 4) & (np.abs(event["status"]) == 23))


def test_batches_do_not_change_events():
    _, whole = batches("dy", 40, batch_size=40)
    _, parts = batches("dy", 40, batch_size=15)
    assert [batch.first for batch in parts] == [0, 15, 30]
    for name in ("pdg", "px", "pz"):
        joined = np.concatenate([getattr(batch.particles, name) for batch in parts])
        np.testing.assert_array_equal(joined, getattr(whole[0].particles, name))
    _, other = batches("dy", 40, batch_size=40, seed=4)
    assert len(other[0].particles.pdg) != len(whole[0].particles.pdg)


def test_b_mesons_live_as_long_as_nature_says():
    _, made = batches("ttsl", 150)
    proper_lengths = []
    for event in made:
        particles = event.particles
        for begin, end in zip(particles.offsets[:-1], particles.offsets[1:], strict=True):
            for row in range(begin, end):
                if abs(particles.pdg[row]) in (511, 521, 531) and particles.status[row] < 0:
                    daughter = begin + particles.first_daughter[row]
                    if abs(particles.pdg[daughter]) == abs(particles.pdg[row]):
                        continue  # it oscillated
                    begins, ends = particles.vertex[row], particles.vertex[daughter]
                    start = 0.0 if begins < 0 else particles.x[begins]
                    flight = particles.x[ends] - start
                    proper_lengths.append(abs(flight / particles.px[row]) * 5.3)
    # c tau of the B mesons is 0.45 to 0.49 mm; 300 decays know it to 6 %. The flight is in mm.
    assert len(proper_lengths) > 200
    assert np.mean(proper_lengths) == pytest.approx(0.47, rel=0.2)


def test_a_wrong_setting_is_named():
    wrong = dataclasses.replace(PROCESSES["dy"], pythia=("WeakZ0:everything = on",))
    with pytest.raises(ValueError, match="does not know the setting 'WeakZ0:everything = on'"):
        EventGenerator(wrong, SCENARIOS["mc"], seed=1)


def test_scenarios_are_settings_that_pythia_knows():
    for scenario in SCENARIOS.values():
        EventGenerator(PROCESSES["dy"], scenario, seed=1)
