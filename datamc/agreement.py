"""How well simulation agrees with data: every selection, score, checkpoint and variant, and every difference.

Errors come from replicas that share their events wherever a result holds its scores by blocks of events
(`datamc.replicas`). Otherwise every bin fluctuates for itself, and the difference of two trainings is as
uncertain as if they had seen other events.
"""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from datamc.area_errors import AreaErrors
from datamc.blocks import has_blocks
from datamc.bootstrap import divergence_band, poisson_replicas
from datamc.differences import DifferenceRow, Measured, difference_rows
from datamc.divergence import DivergenceRow, chi_squared, distance, statistical_offset
from datamc.histograms import Floats, bin_edges, scenarios_of, scores_of
from datamc.measures import (
    ShapeTest,
    data_mc_area,
    earth_movers_offset,
    normalised,
    rank_offset,
    shape_test,
)
from datamc.normalisation import View, combine_signs, normalisation, view_of
from datamc.records import Result
from datamc.reference_curve import (
    UNDISTORTED,
    Areas,
    Curve,
    CurvePoint,
    EqualAucRow,
    curve_points,
    equal_auc_rows,
)
from datamc.replicas import spread
from datamc.scenarios import Scenario
from datamc.score_replicas import Replicated, ScoreReplicas, centres_of, measure, measured_by_replicas
from datamc.templates import SignedTemplates, signed_templates
from datamc.unscored import without_result

CURVE_MEASURES = ("kl", "kl_equal")
"""What the curve at equal AUC is made of."""

logger = logging.getLogger(__name__)


class Agreement(NamedTuple):
    """What was measured, every training compared with every other, and with the same loss of performance."""

    divergence: list[DivergenceRow]
    differences: list[DifferenceRow]
    curve: list[CurvePoint]
    """Of the reference, by rising noise; empty without areas or blocks of events."""
    equal_auc: list[EqualAucRow]


