"""Scores by blocks of events, as a processing run leaves them: how all taggers, epochs and variants vary."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import hist
import numpy as np

from datamc.histograms import DATA_VARIANT, Floats, dataset_scales
from datamc.normalisation import View, combine_signs, view_of
from datamc.records import Result

PREFIX: Final = "blocks_"
"""The histogram of a score's blocks is called so, and then like the score."""


class Blocks(NamedTuple):
    """Data and scaled simulation of one score by block, signs combined, in fine bins."""

    edges: Floats
    """Shape `(n_bins + 1,)`; those of the score's histogram are among them."""
    data: Floats
    """Shape `(n_blocks, n_bins)`."""
    mc: Floats
    """Shape `(n_blocks, n_bins)`."""


class BlockReader:
    """The blocks of one score of a result.

    Args:
        result: The result of one selection.
        score: The name of the score.
        view: How signs are combined; that of the selection by default.

    Raises:
        ValueError: If the result holds no blocks of this score, or a cross section is missing.
    """

    def __init__(self, result: Result, score: str, *, view: View | None = None) -> None:
        if PREFIX + score not in result.histograms:
            raise ValueError(
                f"{result.selection}: no blocks of {score!r}: process this selection with --blocks 32"
            )
        histogram: hist.Hist[Any] = result.histograms[PREFIX + score]
        names = ("dataset", "sign", "tagger", "epoch", "variant", "block", "value")
        order = [list(histogram.axes.name).index(name) for name in names]
        self._cells = np.asarray(histogram.view(flow=False)).transpose(order)
        self._axes: Mapping[str, list[Any]] = {name: list(histogram.axes[name]) for name in names[:5]}
        self._view: View = view or view_of(result)
        self.edges = np.asarray(histogram.axes["value"].edges, dtype=np.float64)
        self.n_blocks = len(histogram.axes["block"])
        scales = dataset_scales(result)
        datasets = self._axes["dataset"]
        self._scale = np.array([scales.get(name, 0.0) for name in datasets])
        self._recorded = np.array([float(result.datasets[name].is_data) for name in datasets])

    def data(self, *, tagger: str, epoch: int) -> Floats:
        """Return data of one checkpoint by block, shape `(n_blocks, n_bins)`."""
        return self._sum(self._recorded, tagger, epoch, DATA_VARIANT)

    def mc(self, *, tagger: str, epoch: int, variant: str) -> Floats:
        """Return scaled simulation by block, shape `(n_blocks, n_bins)`."""
        return self._sum(self._scale, tagger, epoch, variant)

    def blocks(self, *, tagger: str, epoch: int, variant: str) -> Blocks:
        """Return both."""
        mc = self.mc(tagger=tagger, epoch=epoch, variant=variant)
        return Blocks(self.edges, self.data(tagger=tagger, epoch=epoch), mc)

    def _sum(self, scale: Floats, tagger: str, epoch: int, variant: str) -> Floats:
        place = {"tagger": tagger, "epoch": epoch, "variant": variant}
        if any(value not in self._axes[name] for name, value in place.items()):
            return np.zeros(self._cells.shape[-2:])
        at = [self._axes[name].index(value) for name, value in place.items()]
        # (dataset, sign, block, value) -> (sign, block, value)
        chosen = np.tensordot(scale, self._cells[:, :, at[0], at[1], at[2]], axes=(0, 0))
        return combine_signs(chosen, chosen, self._view, axis=0)[0]


def has_blocks(result: Result, score: str) -> bool:
    """Say whether a result holds the blocks of a score; a single one tells nothing of fluctuations."""
    histogram = result.histograms.get(PREFIX + score)
    return histogram is not None and len(histogram.axes["block"]) > 1
