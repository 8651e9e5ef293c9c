"""Scale factors by the published iteration: each flavour moves in small steps towards its own target.

It is here for parity with published numbers. Where it converges it ends at the solution of A x = d
(`datamc.solve`); where its spectral radius is not below 1 it does not, however good its chi2 looks, and the
status says so.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamc.cells import PUBLISHED_BINNING, Binning
from datamc.histograms import Floats
from datamc.scale_factors import Statuses
from datamc.solve import STATUS_TYPE, CellSolution, effective_jets, row_condition, spectral_radius

_NEVER = np.inf


class IterativeOptions(NamedTuple):
    """The constants of the iteration.

    Source:
        The published fit (CMS-BTV-20-001 and its code); the thesis has a learning rate of 0.002.
    """

    learning_rate: float = 0.005
    """Largest step of a scale factor in one sweep."""
    max_sweeps: int = 2000
    patience: int = 50
    """Sweeps without a better chi2 after which a slice is done."""
    own_binning: bool = True
    """Whether each flavour merges fine bins by its own target; else in the common cells of all flavours."""
    min_purity: float = 0.1
    min_jets: float = 5.0
    """Of the signature flavour and in all, as sums of weights."""
    tolerance: float = 1e-3
    """Distance of a scale factor from its target above which it is `unconverged`."""
    fixed_error: float = 1.0
    """Error of a scale factor whose target was set to 1."""


DEFAULT_ITERATION = IterativeOptions()


class Slices(NamedTuple):
    """Data and simulation in the fine bins of slices of CvsB; slices are fitted apart from each other."""

    data: Floats
    """Shape `(n_slices, n_selections, n_bins)`. So are the variances."""
    data_variance: Floats
    mc: Floats
    """Shape `(n_slices, n_selections, n_flavours, n_bins)`. So are the variances."""
    mc_variance: Floats

    def part(self, chosen: NDArray[np.bool_]) -> "Slices":
        """Return some of the slices."""
        return Slices(*(column[chosen] for column in self))


class Iterated(NamedTuple):
    """What the iteration ended with, and how it went there."""

    value: Floats
    """Scale factors at the best chi2, shape `(n_slices, n_flavours, n_bins)`."""
    error: Floats
    """Same shape: the published error of the target, without correlations."""
    distance: Floats
    """Of the factors from their targets, same shape."""
    status: Statuses
    """Same shape."""
    group: NDArray[np.intp]
    """Number of the merged bin that each fine bin belongs to, same shape."""
    chi2: Floats
    """After every sweep, shape `(n_sweeps, n_slices)`; NaN once a slice is done."""
    best: NDArray[np.intp]
    """The sweep with the best chi2, from 0 on, shape `(n_slices,)`."""


class _Targets(NamedTuple):
    """Of one flavour per slice, each of shape `(n_slices, n_bins)`."""

    value: Floats
    error: Floats
    status: Statuses


def iterate(
    slices: Slices,
    options: IterativeOptions = DEFAULT_ITERATION,
    *,
    binning: Binning = PUBLISHED_BINNING,
    groups: NDArray[np.intp] | None = None,
    start: Floats | None = None,
) -> Iterated:
    """Return the scale factors of all slices, flavour f being the signature of selection number f.

    Args:
        slices: Data and simulation.
        options: The constants.
        binning: When a merged bin is full.
        groups: Which fine bins share a factor, shape `(n_slices, n_flavours, n_bins)`; by default each
            flavour merges its own in the first sweep, and keeps them.
        start: Scale factors to begin with, shape `(n_slices, n_flavours, n_bins)`; 1 if not given.
    """
    n_slices, _, n_flavours, n_bins = slices.mc.shape
    order = _order(slices)
    value = np.ones((n_slices, n_flavours, n_bins)) if start is None else start.copy()
    group = np.zeros((n_slices, n_flavours, n_bins), dtype=np.intp) if groups is None else groups
    best_value, best_chi2 = value.copy(), np.full(n_slices, _NEVER)
    best, history = np.zeros(n_slices, dtype=np.intp), []
    active = np.ones(n_slices, dtype=bool)
    for sweep in range(options.max_sweeps):
        moved, own, merged = value[active], slices.part(active), group[active]
        for flavour in order[active].T:
            if sweep == 0 and groups is None:
                rows = np.arange(len(moved))
                merged[rows, flavour] = _merge(*_remainder(moved, own, flavour), binning)
            _move(moved, own, flavour, merged, options)
        value[active], group[active] = moved, merged
        chi2 = np.full(n_slices, np.nan)
        chi2[active] = _chi2(moved, own)
        history.append(chi2)
        is_better = chi2 < best_chi2
        best_value[is_better], best[is_better] = value[is_better], sweep
        best_chi2 = np.where(is_better, chi2, best_chi2)
        active &= sweep - best < options.patience
        if not active.any():
            break
    targets = [_targets(best_value, slices, np.full(n_slices, f), group, options) for f in range(n_flavours)]
    status = np.stack([target.status for target in targets], axis=1)
    distance = np.abs(np.stack([target.value for target in targets], axis=1) - best_value)
    status = np.where((status == "ok") & (distance > options.tolerance), "unconverged", status)
    error = np.stack([target.error for target in targets], axis=1)
    return Iterated(best_value, error, distance, status.astype(STATUS_TYPE), group, np.stack(history), best)


def solution_of(slices: Slices, iterated: Iterated) -> CellSolution:
    """Return the result in cells `(n_slices, n_bins)`: with the spectral radius of each, and what it forbids.

    A factor in a cell with a radius of 1 or more is `unconverged`, since the iteration has no fixed point
    there; one that is not positive is `nonpositive` and 1.
    """
    matrix = np.moveaxis(slices.mc, -1, 1)
    variance = np.moveaxis(slices.mc_variance, -1, 1)
    status = np.moveaxis(iterated.status, -1, 1)
    value, error = np.moveaxis(iterated.value, -1, 1), np.moveaxis(iterated.error, -1, 1)
    merged = _merged_matrix(slices, iterated.group)
    condition = row_condition(merged)
    radius = spectral_radius(_in_order(_with_fixed_rows(merged, status), _order(slices)))
    status = np.where((radius[..., None] >= 1) & (status == "ok"), "unconverged", status)
    is_negative = value <= 0
    status = np.where(is_negative, "nonpositive", status).astype(STATUS_TYPE)
    value = np.where(is_negative, 1.0, value)
    covariance = error[..., :, None] ** 2 * np.eye(value.shape[-1])
    n_effective = effective_jets(matrix, variance)
    return CellSolution(value, covariance, status, radius, condition, n_effective)


def _merged_matrix(slices: Slices, group: NDArray[np.intp]) -> Floats:
    """Return per fine bin the templates that its three factors are fitted to, `(n_slices, n_bins, s, f)`.

    Row s is summed over the bins that flavour s merged.
    """
    rows = [
        _over_group(slices.mc[:, s], group[:, s][:, None, :]) for s in range(slices.mc.shape[1])
    ]  # each (n_slices, n_flavours, n_bins)
    return np.moveaxis(np.stack(rows, axis=1), -1, 1)


def _with_fixed_rows(matrix: Floats, status: Statuses) -> Floats:
    """Return the matrix of the iteration: a flavour whose target is 1 feels no other."""
    is_fixed = (status != "ok") & (status != "unconverged")
    return np.where(is_fixed[..., None], np.eye(matrix.shape[-1]), matrix)


def _in_order(matrix: Floats, order: NDArray[np.intp]) -> Floats:
    """Return matrices `(n_slices, n_bins, s, f)` with selections and flavours in the order of the sweep."""
    ordered = np.take_along_axis(matrix, order[:, None, :, None], axis=2)
    return np.take_along_axis(ordered, order[:, None, None, :], axis=3)


def _order(slices: Slices) -> NDArray[np.intp]:
    """Return the selections of each slice by the purity of their signature, highest first."""
    jets = slices.mc.sum(axis=-1)
    total = jets.sum(axis=-1)
    signature = np.diagonal(jets, axis1=-2, axis2=-1)
    purity = np.divide(signature, total, out=np.full_like(total, -_NEVER), where=total > 0)
    return np.argsort(-purity, axis=-1, kind="stable")


def _move(
    value: Floats,
    slices: Slices,
    flavour: NDArray[np.intp],
    group: NDArray[np.intp],
    options: IterativeOptions,
) -> None:
    """Move one flavour per slice towards its target, in place."""
    rows = np.arange(len(value))
    target = _targets(value, slices, flavour, group, options).value
    step = np.clip(target - value[rows, flavour], -options.learning_rate, options.learning_rate)
    value[rows, flavour] += step


def _remainder(
    value: Floats, slices: Slices, flavour: NDArray[np.intp]
) -> tuple[Floats, Floats, Floats, Floats]:
    """Return data minus the other flavours, and the signature template, with variances; `(n_slices, n_bins)`.

    The selection is the flavour's own; a negative factor of another flavour counts as 0.
    """
    rows = np.arange(len(value))
    own, own_variance = slices.mc[rows, flavour], slices.mc_variance[rows, flavour]
    others = np.maximum(value, 0.0)
    others[rows, flavour] = 0.0
    remainder = slices.data[rows, flavour] - (others * own).sum(axis=1)
    variance = slices.data_variance[rows, flavour] + (others**2 * own_variance).sum(axis=1)
    return remainder, variance, own[rows, flavour], own_variance[rows, flavour]


def _merge(
    remainder: Floats,
    variance: Floats,
    template: Floats,
    template_variance: Floats,
    binning: Binning,
) -> NDArray[np.intp]:
    """Return the number of the merged bin of each fine bin: from the left, until its error is small."""
    parts = [remainder, variance, template, template_variance]
    n_slices, n_bins = remainder.shape
    sums = np.zeros((4, n_slices))
    group = np.zeros((n_slices, n_bins), dtype=np.intp)
    number, size = np.zeros(n_slices, dtype=np.intp), np.zeros(n_slices, dtype=np.intp)
    for i in range(n_bins):
        sums += np.stack([part[:, i] for part in parts])
        group[:, i] = number
        size += 1
        error = _relative(sums[1], sums[0]) + _relative(sums[3], sums[2])
        is_full = (error <= binning.target_error) | (size >= binning.max_merge)
        number, size = number + is_full, np.where(is_full, 0, size)
        sums[:, is_full] = 0.0
    return group


def _relative(variance: Floats, value: Floats) -> Floats:
    return np.divide(
        np.sqrt(np.abs(variance)), np.abs(value), out=np.full_like(value, _NEVER), where=value != 0
    )


def _targets(
    value: Floats,
    slices: Slices,
    flavour: NDArray[np.intp],
    group: NDArray[np.intp],
    options: IterativeOptions,
) -> _Targets:
    """Return where one flavour per slice wants to go, with the error of that."""
    rows = np.arange(len(value))
    own = group[rows, flavour]
    remainder, variance, template, template_variance = (
        _over_group(part, own) for part in _remainder(value, slices, flavour)
    )
    total = _over_group(slices.mc[rows, flavour].sum(axis=1), own)
    is_rare = (template < options.min_jets) | (total < options.min_jets)
    is_negative = (template <= 0) | (total <= 0) | (remainder <= 0)
    is_impure = template < options.min_purity * total
    status = np.select(
        [is_rare, is_negative, is_impure], ["low_stat", "nonpositive", "low_purity"], default="ok"
    ).astype(STATUS_TYPE)
    is_ok = status == "ok"
    safe, ratio = np.where(is_ok, template, 1.0), np.where(is_ok, remainder, 1.0)
    target = np.where(is_ok, ratio / safe, 1.0)
    error = target * np.sqrt(np.abs(variance) / ratio**2 + np.abs(template_variance) / safe**2)
    return _Targets(target, np.where(is_ok, error, options.fixed_error), status)


def _over_group(part: Floats, group: NDArray[np.intp]) -> Floats:
    """Return in each fine bin the sum over its group, shape of `part`; groups are runs of bins."""
    index = np.broadcast_to(group, part.shape).reshape(-1, part.shape[-1])
    n_rows, n_bins = index.shape
    flat = (index + n_bins * np.arange(n_rows)[:, None]).ravel()
    sums = np.bincount(flat, weights=part.ravel(), minlength=n_rows * n_bins)
    return np.asarray(sums[flat].reshape(part.shape))


def _chi2(value: Floats, slices: Slices) -> Floats:
    """Return the chi2 of data and scaled simulation over selections and fine bins, shape `(n_slices,)`."""
    mc = (value[:, None] * slices.mc).sum(axis=2)
    variance = (value[:, None] ** 2 * slices.mc_variance).sum(axis=2) + slices.data_variance
    squares = (mc - slices.data) ** 2
    ratio = np.divide(squares, variance, out=np.zeros_like(squares), where=variance > 0)
    return np.asarray(ratio.sum(axis=(1, 2)))