def agreement(
    results: Mapping[str, Result],
    *,
    n_bootstrap: int = 200,
    seed: int = 0,
    scores: Sequence[str] | None = None,
    areas: Areas | None = None,
    area_errors: AreaErrors | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Agreement:
    """Return the disagreement of every selection, score, checkpoint and variant, and all differences.

    A result without data (the inclusive selection) is left out, which the log tells. A checkpoint without
    scores (`datamc.unscored`) has rows with the status `no_scores`, and is compared with nothing.

    Args:
        results: One result per selection.
        n_bootstrap: Replicas of data and simulation behind each error; with 0 errors are 0, that is, unknown.
        seed: Of the replicas; a row's errors depend on nothing but its own histograms and this.
        scores: The scores to compare; all by default.
        areas: AUC of all checkpoints with noise on their log-odds; None gives no curve at equal AUC.
        area_errors: Of differences of areas on the same jets; part of the errors at equal AUC.
        progress: Called with (done, total) scores.
    """
    compared = [result for result in results.values() if _has_data(result)]
    tasks = [(r, score) for r in compared for score in scores_of(r) if scores is None or score in scores]
    whole = Agreement([], [], [], [])
    for done, (result, score) in enumerate(tasks, start=1):
        found = _ScoreAgreement(result, score, n_bootstrap=n_bootstrap, seed=seed)
        n_blocks = found.n_blocks if n_bootstrap else 0
        whole.divergence.extend(found.rows)
        whole.differences.extend(difference_rows(result.selection, score, found.measured, n_blocks=n_blocks))
        if n_blocks and areas:
            points, rows = found.at_equal_auc(areas, area_errors)
            whole.curve.extend(points)
            whole.equal_auc.extend(rows)
        if progress:
            progress(done, len(tasks))
    return whole


def divergence_table(
    results: Mapping[str, Result],
    *,
    n_bootstrap: int = 200,
    seed: int = 0,
    scores: Sequence[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[DivergenceRow]:
    """Return the disagreement alone, as `agreement` does."""
    found = agreement(results, n_bootstrap=n_bootstrap, seed=seed, scores=scores, progress=progress)
    return found.divergence


class _ScoreAgreement:
    """All rows of one score of one selection, and what was measured for them with its replicas."""

    def __init__(self, result: Result, score: str, *, n_bootstrap: int, seed: int) -> None:
        self._result, self._score = result, score
        self._n_bootstrap, self._seed = n_bootstrap, seed
        self._view: View = view_of(result)
        self._factor = normalisation(result).factor
        self._edges = bin_edges(result, score)
        has_any = has_blocks(result, score)
        if result.same_events and not (has_any and n_bootstrap):
            raise ValueError(
                f"{result.selection}: data are the events of the simulation, and only replicas of blocks "
                "tell how they fluctuate together: process with --blocks 32, and ask for replicas"
            )
        self._replicas = ScoreReplicas(result, score, n_bootstrap=n_bootstrap, seed=seed) if has_any else None
        self.n_blocks = self._replicas.n_blocks if self._replicas else 0
        self.rows: list[DivergenceRow] = []
        self.measured: dict[tuple[str, int, str], dict[str, Measured]] = {}
        without, recorded = without_result(result), {}
        for point in scenarios_of(result):
            signed = signed_templates(result, score, **point._asdict())
            checkpoint = point[:2]
            if checkpoint not in recorded:  # data and their replicas are the same for every variant
                recorded = {checkpoint: self._data(signed, *checkpoint)}
            replicated = self._with_simulation(recorded[checkpoint], signed, point)
            self._add(signed, replicated, point, is_scored=point not in without)

    def at_equal_auc(
        self, areas: Areas, area_errors: AreaErrors | None = None
    ) -> tuple[list[CurvePoint], list[EqualAucRow]]:
        """Return the curve of the reference (`basic`, or the first tagger), and all checkpoints over it."""
        place = self._result.selection, self._score
        checkpoints = {
            (tagger, epoch): own for (tagger, epoch, variant), own in self.measured.items()
            if variant == UNDISTORTED
        }  # fmt: skip
        taggers = [tagger for tagger, _ in checkpoints]
        reference = "basic" if "basic" in taggers else next(iter(taggers), "")
        curves = {
            epoch: self._curves(tagger, epoch, areas[tagger, epoch, self._score])
            for tagger, epoch in checkpoints
            if tagger == reference and areas.get((tagger, epoch, self._score))
        }
        measured = {
            checkpoint: {name: self._by_replicas(own[name].values) for name in CURVE_MEASURES}
            for checkpoint, own in checkpoints.items()
        }
        rows = equal_auc_rows(
            place,
            measured,
            curves,
            areas,
            reference=reference,
            n_blocks=self.n_blocks,
            area_errors=area_errors,
        )
        return curve_points(place, reference, curves), rows

    def _curves(self, tagger: str, epoch: int, noised: Sequence[tuple[float, float]]) -> dict[str, Curve]:
        """Return the curve of one checkpoint for each measure."""
        assert self._replicas is not None
        found = self._replicas.curves(tagger, epoch, noised)
        return {name: found[name] for name in CURVE_MEASURES}

    def _by_replicas(self, values: Floats) -> Measured:
        error, offset = spread(values, n_blocks=self.n_blocks)
        return Measured(values, offset, error)

    def _data(self, signed: SignedTemplates, tagger: str, epoch: int) -> Floats:
        if self._replicas:
            return self._replicas.data(tagger, epoch)
        return self._by_bin(signed.data, signed.data_variance, "data")

    def _with_simulation(self, data: Floats, signed: SignedTemplates, point: Scenario) -> Replicated:
        if self._replicas:
            simulated = self._replicas.mc(*point)
            return Replicated(self._replicas.edges, data, simulated, self.n_blocks)
        mc = self._by_bin(signed.mc.sum(axis=0), signed.mc_variance.sum(axis=0), "mc")
        return Replicated(signed.edges, data, mc, 0)

    def _by_bin(self, values: Floats, variances: Floats, name: str) -> Floats:
        """Return a histogram and its replicas, each bin and sign drawn for itself."""
        key = f"{name}/{self._result.selection}/{self._score}"
        drawn = poisson_replicas(values, variances, n=self._n_bootstrap, seed=self._seed, key=key)
        both = np.concatenate([values[np.newaxis], drawn])
        return combine_signs(both, both, self._view, axis=1)[0]

    def _add(
        self, signed: SignedTemplates, replicated: Replicated, place: Scenario, *, is_scored: bool
    ) -> None:
        data, mc = _combined(signed, self._view, self._factor)
        row = _row((self._result.selection, self._score, *place), data, mc)
        row = row if is_scored or row.status != "ok" else row._replace(status="no_scores")
        if row.status == "ok":
            if self._result.same_events:
                # No formula for independent samples holds: replicas say what statistics add.
                measured, n_equal = measured_by_replicas(replicated, signed.edges)
                row = row._replace(offset=measured["kl"].offset, chi2=0.0, n_degrees=0)
            else:
                row = _with_test(row, _shape_test(signed, data, mc, self._factor))
                values, n_equal = measure(replicated, signed.edges)
                shape = normalised(data[0], mc[0])[1]
                offsets = _offsets(row, shape, centres_of(signed.edges), n_equal=n_equal)
                measured = {
                    name: Measured(each, offsets[name], _error(each, offsets[name], replicated.n_blocks))
                    for name, each in values.items()
                }
            self.measured[place] = measured
            row = _with_measures(row, measured, n_blocks=replicated.n_blocks, n_equal=n_equal)
            row = row._replace(data_mc_auc=float(data_mc_area(replicated.data[0], replicated.mc[0])))
        self.rows.append(row)


def _row(
    place: tuple[str, str, str, int, str], data: tuple[Floats, Floats], mc: tuple[Floats, Floats]
) -> DivergenceRow:
    """Return a row without measures from (values, variances) of data and simulation, `(n_bins,)` each."""
    chi2, n_degrees = chi_squared(*data, *mc)
    n_data, n_mc = _effective_sum(*data), _effective_sum(*mc)
    was = distance(data[0], mc[0])
    return DivergenceRow(
        *place, kl=0.0, low=0.0, high=0.0,
        offset=statistical_offset(n_data, n_mc, n_bins=n_degrees + 1),
        chi2=chi2, n_degrees=n_degrees, n_data=n_data, n_mc=n_mc,
        dropped_fraction=float(was.dropped_fraction), n_replaced=int(was.n_replaced),
        status=_status(data[0], mc[0]),
    )  # fmt: skip


def shape_test_of(
    result: Result, score: str, *, tagger: str, epoch: int, variant: str = UNDISTORTED
) -> ShapeTest:
    """Return the chi2 of the shapes of one checkpoint, as `divergence.csv` holds it.

    Without degrees of freedom where data are the events of the simulation: it is for independent samples.
    """
    if result.same_events:
        return ShapeTest(0.0, 0, 1.0)
    signed = signed_templates(result, score, tagger=tagger, epoch=epoch, variant=variant)
    factor = normalisation(result).factor
    return _shape_test(signed, *_combined(signed, view_of(result), factor), factor)


def _combined(
    signed: SignedTemplates, view: View, factor: float
) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
    """Return (values, variances) of data and of simulation, the latter multiplied by `factor`."""
    data = combine_signs(signed.data, signed.data_variance, view, axis=0)
    mc = combine_signs(
        factor * signed.mc.sum(axis=0), factor**2 * signed.mc_variance.sum(axis=0), view, axis=0
    )
    return data, mc


def _shape_test(
    signed: SignedTemplates, data: tuple[Floats, Floats], mc: tuple[Floats, Floats], factor: float
) -> ShapeTest:
    n_data, n_mc = _jets(signed.data, data[1]), _jets(factor * signed.mc.sum(axis=0), mc[1])
    return shape_test(*data, *mc, n_data=n_data, n_mc=n_mc)


def _with_test(row: DivergenceRow, test: ShapeTest) -> DivergenceRow:
    return row._replace(shape_chi2=test.chi2, shape_degrees=test.n_degrees, p_value=test.p_value)


def _offsets(row: DivergenceRow, shape: Floats, centres: Floats, *, n_equal: int) -> dict[str, float]:
    """Return what statistics are expected to add to every measure."""
    return {
        "kl": row.offset,
        "kl_equal": statistical_offset(row.n_data, row.n_mc, n_bins=n_equal),
        "js": row.offset / 4,  # JS is a quarter of KL where shapes are close
        "emd": earth_movers_offset(shape, centres, n_data=row.n_data, n_mc=row.n_mc),
        "auc": rank_offset(shape, n_data=row.n_data, n_mc=row.n_mc),
    }


def _with_measures(
    row: DivergenceRow, measured: Mapping[str, Measured], *, n_blocks: int, n_equal: int
) -> DivergenceRow:
    columns: dict[str, Any] = {}
    for name in ("kl_equal", "js", "emd", "auc"):
        each = measured[name]
        columns |= {name: float(each.values[0]), f"{name}_error": each.error, f"{name}_offset": each.offset}
    row = row._replace(**columns, n_equal_bins=n_equal, n_blocks=n_blocks)
    kl = measured["kl"]
    value = float(kl.values[0])
    if not n_blocks:
        low, high = divergence_band(value, kl.values[1:], offset=kl.offset)
        return row._replace(kl=value, low=low, high=high, error=kl.error)
    statistics = spread(kl.values, n_blocks=n_blocks).offset
    return row._replace(
        kl=value, low=max(value - kl.error, 0.0), high=value + kl.error, error=kl.error,
        offset_replicas=statistics if math.isfinite(statistics) else 0.0,
    )  # fmt: skip


def _error(values: Floats, offset: float, n_blocks: int) -> float:
    """Return the error of a measure from its replicas; 0 without any."""
    if n_blocks:
        error = spread(values, n_blocks=n_blocks).error
        return error if math.isfinite(error) else 0.0
    low, high = divergence_band(float(values[0]), values[1:], offset=offset)
    return (high - low) / 2


def _has_data(result: Result) -> bool:
    has_data = any(record.is_data for record in result.datasets.values())
    if not has_data:
        logger.info("%s: no data in this result, nothing to compare simulation with", result.selection)
    return has_data


def _status(data: Floats, mc: Floats) -> str:
    is_kept = (data >= 0) & (mc >= 0)
    if not data[is_kept].sum() > 0:
        return "empty_data"
    return "ok" if mc[is_kept].sum() > 0 else "empty_mc"


def _jets(signed: Floats, variance: Floats) -> Floats:
    """Return the jets per bin, by their mean weight: what a bin of OS-SS holds is no sum of its weights."""
    total = float(signed.sum())
    weight = float(variance.sum()) / total if total > 0 else 0.0
    return variance / weight**2 if weight > 0 else np.zeros_like(variance)


def _effective_sum(values: Floats, variances: Floats) -> float:
    total, variance = float(values.sum()), float(variances.sum())
    return total**2 / variance if variance > 0 else 0.0
