import math

import numpy as np
import pytest

from plotting.tagging import WORKING_POINTS, auc_error, draw_auc, draw_roc, roc_curves_of


@pytest.fixture
def curves(roc_row):
    rows = [
        roc_row("basic", 3, "raw", "CvsL", efficiency, mistag)
        for efficiency, mistag in ((1, 1), (0, 0), (0.5, 0.1))
    ]
    return roc_curves_of(rows)


def test_points_become_curves_of_rising_mistag(curves):
    (curve,) = curves
    assert list(curve.mistag) == [0, 0.1, 1]
    assert list(curve.efficiency) == [0, 0.5, 1]


def test_efficiency_at_a_working_point_is_interpolated(curves):
    assert curves[0].efficiency_at(0.1) == 0.5
    assert curves[0].efficiency_at(0.01) == pytest.approx(
        0.05
    )  # a tenth of the way from (0, 0) to (0.1, 0.5)


def test_roc_shows_the_curve_and_its_working_points(curves):
    (axes,) = draw_roc(curves, title="CvsL").axes
    curve = next(line for line in axes.lines if line.get_label().startswith("basic"))
    np.testing.assert_array_equal(
        curve.get_xydata(), [[0.5, 0.1], [1, 1]]
    )  # zero has no place on a logarithm
    dots = next(line for line in axes.lines if line.get_marker() == "o")
    assert list(dots.get_ydata()) == list(WORKING_POINTS.values())
    assert dots.get_xdata()[0] == 0.5


def test_auc_is_drawn_per_training_and_variant(auc_row):
    rows = [
        auc_row("basic", 2, "raw", "CvsL", 0.8),
        auc_row("basic", 1, "raw", "CvsL", 0.7),
        auc_row("basic", 1, "fgsm:0.1", "CvsL", 0.5),
        auc_row("basic", 1, "raw", "BvsL", 0.9),
    ]
    (axes,) = draw_auc(rows, score="CvsL").axes
    drawn = {line.get_label(): list(line.get_ydata()) for line in axes.lines}
    assert drawn == {"basic, raw": [0.7, 0.8], "basic, FGSM ε = 0.1": [0.5]}


def test_empty_tables_can_be_drawn():
    assert draw_auc([], score="CvsL").axes
    assert draw_roc([]).axes


def test_auc_error_of_a_coin_is_that_of_the_rank_sum(auc_row):
    # without separation, Var = (n + m + 1) / (12 n m) (Mann and Whitney): 21 / 1200 for n = m = 10
    row = auc_row("basic", 1, "raw", "CvsL", 0.5, 10, 10)
    assert auc_error(row) == pytest.approx(math.sqrt(21 / 1200))


def test_auc_error_without_jets_is_unknown(auc_row):
    assert math.isnan(auc_error(auc_row("basic", 1, "raw", "CvsL", math.nan, 0, 10)))


def test_auc_error_covers_the_spread_of_samples(auc_row):
    rng = np.random.default_rng(3)
    areas = []
    for _ in range(300):
        signal, background = rng.exponential(2.0, 60), rng.exponential(1.0, 80)
        areas.append((signal[:, None] > background).mean())
    # exponential scores are the case that Hanley and McNeil's formula is exact for: AUC = 2 / (2 + 1)
    expected = auc_error(auc_row("basic", 1, "raw", "CvsL", 2 / 3, 60, 80))
    assert np.std(areas) == pytest.approx(expected, rel=0.12)
