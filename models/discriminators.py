"""The scores of a tagger: its four outputs and the four ratios in which taggers are calibrated.

Everything is computed from logits, so nothing saturates, and no ratio is ever 0/0.
"""

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
    with a logit that is not finite gets `DEFAULT_SCORE` everywhere. In float64: float32 could not tell apart
    scores near 1.

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


def _scores(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the scores of some jets, shape ``(8, n_jets)``, from their logits, shape ``(4, n_jets)``."""
    usable = np.isfinite(logits).all(axis=0)
    b, bb, c, udsg = logits = np.where(usable, logits, 0.0)
    any_b = _log_of_sum(b, bb)
    total = _log_of_sum(any_b, _log_of_sum(c, udsg))
    values = np.concatenate([logits - total, [udsg - any_b, c - any_b, any_b - c, udsg - c]])
    with np.errstate(over="ignore"):  # 1 / (1 + infinity) is the 0 that it should be
        np.exp(values, out=values)
    np.reciprocal(1.0 + values[4:], out=values[4:])
    values[:, ~usable] = DEFAULT_SCORE
    return values


def _log_of_sum(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ln(exp a + exp b), some times faster than `numpy.logaddexp`, which is computed one by one."""
    larger: NDArray[np.float64] = np.maximum(a, b)
    return larger + np.log1p(np.exp(-np.abs(a - b)))
