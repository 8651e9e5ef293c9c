"""How far data are from simulation, per selection, score, checkpoint and variant: divergence, band, chi2."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from datamc.bootstrap import divergence_band, poisson_replicas
from datamc.histograms import Floats, scores_of, taggers_of, variants_of
from datamc.normalisation import View, combine_signs, default_view, normalisation
from datamc.records import Result
from datamc.templates import signed_templates
from storage.tables import read_table, write_table

EMPTY_BIN = 1e-5
"""What replaces an empty bin of the normalised simulation where data have jets (thesis, section A.5.3)."""

logger = logging.getLogger(__name__)


class DivergenceRow(NamedTuple):
    """The disagreement of one score: one selection, checkpoint and variant of the simulation."""

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
    """`ok`, `empty_data` or `empty_mc`."""

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
    is_kept = (data >= 0) & (mc >= 0)
    p = _normalised(np.where(is_kept, data, 0.0))
    q = _normalised(np.where(is_kept, mc, 0.0))
    has_both = p.any(axis=-1) & q.any(axis=-1)
    is_replaced = (p > 0) & (q == 0)
    q = _normalised(np.where(is_replaced, EMPTY_BIN, q))
    ratio = np.divide(p, q, out=np.ones_like(p), where=p > 0)
    kl = np.einsum("...k,...k->...", p, np.log(ratio))
    content = np.abs(data)
    dropped = _ratio(np.where(is_kept, 0.0, content).sum(axis=-1), content.sum(axis=-1))
    kl = np.where(has_both, np.maximum(kl, 0.0), 0.0)
    return Distance(kl, dropped, is_replaced.sum(axis=-1))


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


def divergence_table(
    results: Mapping[str, Result],
    *,
    n_bootstrap: int = 200,
    seed: int = 0,
    scores: Sequence[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[DivergenceRow]:
    """Return the disagreement of every selection, score, checkpoint and variant.

    A result without data (the inclusive selection) is left out, which the log tells.

    Args:
        results: One result per selection.
        n_bootstrap: Replicas of data and simulation behind each band; with 0 the band is the value itself.
        seed: Of the replicas; a row's band depends on nothing but its own histograms and this.
        scores: The scores to compare; all by default.
        progress: Called with (done, total) scores.
    """
    compared = [result for result in results.values() if _has_data(result)]
    tasks = [(r, score) for r in compared for score in scores_of(r) if scores is None or score in scores]
    rows = []
    for done, (result, score) in enumerate(tasks, start=1):
        rows += _rows_of_score(result, score, n_bootstrap=n_bootstrap, seed=seed)
        if progress:
            progress(done, len(tasks))
    return rows


def write_divergence(rows: Iterable[DivergenceRow], path: Path) -> None:
    """Write the table as CSV with a header line."""
    write_table(rows, path, kind=DivergenceRow)


def read_divergence(path: Path) -> list[DivergenceRow]:
    """Read a table of divergences.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a table of divergences.
    """
    return read_table(path, kind=DivergenceRow)


def _has_data(result: Result) -> bool:
    has_data = any(record.is_data for record in result.datasets.values())
    if not has_data:
        logger.info("%s: no data in this result, nothing to compare simulation with", result.selection)
    return has_data


def _rows_of_score(result: Result, score: str, *, n_bootstrap: int, seed: int) -> list[DivergenceRow]:
    factor = normalisation(result).factor
    view = default_view(result.selection)
    key = f"{result.selection}/{score}"
    rows = []
    for tagger, epoch in taggers_of(result):
        recorded: Floats | None = None
        for variant in variants_of(result):
            signed = signed_templates(result, score, tagger=tagger, epoch=epoch, variant=variant)
            mc, mc_variance = factor * signed.mc.sum(axis=0), factor**2 * signed.mc_variance.sum(axis=0)
            if recorded is None:  # data and their replicas are the same for every variant
                recorded = poisson_replicas(
                    signed.data, signed.data_variance, n=n_bootstrap, seed=seed, key=f"data/{key}"
                )
            simulated = poisson_replicas(mc, mc_variance, n=n_bootstrap, seed=seed, key=f"mc/{key}")
            compared = _compare(
                combine_signs(signed.data, signed.data_variance, view, axis=0),
                combine_signs(mc, mc_variance, view, axis=0),
                distance(_combined(recorded, view), _combined(simulated, view)).kl,
            )
            rows.append(DivergenceRow(result.selection, score, tagger, epoch, variant, *compared))
    return rows


def _combined(replicas: Floats, view: View) -> Floats:
    return combine_signs(replicas, replicas, view, axis=1)[0]


class _Comparison(NamedTuple):
    """The measured columns of a `DivergenceRow`, in its order."""

    kl: float
    low: float
    high: float
    offset: float
    chi2: float
    n_degrees: int
    n_data: float
    n_mc: float
    dropped_fraction: float
    n_replaced: int
    status: str


def _compare(data: tuple[Floats, Floats], mc: tuple[Floats, Floats], replicas: Floats) -> _Comparison:
    """Compare (values, variances) of data and simulation, shape `(n_bins,)` each."""
    chi2, n_degrees = chi_squared(*data, *mc)
    n_data, n_mc = _effective_sum(*data), _effective_sum(*mc)
    measured = distance(data[0], mc[0])
    kl = float(measured.kl)
    is_kept = (data[0] >= 0) & (mc[0] >= 0)
    status = "ok"
    if not mc[0][is_kept].sum() > 0:
        status = "empty_mc"
    if not data[0][is_kept].sum() > 0:
        status = "empty_data"
    offset = statistical_offset(n_data, n_mc, n_bins=n_degrees + 1)
    low, high = divergence_band(kl, replicas, offset=offset) if status == "ok" else (0.0, 0.0)
    dropped, n_replaced = float(measured.dropped_fraction), int(measured.n_replaced)
    return _Comparison(kl, low, high, offset, chi2, n_degrees, n_data, n_mc, dropped, n_replaced, status)


def _effective_sum(values: Floats, variances: Floats) -> float:
    total, variance = float(values.sum()), float(variances.sum())
    return total**2 / variance if variance > 0 else 0.0


def _normalised(counts: Floats) -> Floats:
    """Return counts over their sum along the last axis; all zero where there is none."""
    return _ratio(counts, np.broadcast_to(counts.sum(axis=-1, keepdims=True), counts.shape))


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)
