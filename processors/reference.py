"""The tagger whose scores are in the files: one more to compare with, without a network of ours."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.discriminators import logits_of, scores

NAME: Final = "reference"
EPOCH: Final = 0
BRANCHES: Final = ("Jet_btagDeepB_b", "Jet_btagDeepB_bb", "Jet_btagDeepC", "Jet_btagDeepL")
"""Its four outputs b, bb, c, udsg. Source: PFNano."""


def reference_scores(outputs: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
    """Return outputs and discriminators of the tagger in the files, shape ``(n_jets,)`` each.

    A jet without outputs gets the default everywhere (`models.discriminators.logits_of` says which).

    Args:
        outputs: As read, shape ``(4, n_jets)``.
    """
    return scores(logits_of(outputs.T))
