"""What trainings cost and gain in AUC, in sentences; no difference is claimed within its error."""

import math
from collections.abc import Mapping, Sequence

from datamc.reference_curve import EqualAucRow
from plotting.style import in_order, largest_fgsm, score_label, variant_label
from plotting.summary import CLAIM, HEADLINE_SCORES, UNDISTORTED, Sentence, quoted, signed
from plotting.tagging import AucDifferenceRow, AucRow


def cost(rows: Sequence[AucRow], differences: Sequence[AucDifferenceRow] = ()) -> str:
    """Return what the other trainings cost in AUC, undistorted and under the strongest FGSM.

    Args:
        rows: Areas.
        differences: Of areas on the same jets, whose errors are smaller than those of independent areas;
            where one is missing, areas are taken as independent.
    """
    reference, *others = in_order(row.tagger for row in rows) or [""]
    attack = largest_fgsm(list(dict.fromkeys(row.variant for row in rows)))
    sentences = []
    for other in others:
        parts = [
            ("undistorted: " if variant == UNDISTORTED else f"under {variant_label(variant)}: ") + listed
            for variant in filter(None, (UNDISTORTED, attack))
            if (listed := _listed_differences(rows, differences, variant, reference=reference, other=other))
        ]
        if parts:
            sentences.append(f"AUC of {quoted(other)} minus {quoted(reference)}, {'; '.join(parts)}.")
    return " ".join(sentences)


def _listed_differences(
    rows: Sequence[AucRow],
    paired: Sequence[AucDifferenceRow],
    variant: str,
    *,
    reference: str,
    other: str,
) -> str:
    texts = []
    for score in HEADLINE_SCORES:
        areas = _last_areas(rows, score, variant)
        if reference in areas and other in areas:
            difference, error = _area_difference(areas[reference], areas[other], paired)
            texts.append(f"{score_label(score)} {signed(difference)} ± {error:.4f}")
    return ", ".join(texts)


def equal_auc_sentence(rows: Sequence[EqualAucRow]) -> str:
    """Return whether other trainings agree better than a trivial loss of performance explains.

    A ratio of divergences below 1 at the same AUC does; the last epoch counts, and 60 bins.
    """
    sentences = []
    for tagger in dict.fromkeys(row.tagger for row in rows if row.tagger != row.reference):
        ours = [row for row in rows if row.tagger == tagger and row.measure == "kl"]
        last = max((row.epoch for row in ours), default=0)
        known = [
            row
            for row in ours
            if row.epoch == last
            and row.ratio_error > 0
            and row.status in ("ok", "above")
            and row.score != "BvsC"
        ]
        if known:
            lower = sum(row.ratio <= 1 - CLAIM * row.ratio_error for row in known)
            higher = sum(row.ratio >= 1 + CLAIM * row.ratio_error for row in known)
            own, theirs = known[0].epoch, known[0].reference_epoch
            at = f" (epoch {own} against {theirs})" if own != theirs else ""
            sentences.append(
                f"Against {quoted(known[0].reference)} made as weak by noise on its output, "
                f"{quoted(tagger)}{at} agrees better in {lower} and worse in {higher} of {len(known)} "
                f"comparisons by {CLAIM:g} σ."
            )
    return " ".join(sentences)


def robustness_sentences(
    rows: Sequence[AucRow],
    differences: Sequence[AucDifferenceRow] = (),
    *,
    scores: Sequence[str] = HEADLINE_SCORES,
) -> list[Sentence]:
    """Return what the strongest FGSM costs each training in AUC, and how they differ undistorted.

    `differences` as for `cost`.
    """
    if not rows:
        return []
    attack = largest_fgsm(list(dict.fromkeys(row.variant for row in rows)))
    trainings = in_order(row.tagger for row in rows)
    sentences = []
    for score in scores:
        raw, attacked = _last_areas(rows, score, UNDISTORTED), _last_areas(rows, score, attack)
        costs = [
            f"{quoted(name)} from {raw[name].auc:.4f} to {attacked[name].auc:.4f} "
            f"({signed(attacked[name].auc - raw[name].auc)})"
            for name in trainings
            if name in raw and name in attacked
        ]
        if attack and costs:
            subject = f"AUC of {score_label(score)} under {variant_label(attack)}"
            sentences.append(Sentence(subject, f"{'; '.join(costs)}."))
        texts = _raw_differences(raw, trainings, differences)
        if texts:
            subject = f"AUC of {score_label(score)}, undistorted"
            sentences.append(Sentence(subject, f"{'; '.join(texts)}."))
    return sentences


def _raw_differences(
    areas: Mapping[str, AucRow], trainings: Sequence[str], paired: Sequence[AucDifferenceRow]
) -> list[str]:
    reference, *others = trainings
    texts = []
    for name in others:
        if name not in areas or reference not in areas:
            continue
        difference, error = _area_difference(areas[reference], areas[name], paired)
        verdict = "" if abs(difference) >= CLAIM * error else f", no difference by {CLAIM:g} σ"
        texts.append(
            f"{quoted(name)} minus {quoted(reference)} is {signed(difference)} ± {error:.4f}{verdict}"
        )
    return texts


def _area_difference(
    reference: AucRow, other: AucRow, paired: Sequence[AucDifferenceRow]
) -> tuple[float, float]:
    """Return the other area minus the reference's, and its error.

    Measured on the same jets if it is among `paired`, otherwise as if the areas were independent.
    """
    wanted = other.tagger, other.epoch, reference.tagger, reference.epoch, other.variant, other.score
    for row in paired:
        if wanted == (row.tagger, row.epoch, row.reference, row.reference_epoch, row.variant, row.score):
            return row.difference, row.error
    return other.auc - reference.auc, math.hypot(other.error, reference.error)


def _last_areas(rows: Sequence[AucRow], score: str, variant: str | None) -> dict[str, AucRow]:
    """Return each training's area at its last epoch, where it is a number."""
    matching = [
        row for row in rows if (row.score, row.variant) == (score, variant) and math.isfinite(row.auc)
    ]
    return {row.tagger: row for row in sorted(matching, key=lambda row: row.epoch)}
