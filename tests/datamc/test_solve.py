from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from datamc.cells import COARSE_BINNING, PUBLISHED_BINNING, Binning, cell_templates
from datamc.planes import PlaneTemplates, plane_templates
from datamc.results import Result
from datamc.scale_factors import ScaleFactorRow, cell_of, scale_factor_rows, summarise
from datamc.solve import (
    Thresholds,
    effective_jets,
    row_condition,
    solve,
    solve_cells,
    spectral_radius,
)
from storage.tables import read_table, write_table

# jets per selection (rows W+c, tt, DY) and flavour (c, b, light), as after OS-SS in W+c
TYPICAL = np.array([[900.0, 30.0, 60.0], [150.0, 700.0, 250.0], [300.0, 150.0, 4000.0]])

# the ratio b/c of W+c is above that of tt, as in a cell of high CvsB
DIVERGING = np.array([[100.0, 90.0, 10.0], [280.0, 230.0, 40.0], [60.0, 30.0, 900.0]])


def smooth_truth(cvsl: NDArray, cvsb: NDArray) -> NDArray:
    """Scale factors between 0.5 and 2 that vary over the plane, shape `(3, *shape)`."""
    return np.array([1.2 + 0.5 * np.sin(4 * cvsl), 0.9 + 0.4 * cvsb, 1.1 - 0.4 * cvsl * cvsb])


def made_plane(*, n_cvsb: int = 10, n_cvsl: int = 50, jets: float = 1.0) -> PlaneTemplates:
    """Templates with different smooth shapes per flavour, data = simulation, no default jets."""
    x = (np.arange(n_cvsl) + 0.5) / n_cvsl
    y = (np.arange(n_cvsb) + 0.5) / n_cvsb
    shapes = np.array(
        [np.outer(0.5 + y, 0.5 + x), np.outer(1.5 - y, 0.7 + 0.4 * x), np.outer(0.5 + y, 1.6 - x)]
    )
    mc = jets * TYPICAL[:, :, None, None] * shapes
    return PlaneTemplates(
        cvsl_edges=np.linspace(0, 1, n_cvsl + 1),
        cvsb_edges=np.linspace(0, 1, n_cvsb + 1),
        data=mc.sum(axis=1),
        data_variance=mc.sum(axis=1),
        mc=mc,
        mc_variance=mc.copy(),
        default_data=jets * TYPICAL.sum(axis=1),
        default_data_variance=jets * TYPICAL.sum(axis=1),
        default_mc=jets * TYPICAL,
        default_mc_variance=jets * TYPICAL,
        factors=np.ones(3),
        tagger="basic",
        epoch=7,
        variant="raw",
    )


def published_iteration(a: NDArray, d: NDArray, *, sweeps: int, clip: bool) -> NDArray:
    """Gauss-Seidel, one flavour after the other, as the published fit moves them (full steps)."""
    x = np.ones(3)
    for _ in range(sweeps):
        for s in range(3):
            others = sum((max(x[g], 0) if clip else x[g]) * a[s, g] for g in range(3) if g != s)
            x[s] = (d[s] - others) / a[s, s]
    return x


def test_asimov_data_return_the_truth_in_every_cell() -> None:
    plane = made_plane()
    x, y = np.meshgrid((plane.cvsl_edges[1:] + plane.cvsl_edges[:-1]) / 2, np.arange(10) / 10)
    truth = smooth_truth(x, y)
    data = np.einsum("sfyx,fyx->syx", plane.mc, truth)
    default_truth = np.array([0.6, 1.7, 1.1])
    plane = plane._replace(
        data=data,
        data_variance=data,
        default_data=plane.default_mc @ default_truth,
        default_data_variance=plane.default_data,
    )
    scale_factors = solve(plane, binning=Binning(max_merge=1))
    assert len(scale_factors.value) == 501
    np.testing.assert_allclose(scale_factors.value[:-1].T.reshape(truth.shape), truth, rtol=1e-9)
    np.testing.assert_allclose(scale_factors.value[-1], default_truth, rtol=1e-9)
    assert (scale_factors.status == "ok").all()
    np.testing.assert_array_equal(scale_factors.is_default, np.arange(501) == 500)


