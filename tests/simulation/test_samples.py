import dataclasses
from pathlib import Path

import numpy as np
import pytest

from simulation import PROCESSES, SampleInfo, SampleRequest, events_for_luminosity, fileset_of
from simulation.samples import luminosity_of


def info(process, *, is_data=False, n_generated=1000, path="f.root", nominal=None, seed=1):
    chosen = PROCESSES[process]
    return SampleInfo(
        path=Path(path),
        process=process,
        scenario="data" if is_data else "mc",
        is_data=is_data,
        n_generated=n_generated,
        n_events=n_generated,
        cross_section_pb=chosen.cross_section_pb,
        measured_cross_section_pb=chosen.cross_section_pb,
        luminosity_pb=luminosity_of(process, n_generated) if is_data else None,
        sum_weights=float(n_generated),
        seed=seed,
        nominal=nominal or ("data" if is_data else "mc"),
        primary_dataset=chosen.primary_dataset if is_data else None,
    )


def test_data_need_as_many_events_as_cross_section_times_luminosity():
    assert events_for_luminosity("dy", 10.0) == round(10 * PROCESSES["dy"].cross_section_pb)
    # Of w+c, the tries of the unweighting: 254.5 pb x 0.1656 x 100 / pb = 4214.5.
    assert events_for_luminosity("wc", 100.0) == 4215
    assert luminosity_of("wc", 4215) == pytest.approx(100.0, rel=1e-3)


def test_numbers_of_data_events_fluctuate_with_the_seed_alone():
    drawn = [events_for_luminosity("dy", 1.0, seed=seed) for seed in range(400)]
    assert drawn[3] == events_for_luminosity("dy", 1.0, seed=3)
    # A mean of 278.5: 400 draws know it to 0.83 and its root of the variance, 16.7, to 0.6.
    assert np.mean(drawn) == pytest.approx(278.5, abs=3.5)
    assert np.std(drawn) == pytest.approx(16.7, abs=2.5)


def test_a_fileset_holds_simulation_by_process_and_data_by_primary_dataset():
    n_wc, n_ttsl = (events_for_luminosity(process, 50.0) for process in ("wc", "ttsl"))
    fileset = fileset_of(
        [
            info("dy", path="a.root"),
            info("dy", path="b.root"),
            info("wc", is_data=True, n_generated=n_wc, path="c.root"),
            info("ttsl", is_data=True, n_generated=n_ttsl, path="d.root"),
        ]
    )
    assert fileset["dy"] == {
        "files": {"a.root": "Events", "b.root": "Events"},
        "metadata": {
            "is_data": False,
            "simulated": True,
            "process": "dy",
            "cross_section_pb": PROCESSES["dy"].cross_section_pb,
        },
    }
    data = fileset["SingleMuon"]
    assert list(data["files"]) == ["c.root", "d.root"]
    assert data["metadata"]["primary_dataset"] == "SingleMuon"
    assert data["metadata"]["luminosity_pb"] == pytest.approx(50.0, rel=1e-3)
    assert set(fileset) == {"dy", "SingleMuon"}


def test_data_that_are_the_simulated_events_are_marked():
    simulation = [info("ttsl", seed=1), info("ttsl", seed=2)]
    same = [info("ttsl", is_data=True, seed=seed, nominal="mc") for seed in (1, 2)]
    assert fileset_of([*simulation, *same])["SingleMuon"]["metadata"]["same_events"] is True
    # The same seed in a scenario of its own gives other random numbers, and so does another seed.
    for other in (info("ttsl", is_data=True, seed=1), info("ttsl", is_data=True, seed=3, nominal="mc")):
        assert "same_events" not in fileset_of([*simulation, same[0], other])["SingleMuon"]["metadata"]


def test_a_cross_section_can_be_given():
    # Twice the cross section: twice the events for a luminosity, half the luminosity of an event.
    recorded = PROCESSES["wc"].cross_section_pb
    assert events_for_luminosity("wc", 100.0, cross_section_pb=2 * recorded) == 8429
    twice = luminosity_of("wc", 1000, cross_section_pb=2 * recorded)
    assert 2 * twice == pytest.approx(luminosity_of("wc", 1000))
    with pytest.raises(ValueError, match="give a positive number"):
        SampleRequest("dy", "mc", 10, cross_section_pb=-1.0)


def test_slices_in_momentum_fall_and_follow_one_another():
    slices = [process for name, process in PROCESSES.items() if name.startswith("qcd_")]
    sizes = [process.cross_section_pb for process in slices]
    assert sizes == sorted(sizes, reverse=True)
    highs = [process.name.split("_")[2] for process in slices]
    lows = [process.name.split("_")[1] for process in slices]
    assert highs[:-1] == lows[1:]
    assert highs[-1] == "inf"


def test_luminosities_of_one_dataset_must_agree():
    with pytest.raises(ValueError, match="the processes of SingleMuon have different luminosities"):
        fileset_of([info("wc", is_data=True), info("ttsl", is_data=True, n_generated=9000)])


def test_data_hold_no_event_twice():
    with pytest.raises(ValueError, match="JetHT holds 'tt' and 'tthad', which is part of it: leave one out"):
        fileset_of([info("tt", is_data=True), info("tthad", is_data=True)])
    # As simulation they may stand side by side, for whoever picks one of them.
    assert set(fileset_of([info("tt"), info("tthad")])) == {"tt", "tthad"}


def test_weighted_jets_become_few_data():
    # Weights (10 / pT)^4.5 from 20 GeV: the mean of 1.226e-3 over the largest of 2^-4.5 leaves 2.8 %.
    qcd = PROCESSES["qcd"]
    assert qcd.mean_weight / qcd.largest_weight == pytest.approx(0.0277, abs=0.0001)
    assert qcd.cross_section_pb == pytest.approx(7.203e8)
    assert luminosity_of("qcd", 10_000) == pytest.approx(277.4 / 7.203e8, rel=1e-3)


def test_scenarios_are_not_mixed():
    null = dataclasses.replace(info("dy", is_data=True), scenario="null")
    with pytest.raises(ValueError, match="DoubleMuon mixes the scenarios data and null"):
        fileset_of([info("dy", is_data=True), null])
    varied = dataclasses.replace(info("dy"), scenario="mc+efficiency_scale=0.97")
    with pytest.raises(ValueError, match="dy mixes the scenarios mc and mc"):
        fileset_of([info("dy"), varied])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("zz", "mc", 10), "unknown process 'zz': choose from dy, wc"),
        (("dy", "real", 10), "unknown scenario 'real': choose from mc, null, data"),
        (("dy", "mc", 0), "ask for at least one event"),
        (("dy", "mc", 10, -1), "choose one from 0"),
    ],
)
def test_a_wrong_request_is_refused_in_one_sentence(arguments, message):
    with pytest.raises(ValueError, match=message):
        SampleRequest(*arguments)
