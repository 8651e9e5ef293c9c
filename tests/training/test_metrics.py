import math

import numpy as np
import pytest

from models.discriminators import SCORES
from training.metrics import SIGNAL_AND_BACKGROUND, auc, efficiency_at, roc, split_by_truth


def test_auc_by_hand() -> None:
    # Of 6 pairs (signal, background) signal wins 3 (.9 twice, .5 over .4 ...): .9>.5, .9>.4, .5=.5, .5>.4,
    # .1<.5, .1<.4: 3 wins and one tie, 3.5 / 6.
    assert auc([0.9, 0.5, 0.1], [0.5, 0.4]) == pytest.approx(3.5 / 6)


def test_auc_is_the_share_of_won_pairs_with_many_ties() -> None:
    rng = np.random.default_rng(1)
    signal, background = rng.integers(0, 20, 500) + 2, rng.integers(0, 20, 700)
    difference = signal[:, None] - background[None, :]
    expected = (difference > 0).mean() + (difference == 0).mean() / 2
    assert auc(signal, background) == pytest.approx(expected, abs=1e-14)


def test_auc_of_exchanged_classes_is_the_complement() -> None:
    rng = np.random.default_rng(2)
    signal, background = rng.normal(1, 1, 1000), rng.normal(0, 1, 900)
    assert auc(signal, background) + auc(background, signal) == pytest.approx(1.0, abs=1e-14)


def test_auc_of_two_gaussians_is_the_textbook_value() -> None:
    rng = np.random.default_rng(3)
    value = auc(rng.normal(1, 1, 200_000), rng.normal(0, 1, 200_000))
    # Phi(1 / sqrt 2) = 0.76025; the error is about 0.0007.
    assert value == pytest.approx(0.76025, abs=0.003)


def test_auc_of_an_empty_class_is_nan() -> None:
    assert math.isnan(auc([], [1.0]))
    assert math.isnan(auc([1.0], []))


def test_auc_refuses_nan_scores() -> None:
    with pytest.raises(ValueError, match="cannot rank scores that are nan"):
        auc([0.1, math.nan], [0.2])


def test_roc_by_hand() -> None:
    # Thresholds at background scores 3, 2, 1: mistag 1/3, 2/3, 1; signal not below: 2/4, 3/4, 4/4.
    curve = roc([4.0, 3.0, 2.5, 1.5], [3.0, 2.0, 1.0])
    assert curve.threshold.tolist() == [3.0, 2.0, 1.0]
    assert curve.mistag == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert curve.efficiency == pytest.approx([0.5, 0.75, 1.0])


def test_roc_is_monotone_ends_at_one_and_encloses_the_area() -> None:
    rng = np.random.default_rng(4)
    signal, background = rng.normal(1.5, 1, 20_000), rng.normal(0, 1, 20_000)
    curve = roc(signal, background, points=2000)
    assert (np.diff(curve.mistag) > 0).all()
    assert (np.diff(curve.efficiency) >= 0).all()
    assert (curve.mistag[-1], curve.efficiency[-1]) == (1.0, 1.0)
    assert np.trapezoid(curve.efficiency, curve.mistag) == pytest.approx(auc(signal, background), abs=1e-3)


def test_the_working_points_lie_on_the_curve() -> None:
    rng = np.random.default_rng(5)
    signal, background = rng.random(5000), rng.random(10_000)
    curve = roc(signal, background)
    for mistag in (0.1, 0.01, 0.001):
        assert np.isclose(curve.mistag, mistag, rtol=1e-12).any()
        threshold = np.sort(background)[-round(mistag * 10_000)]
        assert efficiency_at(curve, mistag) == pytest.approx((signal >= threshold).mean())


def test_roc_of_tied_scores_has_one_point() -> None:
    curve = roc([1.0, 1.0], [1.0, 1.0, 1.0])
    assert (curve.mistag.tolist(), curve.efficiency.tolist()) == ([1.0], [1.0])


def test_roc_needs_both_classes() -> None:
    with pytest.raises(ValueError, match="2 signal and 0 background jets"):
        roc([1.0, 2.0], [])


def test_every_score_knows_its_signal_and_background() -> None:
    assert set(SIGNAL_AND_BACKGROUND) == set(SCORES)
    labels = np.array([0, 1, 2, 3])
    values = np.array([0.0, 0.1, 0.2, 0.3])
    sides = {score: [side.tolist() for side in split_by_truth(score, values, labels)] for score in SCORES}
    assert sides["BvsL"] == [[0.0, 0.1], [0.3]]
    assert sides["BvsC"] == [[0.0, 0.1], [0.2]]
    assert sides["CvsB"] == [[0.2], [0.0, 0.1]]
    assert sides["CvsL"] == [[0.2], [0.3]]
    assert sides["bb"] == [[0.1], [0.0, 0.2, 0.3]]


def test_an_unknown_score_is_named() -> None:
    with pytest.raises(ValueError, match="unknown score 'DvsL': choose from b, bb"):
        split_by_truth("DvsL", np.zeros(1), np.zeros(1, dtype=np.int64))
