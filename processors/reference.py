"""The tagger whose scores are in the files: one more to compare with, without a network of ours."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.discriminators import scores

NAME: Final = "reference"
EPOCH: Final = 0
BRANCHES: Final = ("Jet_btagDeepB_b", "Jet_btagDeepB_bb", "Jet_btagDeepC", "Jet_btagDeepL")
"""Its four outputs b, bb, c, udsg. Source: PFNano."""

_TINY = 1e-30
"""In place of an output of 0, whose logarithm is infinite."""


def reference_scores(outputs: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
    """Return outputs and discriminators of the tagger in the files, shape ``(n_jets,)`` each.

    A jet whose outputs are not all between 0 and 1 (files hold -1 or -10 where CMS's tagger gave none) gets
    the default everywhere. The logarithms of the outputs are logits, but for a constant.

    Args:
        outputs: As read, shape ``(4, n_jets)``.
    """
    usable = ((outputs >= 0) & (outputs <= 1)).all(axis=0) & (outputs.sum(axis=0) > 0)
    logits = np.full(outputs.T.shape, np.nan)
    logits[usable] = np.log(np.maximum(outputs.T[usable].astype(np.float64), _TINY))
    return scores(logits)
