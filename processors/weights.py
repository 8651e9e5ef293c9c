"""The weights of events, and the sums by which a cross section is divided later."""

import awkward as ak
import numpy as np
from coffea.analysis_tools import Weights
from numpy.typing import NDArray

from selections.branches import column
from selections.selected import Selected

CORRECTIONS = ("genWeight",)
"""The named weights that simulation carries; none of them is normalised."""


def event_weights(events: ak.Array, *, is_data: bool) -> Weights:
    """Return the weights of all events of a chunk: the generator's in simulation, 1 in data.

    1 also in simulation without generator weights, which is noted when the files are opened beforehand.
    """
    weights = Weights(len(events))
    generated = None if is_data else column(events, "genWeight")
    if generated is not None:
        weights.add("genWeight", np.asarray(generated, dtype=np.float64))
    else:
        weights.add("unit", np.ones(len(events)))
    return weights


def sums(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return number, sum and sum of squares of weights, shape ``(3,)``."""
    return np.array([len(weights), weights.sum(), np.square(weights).sum()])


def cutflow(selected: Selected, weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Return the sums of the events left after each cut and all before it, beginning with all events."""
    left = {"all": sums(weights)}
    left.update((name, sums(weights[mask])) for name, mask in selected.cutflow_masks())
    return left
