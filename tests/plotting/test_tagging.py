import numpy as np
import pytest

from plotting.tagging import WORKING_POINTS, RocLine, draw_auc, draw_roc, draw_roc_lines, roc_curves_of


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


def test_named_curves_keep_their_name_and_colour(curves):
    (axes,) = draw_roc_lines([RocLine("epoch 1", curves[0], 2), RocLine("epoch 5", curves[0], 3, 1)]).axes
    named = {line.get_label(): line for line in axes.lines if line.get_label().startswith("epoch")}
    assert list(named) == ["epoch 1", "epoch 5"]
    assert named["epoch 1"].get_color() != named["epoch 5"].get_color()
