"""The scores of a tagger: its four outputs and the four ratios in which taggers are calibrated.

Everything is computed from logits, so nothing saturates. A probability of exactly 0 is a logit of minus
infinity; what is 0/0 then has no value, and all else has its own.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

SCORES = ("b", "bb", "c", "udsg", "BvsL", "BvsC", "CvsB", "CvsL")

DEFAULT_SCORE = -0.1
"""Every score of a jet without a usable output. Source: thesis, Appendix A.5 (bin of the defaults)."""

_BLOCK = 4096
"""Jets whose scores are computed at once; the working arrays stay in the processor's cache."""


def scores(logits: NDArray[np.floating]) -> dict[str, NDArray[np.float64]]:
    r"""Return the four softmax outputs and the four discriminators, each in [0, 1], shape ``(n_jets,)``.

    .. math::
        \mathrm{BvsL} = \frac{b+bb}{b+bb+udsg}, \quad \mathrm{BvsC} = \frac{b+bb}{b+bb+c}, \quad
        \mathrm{CvsB} = 1 - \mathrm{BvsC}, \quad \mathrm{CvsL} = \frac{c}{c+udsg}

    A ratio of two sums of exponentials is the logistic function of the difference of their logarithms. A jet
    without outputs (`has_outputs`) gets `DEFAULT_SCORE` everywhere, and so does a ratio of 0/0. In float64:
    float32 could not tell apart scores near 1.

    Args:
        logits: The tagger's output before the softmax, columns b, bb, c, udsg, shape ``(n_jets, 4)``.

    Source:
        Thesis, definitions of the discriminators; DeepCSV's heavy-flavour and charm-tagging discriminators.
    """
    values = np.empty((len(SCORES), len(logits)))
    for start in range(0, len(logits), _BLOCK):
        part = slice(start, start + _BLOCK)
        values[:, part] = _scores(np.ascontiguousarray(logits[part].T, dtype=np.float64))
    return dict(zip(SCORES, values, strict=True))


def has_outputs(logits: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Say which jets have outputs that are numbers, shape ``(n_jets,)``.

    No logit is NaN or plus infinity, and one at least is finite; the others may be minus infinity, which is a
    probability of 0.

    Args:
        logits: The tagger's output before the softmax, shape ``(n_jets, 4)``.
    """
    is_finite = np.isfinite(logits)
    return np.asarray((is_finite | np.isneginf(logits)).all(axis=1) & is_finite.any(axis=1))


def logits_of(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return logits whose softmax gives these probabilities, shape ``(n_jets, 4)``.

    They are NaN for a jet without any: files hold -1 or -10 where a tagger gave none, and four zeros are none
    either.

    Args:
        probabilities: Columns b, bb, c, udsg as a file holds them, shape ``(n_jets, 4)``.
    """
    in_range = (probabilities >= 0) & (probabilities <= 1)
    usable = np.asarray(in_range.all(axis=1) & (probabilities > 0).any(axis=1))
    with np.errstate(divide="ignore"):  # a probability of 0 is a logit of minus infinity
        return np.log(np.where(usable[:, np.newaxis], probabilities, np.nan).astype(np.float64))


def _scores(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the scores of some jets, shape ``(8, n_jets)``, from their logits, shape ``(4, n_jets)``."""
    is_finite = np.isfinite(logits).all(axis=0)
    values = _scores_of_numbers(np.where(is_finite, logits, 0.0), _log_of_sum)
    if not is_finite.all():
        others = logits[:, ~is_finite]
        with np.errstate(invalid="ignore"):  # 0/0 is the difference of two infinities
            found = _scores_of_numbers(others, np.logaddexp)
        known = has_outputs(others.T) & ~np.isnan(found)
        values[:, ~is_finite] = np.where(known, found, DEFAULT_SCORE)
    return values


def _scores_of_numbers(
    logits: NDArray[np.float64], log_of_sum: Callable[..., NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Return the scores, shape ``(8, n_jets)``, of logits that `log_of_sum` takes, shape ``(4, n_jets)``."""
    b, bb, c, udsg = logits
    any_b = log_of_sum(b, bb)
    total = log_of_sum(any_b, log_of_sum(c, udsg))
    values = np.concatenate([logits - total, [udsg - any_b, c - any_b, any_b - c, udsg - c]])
    with np.errstate(over="ignore"):  # 1 / (1 + infinity) is the 0 that it should be
        np.exp(values, out=values)
    np.reciprocal(1.0 + values[4:], out=values[4:])
    return values


def _log_of_sum(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ln(exp a + exp b) of finite numbers, some times faster than `numpy.logaddexp`."""
    larger: NDArray[np.float64] = np.maximum(a, b)
    return larger + np.log1p(np.exp(-np.abs(a - b)))
