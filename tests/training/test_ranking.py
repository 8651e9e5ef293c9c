import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from models.discriminators import SCORES, logits_of, scores
from models.features import FLAVOURS
from processors.reference import reference_scores
from training.metrics import SIGNAL_AND_BACKGROUND, WORKING_POINTS, auc, efficiency_at, roc, split_by_truth
from training.ranking import (
    BLIND_ODDS,
    SCORE_BINS,
    Bins,
    area,
    classes_of,
    count_by_flavour,
    log_odds,
    roc_of_counts,
)


def made_logits(n_jets: int, *, spread: float, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.choice(4, n_jets, p=[0.2, 0.05, 0.15, 0.6])
    logits = rng.normal(0.0, 1.0, (n_jets, 4))
    logits[np.arange(n_jets), labels] += 1.2
    return (spread * logits).astype(np.float32), labels


def log_odds_of(probabilities: np.ndarray) -> dict[str, np.ndarray]:
    return log_odds(logits_of(probabilities))


def counts_of(score: str, logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return count_by_flavour(SCORE_BINS.of(log_odds(logits)[score]), labels, n_bins=SCORE_BINS.number)


def test_bins_by_hand() -> None:
    # One bit of mantissa between 2^-16 and 2^13: 1, 1.5, 2, 3, 4, ... begin a bin.
    bins = Bins(bits=1)
    found = bins.of([-np.inf, -2.9, -2.0, -1e-30, 0.0, 1e-30, 2.0, 2.9, 3.0, 1e5, np.inf]).astype(int)
    middle = bins.number // 2
    assert found[:6].tolist() == [0, found[1], found[1], middle, middle, middle]
    assert found[6] == found[7] == found[8] - 1
    assert middle - found[1] == found[6] - middle
    assert found[9] == found[10] == bins.number - 1
    assert bins.lower_edges()[found[8]] == 3.0
    assert bins.lower_edges()[found[6]] == 2.0


def test_bins_keep_the_order() -> None:
    values = np.sort(np.random.default_rng(2).normal(0, 3, 10_000))
    assert (np.diff(SCORE_BINS.of(values).astype(int)) >= 0).all()


def test_nan_cannot_be_ranked() -> None:
    with pytest.raises(ValueError, match="cannot rank scores that are nan"):
        SCORE_BINS.of([0.0, np.nan])


@pytest.mark.parametrize("score", SCORES)
def test_log_odds_are_those_of_the_scores(score: str) -> None:
    logits, _ = made_logits(200, spread=2.0)
    values = scores(logits)[score]
    odds = np.log(values / (1 - values)) - BLIND_ODDS[score]
    assert log_odds(logits)[score] == pytest.approx(odds, rel=1e-6, abs=1e-6)
    assert log_odds(np.zeros((1, 4), dtype=np.float32))[score] == pytest.approx(0.0, abs=1e-12)
    probabilities = np.column_stack([scores(logits)[flavour] for flavour in FLAVOURS])
    assert log_odds_of(probabilities)[score] == pytest.approx(odds, rel=1e-5, abs=1e-5)


def test_a_jet_without_output_ranks_lowest() -> None:
    broken = np.array([[np.nan, 0, 0, 0], [0, np.inf, 0, 0]], dtype=np.float32)
    missing = np.array([[-1, -1, -1, -1], [np.nan] * 4, [0, 0, 0, 0]], dtype=np.float32)
    for score in SCORES:
        assert (log_odds(broken)[score] == -np.inf).all()
        assert (log_odds_of(missing)[score] == -np.inf).all()


def test_odds_of_probabilities_of_zero() -> None:
    """Of 1/4, 0, 3/4, 0: c / (c + 0) is as high as can be, b against c is 1 to 3, and bb to all others 0."""
    found = log_odds(np.array([[np.log(0.25), -np.inf, np.log(0.75), -np.inf]]))
    assert found["CvsL"][0] == found["BvsL"][0] == np.inf
    assert found["bb"][0] == found["udsg"][0] == -np.inf
    assert found["BvsC"][0] == pytest.approx(np.log(1 / 3) - BLIND_ODDS["BvsC"])


@pytest.mark.parametrize("score", SCORES)
def test_reference_scores_follow_one_rule_in_training_and_processing(score: str) -> None:
    outputs = np.array(
        [[0.1, 0.2, 0.3, 0.4], [0.5, 0, 0.5, 0], [1, 0, 0, 0], [0] * 4, [-1] * 4, [-10] * 4, [2, 0, 0, 0],
         [np.nan, 0.5, 0.5, 0], [0.5, 0.5, np.inf, 0], [1e-38, 0, 0, 1]], dtype=np.float32
    )  # fmt: skip
    processed = reference_scores(outputs.T)[score]
    odds = log_odds_of(outputs)[score]
    has_score = processed >= 0
    assert (odds[~has_score] == -np.inf).all()
    np.testing.assert_allclose(expit(odds + BLIND_ODDS[score])[has_score], processed[has_score], atol=1e-12)


def test_a_ratio_of_nothing_ranks_lowest() -> None:
    found = log_odds_of(np.array([[1.0, 0.0, 0.0, 0.0]]))
    assert found["CvsL"][0] == -np.inf
    assert found["b"][0] == np.inf


@pytest.mark.parametrize("spread", [1e-3, 1.0, 30.0, 1000.0])
@pytest.mark.parametrize("score", ["b", "c", "BvsL", "CvsL"])
def test_the_streamed_area_is_that_of_scikit_learn(score: str, spread: float) -> None:
    # From a tagger that knows almost nothing to one whose probabilities are 0 and 1 in float32.
    logits, labels = made_logits(30_000, spread=spread)
    signal, background = split_by_truth(score, log_odds(logits)[score], labels)
    truth = np.repeat([1, 0], [len(signal), len(background)])
    expected = roc_auc_score(truth, np.concatenate([signal, background]))
    assert area(*classes_of(score, counts_of(score, logits, labels))).auc == pytest.approx(expected, abs=1e-5)


def test_saturated_probabilities_tie_as_in_scikit_learn() -> None:
    logits, labels = made_logits(30_000, spread=40.0)
    logs = logits - logits.max(axis=1, keepdims=True)
    probabilities = (np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True)).astype(np.float32)
    assert (probabilities == 0).mean() > 0.02
    values = log_odds_of(probabilities)["udsg"]
    counts = count_by_flavour(SCORE_BINS.of(values), labels, n_bins=SCORE_BINS.number)
    expected = roc_auc_score(labels == 3, np.clip(values, -1e30, 1e30))  # which takes no infinity
    assert area(*classes_of("udsg", counts)).auc == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("spread", [1.0, 300.0])
def test_bvsc_and_cvsb_have_the_same_area(spread: float) -> None:
    logits, labels = made_logits(20_000, spread=spread)
    areas = [area(*classes_of(score, counts_of(score, logits, labels))) for score in ("BvsC", "CvsB")]
    assert areas[0].auc == pytest.approx(areas[1].auc, abs=1e-12)
    assert areas[0].error == pytest.approx(areas[1].error, abs=1e-12)


def test_counts_of_two_workers_add_up() -> None:
    logits, labels = made_logits(5000, spread=2.0)
    halves = [counts_of("BvsL", logits[part], labels[part]) for part in (slice(1700), slice(1700, None))]
    assert (halves[0] + halves[1] == counts_of("BvsL", logits, labels)).all()


def test_area_and_error_by_hand() -> None:
    # Signal in bins 2 and 1, background in 0, 1 and 1. Shares of background below the signal jets: 1 and
    # 1/3 + 2/6 = 2/3, mean 5/6; S10 = 2 (1/6)^2 / 1 = 1/18. Shares of signal above background: 1 and twice
    # 1/2 + 1/4 = 3/4, mean 5/6; S01 = ((1/6)^2 + 2 (1/12)^2) / 2 = 1/48. Variance 1/36 + 1/144 = 5/144.
    found = area(np.array([0, 1, 1]), np.array([1, 2, 0]))
    assert found.auc == pytest.approx(5 / 6)
    assert found.error == pytest.approx(np.sqrt(5) / 12)
    assert (found.n_signal, found.n_background) == (2, 3)


def test_an_empty_class_has_no_area() -> None:
    found = area(np.array([0, 0]), np.array([1, 2]))
    assert np.isnan([found.auc, found.error]).all()


def test_the_error_of_a_coin_is_that_of_the_rank_sum() -> None:
    # Without separation the variance is (n + m + 1) / (12 n m) (Mann and Whitney).
    rng = np.random.default_rng(4)
    signal, background = (np.bincount(rng.integers(0, 5000, 2000), minlength=5000) for _ in range(2))
    assert area(signal, background).error == pytest.approx(np.sqrt(4001 / (12 * 2000**2)), rel=0.03)


def test_the_error_covers_the_spread_of_samples() -> None:
    rng = np.random.default_rng(3)
    found = []
    for _ in range(150):
        signal, background = (SCORE_BINS.of(rng.normal(mean, 1, n)) for mean, n in ((1.0, 60), (0.0, 80)))
        n_bins = SCORE_BINS.number
        found.append(area(np.bincount(signal, minlength=n_bins), np.bincount(background, minlength=n_bins)))
    spread, error = np.std([each.auc for each in found]), np.mean([each.error for each in found])
    # 150 samples know their spread to 6 %.
    assert error == pytest.approx(spread, rel=0.2)


def test_the_curve_is_that_of_the_single_jets() -> None:
    logits, labels = made_logits(40_000, spread=2.0)
    values = scores(logits)["BvsL"]
    exact = roc(*split_by_truth("BvsL", values, labels), points=400)
    streamed = roc_of_counts("BvsL", counts_of("BvsL", logits, labels), points=400)
    assert (np.diff(streamed.mistag) > 0).all()
    assert (np.diff(streamed.threshold) < 0).all()
    assert streamed.mistag[-1] == streamed.efficiency[-1] == 1.0
    for mistag in WORKING_POINTS.values():
        assert efficiency_at(streamed, mistag) == pytest.approx(efficiency_at(exact, mistag), abs=0.003)
    middle = len(streamed.mistag) // 2
    passing = (values >= streamed.threshold[middle]) & (labels == 3)
    assert passing.sum() / (labels == 3).sum() == pytest.approx(streamed.mistag[middle], rel=0.01)
    enclosed = np.trapezoid([0, *streamed.efficiency], [0, *streamed.mistag])
    assert enclosed == pytest.approx(auc(*split_by_truth("BvsL", values, labels)), abs=0.002)


def test_every_score_starts_from_a_blind_tagger() -> None:
    assert pytest.approx(np.log(1 / 3)) == BLIND_ODDS["c"]
    assert pytest.approx(np.log(2)) == BLIND_ODDS["BvsL"] == -BLIND_ODDS["CvsB"]
    assert set(BLIND_ODDS) == set(SIGNAL_AND_BACKGROUND)
