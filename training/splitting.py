"""Which jets are trained on, and in which order: pure functions of what names a jet.

Nothing here depends on how jets are grouped into files, on the order of reading or on the machine.
"""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from models.hashing import hash_rows, uniform_rows

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
    uniform = uniform_rows(keys, seed=seed, salt=_SPLIT_SALT)
    return np.searchsorted([train, train + validation], uniform, side="right")


def uniform_of(keys: NDArray[np.uint64], *, seed: int) -> NDArray[np.float64]:
    """Return a number of [0, 1) for each jet, for deciding how often it is taken, shape ``(n_jets,)``."""
    return uniform_rows(keys, seed=seed, salt=_COPY_SALT)


def shard_of(keys: NDArray[np.uint64], *, seed: int, n_shards: int) -> NDArray[np.int64]:
    """Return the shard of each jet, drawn with equal probabilities, shape ``(n_jets,)``."""
    return (hash_rows(keys, seed=seed, salt=_SHARD_SALT) % np.uint64(n_shards)).astype(np.int64)


def shuffled_order(
    keys: NDArray[np.uint64], tie_breaker: NDArray[np.float32], *, seed: int
) -> NDArray[np.intp]:
    """Return the indices that shuffle the jets, shape ``(n_jets,)``.

    Args:
        keys: As in `split_of`.
        tie_breaker: Orders jets of equal keys, as simulated samples that all count their events from 1 have.
        seed: Another seed is another order.
    """
    return np.lexsort((tie_breaker, hash_rows(keys, seed=seed, salt=_ORDER_SALT)))
