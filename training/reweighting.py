"""Weights that give every flavour the same (pT, eta) shape and the same share of the loss.

Source: thesis, section 2.3.1 (calculating weights).
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.features import FLAVOURS
from training.config import Reweighting
from training.splitting import uniform_of

PT_RANGE: Final = (20.0, 1000.0)
"""GeV."""
ETA_RANGE: Final = (-2.5, 2.5)


def count_jets(
    pt: NDArray[np.float32],
    eta: NDArray[np.float32],
    labels: NDArray[np.uint8],
    *,
    pt_bins: int,
    eta_bins: int,
) -> NDArray[np.int64]:
    """Return the number of jets per flavour and bin, shape ``(4, pt_bins, eta_bins)``.

    Jets outside the ranges count in the bin at the edge; the cleaning leaves none.
    """
    cells = np.ravel_multi_index(
        (labels.astype(np.intp), _bin_of(pt, PT_RANGE, pt_bins), _bin_of(eta, ETA_RANGE, eta_bins)),
        (len(FLAVOURS), pt_bins, eta_bins),
    )
    counts = np.bincount(cells, minlength=len(FLAVOURS) * pt_bins * eta_bins)
    # One axis per flavour, pT and eta: (4 * pt_bins * eta_bins,) -> (4, pt_bins, eta_bins).
    return counts.reshape(len(FLAVOURS), pt_bins, eta_bins)


def weight_table(
    counts: NDArray[np.int64], *, method: Reweighting, balance_flavours: bool = True, cap: float | None = None
) -> NDArray[np.float64]:
    """Return the weight of a jet per flavour and bin, its mean over jets 1, shape ``(4, pt_bins, eta_bins)``.

    A bin without jets of a flavour has no weight to give (0), so the flavour falls short of its share by what
    the target holds there: under 0.2 % for a hundred million jets, most of it for a hundred thousand. Hence
    `balance_flavours`.

    Args:
        counts: Jets of the training split, from `count_jets`.
        method: The target: average of the flavours' shapes, flat, or none (all weights 1); resample is that
            of average.
        balance_flavours: Scale each flavour to the same sum of weights.
        cap: No weight above this multiple of its flavour's mean weight, applied before balancing.
    """
    if method == "none":
        return np.ones(counts.shape)
    table = flat_weights(counts) if method == "flat" else average_weights(counts)
    if cap is not None:
        flavour_means = _quotient(_sum_over_bins(table * counts), _sum_over_bins(counts))
        table = np.minimum(table, cap * flavour_means)
    if balance_flavours:
        table = _quotient(table, _sum_over_bins(table * counts))
    table *= counts.sum() / (table * counts).sum()
    return table


def average_weights(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    r"""Return weights that give every flavour the average shape, not normalised, shape of `counts`.

    .. math:: w_f = \frac{\frac14 \sum_g p_g}{p_f} \cdot \frac{1/N_f}{\sum_g 1/N_g}, \qquad p_f = n_f / N_f

    A flavour without any jet takes no part in the average; empty bins have weight 0.

    Source:
        Thesis, section 2.3.1, first strategy.
    """
    totals = _sum_over_bins(counts)
    shapes = _quotient(counts, totals)
    target = shapes.sum(axis=0) / np.count_nonzero(totals)
    class_weights = _quotient(1.0, totals) / _quotient(1.0, totals).sum()
    weights: NDArray[np.float64] = _quotient(target, shapes) * class_weights
    return weights


def flat_weights(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    r"""Return weights that make every flavour flat in (pT, eta), not normalised, shape of `counts`.

    .. math:: w_f = \frac{N_\mathrm{tot} / n_\mathrm{bins}}{n_f}

    Empty bins have weight 0.

    Source:
        Thesis, section 2.3.1, second strategy.
    """
    return _quotient(counts.sum() / counts[0].size, counts)


def weights_of(
    table: NDArray[np.float64], pt: NDArray[np.float32], eta: NDArray[np.float32], labels: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Return the weight of each jet, shape ``(n_jets,)``; float32, for float16 would round many to 0."""
    _, pt_bins, eta_bins = table.shape
    cells = (labels.astype(np.intp), _bin_of(pt, PT_RANGE, pt_bins), _bin_of(eta, ETA_RANGE, eta_bins))
    return table[cells].astype(np.float32)


def resampled(weights: NDArray[np.float32], keys: NDArray[np.uint64], *, seed: int) -> NDArray[np.intp]:
    """Return indices that take each jet as often as its weight says, on average, shuffled.

    A jet of weight 2.3 is taken twice, and a third time with probability 0.3, which is decided by what names
    the jet and so does not depend on the order or on other jets. Drawn once, when the jets are written: no
    jet is looked up among all others, so any number of jets can be drawn from, and the training needs to know
    nothing of it. The price: a jet that was not drawn is never seen.

    Args:
        weights: Mean 1 over all jets, shape ``(n_jets,)``.
        keys: As in `training.splitting.split_of`, shape ``(n_jets, 4)``.
        seed: Another seed is another draw.
    """
    copies = np.floor(weights + uniform_of(keys, seed=seed)).astype(np.intp)
    indices = np.repeat(np.arange(len(weights)), copies)
    return np.random.default_rng([seed, len(indices)]).permutation(indices)


def effective_jets(table: NDArray[np.float64], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return how many jets of equal weight each flavour is worth, (sum w)^2 / sum w^2, shape ``(4,)``."""
    return _quotient(_sum_over_bins(table * counts) ** 2, _sum_over_bins(table**2 * counts))[:, 0, 0]


def _sum_over_bins(values: NDArray[Any]) -> NDArray[Any]:
    """Return one sum per flavour, shape ``(4, 1, 1)``."""
    return np.asarray(values.sum(axis=(1, 2), keepdims=True))


def _quotient(numerator: NDArray[Any] | float, denominator: NDArray[Any]) -> NDArray[np.float64]:
    """Return the quotient, and 0 where the denominator is 0."""
    shape = np.broadcast_shapes(np.shape(numerator), denominator.shape)
    quotient: NDArray[np.float64] = np.divide(
        numerator, denominator, out=np.zeros(shape), where=denominator > 0
    )
    return quotient


def _bin_of(values: NDArray[np.float32], limits: tuple[float, float], n_bins: int) -> NDArray[np.intp]:
    edges = np.linspace(*limits, n_bins + 1)
    return np.clip(np.searchsorted(edges, values, side="right") - 1, 0, n_bins - 1)