@pytest.mark.parametrize("seed", range(5))
def test_solution_is_where_the_published_iteration_ends(seed: int) -> None:
    random = np.random.default_rng(seed)
    a = TYPICAL * random.uniform(0.7, 1.4, (3, 3))
    d = a @ random.uniform(0.6, 1.6, 3)
    assert spectral_radius(a) < 1
    direct = solve_cells(d, d, a, a).value
    np.testing.assert_allclose(direct, published_iteration(a, d, sweeps=200, clip=True), rtol=1e-6)


def test_spectral_radius_ignores_the_size_of_selections_and_flavours() -> None:
    random = np.random.default_rng(3)
    a = random.uniform(0.1, 1, (100, 3, 3))
    scaled = random.uniform(0.1, 9, (100, 3, 1)) * a * random.uniform(0.1, 9, (100, 1, 3))
    np.testing.assert_allclose(spectral_radius(scaled), spectral_radius(a), rtol=1e-8)


def test_spectral_radius_is_that_of_the_iteration() -> None:
    # two flavours, [[1, p], [q, 1]]: G has the eigenvalues 0 and p q
    assert spectral_radius(np.array([[1.0, 0.4], [0.7, 1.0]])) == pytest.approx(0.28)
    # the solution for d = 0 is 0, and every sweep brings x nearer (or further away) by the radius
    for a in (TYPICAL, DIVERGING):
        x = [np.abs(published_iteration(a, np.zeros(3), sweeps=n, clip=False)) for n in (20, 60)]
        np.testing.assert_allclose((x[1] / x[0]) ** (1 / 40), spectral_radius(a), rtol=0.1)
    assert spectral_radius(np.array([[0.0, 1.0], [1.0, 1.0]])) == np.inf


def test_direct_solution_is_right_where_the_iteration_diverges() -> None:
    truth = np.array([1.3, 0.8, 1.1])
    a = DIVERGING
    d = a @ truth
    solution = solve_cells(d, d / 1e4, a, a / 1e4)
    assert 1.05 < solution.spectral_radius < 1.2
    np.testing.assert_allclose(solution.value, truth, rtol=1e-9)
    assert (solution.status == "ok").all()
    clipped = published_iteration(a, d, sweeps=2000, clip=True)
    assert np.abs(clipped - truth).max() > 0.2
    # a worse cell is flagged
    flagged = solve_cells(d, d, a, a, Thresholds(max_condition=10))
    assert (flagged.status == "ill_conditioned").all()
    assert flagged.condition == pytest.approx(row_condition(a))
    assert flagged.spectral_radius == solution.spectral_radius


def test_toys_have_pulls_of_width_one() -> None:
    # OS and SS are separate Poisson counts in data, and the simulation has its own statistics
    random = np.random.default_rng(11)
    truth = np.array([1.25, 0.8, 1.1])
    same_sign = np.zeros((3, 3))
    same_sign[0] = [200.0, 150.0, 500.0]
    opposite_sign = TYPICAL + same_sign
    n_toys, weight = 2000, 0.5
    data = [random.poisson(counts @ truth, size=(n_toys, 3)) for counts in (opposite_sign, same_sign)]
    mc = [
        weight * random.poisson(counts / weight, size=(n_toys, 3, 3)) for counts in (opposite_sign, same_sign)
    ]
    solution = solve_cells(
        (data[0] - data[1]).astype(float),
        (data[0] + data[1]).astype(float),
        mc[0] - mc[1],
        weight * (mc[0] + mc[1]),
    )
    assert (solution.status == "ok").mean() > 0.99
    errors = np.sqrt(np.diagonal(solution.covariance, axis1=1, axis2=2))
    pulls = (solution.value - truth) / errors
    # 2000 toys: the mean is known to 0.022, the width to 0.016
    assert (np.abs(pulls.mean(axis=0)) < 0.1).all()
    assert ((pulls.std(axis=0) > 0.93) & (pulls.std(axis=0) < 1.07)).all()
    # the correlations are right, too: x^T Cov^-1 x is a chi2 with three degrees of freedom
    residual = solution.value - truth
    chi2 = np.einsum("tf,tfg,tg->t", residual, np.linalg.inv(solution.covariance), residual)
    assert chi2.mean() == pytest.approx(3, abs=0.3)


