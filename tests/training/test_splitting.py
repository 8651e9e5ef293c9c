import numpy as np
import pytest

from training.splitting import shard_of, shuffled_order, split_of

N_JETS = 100_000


@pytest.fixture(scope="module")
def keys() -> np.ndarray:
    event = np.arange(N_JETS, dtype=np.uint64)
    return np.column_stack([np.ones_like(event), event // np.uint64(100), event, event % np.uint64(5)])


def split(keys: np.ndarray, seed: int = 1) -> np.ndarray:
    return split_of(keys, seed=seed, train=0.72, validation=0.08)


def test_the_shares_of_the_splits_are_as_asked(keys: np.ndarray) -> None:
    shares = np.bincount(split(keys), minlength=3) / N_JETS
    # Binomial errors: sqrt(0.72 * 0.28 / 1e5) = 0.0014; four of them.
    assert shares == pytest.approx([0.72, 0.08, 0.20], abs=0.006)


def test_a_jet_keeps_its_split_in_any_company(keys: np.ndarray) -> None:
    chosen = np.random.default_rng(1).permutation(N_JETS)[:1000]
    assert (split(keys[chosen]) == split(keys)[chosen]).all()


def test_every_part_of_the_key_and_the_seed_count(keys: np.ndarray) -> None:
    reference = split(keys)
    for column in range(4):
        changed = keys.copy()
        changed[:, column] += np.uint64(1)
        # Two independent draws agree in 0.72^2 + 0.08^2 + 0.20^2 = 56.5 % of the jets.
        assert (split(changed) == reference).mean() == pytest.approx(0.5648, abs=0.01)
    assert (split(keys, seed=2) == reference).mean() == pytest.approx(0.5648, abs=0.01)


def test_shards_are_equally_filled_and_independent_of_the_split(keys: np.ndarray) -> None:
    shards = shard_of(keys, seed=1, n_shards=4)
    assert np.bincount(shards, minlength=4) / N_JETS == pytest.approx([0.25] * 4, abs=0.006)
    assert (shards[split(keys) == 1] == 0).mean() == pytest.approx(0.25, abs=0.02)


def test_the_order_is_a_shuffle_that_does_not_depend_on_how_the_jets_came(keys: np.ndarray) -> None:
    pt = np.zeros(N_JETS, dtype=np.float32)
    order = shuffled_order(keys, pt, seed=1)
    assert (np.sort(order) == np.arange(N_JETS)).all()
    assert abs(np.corrcoef(order, np.arange(N_JETS))[0, 1]) < 0.015
    reversed_keys = keys[::-1]
    assert (reversed_keys[shuffled_order(reversed_keys, pt, seed=1)] == keys[order]).all()


def test_equal_keys_are_ordered_by_the_tie_breaker() -> None:
    keys = np.ones((3, 4), dtype=np.uint64)
    assert shuffled_order(keys, np.array([3, 1, 2], dtype=np.float32), seed=1).tolist() == [1, 2, 0]
