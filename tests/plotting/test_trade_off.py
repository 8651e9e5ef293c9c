import numpy as np
import pytest

from plotting.trade_off import draw_trade_off, trade_offs


@pytest.fixture
def tables(row, auc_row):
    rows = [
        row(tagger, kl, epoch=epoch, offset=0.5, selection=selection)
        for selection in ("dy", "wc")
        for tagger, kl in (("adversarial", 1.0), ("basic", 2.0))
        for epoch in (3, 1)
    ]
    areas = [
        auc_row(tagger, epoch, variant, "CvsL", 0.7 + 0.01 * epoch)
        for tagger in ("adversarial", "basic")
        for epoch in (1, 2, 3)
        for variant in ("raw", "fgsm:0.1")
    ]
    return rows, areas


def test_epochs_with_both_numbers_are_points(tables):
    basic, adversarial = trade_offs(*tables, selection="dy", score="CvsL", variant="raw")
    assert (basic.tagger, adversarial.tagger) == ("basic", "adversarial")
    assert basic.epochs == [1, 3]  # no divergence at epoch 2
    assert basic.auc == [0.71, 0.73]
    assert basic.excess == [1.5, 1.5]  # 2 - 0.5
    assert basic.up == pytest.approx([0.1, 0.1])


def test_what_has_no_number_is_no_point(tables, row, auc_row):
    rows, areas = tables
    rows = [row("basic", 0.0, status="empty_data"), *rows[:1]]
    areas = [auc_row("adversarial", 3, "raw", "CvsL", float("nan"))]
    assert trade_offs(rows, areas, selection="dy", score="CvsL", variant="raw") == []


def test_selections_stand_side_by_side_and_the_attack_below(tables):
    axes = draw_trade_off(*tables, score="CvsL").axes
    assert len(axes) == 4
    assert [each.get_xlabel() for each in axes[::2]] == [
        "AUC of CvsL, undistorted",
        "AUC of CvsL, under FGSM ε = 0.1",
    ]
    drawn = axes[0].containers[0].lines[0].get_xydata().tolist()
    assert drawn == [[0.71, 1.5], [0.73, 1.5]]


def test_nothing_to_draw_is_an_empty_panel():
    assert len(draw_trade_off([], [], score="CvsL").axes) == 1


def test_the_reference_with_noise_is_a_line_beside_undistorted_areas(tables, curve):
    axes = draw_trade_off(*tables, score="CvsL", curve=curve).axes
    lines = {line.get_label(): line for line in axes[0].lines}
    drawn = lines["basic with noise on its output"].get_xydata()
    # AUC 0.6, 0.7, 0.8 with 0.5, 1.0, 1.5 less the offset of 0.5; the last epoch alone
    assert drawn == pytest.approx(np.array([[0.6, 0.0], [0.7, 0.5], [0.8, 1.0]]))
    assert "basic with noise on its output" not in {line.get_label() for line in axes[2].lines}


def test_null_data_are_open_points_at_the_same_areas(tables, row):
    null = [row("basic", 0.6, offset=0.5, epoch=epoch) for epoch in (1, 3, 5)]
    axes = draw_trade_off(*tables, score="CvsL", null=null).axes
    (drawn,) = [each for each in axes[0].containers if each.get_label() == "basic, null data"]
    np.testing.assert_allclose(drawn.lines[0].get_xydata(), [[0.71, 0.1], [0.73, 0.1]])
    assert not any("null" in each.get_label() for each in axes[1].containers)  # there are none of W + c