def test_covariance_is_error_propagation() -> None:
    # one flavour per selection: x = d / n, Var x = Var d / n^2 + d^2 Var n / n^4
    a, variance = np.diag([10.0, 20.0, 40.0]), np.diag([4.0, 4.0, 4.0])
    d, d_variance = np.array([12.0, 18.0, 44.0]), np.array([9.0, 9.0, 9.0])
    solution = solve_cells(d, d_variance, a, variance)
    n = np.diagonal(a)
    np.testing.assert_allclose(solution.value, d / n)
    np.testing.assert_allclose(solution.covariance, np.diag(9 / n**2 + d**2 * 4 / n**4))


def test_negative_templates_and_data_give_no_nan_and_no_negative_factor() -> None:
    random = np.random.default_rng(5)
    mc = random.normal(0, 50, (3000, 3, 3)) + 0.05 * TYPICAL
    data = random.normal(20, 60, (3000, 3))
    solution = solve_cells(data, np.abs(data) + 1, mc, np.abs(mc) + 1)
    assert np.isfinite(solution.value).all()
    assert np.isfinite(solution.covariance).all()
    assert (solution.value > 0).all()
    is_fixed = solution.status != "ok"
    assert (solution.value[is_fixed] == 1).all()
    assert {"ok", "low_stat", "low_purity", "nonpositive"} <= set(solution.status.ravel())
    variance = np.diagonal(solution.covariance, axis1=1, axis2=2)
    assert ((variance > 0) & (variance <= 1)).all()


def test_negative_data_of_opposite_minus_same_sign_take_part() -> None:
    # b and light in W+c are over-subtracted, the sum stays solvable
    a = TYPICAL.copy()
    a[0, 1:] = [-40.0, -30.0]
    d = a @ [1.2, 0.9, 1.1]
    solution = solve_cells(d, np.abs(d), a, np.abs(a))
    np.testing.assert_allclose(solution.value, [1.2, 0.9, 1.1])
    # data below zero: c cannot be measured, b and light are
    solution = solve_cells(np.array([-200.0, *d[1:]]), np.abs(d), a, np.abs(a))
    assert list(solution.status) == ["nonpositive", "ok", "ok"]
    assert solution.value[0] == 1


def test_each_status_says_why() -> None:
    def status(a: NDArray, variance: NDArray | None = None) -> list[str]:
        d = a.sum(axis=1)
        return list(solve_cells(d, d, a, a if variance is None else variance).status)

    assert status(TYPICAL) == ["ok", "ok", "ok"]
    assert status(np.zeros((3, 3))) == ["low_stat"] * 3
    # four simulated b jets of weight 175 each: N_eff = 4
    heavy = TYPICAL.copy()
    heavy[1, 1] = 700 * 175
    assert status(TYPICAL, heavy)[1] == "low_stat"
    impure = TYPICAL.copy()
    impure[1] = [150, 30, 250]
    assert status(impure) == ["ok", "low_purity", "ok"]
    alike = np.array([[100.0, 50.0, 50.0], [100.0, 50.0, 50.0], [10.0, 10.0, 900.0]])
    assert status(alike) == ["ill_conditioned"] * 3


