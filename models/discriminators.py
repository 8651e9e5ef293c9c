"""The scores of a tagger: its four outputs and the four ratios in which taggers are calibrated.

Everything is computed from logits, so nothing saturates, and no ratio is ever 0/0.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

SCORES = ("b", "bb", "c", "udsg", "BvsL", "BvsC", "CvsB", "CvsL")

DEFAULT_SCORE = -0.1
"""Every score of a jet without a usable output. Source: thesis, Appendix A.5 (bin of the defaults)."""


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
    usable = np.isfinite(logits).all(axis=1)
    b, bb, c, udsg = np.where(usable[:, np.newaxis], logits, 0.0).astype(np.float64).T
    any_b = np.logaddexp(b, bb)
    total = np.logaddexp(any_b, np.logaddexp(c, udsg))
    values = {
        "b": np.exp(b - total),
        "bb": np.exp(bb - total),
        "c": np.exp(c - total),
        "udsg": np.exp(udsg - total),
        "BvsL": expit(any_b - udsg),
        "BvsC": expit(any_b - c),
        "CvsB": expit(c - any_b),
        "CvsL": expit(c - udsg),
    }
    return {name: np.where(usable, values[name], DEFAULT_SCORE) for name in SCORES}
