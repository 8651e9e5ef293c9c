"""All measures of one score from replicas of its blocks of events, also with noise on its log-odds."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamc.blocks import BlockReader
from datamc.differences import Measured
from datamc.histograms import DATA_VARIANT, Floats, bin_edges
from datamc.measures import (
    data_mc_area,
    earth_movers_distance,
    equal_population_bins,
    jensen_shannon,
    kullback_leibler,
    normalised,
    rank_divergence,
)
from datamc.records import Result
from datamc.reference_curve import Curve, noise_matrix
from datamc.replicas import draw_weights, linear_error, spread, with_replicas

MEASURES = ("kl", "kl_equal", "js", "emd", "auc")
"""What a difference is measured in."""

EQUAL_BINS = 20
"""Bins of equal population that are wanted, beside the thesis's 60 uniform ones."""


class Replicated(NamedTuple):
    """Data and simulation of one row in fine bins: first as they are, then their replicas."""

    edges: Floats
    """Shape `(n_fine + 1,)`."""
    data: Floats
    """Shape `(1 + n_replicas, n_fine)`."""
    mc: Floats
    n_blocks: int
    """0 where bins fluctuate one by one."""


class ScoreReplicas:
    """Data and simulation of one score of a result, and their replicas, shared by all checkpoints.

    Args:
        result: The result of one selection.
        score: The name of the score.
        n_bootstrap: How many replicas.
        seed: Of the replicas.

    Raises:
        ValueError: If the result holds no blocks of this score.
    """

    def __init__(self, result: Result, score: str, *, n_bootstrap: int, seed: int) -> None:
        self._reader = BlockReader(result, score)
        self._coarse = bin_edges(result, score)
        self._weights = draw_weights(
            n_bootstrap, self._reader.n_blocks, seed=seed, same_events=result.same_events
        )
        self.edges, self.n_blocks = self._reader.edges, self._reader.n_blocks

    def data(self, tagger: str, epoch: int) -> Floats:
        """Return data of one checkpoint, shape `(1 + n_replicas, n_fine)`."""
        return with_replicas(self._reader.data(tagger=tagger, epoch=epoch), self._weights.data)

    def mc(self, tagger: str, epoch: int, variant: str) -> Floats:
        """Return simulation, likewise."""
        return with_replicas(self._reader.mc(tagger=tagger, epoch=epoch, variant=variant), self._weights.mc)

    def measured(self, tagger: str, epoch: int, *, sigma: float = 0.0) -> dict[str, Measured]:
        """Return every measure of undistorted inputs, with noise on the log-odds of the score."""
        blocks = self._reader.blocks(tagger=tagger, epoch=epoch, variant=DATA_VARIANT)
        noise = noise_matrix(blocks.edges, sigma)
        data = with_replicas(blocks.data @ noise, self._weights.data)
        mc = with_replicas(blocks.mc @ noise, self._weights.mc)
        return measured_by_replicas(Replicated(blocks.edges, data, mc, self.n_blocks), self._coarse)[0]

    def curves(self, tagger: str, epoch: int, noised: Sequence[tuple[float, float]]) -> dict[str, Curve]:
        """Return each measure of one checkpoint against its AUC with rising noise, as (sigma, AUC)."""
        points = [self.measured(tagger, epoch, sigma=sigma) for sigma, _ in noised]
        sigmas, aucs = np.array(noised).T
        return {name: Curve(sigmas, aucs, tuple(point[name] for point in points)) for name in MEASURES}


def measure(replicated: Replicated, edges: Floats) -> tuple[dict[str, Floats], int]:
    """Return every measure, shape `(1 + n_replicas,)`, and the number of bins of equal population.

    Args:
        replicated: In fine bins.
        edges: Those of the 60 uniform bins; they are among the fine ones.
    """
    equal = equal_population_bins(replicated.mc[0], EQUAL_BINS)
    p, q = _shapes(replicated, rebin_starts(replicated.edges, edges))
    values = {
        "kl": kullback_leibler(p, q),
        "kl_equal": kullback_leibler(*_shapes(replicated, equal)),
        "js": jensen_shannon(p, q),
        "emd": earth_movers_distance(p, q, centres_of(edges)),
        "auc": rank_divergence(data_mc_area(replicated.data, replicated.mc)),
    }
    return values, len(equal)


def measured_by_replicas(replicated: Replicated, edges: Floats) -> tuple[dict[str, Measured], int]:
    """Return what `measure` does, with errors and offsets of the replicas.

    They know what no formula does: that noise smooths fluctuations, and that data and simulation may be of
    the same events.
    """
    values, n_equal = measure(replicated, edges)
    found = {}
    for name, each in values.items():
        error, offset = spread(each, n_blocks=replicated.n_blocks)
        found[name] = Measured(each, offset, error)
    # An absolute value is not quadratic: its offset is that of no difference at all.
    return found | {"emd": found["emd"]._replace(offset=_emd_offset(replicated, edges))}, n_equal


def rebin_starts(fine: Floats, coarse: Floats) -> NDArray[np.intp]:
    """Return the fine bin at which each coarse one begins, shape `(n_coarse,)`.

    Raises:
        ValueError: If a coarse edge is none of the fine ones.
    """
    starts = np.abs(fine[:, np.newaxis] - coarse[:-1]).argmin(axis=0)
    if not np.allclose(fine[starts], coarse[:-1], atol=1e-9):
        raise ValueError("the blocks of a score have other bins than its histogram: process it again")
    return np.asarray(starts, dtype=np.intp)


def centres_of(edges: Floats) -> Floats:
    """Return the centres of bins."""
    return 0.5 * (edges[1:] + edges[:-1])


def _shapes(replicated: Replicated, starts: NDArray[np.intp]) -> tuple[Floats, Floats]:
    return normalised(*(np.add.reduceat(part, starts, axis=-1) for part in (replicated.data, replicated.mc)))


def _emd_offset(replicated: Replicated, edges: Floats) -> float:
    """Return the mean distance of two samples of one shape, as `earth_movers_offset`, from the replicas."""
    p, q = _shapes(replicated, rebin_starts(replicated.edges, edges))
    steps = np.cumsum(p - q, axis=-1)[..., :-1]
    errors = linear_error(steps, n_blocks=replicated.n_blocks)
    return float(np.sqrt(2 / np.pi) * errors @ np.diff(centres_of(edges)))
