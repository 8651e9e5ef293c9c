"""Blocks of events: the scores once more, by a number that is drawn for each event from its name.

All taggers, epochs and variants see the same events. A histogram per block keeps how their scores vary
together: weighting the blocks anew gives replicas of a whole analysis, from which `datamc` takes the errors
of differences between trainings. A block depends on the event alone, not on the chunk or the file it came in.
"""

from collections.abc import Sequence
from typing import Any, Final

import hist
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr

from datamc.results import Scenario
from models.perturbations import JetKeys, gaussian_noise
from processors.histograms import SCORE_BINNING, SIGNS, Column, Histogram, Jets, scenario_axis

PREFIX: Final = "blocks_"
"""The histogram of a score's blocks is called so, and then like the score."""

MEMORY_MB: Final = 192
"""What the blocks of one dataset may take before there are fewer of them."""

_SEED: Final = 0x626C6F636B
"""Another stream than that of any noise."""

_TAIL_LOG_ODDS = (3.5, 4.25, 4.75, 5.25, 5.75, 6.25, 7.0, 8.0, 9.5)
_HIGHEST = 1.0 - 1e-9


def block_edges() -> NDArray[np.float64]:
    """Return the edges of the scores: the 60 bins of all score histograms, finer near 0 and 1.

    There a trained tagger puts most jets. Both the 60 bins and bins of equal population are sums of these.
    """
    n_bins, low, high = SCORE_BINNING
    tails = expit(np.array(_TAIL_LOG_ODDS))
    edges = np.concatenate([np.linspace(low, high, n_bins + 1), tails, 1.0 - tails])
    return np.asarray(np.unique(np.where(np.abs(edges) < 1e-12, 0.0, edges)))


def blocks_of_events(keys: JetKeys, n_blocks: int) -> NDArray[np.int64]:
    """Return the block of each jet's event, 0 to n_blocks - 1, shape ``(n_jets,)``."""
    of_event = keys._replace(jet=np.zeros_like(keys.jet))
    uniform: NDArray[np.float64] = ndtr(gaussian_noise(_SEED, of_event, 1)[:, 0].astype(np.float64))
    return np.minimum((n_blocks * uniform).astype(np.int64), n_blocks - 1)


def affordable_blocks(n_blocks: int, *, scenarios: int, scores: int) -> int:
    """Return the number of blocks, halved until a dataset's fit into `MEMORY_MB`; 0 where 16 are too many.

    With fewer than 16 an error is known to worse than a fifth. The jobs of a production all find the same.

    Args:
        n_blocks: How many are wanted.
        scenarios: How many: checkpoints times variants.
        scores: How many.
    """
    per_block = len(SIGNS) * (len(block_edges()) - 1) * 8 * scenarios * scores / 2**20
    while n_blocks >= 16 and n_blocks * per_block > MEMORY_MB:
        n_blocks //= 2
    return n_blocks if n_blocks * per_block <= MEMORY_MB else 0


def block_histogram(dataset: str, n_blocks: int, scenarios: Sequence[Scenario]) -> Histogram:
    """Return an empty histogram of one score by block: sums of weights alone, no squares, no flavour."""
    return hist.Hist(
        hist.axis.StrCategory([dataset], name="dataset", growth=True),
        hist.axis.Regular(n_blocks, 0, n_blocks, name="block", underflow=False, overflow=False),
        hist.axis.StrCategory(list(SIGNS.values()), name="sign", overflow=False),
        scenario_axis(scenarios),
        hist.axis.Variable(block_edges(), name="value", underflow=False, overflow=False),
        storage=hist.storage.Double(),
    )


def fill_blocks(
    histogram: Histogram, jets: Jets, block: NDArray[np.int64], values: Column, scenario: Scenario
) -> None:
    """Fill one score of one scenario, by block; a score of 1 goes into the last bin.

    Args:
        histogram: Of one dataset, as `block_histogram` makes it.
        jets: The nominal jets.
        block: Of each jet, shape ``(n_jets,)``.
        values: The score of each jet, shape ``(n_jets,)``.
        scenario: Whose score.
    """
    axes: Any = histogram.axes
    n_blocks, n_bins = axes["block"].size, axes["value"].size
    value = axes["value"].index(np.clip(values, axes["value"].edges[0], _HIGHEST))
    place = axes["scenario"].index(scenario.label)
    for row, sign in enumerate(SIGNS):
        chosen = jets.sign == sign
        cells = block[chosen] * n_bins + value[chosen]
        counts = np.bincount(cells, jets.weight[chosen], minlength=n_blocks * n_bins)
        histogram.view()[0, :, row, place] += counts.reshape(n_blocks, n_bins)
