"""Stacks after the scale factors: the sums of the plane, by flavour and process, and the factors' errors."""

import numpy as np
import pytest

from datamc.after_fit import Axis, plane_view
from datamc.fit import card_for, fit_history
from datamc.normalisation import default_view
from datamc.planes import FIT_SELECTIONS, plane_templates
from datamc.rescaled import RescaledPlane
from datamc.results import Result
from datamc.scale_factors import ScaleFactors, Systematics


@pytest.fixture(scope="module")
def fitted(results: dict[str, Result]) -> ScaleFactors:
    return fit_history(results, card=card_for(None, coarse=True))[-1]


@pytest.mark.parametrize("selection", FIT_SELECTIONS)
@pytest.mark.parametrize("axis", ["CvsL", "CvsB"])
def test_stacks_are_those_of_the_fitted_plane(
    results: dict[str, Result], fitted: ScaleFactors, selection: str, axis: Axis
) -> None:
    point = {"tagger": fitted.tagger, "epoch": fitted.epoch, "variant": fitted.variant}
    plane = plane_templates(results, **point)  # type: ignore[arg-type]
    wanted = plane_view(plane, selection, axis, scale_factors=fitted)
    rescaled = RescaledPlane(results[selection], fitted)
    found = rescaled.stack(axis, default_view(selection))
    for ours, theirs in zip(found.templates[:5], wanted[:5], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)
    assert found.templates.factor == wanted.factor
    processes = {each.process for each in results[selection].datasets.values() if not each.is_data}
    assert set(found.processes) == processes
    np.testing.assert_allclose(
        sum(found.processes.values()), found.templates.mc.sum(axis=0), rtol=1e-9, atol=1e-9
    )
    if selection == "wc":
        os, ss = (rescaled.stack(axis, view).templates for view in ("OS", "SS"))
        np.testing.assert_allclose(os.mc - ss.mc, wanted.mc, atol=1e-9)


def test_errors_of_factors_move_the_sum_of_simulation(
    results: dict[str, Result], fitted: ScaleFactors
) -> None:
    """A source that moves all factors by 3 % moves every bin by 3 % of what it was before the factors."""
    shifts = np.full((1, *fitted.value.shape), 0.03)
    alone = fitted._replace(
        covariance=np.zeros_like(fitted.covariance), systematics=Systematics(("all",), shifts, -shifts)
    )
    before = RescaledPlane(results["dy"], fitted._replace(value=np.ones_like(fitted.value)))
    total = before.stack("CvsL", "OS+SS").templates.mc.sum(axis=0)
    found = RescaledPlane(results["dy"], alone).stack("CvsL", "OS+SS")
    np.testing.assert_allclose(found.error, 0.03 * total, rtol=1e-9)
    both = RescaledPlane(results["dy"], fitted._replace(systematics=alone.systematics))
    statistics = RescaledPlane(results["dy"], fitted._replace(systematics=None))
    parts = [each.stack("CvsL", "OS+SS").error for each in (statistics, both)]
    np.testing.assert_allclose(parts[1], np.hypot(parts[0], found.error), rtol=1e-9)
    # Toys of the factors, flavours of a cell correlated.
    random = np.random.default_rng(3)
    root = np.linalg.cholesky(fitted.covariance)
    sums = []
    for _ in range(400):
        moved = fitted.value + np.einsum("cfg,cg->cf", root, random.normal(size=fitted.value.shape))
        toy = RescaledPlane(results["dy"], fitted._replace(value=moved, systematics=None))
        sums.append(toy.stack("CvsB", "OS+SS").templates.mc.sum(axis=0))
    wanted = statistics.stack("CvsB", "OS+SS").error
    np.testing.assert_allclose(np.std(sums, axis=0), wanted, rtol=0.15)
