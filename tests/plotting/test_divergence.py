import numpy as np

from plotting.divergence import draw_divergence
from plotting.style import LINE_COLOURS


def test_one_line_per_training_and_variant_in_the_panel_of_its_selection(row):
    rows = [
        row("adversarial", 0.3, epoch=3),
        row("basic", 0.5, epoch=3),
        row("basic", 0.4, epoch=1),
        row("basic", 0.9, epoch=1, variant="fgsm:0.1"),
        row("basic", 0.2, epoch=1, selection="wc"),
        row("basic", 7.0, score="BvsL"),
    ]
    dy, wc = draw_divergence(rows, score="CvsL").axes
    drawn = {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in dy.lines}
    assert drawn == {
        "basic, statistics alone (raw)": ([1, 3], [0.01, 0.01]),
        "adversarial, statistics alone (raw)": ([3], [0.01]),
        "basic, raw": ([1, 3], [0.4, 0.5]),
        "basic, FGSM ε = 0.1": ([1], [0.9]),
        "adversarial, raw": ([3], [0.3]),
    }
    assert [list(line.get_ydata()) for line in wc.lines] == [[0.2], [0.01]]


def test_the_reference_has_the_first_colour_whatever_the_order(row):
    (axes,) = draw_divergence([row("adversarial", 0.3), row("basic", 0.5)], score="CvsL").axes
    colours = {line.get_label(): line.get_color() for line in axes.lines}
    assert {name: colour for name, colour in colours.items() if name.endswith(", raw")} == {
        "basic, raw": LINE_COLOURS[0],
        "adversarial, raw": LINE_COLOURS[1],
    }


def test_band_is_that_of_the_rows(row):
    rows = [row("basic", 0.5, error=0.1, epoch=1), row("basic", 0.6, error=0.2, epoch=2)]
    (axes,) = draw_divergence(rows, score="CvsL").axes
    corners = axes.collections[0].get_paths()[0].vertices
    for corner in ([1, 0.4], [2, 0.4], [1, 0.6], [2, 0.8]):
        assert np.isclose(corners, corner).all(axis=1).any()


def test_rows_without_a_divergence_are_not_drawn(row):
    (axes,) = draw_divergence([row("basic", 0.0, status="empty_data")], score="CvsL").axes
    assert not axes.lines


def test_null_data_have_the_statistical_part_of_the_data(row):
    rows = [row("basic", 0.5, epoch=epoch, offset=0.1) for epoch in (1, 3)]
    # 0.3 - 0.2 + 0.1; of epoch 5 there are no data
    null = [row("basic", 0.3, epoch=epoch, offset=0.2) for epoch in (1, 3, 5)]
    (axes,) = draw_divergence(rows, score="CvsL", null=null).axes
    (drawn,) = axes.containers
    assert drawn.get_label() == "basic, null data"
    np.testing.assert_allclose(drawn.lines[0].get_xydata(), [[1, 0.2], [3, 0.2]])
