"""Stacks made of the plane: before and after the scale factors."""

from collections.abc import Callable

import numpy as np
import pytest

from datamc.after_fit import efficiencies, plane_view
from datamc.cells import Binning
from datamc.fit import FitCard, fit
from datamc.planes import FIT_SELECTIONS, PlaneTemplates


@pytest.mark.parametrize("axis", ["CvsL", "CvsB"])
def test_before_the_fit_it_is_the_plane_summed(axis, make_plane: Callable[..., PlaneTemplates]) -> None:
    plane = make_plane(jets=0.1)
    view = plane_view(plane, "dy", axis)
    assert view.groups == ("b", "c", "light")
    assert view.edges[0] == pytest.approx(-0.1)
    assert len(view.data) == (51 if axis == "CvsL" else 11)
    s = FIT_SELECTIONS.index("dy")
    np.testing.assert_allclose(view.mc[1].sum(), plane.mc[s, 0].sum() + plane.default_mc[s, 0])
    np.testing.assert_allclose(view.data[0], plane.default_data[s])
    summed = plane.data[s].sum(axis=0 if axis == "CvsL" else 1)
    np.testing.assert_allclose(view.data[1:], summed)


def test_after_the_fit_simulation_meets_asimov_data(make_plane: Callable[..., PlaneTemplates]) -> None:
    plane = make_plane(truth=lambda x, y: np.array([1.3 - 0.4 * x, 0.7 + 0.3 * y, 1.1 - 0.2 * x * y]))
    (found,) = fit([plane], card=FitCard(binning=Binning(max_merge=1)))
    for selection in FIT_SELECTIONS:
        before, after = (
            plane_view(plane, selection, "CvsL"),
            plane_view(plane, selection, "CvsL", scale_factors=found),
        )
        assert np.abs(before.mc.sum(axis=0)[1:] / before.data[1:] - 1).max() > 0.03
        np.testing.assert_allclose(after.mc.sum(axis=0), after.data)
    with pytest.raises(ValueError, match="no selection 'inclusive' in the fit"):
        plane_view(plane, "inclusive", "CvsL")


def test_efficiency_is_the_share_above_a_cut(make_plane: Callable[..., PlaneTemplates]) -> None:
    plane = make_plane(n_cvsb=1, n_cvsl=2, jets=1.0)
    own = plane.mc[2, 2, 0]  # light jets of DY in two bins, and those without a score
    total = own.sum() + plane.default_mc[2, 2]
    found = efficiencies(plane, "CvsL")
    np.testing.assert_allclose(found[2], [own.sum() / total, own[1] / total, 0])
    (fitted,) = fit([plane._replace(data=2 * plane.data)], card=FitCard(binning=Binning(max_merge=1)))
    # twice as many jets with a score, as many without
    moved = efficiencies(plane, "CvsL", scale_factors=fitted)
    np.testing.assert_allclose(moved[2, 1], 2 * own[1] / (2 * own.sum() + plane.default_mc[2, 2]))
