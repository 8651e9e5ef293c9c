import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import kstest, mannwhitneyu, wasserstein_distance

from datamc.measures import (
    bins_of_content,
    data_mc_area,
    earth_movers_distance,
    earth_movers_offset,
    equal_population_bins,
    jensen_shannon,
    kullback_leibler,
    normalised,
    rank_divergence,
    rank_offset,
    shape_test,
)


def shapes(seed: int, n_bins: int = 60) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return normalised(random.poisson(9.0, n_bins).astype(float), random.gamma(2.0, 3.0, n_bins))


def test_jensen_shannon_by_hand_and_as_scipy() -> None:
    # P = (1, 0), Q = (1/2, 1/2), M = (3/4, 1/4): (ln 4/3 + 1/2 ln 2/3 + 1/2 ln 2) / 2
    expected = (np.log(4 / 3) + 0.5 * np.log(2 / 3) + 0.5 * np.log(2)) / 2
    assert jensen_shannon(np.array([1.0, 0.0]), np.array([0.5, 0.5])) == pytest.approx(expected)
    for seed in range(5):
        p, q = shapes(seed)
        assert jensen_shannon(p, q) == pytest.approx(jensenshannon(p, q) ** 2, rel=1e-10)


def test_jensen_shannon_is_symmetric_and_at_most_ln_2() -> None:
    p, q = shapes(1)
    assert jensen_shannon(p, q) == pytest.approx(jensen_shannon(q, p), rel=1e-14)
    assert jensen_shannon(p, p) == 0
    assert jensen_shannon(np.array([1.0, 0.0]), np.array([0.0, 1.0])) == pytest.approx(np.log(2), rel=1e-14)


def test_earth_movers_distance_is_that_of_scipy() -> None:
    centres = np.linspace(-0.19, 0.99, 60)
    # everything moves by three bins of 0.1
    assert earth_movers_distance(np.eye(5)[0], np.eye(5)[3], np.arange(5) / 10) == pytest.approx(0.3)
    for seed in range(5):
        p, q = shapes(seed)
        expected = wasserstein_distance(centres, centres, p, q)
        assert earth_movers_distance(p, q, centres) == pytest.approx(expected, rel=1e-10)


def test_two_samples_of_one_shape_are_as_far_apart_as_the_offset_says() -> None:
    random, centres = np.random.default_rng(3), np.linspace(0, 1, 20)
    p = np.linspace(1, 3, 20) / 40
    data, mc = (random.multinomial(n, p, 2000).astype(float) for n in (3000, 5000))
    found = earth_movers_distance(*normalised(data, mc), centres).mean()
    assert earth_movers_offset(p, centres, n_data=3000, n_mc=5000) == pytest.approx(found, rel=0.03)
    js = jensen_shannon(*normalised(data, mc)).mean()
    assert js == pytest.approx(kullback_leibler(*normalised(data, mc)).mean() / 4, rel=0.02)


def test_groups_hold_what_was_asked_for_and_the_rest_joins_the_last() -> None:
    # 3+2 | 6 | 1+4 and the 2 that are left over
    assert bins_of_content(np.array([3.0, 2, 6, 1, 4, 2]), 5).tolist() == [0, 2, 3]
    assert bins_of_content(np.array([1.0, 1]), 5).tolist() == [0]


def test_bins_of_equal_population_by_hand() -> None:
    # shares up to 1, 2, 5, 9, 10 of 10: thirds are closest to the edges after 5 (not 2) and after 5 or 9
    assert equal_population_bins(np.array([1.0, 1, 3, 4, 1]), 2).tolist() == [0, 3]
    # 1/3 = 3.33 is closest to 2, 2/3 = 6.67 to 5
    assert equal_population_bins(np.array([1.0, 1, 3, 4, 1]), 3).tolist() == [0, 2, 3]
    # one bin holds nearly everything: 1/4 is closest to its lower end, which begins nothing, the others to
    # its upper one; negative counts as empty
    assert equal_population_bins(np.array([0.0, 99, 1, -5]), 4).tolist() == [0, 2]
    assert equal_population_bins(np.zeros(4), 3).tolist() == [0]
    uniform = equal_population_bins(np.ones(100), 20)
    assert uniform.tolist() == list(range(0, 100, 5))


