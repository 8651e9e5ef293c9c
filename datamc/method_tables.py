"""The tables that compare methods of training, as they lie on disk."""

from typing import NamedTuple


class MethodRow(NamedTuple):
    """A method in one scenario of data, selection, score and measure. Errors are one standard deviation.

    A number is 0 where it is unknown, its error likewise.
    """

    scenario: str
    """Which data: `data`, another scenario, or `null` (data that differ by chance alone)."""
    selection: str
    score: str
    measure: str
    """`kl`, `kl_equal`, `js`, `emd` or `auc`."""
    method: str
    reference: str
    n_seeds: int
    auc: float
    """Of the score on unseen jets, the mean over seeds."""
    auc_error: float
    """From the scatter of the seeds."""
    auc_attacked: float
    """The same under attack."""
    excess: float
    """The measure beyond statistics, the mean over seeds."""
    excess_error: float
    offset: float
    """What statistics add to the measure; it is subtracted already."""
    pull: float
    """`excess` over its error: against no difference between data and simulation."""
    ratio_basic: float
    """`excess` over that of the reference."""
    ratio_basic_error: float
    ratio_curve: float
    """`excess` over that of the reference with noise, at the same AUC: below 1 is worth something."""
    ratio_curve_error: float
    ratio_curve_events: float
    """The part of this error that is due to the number of events, the same for all seeds."""
    ratio_curve_seeds: float
    """The part that is due to the number of seeds."""
    ratio_curve_areas: float
    """The part that is due to the number of jets that the AUC is measured on, where it was given."""
    significance: float
    """(1 - `ratio_curve`) over its error: positive where the method is better than a loss of performance."""
    ratio_early: float
    """`excess` over that of the reference stopped early, at the same AUC."""
    ratio_early_error: float
    chi2_per_degree: float
    """Of the shapes, the mean over seeds."""
    p_value: float
    """Of the mean chi2 and its mean degrees of freedom."""
    status: str
    """`ok`; `above`: larger AUC than the reference, compared with it without noise; `below`: less than with
    the largest noise; `weak`: the reference is less than two errors above statistics, the ratio says nothing;
    `no_excess`: it is below; `unstable`: the measure jumps from replica to replica, as with bins that are
    nearly empty, and has no error to rely on."""


class SeedRow(NamedTuple):
    """One training of a method, as a point beside the mean."""

    scenario: str
    selection: str
    score: str
    measure: str
    method: str
    tagger: str
    epoch: int
    auc: float
    excess: float
    ratio_curve: float


class PairRow(NamedTuple):
    """`ratio_curve` of one method minus that of another, with its own error: both see the same events."""

    scenario: str
    selection: str
    score: str
    measure: str
    method: str
    other: str
    difference: float
    error: float
    significance: float
    """`difference` over `error`: negative if `method` is better."""


class ReferencePoint(NamedTuple):
    """The reference, averaged over its seeds, with noise on its log-odds or stopped early."""

    scenario: str
    selection: str
    score: str
    measure: str
    kind: str
    """`noise` or `early`."""
    step: float
    """Width of the noise, or epoch."""
    auc: float
    excess: float
    error: float
    """From the number of events."""


class MethodStudy(NamedTuple):
    """All rows of one result."""

    rows: list[MethodRow]
    seeds: list[SeedRow]
    pairs: list[PairRow]
    curves: list[ReferencePoint]
