import numpy as np
import pytest
from matplotlib.patches import StepPatch

from datamc.templates import Templates
from plotting.stacks import RATIO_RANGE, data_interval, data_mc_ratio, draw_stack
from plotting.style import EventLabel


def steps(axes):
    return [patch.get_data() for patch in axes.patches if isinstance(patch, StepPatch)]


def points(axes):
    return axes.containers[0].lines[0].get_ydata()


def test_counts_have_poisson_intervals():
    # Garwood at 68.27 %: 0 -> [0, 1.841], 1 -> [0.173, 3.300], 4 -> [2.086, 7.163] (PDG, statistics)
    low, high = data_interval([0, 1, 4], [0, 1, 4])
    np.testing.assert_allclose(low, [0, 0.173, 2.086], atol=1e-3)
    np.testing.assert_allclose(high, [1.841, 3.300, 7.163], atol=1e-3)


def test_a_difference_of_counts_has_a_symmetric_error():
    low, high = data_interval([3.0, -2.0], [9.0, 16.0])  # 3 -+ sqrt(9), -2 -+ sqrt(16)
    np.testing.assert_array_equal(low, [0, -6])
    np.testing.assert_array_equal(high, [6, 2])


def test_ratio_keeps_the_errors_of_data_and_simulation_apart(templates):
    ratio = data_mc_ratio(templates)
    # simulation 8, 10, -2: ratios 10/8 and 5/10, none below zero; errors sqrt(0.64)/8 and sqrt(1)/10
    np.testing.assert_allclose(ratio.value, [1.25, 0.5, np.nan])
    np.testing.assert_allclose(ratio.mc_error[:2], [0.1, 0.1])
    low, high = data_interval([10], [10])
    np.testing.assert_allclose([ratio.low[0], ratio.high[0]], [low[0] / 8, high[0] / 8])


def test_stack_shows_the_templates(templates):
    upper, lower = draw_stack(templates, xlabel="CvsL").axes
    drawn = steps(upper)
    np.testing.assert_array_equal(drawn[0].values, [1, 2, 0])  # b
    np.testing.assert_array_equal(drawn[1].values, [4, 6, -2])  # b + c
    np.testing.assert_array_equal(drawn[2].values, [8, 10, -2])  # all
    np.testing.assert_array_equal(drawn[2].baseline, drawn[1].values)
    np.testing.assert_allclose(drawn[3].values, [8.8, 11, -1])  # and its statistical error
    np.testing.assert_array_equal(points(upper), [10, 5, 1])
    np.testing.assert_allclose(points(lower), [1.25, 0.5, np.nan])


def test_negative_bins_are_inside_the_axes(templates):
    upper, _ = draw_stack(templates).axes
    assert upper.get_ylim()[0] < -2


def test_a_ratio_out_of_range_is_marked_at_the_edge(templates):
    far = templates._replace(data=np.array([80.0, 5.0, 1.0]), data_variance=np.array([80.0, 5.0, 1.0]))
    _, lower = draw_stack(far).axes
    marks = [line for line in lower.lines if line.get_marker() == "^"]
    assert [(list(mark.get_xdata()), list(mark.get_ydata())) for mark in marks] == [
        ([0.25], [RATIO_RANGE[1]])
    ]


def test_simulated_events_in_the_role_of_data_are_called_so(templates):
    for label, name in ((EventLabel(), "Data (simulated)"), (EventLabel(simulated=False), "Data")):
        upper, _ = draw_stack(templates, label=label).axes
        assert name in [text.get_text() for text in upper.get_legend().get_texts()]


def test_normalisation_factor_is_printed(templates):
    upper, _ = draw_stack(templates, title="DY").axes
    assert "DY\nMC × 0.5 (Data / MC)" in [text.get_text() for text in upper.texts]


@pytest.mark.parametrize("log", [False, True])
def test_empty_templates_can_be_drawn(log):
    zero = np.zeros(3)
    empty = Templates(
        np.arange(4.0), zero, zero, np.zeros((3, 3)), np.zeros((3, 3)), ("b", "c", "light"), 1.0
    )
    figure = draw_stack(empty, log=log)
    assert np.isnan(points(figure.axes[0])).all()


def test_logarithmic_axis_starts_above_zero(templates):
    upper, _ = draw_stack(templates, log=True).axes
    assert upper.get_yscale() == "log"
    assert upper.get_ylim()[0] > 0


def test_the_systematic_band_holds_the_statistical_one(templates):
    shifts = np.array([[0.6, 0.0, 0.0], [1.5, 0.0, 0.0]])
    upper, lower = draw_stack(templates, systematic=shifts).axes
    wide = steps(upper)[3]
    # simulation 8 +- 0.8: down hypot(0.6, 0.8) = 1, up hypot(1.5, 0.8) = 1.7
    np.testing.assert_allclose((wide.values[0], wide.baseline[0]), (9.7, 7))
    np.testing.assert_allclose((wide.values[1], wide.baseline[1]), (11, 9))  # statistics alone
    assert steps(lower)[0].values[0] == pytest.approx(1 + 1.7 / 8)


def test_any_groups_can_be_stacked(templates):
    upper, _ = draw_stack(templates._replace(groups=("W+jets", "tt", "DY"))).axes
    assert {"W+jets", "tt", "DY"} <= {text.get_text() for text in upper.get_legend().get_texts()}
    colours = [patch.get_facecolor() for patch in upper.patches[:3]]
    assert len(set(colours)) == 3
