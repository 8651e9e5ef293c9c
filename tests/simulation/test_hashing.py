import numpy as np
from scipy import stats

from simulation.hashing import hashed_normal, hashed_uniform


def test_numbers_are_functions_of_seed_and_number():
    assert hashed_uniform(3, 0.25) == hashed_uniform(3, 0.25)
    assert len({hashed_uniform(seed, number) for seed in range(10) for number in (0.1, 0.2, 0.3)}) == 30


def test_uniform_numbers_are_uniform_and_normal_ones_normal():
    numbers = np.linspace(-3.0, 3.0, 4000)
    assert stats.kstest([hashed_uniform(1, x) for x in numbers], "uniform").pvalue > 1e-3
    assert stats.kstest([hashed_normal(1, x) for x in numbers], "norm").pvalue > 1e-3
