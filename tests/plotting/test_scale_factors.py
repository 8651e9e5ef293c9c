import numpy as np
from matplotlib.collections import PatchCollection

from plotting.scale_factors import draw_scale_factors


def cells(axes):
    return [collection for collection in axes.collections if isinstance(collection, PatchCollection)]


def test_planes_show_values_and_errors_per_flavour(scale_factors):
    figure = draw_scale_factors(scale_factors)
    panels = figure.axes[:6]  # light, c, b; value and error; colour bars come after
    np.testing.assert_array_equal(
        cells(panels[0])[0].get_array(), [1.05, 1.1, 1.15]
    )  # light: one cell unknown
    np.testing.assert_array_equal(cells(panels[2])[0].get_array(), [0.9, 0.8, 0.7, 1.6])  # c
    np.testing.assert_allclose(cells(panels[5])[0].get_array(), [0.2] * 4)  # errors of b


def test_cells_without_a_measurement_are_hatched(scale_factors):
    panels = draw_scale_factors(scale_factors).axes
    shown, hatched = cells(panels[0])
    assert (len(shown.get_paths()), len(hatched.get_paths())) == (3, 1)
    assert hatched.get_hatch()
    # the unknown cell reaches from 0 to 0.5 in both scores
    np.testing.assert_array_equal(hatched.get_paths()[0].get_extents().bounds, [0, 0, 0.5, 0.5])


def test_default_scores_are_written_or_their_status(scale_factors):
    panels = draw_scale_factors(scale_factors).axes
    written = [text.get_text() for axes in panels for text in axes.texts if "default" in text.get_text()]
    assert written == [
        "default scores: 1.20 ± 0.25",
        "default scores: 0.95 ± 0.10",
        "default scores: low_purity",
    ]
