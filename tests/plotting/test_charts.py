import numpy as np
import pytest

from plotting.charts import Dots, Line, Surface, draw_dots, draw_lines, draw_matrix, draw_surfaces
from plotting.evaluation_page import StudySection, write_evaluation_page
from plotting.shapes import Shape, ShapePanel, draw_shapes


def test_lines_are_drawn_where_they_are_given():
    lines = [Line("a", [1, 2], [0.5, 0.7], [0.1, 0.1]), Line("b", [1, 2], [0.6, 0.6], colour=1, dashes=1)]
    figure = draw_lines(lines, xlabel="Epoch", ylabel="AUC", title="BvsL", level=1.0, whole_numbers=True)
    (axes,) = figure.axes
    drawn = [container.lines[0].get_xydata().tolist() for container in axes.containers]
    assert drawn == [[[1, 0.5], [2, 0.7]], [[1, 0.6], [2, 0.6]]]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]


def test_dots_of_a_row_share_it_from_the_top():
    names = ["first", "second"]
    (axes,) = draw_dots(names, [Dots("a", [0.1, 0.2]), Dots("b", [0.3, np.nan])], xlabel="AUC").axes
    assert [label.get_text() for label in axes.get_yticklabels()] == names
    above, below = (container.lines[0].get_ydata() for container in axes.containers)
    assert np.rint(above).tolist() == np.rint(below).tolist() == [0, 1]
    assert (above < below).all()
    assert axes.yaxis_inverted()


@pytest.mark.parametrize(("n_rows", "n_numbers"), [(3, 9), (20, 0)])
def test_numbers_stand_in_small_matrices(n_rows, n_numbers):
    values = np.linspace(0, 1, n_rows**2).reshape(n_rows, n_rows)
    names = [str(i) for i in range(n_rows)]
    axes = draw_matrix(values, rows=names, columns=names, colour_label="AUC", number_format=".1f").axes[0]
    written = [text.get_text() for text in axes.texts if text.get_text().startswith(("0.", "1."))]
    assert len(written) == n_numbers
    assert axes.yaxis_inverted()  # the first row stands on top


def test_surfaces_share_their_colours():
    grid = [-1.0, 0.0, 1.0]
    surfaces = [
        Surface(name, grid, grid, np.full((3, 3), low) + np.eye(3)) for name, low in (("a", 0), ("b", 5))
    ]
    figure = draw_surfaces(surfaces, xlabel="x", ylabel="y", colour_label="loss")
    levels = [axes.collections[0].levels for axes in figure.axes[:2]]
    assert (levels[0] == levels[1]).all()
    assert (levels[0][0], levels[0][-1]) == (0, 6)


def test_shapes_are_normalised_and_ratios_stand_below():
    raw = Shape("raw", np.array([2.0, 6.0]))
    moved = Shape("FGSM", np.array([4.0, 4.0]), np.array([2.0, 2 / 3]), np.array([0.1, 0.1]), colour=1)
    upper, lower = draw_shapes([ShapePanel("b", np.array([0.0, 2.0, 4.0]), [raw, moved])], xlabel="x").axes
    heights = [patch.get_data().values.tolist() for patch in upper.patches]
    assert heights == [[0.125, 0.375], [0.25, 0.25]]  # 2 of 8 jets in a bin 2 wide
    assert lower.containers[0].lines[0].get_ydata().tolist() == [2.0, 2 / 3]


def test_empty_studies_can_be_drawn():
    assert draw_lines([], xlabel="x", ylabel="y").axes
    assert draw_dots([], [], xlabel="x").axes
    assert draw_surfaces([], xlabel="x", ylabel="y", colour_label="z").axes
    assert draw_shapes([], xlabel="x").axes


def test_the_index_shows_figures_and_links_tables(tmp_path):
    sections = [
        StudySection("losses", "Loss <over> epochs", ["losses_a.png"], ["losses.csv"]),
        StudySection("thesis", "Beside the thesis", [], []),
    ]
    page = write_evaluation_page(tmp_path, sections, title="Evaluation").read_text()
    assert '<img src="losses_a.png"' in page
    assert '<a href="losses.csv">' in page
    assert "Loss &lt;over&gt; epochs" in page
    assert "Nothing to draw" in page
