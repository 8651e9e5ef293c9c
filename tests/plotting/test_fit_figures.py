"""Figures of the fits: what is drawn, on small numbers made by hand."""

import numpy as np

from datamc.comparison import ComparisonRow
from datamc.history import HistoryRow
from datamc.iterative_planes import Convergence
from datamc.templates import Templates
from datamc.toys import throw_toys
from plotting.after_fit import agreement, draw_after_fit
from plotting.history import draw_history
from plotting.pulls import draw_comparison, draw_convergence, draw_pulls
from plotting.style import SIMULATION


def history_row(tagger: str, epoch: int, variant: str, flavour: str, deviation: float) -> HistoryRow:
    return HistoryRow(tagger, epoch, variant, flavour, 9, 8, deviation, 0.01, 0.02, 0.0, 1.0, 0.01)


def test_history_has_a_line_per_training_and_variant() -> None:
    rows = [
        history_row(tagger, epoch, variant, flavour, 0.1 * epoch)
        for tagger in ("adversarial", "basic")
        for epoch in (3, 1)
        for variant in ("raw", "fgsm:0.1")
        for flavour in ("c", "b", "light", "all")
    ]
    figure = draw_history(rows)
    upper, lower = figure.axes[0], figure.axes[4]
    assert len(upper.containers) == 4
    np.testing.assert_allclose(upper.containers[0][0].get_xydata(), [[1, 0.1], [3, 0.3]])
    np.testing.assert_allclose(lower.lines[0].get_xydata()[:, 1], [8, 8])
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "basic, FGSM ε = 0.1" in names


def test_history_leaves_out_what_was_not_measured() -> None:
    rows = [history_row("basic", 1, "raw", "c", float("nan")), history_row("basic", 2, "raw", "c", 0.2)]
    figure = draw_history(rows)
    np.testing.assert_allclose(figure.axes[0].containers[0][0].get_xydata(), [[2, 0.2]])
    assert draw_history([]).axes


def test_pulls_of_every_engine_are_counted() -> None:
    toys = [throw_toys(50, engine=engine) for engine in ("solve", "iterative")]
    figure = draw_pulls(toys)
    assert len(figure.axes) == 6
    drawn = figure.axes[0].patches[0].get_data().values
    assert drawn.sum() == 50
    assert any("width" in text.get_text() for text in figure.axes[0].texts)


def test_comparison_shows_both_files_and_the_pull() -> None:
    rows = [
        ComparisonRow(flavour, x, x + 0.5, 0.0, 1.0, 1.0 + x, 0.1, 1.0, 0.1, x, x / 0.14)
        for flavour in ("c", "b", "light")
        for x in (-1.0, 0.0, 0.5)
    ]
    figure = draw_comparison(rows, names=("ours", "theirs"))
    np.testing.assert_allclose(figure.axes[0].collections[0].get_array().ravel(), [1.0, 1.5])
    assert "ours" in figure.axes[0].get_title()


def test_convergence_has_a_line_per_slice_and_marks_the_best() -> None:
    chi2 = np.array([[9.0, 3.0], [4.0, 2.0], [5.0, np.nan]])
    cvsb = np.array([[0.0, 1.0], [-1.0, 0.0]])
    figure = draw_convergence(Convergence(chi2, np.array([1, 1]), cvsb), title="basic")
    lines = figure.axes[0].lines
    np.testing.assert_allclose(lines[2].get_ydata(), [9, 4, 5])
    np.testing.assert_allclose(lines[3].get_xydata(), [[2, 4]])
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["default scores", "CvsB 0–1"]


def test_agreement_is_the_chi2_of_data_and_simulation() -> None:
    # (12 - 10)^2 / (12 + 4) + (5 - 5)^2 / (5 + 2) = 0.25; the empty bin says nothing
    templates = Templates(
        np.array([-0.1, 0.0, 0.5, 1.0]), np.array([12.0, 5.0, 0.0]), np.array([12.0, 5.0, 0.0]),
        np.array([[10.0, 2.0, 0.0], [0.0, 3.0, 0.0]]), np.array([[4.0, 1.0, 0.0], [0.0, 1.0, 0.0]]),
        ("b", "c"), 0.9,
    )  # fmt: skip
    assert agreement(templates) == (0.25, 2)
    figure = draw_after_fit(templates, title="W + c, after the fit", xlabel="CvsL", label=SIMULATION)
    assert any("χ² = 0.2 in 2 bins" in text.get_text() for text in figure.axes[0].texts)
    # which is for independent samples
    figure = draw_after_fit(templates, title="W + c", xlabel="CvsL", label=SIMULATION, same_events=True)
    assert [text for text in figure.axes[0].texts if "χ²" in text.get_text()] == []
