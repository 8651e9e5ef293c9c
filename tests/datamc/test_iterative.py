"""The published iteration: against a re-implementation with loops, and the solution it should reach."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from datamc.cells import Binning
from datamc.iterative import IterativeOptions, Slices, iterate, solution_of
from datamc.iterative_planes import iterate_planes
from datamc.planes import PlaneTemplates
from datamc.solve import solve

TYPICAL = np.array([[900.0, 30.0, 60.0], [150.0, 700.0, 250.0], [300.0, 150.0, 4000.0]])
# the ratio b/c of W+c is above that of tt, as in a cell of high CvsB
DIVERGING = np.array([[100.0, 90.0, 10.0], [280.0, 230.0, 40.0], [60.0, 30.0, 900.0]])


def noisy_slice(seed: int, *, n_bins: int = 50) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Data (3, n_bins) and simulation (3, 3, n_bins) of one slice, with variances; some bins are empty."""
    random = np.random.default_rng(seed)
    x = (np.arange(n_bins) + 0.5) / n_bins
    shapes = np.array([x**2 + 0.05, np.exp(-8 * (x - 0.7) ** 2), np.exp(-5 * x)])
    shapes /= shapes.sum(axis=1, keepdims=True)
    expected = 8 * TYPICAL[:, :, None] * shapes
    mc = random.poisson(2 * expected) / 2
    data = random.poisson(np.einsum("sfx,f->sx", expected, [1.2, 0.85, 1.05])).astype(float)
    return data, data.copy(), mc, mc / 2


def published(
    data: NDArray, data_variance: NDArray, mc: NDArray, mc_variance: NDArray
) -> tuple[NDArray, NDArray, int]:
    """The algorithm bin by bin in plain loops, with the published constants: factors, groups, best sweep."""
    n_bins = data.shape[-1]
    sf, group = np.ones((3, n_bins)), np.zeros((3, n_bins), dtype=int)
    purity = [mc[s, s].sum() / mc[s].sum() for s in range(3)]
    order = sorted(range(3), key=lambda s: -purity[s])
    best, best_chi2, best_sweep = sf.copy(), np.inf, 0
    for sweep in range(2000):
        for f in order:
            rest, var = np.zeros(n_bins), np.zeros(n_bins)
            for i in range(n_bins):
                rest[i], var[i] = data[f, i], data_variance[f, i]
                for g in range(3):
                    if g != f:
                        rest[i] -= max(sf[g, i], 0) * mc[f, g, i]
                        var[i] += max(sf[g, i], 0) ** 2 * mc_variance[f, g, i]
            if sweep == 0:
                start, number = 0, 0
                for i in range(n_bins):
                    group[f, i] = number
                    part = slice(start, i + 1)
                    s, n = rest[part].sum(), mc[f, f, part].sum()
                    error = np.inf
                    if s != 0 and n != 0:
                        error = np.sqrt(var[part].sum()) / abs(s) + np.sqrt(
                            mc_variance[f, f, part].sum()
                        ) / abs(n)
                    if error <= 0.02 or i + 1 - start >= 5:
                        start, number = i + 1, number + 1
            for number in range(group[f].max() + 1):
                bins = np.flatnonzero(group[f] == number)
                s, n, total = rest[bins].sum(), mc[f, f, bins].sum(), mc[f][:, bins].sum()
                bad = n < 5 or total < 5 or s <= 0 or n < 0.1 * total
                target = 1.0 if bad else s / n
                for i in bins:
                    sf[f, i] += min(max(target - sf[f, i], -0.005), 0.005)
        chi2 = 0.0
        for s in range(3):
            for i in range(n_bins):
                variance = (sf[:, i] ** 2 * mc_variance[s, :, i]).sum() + data_variance[s, i]
                if variance > 0:
                    chi2 += ((sf[:, i] * mc[s, :, i]).sum() - data[s, i]) ** 2 / variance
        if chi2 < best_chi2:
            best, best_chi2, best_sweep = sf.copy(), chi2, sweep
        if sweep - best_sweep >= 50:
            break
    return best, group, best_sweep


@pytest.mark.parametrize("seed", [1, 2])
def test_published_algorithm_is_reproduced(seed: int) -> None:
    parts = noisy_slice(seed, n_bins=30)
    value, group, best = published(*parts)
    found = iterate(Slices(*(part[None] for part in parts)))
    np.testing.assert_array_equal(found.group[0], group)
    assert found.best[0] == best
    np.testing.assert_allclose(found.value[0], value, rtol=1e-10)


