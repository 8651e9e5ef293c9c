"""Which way to train makes data and simulation agree, at equal performance: one row per method.

A *method* was trained with several seeds. What is compared is the mean over them of a measure beyond
statistics, over that of the reference method, and over that of the reference with as much noise on its
log-odds as takes it to the same AUC (`datamc.reference_curve`).
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from datamc.records import Result
from datamc.reference_curve import Areas


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
    the largest noise; `no_excess`: nothing is left of the reference beyond statistics."""


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


def method_study(
    result: Result,
    *,
    scenario: str,
    methods: Mapping[str, Sequence[str]],
    areas: Areas,
    attacked: Mapping[tuple[str, str], float] | None = None,
    reference: str = "basic",
    epoch: int | None = None,
    scores: Sequence[str] | None = None,
    n_bootstrap: int = 200,
    seed: int = 1,
) -> MethodStudy:
    """Return all methods of one selection and scenario compared.

    Args:
        result: With scores by blocks of events.
        scenario: What its data are, for the rows.
        methods: The taggers of each method, one per seed.
        areas: AUC of all checkpoints with noise on their log-odds, as `noised_areas.csv` holds them.
        attacked: AUC under attack by (tagger, score).
        reference: The method that others are compared with.
        epoch: Of all trainings; the last of each by default.
        scores: The scores to compare; all by default.
        n_bootstrap: Replicas of data and simulation behind each error.
        seed: Of the replicas.

    Raises:
        ValueError: If the result holds no blocks of events, or a tagger or the reference is missing.
    """
    raise NotImplementedError


def method_rows(
    result: Result,
    *,
    scenario: str,
    methods: Mapping[str, Sequence[str]],
    areas: Areas,
    attacked: Mapping[tuple[str, str], float] | None = None,
    reference: str = "basic",
    epoch: int | None = None,
    n_bootstrap: int = 200,
    seed: int = 1,
) -> list[MethodRow]:
    """Return the rows of `method_study` alone."""
    return method_study(
        result, scenario=scenario, methods=methods, areas=areas, attacked=attacked, reference=reference,
        epoch=epoch, n_bootstrap=n_bootstrap, seed=seed,
    ).rows  # fmt: skip
