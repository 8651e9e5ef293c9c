"""Which way to train makes data and simulation agree, at equal performance: one row per method.

A *method* was trained with several seeds. What is compared is the mean over them of a measure beyond
statistics, over that of the reference method, and over that of the reference with as much noise on its
log-odds as takes it to the same AUC (`datamc.reference_curve`).
"""

from collections.abc import Mapping, Sequence

from datamc.area_errors import AreaErrors
from datamc.histograms import DATA_VARIANT, scores_of, taggers_of
from datamc.method_tables import MethodRow, MethodStudy, PairRow, ReferencePoint, SeedRow
from datamc.records import Result
from datamc.reference_curve import Areas
from datamc.scenarios import Scenario
from datamc.score_methods import ScoreMethods
from datamc.score_replicas import ScoreReplicas
from datamc.unscored import without_result

__all__ = ["MethodRow", "MethodStudy", "PairRow", "ReferencePoint", "SeedRow", "method_rows", "method_study"]


def method_study(
    result: Result,
    *,
    scenario: str,
    methods: Mapping[str, Sequence[str]],
    areas: Areas,
    area_errors: AreaErrors | None = None,
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
        area_errors: Of differences of areas on the same jets, as `auc_differences.csv` holds them.
        attacked: AUC under attack by (tagger, score).
        reference: The method that others are compared with.
        epoch: Of all trainings; the last of each by default.
        scores: The scores to compare; all by default.
        n_bootstrap: Replicas of data and simulation behind each error.
        seed: Of the replicas.

    Raises:
        ValueError: If the result holds no blocks of events, a tagger or the reference is missing, or jets got
            no scores.
    """
    checkpoints = _checkpoints(result, methods, reference, epoch)
    study = MethodStudy([], [], [], [])
    for score in scores if scores is not None else scores_of(result):
        found = ScoreMethods(
            result, score, scenario, checkpoints, areas, area_errors or {}, reference,
            ScoreReplicas(result, score, n_bootstrap=n_bootstrap, seed=seed),
        )  # fmt: skip
        more = found.study(attacked or {})
        study.rows.extend(more.rows)
        study.seeds.extend(more.seeds)
        study.pairs.extend(more.pairs)
        study.curves.extend(more.curves)
    return study


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


def _checkpoints(
    result: Result, methods: Mapping[str, Sequence[str]], reference: str, epoch: int | None
) -> dict[str, list[tuple[str, int]]]:
    """Return the checkpoints of each method, one per seed."""
    last = {tagger: at for tagger, at in taggers_of(result) if epoch in (None, at)}
    missing = [tagger for taggers in methods.values() for tagger in taggers if tagger not in last]
    if missing:
        at = "" if epoch is None else f" at epoch {epoch}"
        raise ValueError(
            f"{result.selection}: no scores of {', '.join(missing)}{at}: process them, or leave them out"
        )
    if reference not in methods:
        raise ValueError(f"no method {reference!r} to compare with, but {', '.join(methods)}: name one")
    without = without_result(result)
    for tagger in (each for taggers in methods.values() for each in taggers):
        if (point := Scenario(tagger, last[tagger], DATA_VARIANT)) in without:
            raise ValueError(f"{result.selection}: {tagger}, epoch {last[tagger]}: {without[point]}")
    return {method: [(t, last[t]) for t in taggers] for method, taggers in methods.items() if taggers}