def test_slices_do_not_feel_each_other() -> None:
    parts = [noisy_slice(seed) for seed in (1, 2, 3)]
    together = iterate(Slices(*(np.stack(column) for column in zip(*parts, strict=True))))
    for i, part in enumerate(parts):
        alone = iterate(Slices(*(column[None] for column in part)))
        np.testing.assert_allclose(together.value[i], alone.value[0], rtol=1e-12)
        assert together.best[i] == alone.best[0]


def test_asimov_data_return_the_truth_where_the_status_is_ok(
    make_plane: Callable[..., PlaneTemplates],
) -> None:
    def truth(x: NDArray, y: NDArray) -> NDArray:
        return np.array([1.2 + 0.5 * np.sin(4 * x), 0.9 + 0.4 * y, 1.1 - 0.4 * x * y])

    plane = make_plane(truth=truth)
    options = IterativeOptions(tolerance=1e-7, patience=400)
    (found,), _ = iterate_planes([plane], binning=Binning(max_merge=1), options=options)
    direct = solve(plane, binning=Binning(max_merge=1))
    is_ok = found.status == "ok"
    assert is_ok.mean() > 0.98
    np.testing.assert_allclose(found.value[is_ok], direct.value[is_ok], rtol=1e-6)
    x, y = np.meshgrid((np.arange(50) + 0.5) / 50, (np.arange(10) + 0.5) / 10)
    expected = np.moveaxis(truth(x, y), 0, -1).reshape(-1, 3)
    np.testing.assert_allclose(found.value[:-1][is_ok[:-1]], expected[is_ok[:-1]], rtol=1e-6)


def test_common_cells_end_at_the_solution(make_plane: Callable[..., PlaneTemplates]) -> None:
    plane = make_plane(jets=0.2, truth=lambda x, y: np.array([1.2 + 0 * x, 0.9 + 0 * y, 1.1 + 0 * x]))
    options = IterativeOptions(own_binning=False, patience=300, tolerance=1e-6)
    (found,), (convergence,) = iterate_planes([plane], options=options)
    direct = solve(plane)
    np.testing.assert_array_equal(found.cvsl, direct.cvsl)
    assert (found.status == "ok").all()
    np.testing.assert_allclose(found.value, direct.value, rtol=1e-6)
    assert convergence.chi2.shape[1] == len(direct.cvsl)


def test_a_diverging_cell_is_told_whatever_its_chi2() -> None:
    truth = np.array([1.3, 0.8, 1.1])
    a = DIVERGING
    slices = Slices(*(part[None, ..., None] for part in (a @ truth, a @ truth, a, a / 100)))
    iterated = iterate(slices)
    found = solution_of(slices, iterated)
    assert found.spectral_radius[0, 0] > 1
    # not a number of it is near the truth, and chi2 is that of three good measurements
    assert np.abs(found.value[0, 0] - truth).max() > 0.2
    assert iterated.chi2[iterated.best[0], 0] < 5
    assert set(found.status[0, 0]) == {"unconverged"}


def test_errors_exist_and_are_the_published_ones() -> None:
    # one bin, flavours apart: t = 120 / 100, error t sqrt(120 / 120^2 + 25 / 100^2) = 0.12490
    a = np.eye(3) * 100.0
    slices = Slices(*(part[None, ..., None] for part in (np.full(3, 120.0), np.full(3, 120.0), a, a / 4)))
    found = solution_of(slices, iterate(slices))
    np.testing.assert_allclose(found.value[0, 0], 1.2, rtol=1e-9)
    errors = np.sqrt(np.diagonal(found.covariance[0, 0]))
    np.testing.assert_allclose(errors, 1.2 * np.sqrt(1 / 120 + 25 / 1e4), rtol=1e-9)
    assert (found.covariance[0, 0][~np.eye(3, dtype=bool)] == 0).all()


def test_a_factor_moves_by_the_learning_rate_at_most() -> None:
    parts = noisy_slice(4)
    slices = Slices(*(part[None] for part in parts))
    one = iterate(slices, IterativeOptions(max_sweeps=1, learning_rate=0.003))
    assert np.abs(one.value - 1).max() == pytest.approx(0.003)
    # far from its target, so not converged
    assert "unconverged" in one.status


def test_negative_and_empty_templates_give_no_nan() -> None:
    random = np.random.default_rng(5)
    mc = random.normal(0, 50, (40, 3, 3, 6)) + 0.05 * TYPICAL[:, :, None]
    data = random.normal(20, 60, (40, 3, 6))
    mc[:5], data[5:10] = 0.0, 0.0
    slices = Slices(data, np.abs(data) + 1, mc, np.abs(mc) + 1)
    found = solution_of(slices, iterate(slices, IterativeOptions(max_sweeps=200)))
    assert np.isfinite(found.value).all()
    assert np.isfinite(found.covariance).all()
    assert (found.value > 0).all()
    assert (found.status[:5] == "low_stat").all()
