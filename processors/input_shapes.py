"""Histograms of a tagger's inputs, raw and distorted: what the network sees of data and simulation."""

from collections.abc import Sequence

import hist
import numpy as np
from numpy.typing import NDArray

from models.features import BRANCHES, N_FEATURES
from models.scaler import FeatureScaler
from processors.histograms import SIGNS, Histogram, Jets, empty_histogram

BINNING = (60, -3.0, 3.0)
"""In units of the width of a feature in the training sample, around its mean there."""

_DEFAULT = BINNING[1] - 1.0
"""Where an input without a value is filled: into the underflow, which holds nothing else."""
_BLOCK = 4096


def input_histogram(dataset: str, variants: Sequence[str]) -> Histogram:
    """Return an empty histogram of all inputs; nominal simulation alone fills it."""
    axes = [
        hist.axis.StrCategory(list(variants), name="variant", growth=True),
        hist.axis.StrCategory(BRANCHES, name="feature"),
    ]
    return empty_histogram(dataset, axes, [hist.axis.Regular(*BINNING, name="scaled")])


def fill_inputs(
    histogram: Histogram, jets: Jets, features: NDArray[np.float32], scaler: FeatureScaler, variant: str
) -> None:
    """Fill all inputs of some jets, scaled.

    An input without a value is underflow; a value below the axis goes into its first bin, one above it into
    the overflow.

    Args:
        histogram: Of `input_histogram`.
        jets: The jets.
        features: Their inputs in physical units, raw or distorted, shape ``(n_jets, 67)``.
        scaler: The scaling of the tagger.
        variant: How they are distorted.
    """
    for start in range(0, len(features), _BLOCK):
        part = slice(start, start + _BLOCK)
        scaled, is_default = scaler.scale(features[part])
        values = np.where(is_default, _DEFAULT, np.maximum(scaled, np.float32(BINNING[1])))
        _fill_block(histogram, jets.part(part), values, variant)


def _fill_block(histogram: Histogram, jets: Jets, values: NDArray[np.floating], variant: str) -> None:
    """Add a block of jets, counted by numpy: a text as category of every value is ten times slower."""
    axes = histogram.axes
    shape = (axes["flavour"].extent, N_FEATURES, axes["scaled"].extent)
    # With its underflow, the first bin of the axis is number 1.
    bins = axes["scaled"].index(values.ravel()).reshape(values.shape) + 1
    flavour = np.asarray(axes["flavour"].index(jets.flavour))
    cell = (flavour[:, np.newaxis] * N_FEATURES + np.arange(N_FEATURES)) * shape[2] + bins
    view = histogram.view(flow=True)
    variant_bin = axes["variant"].index(variant)
    for sign, name in SIGNS.items():
        chosen = jets.sign == sign
        target = view[0, :, axes["sign"].index(name), variant_bin, :N_FEATURES, 0, :]
        weight = np.repeat(jets.weight[chosen], N_FEATURES)
        for part, summand in (("value", weight), ("variance", weight**2)):
            counts = np.bincount(cell[chosen].ravel(), summand, minlength=int(np.prod(shape)))
            target[part] += counts.reshape(shape)
