"""The comparison of samples, on samples made here: no generator is needed for it."""

import numpy as np
import pytest
from scipy import stats

from models.features import BRANCHES, N_FEATURES, index_of
from simulation.validation.agreement import N_BINS, compare_inputs, shape_sums
from simulation.validation.jets import agreement_checks
from simulation.validation.reading import Electrons, Jets, Muons, Sample

NO_ELECTRONS = Electrons(np.empty(0), np.empty(0, np.int64))

_PT, _ETA = index_of("Jet_pt"), index_of("Jet_eta")
_N_TRACKS, _N_ETA_REL = index_of("Jet_DeepCSV_jetNSelectedTracks"), index_of("Jet_DeepCSV_jetNTracksEtaRel")


def make_sample(
    seed: int, n_events: int = 4000, *, scenario: str = "null", weighted: bool = False, shift: float = 0.0,
    stretch: float = 1.0,
) -> Sample:  # fmt: skip
    """Events of one to four jets that share a number, so that jets of an event are alike."""
    random = np.random.default_rng(seed)
    event = np.repeat(np.arange(n_events), random.integers(1, 5, n_events))
    common = random.normal(size=(n_events, 1))[event]
    raw = (stretch * (common + random.normal(size=(len(event), N_FEATURES)))).astype(np.float32)
    raw[:, index_of("Jet_DeepCSV_vertexMass")] += shift
    raw[:, _PT], raw[:, _ETA] = 30 + random.exponential(20, len(event)), random.uniform(-2, 2, len(event))
    raw[:, _N_TRACKS], raw[:, _N_ETA_REL] = 9, 9
    raw[random.random(len(raw)) < 0.3, index_of("Jet_DeepCSV_vertexMass")] = -999
    weight = random.uniform(0.2, 1.8, n_events) if weighted else np.ones(n_events)
    no_muons = Muons(*(np.empty(0) for _ in Muons._fields))
    jets = Jets(raw, np.zeros(len(raw), np.int8), event)
    return Sample(
        "dy", scenario, not weighted, {}, weight, jets, no_muons, NO_ELECTRONS, np.empty(0), None,
        np.empty(0), (),
    )  # fmt: skip


def test_covariance_is_that_of_repeated_samples() -> None:
    # One bin of one input, in 300 samples: its spread against the covariance of a single one.
    shapes, errors = [], []
    for seed in range(300):
        sample = make_sample(seed, 200, weighted=True)
        bins = np.full(sample.jets.raw.shape, N_BINS, np.int16)
        bins[:, 5] = (sample.jets.raw[:, 5] > 0.5).astype(np.int16)
        sums = shape_sums(sample.jets, bins, sample.weight)
        cell = 5 * (N_BINS + 1) + 1
        shapes.append(sums.shape[cell])
        errors.append(np.sqrt(sums.covariance[cell, cell]))
    # The spread of 300 is known to 1 / sqrt(600) = 4 %.
    assert np.std(shapes) == pytest.approx(np.mean(errors), rel=0.15)


def test_shapes_add_up_to_one() -> None:
    sample = make_sample(1, 50)
    bins = np.random.default_rng(1).integers(0, N_BINS + 1, sample.jets.raw.shape).astype(np.int16)
    sums = shape_sums(sample.jets, bins, sample.weight)
    np.testing.assert_allclose(sums.shape.reshape(N_FEATURES, -1).sum(axis=1), 1)
    # A shape that adds up to one does so with every fluctuation.
    np.testing.assert_allclose(sums.covariance.sum(axis=1), 0, atol=1e-12)


def test_equal_samples_have_flat_p_values() -> None:
    mc = make_sample(1, weighted=True)
    smallest, one_input = [], []
    for seed in range(2, 27):
        agreement = compare_inputs(mc._replace(**_fresh(seed + 1000)), make_sample(seed, 1000))
        smallest.append(agreement.smallest_p_value)
        one_input.append(next(row.p_value for row in agreement.rows if row.input == BRANCHES[7]))
    assert stats.kstest(one_input, "uniform").pvalue > 0.01
    assert stats.kstest(smallest, "uniform").pvalue > 0.01


def _fresh(seed: int) -> dict:
    sample = make_sample(seed, 1000, weighted=True)
    return {"jets": sample.jets, "weight": sample.weight}


def test_a_shifted_input_is_found_and_no_other() -> None:
    agreement = compare_inputs(make_sample(1), make_sample(2, shift=0.5))
    worst, second, *_ = sorted(agreement.rows, key=lambda row: row.p_value)
    assert worst.input == "Jet_DeepCSV_vertexMass"
    assert worst.p_value < 1e-10
    assert second.p_value > 1e-5
    assert agreement.smallest_p_value == 0


@pytest.mark.parametrize(("stretch", "verdict"), [(1.0, "pass"), (1.1, "fail")])
def test_the_check_of_same_settings_can_fail(stretch: float, verdict: str) -> None:
    # Ten per cent wider inputs, as of a resolution that is worse than in simulation.
    agreement = compare_inputs(make_sample(1), make_sample(2, stretch=stretch))
    rows = agreement_checks(agreement, "dy (null)", same_settings=True)
    assert [row.verdict for row in rows] == [verdict, verdict]
    # Of other settings nothing is expected.
    rows = agreement_checks(agreement, "dy (data)", same_settings=False)
    assert [row.verdict for row in rows] == ["shown", "shown"]


def test_constant_inputs_are_skipped_not_tested() -> None:
    agreement = compare_inputs(make_sample(1), make_sample(2))
    assert set(agreement.skipped) == {
        "Jet_DeepCSV_jetNSelectedTracks",
        "Jet_DeepCSV_jetNTracksEtaRel",
    }
    assert len(agreement.rows) == N_FEATURES - 2


def test_a_sample_without_jets_is_refused_by_name() -> None:
    empty = make_sample(1, 0)
    with pytest.raises(ValueError, match=r"dy \(null\): no jet above 20 GeV"):
        compare_inputs(make_sample(1, 100), empty)
