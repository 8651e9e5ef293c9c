"""Data/MC of a score and purities, on numbers worked out by hand and on toys."""

import math

import numpy as np
import pytest
from scipy import stats

from simulation.validation.selections import PurityRow, ShapeRatio, purity_checks, ratio_checks, shape_ratio

EDGES = np.array([0.0, 0.5, 1.0])


def ratio_of(data: list[float], mc: list[float], edges: np.ndarray = EDGES) -> ShapeRatio:
    d, m = np.array(data, float), np.array(mc, float)
    found = shape_ratio(edges, data=d, data_variance=d, mc=m, mc_variance=0 * m + 1e-9)
    assert found is not None
    return found


def test_ratio_and_its_rms_by_hand() -> None:
    found = ratio_of([6000, 4000], [5000, 5000])
    # Ratios 1.2 and 0.8, each with half of the jets; s^2 = 6000 / 5000^2 and 4000 / 5000^2.
    np.testing.assert_allclose(found.ratio, [1.2, 0.8])
    np.testing.assert_allclose(found.error, np.sqrt([6000, 4000]) / 5000)
    mean_square = 0.04 - 0.5 * (0.5 * 2.4e-4 + 0.5 * 1.6e-4)
    assert found.rms == pytest.approx(math.sqrt(mean_square))
    # Of data as expected, 5000 a bin: 1000^2 / 5000, twice.
    assert found.chi2 == pytest.approx(400, rel=1e-6)
    assert found.ndf == 1
    assert found.p_value < 1e-20


def test_simulation_is_scaled_to_data() -> None:
    assert ratio_of([6000, 4000], [50, 50]).rms == pytest.approx(ratio_of([6000, 4000], [500, 500]).rms)


def test_sparse_bins_join_their_neighbour() -> None:
    edges = np.linspace(0, 1, 6)
    found = ratio_of([10, 90, 100, 100, 5], [20, 80, 100, 100, 5], edges)
    np.testing.assert_allclose(found.edges, [0, 0.4, 0.6, 1.0])
    np.testing.assert_allclose(found.ratio, 1)


def test_one_bin_is_no_shape() -> None:
    few = np.array([3.0, 2.0])
    assert shape_ratio(EDGES, data=few, data_variance=few, mc=few, mc_variance=few) is None
    (row,) = ratio_checks(None, selection="dy", scenario="null", score="CvsB")
    assert row.verdict == "skipped"


def toys(n_toys: int, shift: float) -> list[ShapeRatio]:
    random = np.random.default_rng(5)
    shape = np.linspace(1, 3, 10)
    shape /= shape.sum()
    other = shape * (1 + shift * np.resize([1, -1], 10))
    other /= other.sum()
    return [
        ratio_of(random.poisson(4000 * other), random.poisson(40_000 * shape), np.linspace(0, 1, 11))
        for _ in range(n_toys)
    ]


def test_equal_samples_have_flat_p_values_and_no_spread() -> None:
    found = []
    random = np.random.default_rng(3)
    shape = np.linspace(1, 3, 10) / 20
    for _ in range(300):
        data, mc = random.poisson(3000 * shape).astype(float), random.poisson(6000 * shape).astype(float)
        found.append(shape_ratio(np.linspace(0, 1, 11), data=data, data_variance=data, mc=mc, mc_variance=mc))
    assert stats.kstest([ratio.p_value for ratio in found], "uniform").pvalue > 0.01
    # The root of something compatible with zero is zero in about half of the toys.
    assert 0.3 < np.mean([ratio.rms == 0 for ratio in found]) < 0.8


def test_spread_of_different_samples_is_recovered_without_bias() -> None:
    found = toys(200, 0.1)
    squares = np.array([ratio.rms**2 for ratio in found])
    # The shares of data are moved by +-10 %, up to their normalisation (0.989 at the most).
    assert math.sqrt(squares.mean()) == pytest.approx(0.1, rel=0.05)
    # The error covers its own spread.
    pulls = [(ratio.rms - 0.1) / ratio.rms_error for ratio in found]
    assert 0.7 < np.std(pulls) < 1.4


def test_only_same_settings_must_agree_and_all_differences_must_show() -> None:
    far, near = ratio_of([6000, 4000], [5000, 5000]), ratio_of([5500, 4500], [5000, 5000])
    p_value, spread = ratio_checks(far, selection="dy", scenario="null", score="CvsB")
    assert (p_value.verdict, spread.verdict) == ("fail", "shown")
    p_value, spread = ratio_checks(near, selection="dy", scenario="data", score="CvsB")
    assert (p_value.verdict, spread.verdict) == ("shown", "pass")
    _, spread = ratio_checks(far, selection="dy", scenario="data", score="CvsB")
    assert spread.verdict == "fail"
    _, spread = ratio_checks(far, selection="dy", scenario="data_tails", score="CvsB")
    assert spread.verdict == "shown"


def test_purity_is_judged_where_all_processes_are_simulated() -> None:
    rows = [PurityRow("dy", "light", 0.85, 0.01), PurityRow("dy", "b", 0.05, 0.01)]
    (row,) = purity_checks(rows, ["dy", "wc", "ttsl"])
    assert (row.value, row.verdict) == (0.85, "pass")
    (row,) = purity_checks([rows[0]._replace(fraction=0.6)], ["dy", "wc", "ttsl"])
    assert row.verdict == "fail"
    (row,) = purity_checks(rows, ["dy"])
    assert row.verdict == "skipped"
    assert "no simulation of wc, ttsl" in row.note