@pytest.mark.parametrize("same_sign", [0.0, 0.4])
def test_p_values_of_equal_shapes_are_flat(same_sign: float) -> None:
    """With and without same sign subtracted; simulation has twice the jets at weight 0.3."""
    random = np.random.default_rng(7)
    opposite = np.exp(-np.linspace(0, 2, 30))
    opposite /= opposite.sum()
    p_values = []
    for _ in range(1500):
        os_ss = [
            [random.poisson(n * part * opposite**power) for part, power in ((1.0, 1.0), (same_sign, 1.0))]
            for n in (8000, 16000)
        ]
        (d_os, d_ss), (m_os, m_ss) = np.array(os_ss, dtype=float)
        test = shape_test(
            d_os - d_ss, d_os + d_ss, 0.3 * (m_os - m_ss), 0.09 * (m_os + m_ss),
            n_data=d_os + d_ss, n_mc=m_os + m_ss,
        )  # fmt: skip
        assert test.n_degrees == 29
        p_values.append(test.p_value)
    assert kstest(p_values, "uniform").pvalue > 0.01
    assert np.mean(np.array(p_values) < 0.05) == pytest.approx(0.05, abs=0.02)


def test_other_shapes_have_small_p_values_and_sizes_do_not_count() -> None:
    shape = np.linspace(1, 3, 20) * 200
    same = shape_test(shape, shape, 7 * shape, 49 * shape, n_data=shape, n_mc=shape)
    assert same.chi2 == pytest.approx(0, abs=1e-9)
    assert same.p_value == pytest.approx(1)
    other = shape_test(shape, shape, shape[::-1], shape[::-1], n_data=shape, n_mc=shape[::-1])
    assert other.p_value < 1e-6
    empty = np.zeros(20)
    assert shape_test(shape, shape, empty, empty, n_data=shape, n_mc=empty) == (0.0, 0, 1.0)


def test_the_area_of_data_against_simulation_by_hand() -> None:
    data, mc = np.array([1.0, 0, 3]), np.array([2.0, 2, 0])
    # pairs of (1, 0, 3) and (2, 2, 0): one jet ties with 2 of 4, three are above all: (1 x 1 + 3 x 4) / 16
    assert data_mc_area(data, mc) == pytest.approx(13 / 16)
    assert rank_divergence(data_mc_area(data, mc)) == pytest.approx(6 * (5 / 16) ** 2)
    assert data_mc_area(data, data) == pytest.approx(0.5)
    assert data_mc_area(data, np.zeros(3)) == 0.5
    # same sign subtracted: (1, -1, 4) of 4 against (2, 2, 0): 1/4 x 1/4 - 1/4 x 3/4 + 4/4
    assert data_mc_area(np.array([1.0, -1, 4]), mc) == pytest.approx(1 / 16 - 3 / 16 + 1)


def test_the_area_is_that_of_a_rank_test_and_no_monotone_change_moves_it() -> None:
    random = np.random.default_rng(2)
    data, mc = random.normal(0.3, 1, 400), random.normal(0, 1, 500)
    expected = mannwhitneyu(data, mc).statistic / (400 * 500)
    for change in (np.asarray, np.exp, lambda x: x**3):
        edges = np.unique(np.concatenate([change(data), change(mc), [np.inf]]))
        counts = [np.histogram(change(each), edges)[0].astype(float) for each in (data, mc)]
        assert data_mc_area(*counts) == pytest.approx(expected)


def test_the_area_sees_a_part_of_the_divergence_and_all_of_a_trend_in_rank() -> None:
    rank = (np.arange(200) + 0.5) / 200
    q = np.full(200, 1 / 200)
    trend, bump = q * (1 + 0.02 * (rank - 0.5)), q * (1 + 0.02 * np.cos(20 * rank))
    assert rank_divergence(data_mc_area(trend, q)) == pytest.approx(kullback_leibler(trend, q), rel=1e-3)
    bump /= bump.sum()
    assert rank_divergence(data_mc_area(bump, q)) < 0.1 * kullback_leibler(bump, q)


def test_two_samples_of_one_shape_have_the_area_that_the_offset_says() -> None:
    random, p = np.random.default_rng(4), np.array([0.5, 0.3, 0.15, 0.05])
    data, mc = (random.multinomial(n, p, 20_000).astype(float) for n in (3000, 5000))
    found = rank_divergence(data_mc_area(data, mc)).mean()
    assert rank_offset(p, n_data=3000, n_mc=5000) == pytest.approx(found, rel=0.03)
    assert rank_offset(p, n_data=0, n_mc=5000) == 0
