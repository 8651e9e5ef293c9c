import numpy as np
import pytest
from scipy.stats import norm

from training.metrics import auc
from training.ranking import SCORE_BINS
from training.studies.noised_areas import SIGMAS, noised_areas


def counted(odds: np.ndarray) -> np.ndarray:
    return np.bincount(SCORE_BINS.of(odds), minlength=SCORE_BINS.number)


def test_areas_with_noise_are_those_of_noised_jets() -> None:
    """40 000 x 60 000 jets, 2 % of either without a score, which noise does not move; errors are 0.002."""
    random = np.random.default_rng(1)
    signal, background = random.normal(1.0, 1.5, 40_000), random.normal(-0.5, 1.0, 60_000)
    for jets in (signal, background):
        jets[: len(jets) // 50] = -np.inf
    found = dict(zip(SIGMAS, noised_areas(counted(signal), counted(background)), strict=True))
    assert found[0.0] == pytest.approx(auc(signal, background), abs=1e-5)
    for sigma in (0.1, 0.6, 3.0):
        noised = [jets + random.normal(0, sigma, len(jets)) for jets in (signal, background)]
        assert found[sigma] == pytest.approx(auc(*noised), abs=0.006)
    assert sorted(found.values(), reverse=True) == list(found.values())


def test_the_area_of_normal_scores_is_the_one_that_is_known() -> None:
    # signal minus background is normal with mean 1 and variance 2, and 2 sigma^2 more with noise on both
    random = np.random.default_rng(2)
    signal, background = random.normal(1.0, 1.0, 200_000), random.normal(0.0, 1.0, 200_000)
    found = noised_areas(counted(signal), counted(background))
    for sigma, area in zip(SIGMAS, found, strict=True):
        assert area == pytest.approx(norm.cdf(1 / np.sqrt(2 + 2 * sigma**2)), abs=0.004)
