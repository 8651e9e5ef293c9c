"""Which jets are trained on, and in which order: pure functions of what names a jet.

Nothing here depends on how jets are grouped into files, on the order of reading or on the machine.
"""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = get_args(SplitName)

_SPLIT_SALT, _SHARD_SALT, _ORDER_SALT, _COPY_SALT = 1, 2, 3, 4


def split_of(keys: NDArray[np.uint64], *, seed: int, train: float, validation: float) -> NDArray[np.int64]:
    """Return the split of each jet as an index into `SPLITS`, shape ``(n_jets,)``.

    Args:
        keys: Run, luminosity block, event and index of the jet in its event, shape ``(n_jets, 4)``.
        seed: Another seed is another split.
        train: Probability of the training split.
        validation: Probability of the validation split; the rest is tested on.
    """
    uniform = _uniform(keys, seed, _SPLIT_SALT)
    return np.searchsorted([train, train + validation], uniform, side="right")


def uniform_of(keys: NDArray[np.uint64], *, seed: int) -> NDArray[np.float64]:
    """Return a number of [0, 1) for each jet, for deciding how often it is taken, shape ``(n_jets,)``."""
    return _uniform(keys, seed, _COPY_SALT)


def shard_of(keys: NDArray[np.uint64], *, seed: int, n_shards: int) -> NDArray[np.int64]:
    """Return the shard of each jet, drawn with equal probabilities, shape ``(n_jets,)``."""
    return (_hash(keys, seed, _SHARD_SALT) % np.uint64(n_shards)).astype(np.int64)


def shuffled_order(
    keys: NDArray[np.uint64], tie_breaker: NDArray[np.float32], *, seed: int
) -> NDArray[np.intp]:
    """Return the indices that shuffle the jets, shape ``(n_jets,)``.

    Args:
        keys: As in `split_of`.
        tie_breaker: Orders jets of equal keys, as simulated samples that all count their events from 1 have.
        seed: Another seed is another order.
    """
    return np.lexsort((tie_breaker, _hash(keys, seed, _ORDER_SALT)))


def _uniform(keys: NDArray[np.uint64], seed: int, salt: int) -> NDArray[np.float64]:
    # 53 bits: what a float64 between 0 and 1 can hold.
    return np.asarray((_hash(keys, seed, salt) >> np.uint64(11)) * 2.0**-53)


def _hash(keys: NDArray[np.uint64], seed: int, salt: int) -> NDArray[np.uint64]:
    """Return 64 well mixed bits per row, shape ``(n_rows,)``.

    Source:
        G. Steele, D. Lea, C. Flood, Fast Splittable Pseudorandom Number Generators, OOPSLA 2014 (splitmix64).
    """
    state = np.full(len(keys), seed, dtype=np.uint64)
    with np.errstate(over="ignore"):
        for word in (np.uint64(salt), *keys.T):
            state = _mix(state ^ _mix(np.asarray(word, dtype=np.uint64) + np.uint64(0x9E3779B97F4A7C15)))
    return state


def _mix(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))