def test_fixed_flavour_is_one_within_its_error_which_the_others_feel() -> None:
    a = TYPICAL.copy()
    a[1, 1] = 1.0
    d = a @ [1.4, 1.0, 0.9]
    tight, loose = (solve_cells(d, d, a, a, Thresholds(fixed_error=e)) for e in (1e-6, 1.0))
    for solution in (tight, loose):
        np.testing.assert_allclose(solution.value, [1.4, 1.0, 0.9])
        assert solution.status[1] != "ok"
    assert loose.covariance[1, 1] == 1.0
    # 30 b jets in 900 c jets of W+c, known to 100 %
    gained = loose.covariance[0, 0] - tight.covariance[0, 0]
    assert gained == pytest.approx((30 / 900) ** 2, rel=0.3)


def test_factor_less_certain_than_ignorance_is_no_measurement() -> None:
    a = np.diag([6.0, 600.0, 600.0])
    d = a @ [1.5, 1.0, 1.0]
    solution = solve_cells(d, np.array([50.0, 600.0, 600.0]), a, a)
    assert list(solution.status) == ["low_stat", "ok", "ok"]
    assert solution.value[0] == 1


def test_effective_jets_count_weights_not_yields() -> None:
    # 4 jets of weight 2.5: (10)^2 / (4 x 6.25) = 4
    np.testing.assert_allclose(effective_jets(np.array([10.0, 0.0]), np.array([25.0, 0.0])), [4, 0])


def test_cells_cover_the_plane_without_gap_and_keep_every_jet() -> None:
    plane = made_plane(jets=0.01)
    for binning in (PUBLISHED_BINNING, COARSE_BINNING, Binning(0.5, 7, 2)):
        cells = cell_templates(plane, binning)
        np.testing.assert_allclose(cells.data[:-1].sum(axis=0), plane.data.sum(axis=(1, 2)))
        np.testing.assert_allclose(cells.mc_variance[:-1].sum(axis=0), plane.mc_variance.sum(axis=(2, 3)))
        areas = np.ptp(cells.cvsl[:-1], axis=1) * np.ptp(cells.cvsb[:-1], axis=1)
        assert areas.sum() == pytest.approx(1)
        widths = np.rint(np.ptp(cells.cvsl[:-1], axis=1) * 50)
        assert widths.max() <= binning.max_merge


def test_bins_are_merged_until_the_target_error_is_met() -> None:
    # one slice, flavours apart; 100 jets a bin and selection, simulation without error:
    # sqrt(100 n) / (100 n) <= 0.05 needs n = 4
    flat = np.full((3, 1, 10), 100.0)
    plane = made_plane(n_cvsb=1, n_cvsl=10)._replace(
        data=flat,
        data_variance=flat,
        mc=np.eye(3)[:, :, None, None] * 100.0 * np.ones((1, 10)),
        mc_variance=np.zeros((3, 3, 1, 10)),
    )
    # 4 + 4 bins, and the two left over join the second cell
    np.testing.assert_allclose(cell_templates(plane, Binning(0.05, 50)).cvsl[:-1], [[0, 0.4], [0.4, 1.0]])
    # at most 4 in a cell: the two left over stay alone
    np.testing.assert_allclose(
        cell_templates(plane, Binning(0.05, 4)).cvsl[:-1], [[0, 0.4], [0.4, 0.8], [0.8, 1.0]]
    )
    # simulation of the same size: sqrt(n 100)/(n 100) twice <= 0.05 needs n = 16, more than there are
    as_large = plane._replace(mc_variance=plane.mc)
    np.testing.assert_allclose(cell_templates(as_large, Binning(0.05, 50)).cvsl[:-1], [[0, 1]])


def test_slices_merge_and_must_divide() -> None:
    plane = made_plane()
    cells = cell_templates(plane, Binning(cvsb_merge=5))
    assert set(map(tuple, np.round(cells.cvsb[:-1], 6))) == {(0.0, 0.5), (0.5, 1.0)}
    with pytest.raises(ValueError, match="cvsb_merge is 3: choose a divisor of the 10 slices"):
        cell_templates(plane, Binning(cvsb_merge=3))


