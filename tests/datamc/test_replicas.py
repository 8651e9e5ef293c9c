import numpy as np
import pytest

from datamc.measures import kullback_leibler, normalised
from datamc.replicas import draw_weights, is_smooth, linear_error, spread, with_replicas

N_BINS, N_BLOCKS, N_TOYS = 30, 32, 2000


def by_block(value: np.ndarray, block: np.ndarray) -> np.ndarray:
    """Histogram standard normal values in 30 bins of [-3, 3] by block."""
    bins = np.clip((value + 3) / 6 * N_BINS, 0, N_BINS - 1).astype(int)
    counts = np.bincount(block * N_BINS + bins, minlength=N_BLOCKS * N_BINS)
    return counts.reshape(N_BLOCKS, N_BINS).astype(float)


def divergences(random: np.random.Generator, shift: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The divergence of two taggers and its replicas; the second is the first with some noise."""
    weights = draw_weights(200, N_BLOCKS, seed=seed)
    found = []
    samples = []
    for mean, size in ((shift, 4000), (0.0, 8000)):
        first = random.normal(mean, 1, random.poisson(size))
        second = 0.94 * (first + random.normal(0, 0.35, len(first)))
        samples.append((first, second, random.integers(0, N_BLOCKS, len(first))))
    (*data, data_block), (*mc, mc_block) = samples
    for d, m in zip(data, mc, strict=True):
        recorded = with_replicas(by_block(d, data_block), weights.data)
        simulated = with_replicas(by_block(m, mc_block), weights.mc)
        found.append(kullback_leibler(*normalised(recorded, simulated)))
    return found[0], found[1]


def test_replicas_are_the_sum_plus_and_minus_half_the_signed_blocks() -> None:
    blocks = np.array([[4.0, 0.0], [2.0, 6.0]])
    # + -: (6, 6) + (4 - 2, -6) / 2 = (7, 3), its mirror (5, 9)
    assert with_replicas(blocks, np.array([[1.0, -1.0]])).tolist() == [[6, 6], [7, 3], [5, 9]]


def test_the_same_seed_gives_the_same_signs_and_data_have_others_than_simulation() -> None:
    one, two = draw_weights(10, 8, seed=1), draw_weights(10, 8, seed=1)
    np.testing.assert_array_equal(one.data, two.data)
    assert one.data.shape == (5, 8)
    assert (one.data != one.mc).any()
    assert (one.data != draw_weights(10, 8, seed=2).data).any()


def test_the_error_of_a_sum_is_that_of_its_blocks_and_has_no_offset() -> None:
    random = np.random.default_rng(1)
    blocks = random.poisson(100, (16, 1)).astype(float)
    total = with_replicas(blocks - blocks.mean(), draw_weights(20_000, 16, seed=1).data)[:, 0]
    found = spread(total, n_blocks=16)
    # the variance of a sum of 16 is 16 times that of one
    assert found.error == pytest.approx(np.sqrt(16 * blocks.var(ddof=1)), rel=0.02)
    assert found.offset == pytest.approx(0, abs=1e-9)


def test_without_replicas_the_error_is_unknown() -> None:
    assert np.isnan(spread(np.array([1.0]), n_blocks=32)).all()


@pytest.mark.parametrize("shift", [0.0, 0.1])
def test_errors_of_values_and_paired_differences_cover_68_percent(shift: float) -> None:
    """2000 pseudo-experiments know the coverage to 1 %; it is asked for within 3 %."""
    random = np.random.default_rng(11)
    values, differences, errors, paired, unpaired, offsets = [], [], [], [], [], []
    for toy in range(N_TOYS):
        first, second = divergences(random, shift, toy)
        one, other = (spread(each, n_blocks=N_BLOCKS) for each in (first, second))
        values.append(first[0])
        differences.append(first[0] - second[0])
        errors.append(one.error)
        offsets.append(one.offset)
        paired.append(spread(first - second, n_blocks=N_BLOCKS).error)
        unpaired.append(np.hypot(one.error, other.error))
    for value, error in ((values, errors), (differences, paired)):
        covered = np.mean(np.abs(np.array(value) - np.mean(value)) < error)
        assert covered == pytest.approx(0.683, abs=0.03)
    assert np.mean(paired) < 0.95 * np.mean(unpaired)
    # 29/2 (1/4000 + 1/8000)
    assert np.mean(offsets) == pytest.approx(0.00544, rel=0.06)


@pytest.mark.parametrize("shift", [0.0, 0.06])
def test_data_that_are_the_simulated_events_fluctuate_with_them(shift: float) -> None:
    """Two detectors see the same 20 000 events: errors cover, and statistics add less, which offsets know."""
    random = np.random.default_rng(12)
    values, errors, offsets, apart = [], [], [], []
    for toy in range(800):
        event = random.normal(0, 0.9950, random.poisson(20_000))
        block = random.integers(0, N_BLOCKS, len(event))
        data, mc = (by_block(event + random.normal(mean, 0.1, len(event)), block) for mean in (shift, 0.0))
        for same, found in ((True, offsets), (False, apart)) if toy < 40 else ((True, offsets),):
            weights = draw_weights(100, N_BLOCKS, seed=toy, same_events=same)
            shapes = normalised(with_replicas(data, weights.data), with_replicas(mc, weights.mc))
            divergence = kullback_leibler(*shapes)
            one = spread(divergence, n_blocks=N_BLOCKS)
            found.append(one.offset)
            if same:
                values.append(divergence[0])
                errors.append(one.error)
    # 800 toys know the coverage to 1.6 %; where there is nothing but noise errors are a little too large.
    covered = np.mean(np.abs(np.array(values) - np.mean(values)) < errors)
    assert covered == pytest.approx(0.683, abs=0.06)
    # By hand: half the square of the shift in units of the width, which is 1.
    assert np.mean(values) - np.mean(offsets) == pytest.approx(shift**2 / 2, abs=3e-5)
    assert np.mean(apart) == pytest.approx(29 / 2 * 2 / 20_000, rel=0.06)
    assert np.mean(offsets) < 0.75 * np.mean(apart)


def test_the_errors_of_several_linear_numbers_are_those_of_each() -> None:
    random = np.random.default_rng(2)
    blocks = random.poisson(100, (16, 3)).astype(float)
    values = with_replicas(blocks, draw_weights(400, 16, seed=1).data)
    expected = [spread(values[:, i], n_blocks=16).error for i in range(3)]
    assert linear_error(values, n_blocks=16) == pytest.approx(expected)
    assert np.isnan(linear_error(values[:1], n_blocks=16)).all()


def test_a_measure_that_jumps_is_not_smooth() -> None:
    random = np.random.default_rng(3)
    blocks = random.poisson(20, (N_BLOCKS, 1)) - 20.0
    moved = with_replicas(blocks, draw_weights(200, N_BLOCKS, seed=1).data)[:, 0]
    moved = moved - moved[0]
    assert is_smooth(moved)
    assert is_smooth((moved + 100) ** 2)
    # nothing but noise: V_even is half of V_odd
    assert is_smooth(moved**2 + 3 * moved * moved.std())
    assert not is_smooth(np.where(moved > 0.5 * moved.std(), 100.0, 0.0) + 0.01 * moved)
    assert is_smooth(moved[:1])
