"""The divergence of data from simulation as the thesis defines it, and the row that tells it with others."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from datamc.measures import Floats, kullback_leibler, normalised
from storage.tables import read_table, write_table


class DivergenceRow(NamedTuple):
    """The disagreement of one score: one selection, checkpoint and variant of the simulation.

    Errors are one standard deviation, 0 where unknown. An `offset` is what statistics alone are expected to
    contribute; a measure minus its offset is what is comparable between taggers.
    """

    selection: str
    score: str
    tagger: str
    epoch: int
    variant: str
    kl: float
    """Divergence of data from simulation in nats; 0 where `status` is not `ok`."""
    low: float
    """Lower end of the 68 % bootstrap band around `kl`, at least 0."""
    high: float
    offset: float
    """What statistics alone are expected to contribute to `kl`."""
    chi2: float
    n_degrees: int
    """Degrees of freedom of `chi2`: bins with content, less one for the normalisation."""
    n_data: float
    """Effective number of jets in data: the sum squared over the variance (smaller than the sum in OS-SS)."""
    n_mc: float
    """Effective number of jets in simulation."""
    dropped_fraction: float
    """Share of the absolute content of data in bins left out since data or simulation are negative there."""
    n_replaced: int
    """Bins where data have jets but simulation has none."""
    status: str
    """`ok`, `empty_data`, `empty_mc`, or `no_scores` where jets got no scores (`datamc.unscored`)."""
    error: float = 0.0
    """Of `kl`."""
    offset_replicas: float = 0.0
    """What statistics add to `kl` in the replicas; unlike `offset` it knows weights and same sign. 0 without
    blocks."""
    kl_equal: float = 0.0
    """The divergence in bins of equal population of the simulation of this very row."""
    kl_equal_error: float = 0.0
    kl_equal_offset: float = 0.0
    n_equal_bins: int = 0
    """How many there are: fewer than wanted where many jets share one score."""
    js: float = 0.0
    """Jensen-Shannon divergence in the 60 bins, in nats: at most ln 2."""
    js_error: float = 0.0
    js_offset: float = 0.0
    emd: float = 0.0
    """Earth mover's distance in the 60 bins, in units of the score."""
    emd_error: float = 0.0
    emd_offset: float = 0.0
    shape_chi2: float = 0.0
    """Chi2 of the shapes, the factor between them free, in bins that hold enough jets."""
    shape_degrees: int = 0
    p_value: float = 1.0
    """How often chance alone exceeds `shape_chi2`."""
    data_mc_auc: float = 0.5
    """Area under the ROC curve of data against simulation; no monotone change of the score changes it."""
    auc: float = 0.0
    """6 (`data_mc_auc` - 1/2)^2 in nats: the part of the divergence that a trend in the rank explains."""
    auc_error: float = 0.0
    auc_offset: float = 0.0
    n_blocks: int = 0
    """Blocks of events behind the errors; 0: bins fluctuate one by one, and rows share no replicas."""

    @property
    def kl_equal_excess(self) -> float:
        """As `excess`, in bins of equal population."""
        return self.kl_equal - self.kl_equal_offset

    @property
    def excess(self) -> float:
        """Divergence beyond what statistics alone are expected to give; below 0 by chance.

        Only this can be compared between taggers: one that fills fewer bins has a smaller offset.
        """
        return self.kl - self.offset


class Distance(NamedTuple):
    """The divergence and what was done to the bins for it (leading axes `...`)."""

    kl: Floats
    dropped_fraction: Floats
    n_replaced: NDArray[np.int_]


def kl_divergence(data: ArrayLike, mc: ArrayLike) -> float:
    r"""Return the divergence of data from simulation, in nats.

    .. math:: D(P \parallel Q) = \sum_k P_k \ln (P_k / Q_k)

    Bins in which either is negative (OS-SS) count as empty in both. What is left is normalised to one, so
    only the shapes count; then an empty bin of the simulation becomes 1e-5 where data have jets.

    Args:
        data: Jets in data per bin, shape `(n_bins,)`.
        mc: Jets in simulation per bin, summed over flavours, shape `(n_bins,)`.

    Returns:
        The divergence; 0 where the shapes agree.

    Raises:
        ValueError: If the shapes differ, or no jet of data or simulation is left.

    Source:
        Thesis, Eq. A.1 and the text below it.
    """
    p, q = np.asarray(data, dtype=np.float64), np.asarray(mc, dtype=np.float64)
    if p.shape != q.shape:
        raise ValueError(f"data has shape {p.shape} but mc has shape {q.shape}: rebin one of them")
    is_kept = (p >= 0) & (q >= 0)
    for name, counts in (("data", p), ("mc", q)):
        if not counts[is_kept].sum() > 0:
            raise ValueError(f"{name} has no jets in bins that are not negative: nothing can be compared")
    return float(distance(p, q).kl)


def distance(data: Floats, mc: Floats) -> Distance:
    """Return `kl_divergence` along the last axis, for many histograms at once; 0 where one is empty."""
    p, q = normalised(data, mc)
    has_both = p.any(axis=-1) & q.any(axis=-1)
    kl = np.where(has_both, kullback_leibler(p, q), 0.0)
    content = np.abs(data)
    dropped = np.where((data >= 0) & (mc >= 0), 0.0, content).sum(axis=-1)
    total = content.sum(axis=-1)
    fraction = np.divide(dropped, total, out=np.zeros_like(total), where=total > 0)
    return Distance(kl, fraction, ((p > 0) & (q == 0)).sum(axis=-1))


def chi_squared(data: Floats, data_variance: Floats, mc: Floats, mc_variance: Floats) -> tuple[float, int]:
    """Return chi2 of data and simulation (as scaled) and its degrees of freedom: filled bins less one."""
    variance = data_variance + mc_variance
    is_filled = variance > 0
    chi2 = float(((data - mc)[is_filled] ** 2 / variance[is_filled]).sum())
    return chi2, max(int(is_filled.sum()) - 1, 0)


def statistical_offset(n_data: float, n_mc: float, *, n_bins: int) -> float:
    """Return the divergence that two samples of the same distribution have on average.

    It is (n_bins - 1) / 2 (1 / n_data + 1 / n_mc), the leading term of chi2 / (2 N) for both samples; 0
    without jets.
    """
    if n_data <= 0 or n_mc <= 0:
        return 0.0
    return 0.5 * (n_bins - 1) * (1 / n_data + 1 / n_mc)


def write_divergence(rows: Iterable[DivergenceRow], path: Path) -> None:
    """Write the table as CSV with a header line."""
    write_table(rows, path, kind=DivergenceRow)


def read_divergence(path: Path) -> list[DivergenceRow]:
    """Read a table of divergences.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a table of divergences.
    """
    return read_table(path, kind=DivergenceRow, unknown=())
