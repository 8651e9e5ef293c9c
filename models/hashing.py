"""Numbers drawn from names: the same for an event or a jet in any file, order, process and machine.

Source:
    G. Steele, D. Lea, C. Flood, Fast Splittable Pseudorandom Number Generators, OOPSLA 2014 (splitmix64).
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]

GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
"""The step of splitmix64, 2^64 over the golden ratio: keeps small keys apart that differ in order alone."""


def mix(words: Words) -> Words:
    """Scramble 64-bit words, of any shape: the finaliser of splitmix64, a bijection."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def hash_rows(keys: Words, *, seed: int, salt: int) -> Words:
    """Return 64 well mixed bits per row, shape ``(n_rows,)``.

    Args:
        keys: The integers that name each row, shape ``(n_rows, n_keys)``.
        seed: Chosen by the user: another seed, other numbers.
        salt: Chosen by the code: what is drawn for one purpose says nothing of another one.
    """
    state = np.full(len(keys), seed, dtype=np.uint64)
    with np.errstate(over="ignore"):
        for word in (np.uint64(salt), *keys.T):
            state = mix(state ^ mix(np.asarray(word, dtype=np.uint64) + GOLDEN))
    return state


def uniform_rows(keys: Words, *, seed: int, salt: int) -> NDArray[np.float64]:
    """Return a number of [0, 1) per row, shape ``(n_rows,)``; arguments as of `hash_rows`."""
    # 53 bits: what a float64 between 0 and 1 can hold.
    return np.asarray((hash_rows(keys, seed=seed, salt=salt) >> np.uint64(11)) * 2.0**-53)
