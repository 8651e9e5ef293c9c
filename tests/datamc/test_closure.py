"""The fit against a known truth: cells made by hand, toys of thousands of cells at once."""

import numpy as np
import pytest

from datamc.cells import CellTemplates
from datamc.closure import TrueScaleFactors, closure_pulls, closure_rows, true_rows
from datamc.planes import FIT_FLAVOURS
from datamc.scale_factors import ScaleFactors
from datamc.solve import solve_cells

EXPECTED = np.array([[4000.0, 300.0, 700.0], [500.0, 3000.0, 400.0], [600.0, 200.0, 9000.0]])
"""Simulated jets of c, b, light (columns) in the selections of c, b, light (rows)."""

TRUE = np.array([1.2, 0.9, 1.1])


def bounds(n_cells: int) -> np.ndarray:
    return np.tile([0.0, 1.0], (n_cells, 1))


def toy_cells(n_cells: int, *, seed: int, factors: np.ndarray = TRUE) -> tuple[CellTemplates, CellTemplates]:
    """Return cells of data and simulation, and the same with the data by flavour as simulation."""
    random = np.random.default_rng(seed)
    weight = 0.5
    mc = weight * random.poisson(EXPECTED / weight, (n_cells, 3, 3))
    by_flavour = random.poisson(EXPECTED * factors, (n_cells, 3, 3)).astype(float)
    data = by_flavour.sum(axis=-1)
    place = (bounds(n_cells), bounds(n_cells), data, data)
    return CellTemplates(*place, mc, weight * mc), CellTemplates(*place, by_flavour, by_flavour)


def fit(cells: CellTemplates) -> ScaleFactors:
    solution = solve_cells(cells.data, cells.data_variance, cells.mc, cells.mc_variance)
    return ScaleFactors(
        cvsl=cells.cvsl, cvsb=cells.cvsb, value=solution.value, covariance=solution.covariance,
        status=solution.status, spectral_radius=solution.spectral_radius, condition=solution.condition,
        n_data=cells.data, n_effective=solution.n_effective, mc=cells.mc, factors=np.ones(3),
        tagger="basic", epoch=1, variant="raw",
    )  # fmt: skip


def test_pulls_of_toys_are_normal() -> None:
    cells, by_flavour = toy_cells(4000, seed=1)
    pull = closure_pulls(by_flavour, cells, fit(cells))
    # 4000 cells: the mean is known to 0.016, the width to 0.011.
    assert np.abs(pull.mean(axis=0)).max() < 0.06
    assert np.abs(pull.std(axis=0) - 1).max() < 0.05


def test_what_fit_and_truth_share_is_no_deviation() -> None:
    # Only signature jets: the fit is the truth, whatever both fluctuate.
    cells, by_flavour = toy_cells(5, seed=2)
    pure = np.eye(3)
    cells = cells._replace(mc=cells.mc * pure, mc_variance=cells.mc_variance * pure)
    by_flavour = by_flavour._replace(mc=by_flavour.mc * pure)
    cells = cells._replace(data=by_flavour.mc.sum(axis=-1))
    fitted = fit(cells)
    true = np.diagonal(by_flavour.mc, axis1=1, axis2=2) / np.diagonal(cells.mc, axis1=1, axis2=2)
    np.testing.assert_allclose(fitted.value, true)


def test_a_flavour_that_differs_between_selections_is_pulled() -> None:
    # Twice as much charm as expected in the selection of light jets: the fit takes it for light jets.
    factors = np.tile(TRUE, (3, 1))
    factors[2, 0] = 2.4
    cells, by_flavour = toy_cells(200, seed=3, factors=factors)
    pull = closure_pulls(by_flavour, cells, fit(cells))
    light = FIT_FLAVOURS.index("light")
    assert pull[:, light].mean() > 5
    assert np.abs(pull[:, FIT_FLAVOURS.index("b")].mean()) < 1


def test_cells_that_the_fit_did_not_measure_have_no_pull() -> None:
    cells, by_flavour = toy_cells(3, seed=4)
    mc = cells.mc.copy()
    mc[1, 0, 0] = 1.0  # next to no charm in the selection of charm
    cells = cells._replace(mc=mc, mc_variance=0.5 * mc)
    fitted = fit(cells)
    assert fitted.status[1, 0] != "ok"
    pull = closure_pulls(by_flavour, cells, fitted)
    assert np.isnan(pull[1]).all()
    assert np.isfinite(pull[[0, 2]]).all()


def true_of(n_cells: int) -> TrueScaleFactors:
    cells, by_flavour = toy_cells(n_cells, seed=5)
    fitted = fit(cells)
    value = by_flavour.mc / cells.mc
    pull = closure_pulls(by_flavour, cells, fitted)
    return TrueScaleFactors(value, 0.02 * value, by_flavour.mc, pull, fitted)


def test_rows_hold_every_cell_flavour_and_selection() -> None:
    rows = true_rows(true_of(2))
    assert len(rows) == 2 * 3 * 3
    own = [row for row in rows if row.is_own]
    assert [(row.flavour, row.selection) for row in own[:3]] == [
        ("c", "wc"), ("b", "ttsemilep"), ("light", "dy"),
    ]  # fmt: skip
    assert all(row.value == pytest.approx(row.n_data / row.n_mc) for row in rows)
    assert all(np.isnan(row.pull) for row in rows if not row.is_own)


def test_summary_counts_the_compared_cells() -> None:
    rows = closure_rows([true_of(50)])
    assert [row.flavour for row in rows] == list(FIT_FLAVOURS)
    charm = rows[0]
    assert (charm.n_cells, charm.n_compared) == (50, 50)
    assert charm.true_deviation == pytest.approx(0.2, abs=0.02)  # |1.2 - 1|
    assert charm.fit_deviation < 0.05
    assert charm.p_value > 1e-4
