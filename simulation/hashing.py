"""Random numbers in kernels that are functions of what they are for, and of nothing drawn before."""

import math
from typing import Any

import numpy as np

from simulation.compiled import lean_kernel


@lean_kernel
def hashed_word(seed: int, number: float) -> Any:
    """Return 64 random bits that are a function of a seed and a number.

    Source:
        The finaliser of splitmix64 (G. Steele, D. Lea, C. Flood, OOPSLA 2014).
    """
    word = np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(np.int64(number * 1e9))
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


@lean_kernel
def hashed_uniform(seed: int, number: float) -> float:
    """Return a function of a seed and a number that is uniform in (0, 1)."""
    return (float(hashed_word(seed, number) >> np.uint64(32)) + 0.5) / 4294967296.0


@lean_kernel
def hashed_normal(seed: int, number: float) -> float:
    """Return a function of a seed and a number that is normally distributed (by Box and Muller)."""
    word = hashed_word(seed, number)
    first = (float(word >> np.uint64(32)) + 0.5) / 4294967296.0
    second = float(word & np.uint64(0xFFFFFFFF)) / 4294967296.0
    return math.sqrt(-2.0 * math.log(first)) * math.cos(2.0 * math.pi * second)
