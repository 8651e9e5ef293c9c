"""Random numbers that depend on a seed and on what they are for, never on how events are batched."""

import zlib

import numpy as np
from numpy.typing import NDArray


def derived_seed(*parts: str | int) -> int:
    """Return a seed below 2^31 that is a function of all the parts."""
    words = [part if isinstance(part, int) else zlib.crc32(part.encode()) for part in parts]
    return int(np.random.SeedSequence(words).generate_state(1)[0] >> 1)


def event_seeds(seed: int, events: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Return a seed for each event number, shape ``(n_events,)``.

    Source:
        The finaliser of splitmix64 (G. Steele, D. Lea, C. Flood, OOPSLA 2014).
    """
    with np.errstate(over="ignore"):
        word = np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) + events.astype(np.uint64) * np.uint64(
            0xD1B54A32D192ED03
        )
        word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        word ^= word >> np.uint64(31)
    return (word >> np.uint64(32)).astype(np.uint32)


class RandomStreams:
    """One random generator per purpose, each used in the order of events.

    Two batches of one event draw what one batch of two events draws, because purposes do not share a
    generator.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._generators: dict[str, np.random.Generator] = {}

    def __getitem__(self, purpose: str) -> np.random.Generator:
        if purpose not in self._generators:
            self._generators[purpose] = np.random.default_rng([self._seed, zlib.crc32(purpose.encode())])
        return self._generators[purpose]

    def uniform(self, purpose: str, size: int) -> NDArray[np.float64]:
        """Return numbers in [0, 1), shape ``(size,)``."""
        return self[purpose].random(size)