def test_variation_is_solved_in_the_cells_of_the_nominal_templates() -> None:
    plane = made_plane()
    precise = plane._replace(data_variance=plane.data_variance / 100, mc_variance=plane.mc_variance / 100)
    assert len(solve(precise).cvsl) > len(solve(plane).cvsl)
    np.testing.assert_array_equal(solve(precise, like=plane).cvsl, solve(plane).cvsl)


def test_jets_find_their_cell() -> None:
    scale_factors = solve(made_plane(jets=0.01))
    random = np.random.default_rng(2)
    cvsl, cvsb = random.uniform(0, 1, (2, 500))
    cell = cell_of(scale_factors, cvsl, cvsb)
    for score, bounds in ((cvsl, scale_factors.cvsl), (cvsb, scale_factors.cvsb)):
        assert (bounds[cell, 0] <= score).all()
        assert (score < bounds[cell, 1]).all()
    last = len(scale_factors.cvsl) - 1
    np.testing.assert_array_equal(cell_of(scale_factors, [-0.1, -0.1, 0.5], [-0.1, 0.5, -0.1]), [last] * 3)
    assert cell_of(scale_factors, 1.0, 1.0) == last - 1
    assert cell_of(scale_factors, 0.0, 0.0) == 0


def test_synthetic_scale_factors_are_found(make_result: Callable[..., Result]) -> None:
    truth = (1.2, 0.85, 1.1)
    results = {
        name: make_result(
            name,
            taggers=("basic",),
            epochs=(3,),
            variants=("raw",),
            plane=True,
            smooth=True,
            data_scale=1,
            scale_factors=truth,
        )
        for name in ("dy", "wc", "ttsemilep")
    }
    plane = plane_templates(results, tagger="basic", epoch=3, normalise=False)
    scale_factors = solve(plane, binning=COARSE_BINNING)
    is_ok = (scale_factors.status == "ok").all(axis=1)
    assert is_ok.mean() > 0.9
    np.testing.assert_allclose(scale_factors.value[is_ok], np.tile(truth, (is_ok.sum(), 1)), rtol=1e-9)


def test_empty_plane_is_finite_and_every_cell_says_why() -> None:
    plane = made_plane(jets=0.0)
    scale_factors = solve(plane)
    assert (scale_factors.value == 1).all()
    assert (scale_factors.status == "low_stat").all()
    assert np.isfinite(scale_factors.covariance).all()
    assert all(row.yield_ratio == 1 and row.n_ok == 0 for row in summarise(scale_factors))


def test_summary_is_weighted_with_jets() -> None:
    plane = made_plane(n_cvsb=1, n_cvsl=2)
    truth = np.array([1.5, 0.8, 1.0])
    data = np.einsum("sfyx,f->syx", plane.mc, truth)
    default = plane.default_mc @ truth
    plane = plane._replace(data=data, data_variance=data, default_data=default, default_data_variance=default)
    rows = summarise(solve(plane, binning=Binning(max_merge=1)))
    assert [row.flavour for row in rows] == ["c", "b", "light"]
    for row, factor in zip(rows, truth, strict=True):
        assert (row.tagger, row.epoch, row.n_cells, row.n_ok) == ("basic", 7, 3, 3)
        assert row.mean_deviation == pytest.approx(abs(factor - 1), abs=1e-9)
        assert row.yield_ratio == pytest.approx(factor)


def test_table_of_scale_factors_survives_its_file(results: dict[str, Result], tmp_path: Path) -> None:
    scale_factors = solve(plane_templates(results, tagger="adversarial", epoch=1))
    rows = scale_factor_rows(scale_factors)
    assert len(rows) == scale_factors.value.size
    assert rows[4].flavour == "b"
    assert rows[4].value == scale_factors.value[1, 1]
    assert rows[4].n_data == scale_factors.n_data[1, 1]
    write_table(rows, tmp_path / "sf.csv", kind=ScaleFactorRow)
    assert read_table(tmp_path / "sf.csv", kind=ScaleFactorRow) == rows
