"""All methods of training in one score of one selection and scenario: means, curves, rows."""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
from scipy.stats import chi2 as chi2_distribution

from datamc.agreement import shape_test_of
from datamc.area_errors import AreaErrors
from datamc.differences import Measured
from datamc.histograms import DATA_VARIANT
from datamc.measures import ShapeTest
from datamc.method_means import (
    UNKNOWN,
    Mean,
    Ratio,
    Training,
    difference_error,
    early_curve,
    mean_curve,
    mean_of,
    ratio_of,
    relative_scatter,
    seeds_error,
)
from datamc.method_tables import MethodRow, MethodStudy, PairRow, ReferencePoint, SeedRow
from datamc.records import Result
from datamc.reference_curve import Areas, Curve
from datamc.replicas import is_smooth
from datamc.score_replicas import MEASURES, ScoreReplicas
from datamc.unscored import scenarios_with_result

WEAK = 2.0
"""A ratio to what is not this many errors above zero says nothing."""


class ScoreMethods:
    """All methods in one score of one selection and scenario.

    Args:
        result: The result of the selection.
        score: The name of the score.
        scenario: What its data are, for the rows.
        checkpoints: (Tagger, epoch) of each method, one per seed.
        areas: AUC of all checkpoints with noise on their log-odds.
        area_errors: Of differences of areas; may be empty.
        reference: The method that others are compared with.
        replicas: Of the score.

    Raises:
        ValueError: If the AUC of a checkpoint is missing.
    """

    def __init__(
        self,
        result: Result,
        score: str,
        scenario: str,
        checkpoints: Mapping[str, Sequence[tuple[str, int]]],
        areas: Areas,
        area_errors: AreaErrors,
        reference: str,
        replicas: ScoreReplicas,
    ) -> None:
        self._place = scenario, result.selection, score
        self._result, self._areas, self._area_errors, self._reference = result, areas, area_errors, reference
        self._checkpoints, self._replicas, self._n_blocks = checkpoints, replicas, replicas.n_blocks
        ours = checkpoints[reference]
        curves = [replicas.curves(*each, self._noised(*each)) for each in ours]
        early = [self._trainings([(t, e) for t, _ in ours]) for e in self._common_epochs()]
        trainings = {method: self._trainings(each) for method, each in checkpoints.items()}
        self._curves: dict[str, Curve] = {}
        self._early: dict[str, Curve] = {}
        self._means: dict[str, dict[str, Mean]] = {}
        for name in MEASURES:
            several = [each[name] for each in curves]
            self._curves[name] = mean_curve(several, n_blocks=self._n_blocks)
            self._means[name] = {m: self._mean(each, name) for m, each in trainings.items()}
            by_epoch = {each[name][0].epoch: self._mean(each, name) for each in early}
            self._early[name] = early_curve(by_epoch)

    def study(self, attacked: Mapping[tuple[str, str], float]) -> MethodStudy:
        """Return all rows; `attacked` holds AUC under attack by (tagger, score)."""
        study = MethodStudy([], [], [], [])
        shapes = {method: self._shape(method) for method in self._checkpoints}
        for measure in MEASURES:
            scatter = {
                curve is not None: relative_scatter(
                    list(self._means[measure].values()), curve, n_blocks=self._n_blocks
                )
                for curve in (None, self._curves[measure])
            }
            ratios = {m: self._over_curve(measure, m) for m in self._checkpoints}
            for method in self._checkpoints:
                row = self._row(measure, method, ratios[method], scatter)
                under = [attacked.get((t, self._place[2]), math.nan) for t, _ in self._checkpoints[method]]
                mean = float(np.mean(under))
                row = row._replace(auc_attacked=mean if math.isfinite(mean) else 0.0)
                study.rows.append(_with_shape(row, shapes[method]))
                study.seeds.extend(self._seeds(measure, method))
            study.pairs.extend(self._pairs(measure, ratios, scatter[True]))
            study.curves.extend(self._reference_points(measure))
        return study

    def _noised(self, tagger: str, epoch: int) -> Sequence[tuple[float, float]]:
        noised = self._areas.get((tagger, epoch, self._place[2]))
        if not noised:
            raise ValueError(
                f"no AUC of {tagger}, epoch {epoch}, {self._place[2]}: evaluate it with `advtag evaluate`"
            )
        return noised

    def _common_epochs(self) -> list[int]:
        """Return the epochs at which all seeds of the reference have scores and an AUC."""
        taggers = [tagger for tagger, _ in self._checkpoints[self._reference]]
        last = min(epoch for _, epoch in self._checkpoints[self._reference])
        there = {
            (tagger, epoch)
            for tagger, epoch, variant in scenarios_with_result(self._result)
            if variant == DATA_VARIANT and epoch <= last and self._areas.get((tagger, epoch, self._place[2]))
        }
        epochs = sorted({epoch for _, epoch in there})
        return [epoch for epoch in epochs if all((tagger, epoch) in there for tagger in taggers)]

    def _trainings(self, checkpoints: Sequence[tuple[str, int]]) -> dict[str, list[Training]]:
        found: dict[str, list[Training]] = {name: [] for name in MEASURES}
        for tagger, epoch in checkpoints:
            auc = self._noised(tagger, epoch)[0][1]
            for name, own in self._replicas.measured(tagger, epoch).items():
                found[name].append(Training(tagger, epoch, auc, own))
        return found

    def _mean(self, trainings: Mapping[str, Sequence[Training]], measure: str) -> Mean:
        return mean_of(trainings[measure], n_blocks=self._n_blocks)

    def _over_curve(self, measure: str, method: str) -> Ratio:
        mean = self._means[measure][method]
        return ratio_of(mean.own, self._curves[measure].at(mean.auc)[0], n_blocks=self._n_blocks)

    def _over_early(self, measure: str, method: str) -> Ratio:
        """Return the ratio to the reference stopped early; unknown below the AUC of its first epoch."""
        mean, curve = self._means[measure][method], self._early[measure]
        at, _, status = curve.at(mean.auc)
        if len(curve.points) < 2 or status == "below":
            return UNKNOWN
        return ratio_of(mean.own, at, n_blocks=self._n_blocks)

    def _row(self, measure: str, method: str, over_curve: Ratio, scatter: Mapping[bool, float]) -> MethodRow:
        means = self._means[measure]
        mean, basic = means[method], means[self._reference]
        n, k = len(mean.trainings), len(basic.trainings)
        own, is_reference = mean.own, method == self._reference
        at, _, status = self._curves[measure].at(mean.auc)
        over_basic, over_early = (
            ratio_of(own, basic.own, n_blocks=self._n_blocks),
            self._over_early(measure, method),
        )

        def by_seeds(ratio: Ratio, beside_curve: bool) -> float:
            if is_reference:
                return 0.0
            return seeds_error(ratio.value, n, n_reference=k, scatter=scatter[beside_curve])

        seeds = by_seeds(over_curve, beside_curve=True)
        areas = self._areas_error(measure, method, over_curve)
        error = math.hypot(over_curve.events, seeds, areas)
        at_error = math.hypot(at.error, at.excess * scatter[False] / math.sqrt(k))
        excess_error = math.hypot(own.error, own.excess * scatter[False] / math.sqrt(n))
        return MethodRow(
            *self._place, measure, method, self._reference, n,
            auc=mean.auc,
            auc_error=float(np.std([t.auc for t in mean.trainings], ddof=1) / math.sqrt(n)) if n > 1 else 0.0,
            auc_attacked=0.0,
            excess=own.excess,
            excess_error=excess_error,
            offset=own.offset,
            pull=own.excess / excess_error if excess_error > 0 else 0.0,
            ratio_basic=over_basic.value,
            ratio_basic_error=math.hypot(over_basic.events, by_seeds(over_basic, beside_curve=False)),
            ratio_curve=over_curve.value,
            ratio_curve_error=error,
            ratio_curve_events=over_curve.events,
            ratio_curve_seeds=seeds,
            ratio_curve_areas=areas,
            significance=(1 - over_curve.value) / error if error > 0 else 0.0,
            ratio_early=over_early.value,
            ratio_early_error=math.hypot(over_early.events, by_seeds(over_early, beside_curve=True)),
            chi2_per_degree=0.0,
            p_value=1.0,
            status=_status(own, at, at_error) or status,
        )  # fmt: skip

    def _areas_error(self, measure: str, method: str, ratio: Ratio) -> float:
        """Return what the error of the AUC, against that of the reference, does to a ratio at equal AUC.

        All seeds are measured on the same jets: their mean is taken to be known as well as one of them.
        """
        if method == self._reference:
            return 0.0
        score, curve = self._place[2], self._curves[measure]
        errors = [
            self._area_errors[*one, *other, score]
            for one in self._checkpoints[method]
            for other in self._checkpoints[self._reference]
            if (*one, *other, score) in self._area_errors
        ]
        auc = self._means[measure][method].auc
        at = curve.at(auc)[0].excess
        return abs(ratio.value * curve.shift(auc, float(np.mean(errors))) / at) if errors and at > 0 else 0.0

    def _seeds(self, measure: str, method: str) -> Iterator[SeedRow]:
        for each in self._means[measure][method].trainings:
            at = self._curves[measure].at(each.auc)[0]
            ratio = each.own.excess / at.excess if at.excess > 0 else 0.0
            yield SeedRow(
                *self._place, measure, method, each.tagger, each.epoch, each.auc, each.own.excess, ratio
            )

    def _pairs(self, measure: str, ratios: Mapping[str, Ratio], scatter: float) -> Iterator[PairRow]:
        seeds = {method: len(each.trainings) for method, each in self._means[measure].items()}
        n_reference = seeds[self._reference]
        seeds[self._reference] = 0
        for method, other in combinations(self._checkpoints, 2):
            first, second = ratios[method], ratios[other]
            if UNKNOWN in (first, second):
                continue
            error = difference_error(
                (first, seeds[method]), (second, seeds[other]),
                n_reference=n_reference, scatter=scatter, n_blocks=self._n_blocks,
            )  # fmt: skip
            areas = (self._areas_error(measure, each, ratios[each]) for each in (method, other))
            error = math.hypot(error, *areas)
            difference = first.value - second.value
            significance = difference / error if error > 0 else 0.0
            yield PairRow(*self._place, measure, method, other, difference, error, significance)

    def _reference_points(self, measure: str) -> Iterator[ReferencePoint]:
        for kind, curve in (("noise", self._curves[measure]), ("early", self._early[measure])):
            for step, auc, point in zip(curve.sigma, curve.auc, curve.points, strict=True):
                yield ReferencePoint(
                    *self._place, measure, kind, float(step), float(auc), point.excess, point.error
                )

    def _shape(self, method: str) -> list[ShapeTest]:
        score = self._place[2]
        return [
            shape_test_of(self._result, score, tagger=tagger, epoch=epoch)
            for tagger, epoch in self._checkpoints[method]
        ]


def _status(own: Measured, at: Measured, at_error: float) -> str:
    """Return why a ratio says nothing; empty if it does."""
    if at.excess <= 0:
        return "no_excess"
    if at.excess < WEAK * at_error:
        return "weak"
    # Statistics never lower a divergence, unless it jumps.
    is_stable = is_smooth(at.values) and own.offset > -0.5 * own.error
    return "" if is_stable else "unstable"


def _with_shape(row: MethodRow, tests: Sequence[ShapeTest]) -> MethodRow:
    chi2, degrees = (float(np.mean(each)) for each in list(zip(*tests, strict=True))[:2])
    if degrees <= 0:
        return row
    return row._replace(chi2_per_degree=chi2 / degrees, p_value=float(chi2_distribution.sf(chi2, degrees)))
