import math

import numpy as np
import pytest

from training.paired import PairedAreas
from training.ranking import SCORE_BINS, area, classes_of, count_by_flavour

N_BINS = SCORE_BINS.number


def made_scores(n_jets: int, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Two scores of c (2) against light (3) jets with much in common."""
    rng = np.random.default_rng(seed)
    labels = rng.choice([2, 3], n_jets, p=[0.3, 0.7])
    common = rng.normal(0, 1, n_jets) + (labels == 2)
    return {"a": common + rng.normal(0, 0.3, n_jets), "b": common + rng.normal(0, 0.5, n_jets)}, labels


def paired(values: dict[str, np.ndarray], labels: np.ndarray, *, n_blocks: int = 1) -> PairedAreas[str]:
    areas: PairedAreas[str] = PairedAreas("CvsL")
    for part in np.array_split(np.arange(len(labels)), n_blocks):
        ranks = {key: SCORE_BINS.of(array[part]) for key, array in values.items()}
        areas.add(ranks, labels[part], n_bins=N_BINS)
    return areas


def area_of(values: np.ndarray, labels: np.ndarray):
    return area(*classes_of("CvsL", count_by_flavour(SCORE_BINS.of(values), labels, n_bins=N_BINS)))


def test_the_covariance_is_that_of_all_pairs_of_jets() -> None:
    # DeLong's components written out: psi is 1, 1/2 or 0 for a pair of signal and background.
    values, labels = made_scores(150, seed=1)
    signal, background = labels == 2, labels == 3
    shares = []
    for array in values.values():
        bins = SCORE_BINS.of(array).astype(int)
        won = np.sign(bins[signal][:, None] - bins[background][None, :]) / 2 + 0.5
        shares.append((won.mean(axis=1), won.mean(axis=0)))
    expected = sum(np.cov([share[side] for share in shares]) / len(shares[0][side]) for side in (0, 1))
    assert paired(values, labels).covariance() == pytest.approx(expected, rel=1e-9)


def test_the_diagonal_is_the_error_of_the_single_area() -> None:
    values, labels = made_scores(3000, seed=2)
    covariance = paired(values, labels).covariance()
    assert math.sqrt(covariance[1, 1]) == pytest.approx(area_of(values["b"], labels).error, rel=1e-9)


def test_blocks_change_the_errors_by_little() -> None:
    values, labels = made_scores(20_000, seed=3)
    whole, blocks = (paired(values, labels, n_blocks=n).covariance() for n in (1, 5))
    assert blocks == pytest.approx(whole, rel=0.02)


def test_the_error_of_a_difference_covers_the_spread_of_samples() -> None:
    differences, errors, independent = [], [], []
    for seed in range(100):
        values, labels = made_scores(400, seed=seed)
        areas = {key: area_of(array, labels) for key, array in values.items()}
        found = paired(values, labels).difference({k: v.auc for k, v in areas.items()}, "a", "b")
        differences.append(found.value)
        errors.append(found.error)
        independent.append(math.hypot(areas["a"].error, areas["b"].error))
    # 100 samples know their spread to 7 %.
    assert np.mean(errors) == pytest.approx(np.std(differences), rel=0.25)
    assert np.mean(independent) > 2 * np.std(differences)


def test_the_error_of_a_ratio_covers_the_spread_of_samples() -> None:
    ratios, errors = [], []
    for seed in range(100):
        values, labels = made_scores(400, seed=seed)
        areas = {key: area_of(array, labels).auc for key, array in values.items()}
        found = paired(values, labels).ratio(areas, "b", "a")
        ratios.append(found.value)
        errors.append(found.error)
    assert np.mean(errors) == pytest.approx(np.std(ratios), rel=0.25)


def test_a_difference_from_oneself_is_exact() -> None:
    values, labels = made_scores(300, seed=5)
    found = paired({"a": values["a"], "b": values["a"]}, labels).difference({"a": 0.7, "b": 0.7}, "a", "b")
    assert found.value == 0
    assert found.error == pytest.approx(0, abs=1e-9)
    assert math.isnan(paired(values, np.full(300, 2)).difference({"a": 1.0, "b": 1.0}, "a", "b").error)
