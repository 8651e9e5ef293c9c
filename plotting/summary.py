"""What the numbers say, in sentences computed from them; no difference is claimed within its error."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from datamc.differences import DifferenceRow
from datamc.divergence import DivergenceRow
from plotting.style import SELECTION_NAMES, in_order, largest_fgsm, score_label, variant_label
from plotting.tagging import AucRow

CLAIM = 2.0
"""How many standard deviations a difference needs before it is called one."""

CHANCE = math.erfc(CLAIM / math.sqrt(2.0))
"""The share of comparisons without any true difference that pass `CLAIM` by chance (4.6 %)."""

UNDISTORTED = "raw"

HEADLINE_SCORES = ("BvsL", "CvsL")
"""The scores whose AUC stands for the performance of a tagger."""


class Sentence(NamedTuple):
    """What is spoken of, and what is said of it."""

    subject: str
    text: str


class Comparison(NamedTuple):
    """Two trainings' divergences in one selection, score and variant, each at its last epoch."""

    reference: DivergenceRow
    other: DivergenceRow
    paired: DifferenceRow | None = None
    """Their difference on the same events, if it was measured: its error is the smaller one."""

    @property
    def difference(self) -> float:
        """Excess of the other training minus that of the reference: negative where `other` agrees better."""
        return self.paired.difference if self.paired else self.other.excess - self.reference.excess

    @property
    def error(self) -> float:
        """One standard deviation of the difference; NaN where a band is unknown.

        Of the paired difference where there is one. Otherwise as if the two were independent: each value
        contributes the part of its band that faces the other value.
        """
        if self.paired:
            return self.paired.error
        upper, lower = (self.other, self.reference) if self.difference > 0 else (self.reference, self.other)
        return math.hypot(upper.kl - upper.low, lower.high - lower.kl)

    @property
    def significance(self) -> float:
        """The difference in units of its error, with its sign; NaN where the error is unknown or zero."""
        return self.difference / self.error if self.error > 0 else math.nan

    @property
    def better(self) -> str | None:
        """The training that agrees better by `CLAIM` standard deviations or more; None where that is open."""
        if not abs(self.significance) >= CLAIM:
            return None
        return self.other.tagger if self.difference < 0 else self.reference.tagger


def compare_trainings(
    rows: Sequence[DivergenceRow],
    *,
    reference: str,
    other: str,
    variant: str,
    differences: Sequence[DifferenceRow] = (),
) -> list[Comparison]:
    """Return one comparison per selection and score, each training at the last epoch that it has there.

    Trainings may take different numbers of epochs: the same number would be the end of one of them and the
    middle of the other. BvsC is left out where CvsB is there: it is 1 - CvsB, and its divergence the same.

    Args:
        rows: Divergences.
        reference: The training to compare with.
        other: The training in question.
        variant: The inputs of the simulation.
        differences: Of divergences on the same events; those without shared events are not used.
    """
    paired = {
        (d.selection, d.score, d.reference_epoch, d.epoch): d
        for d in differences
        if (d.tagger, d.reference, d.variant, d.measure) == (other, reference, variant, "kl")
        and d.n_blocks > 0
        and d.error > 0
    }
    ours, theirs = (_last_rows(rows, tagger, variant) for tagger in (reference, other))
    places = [place for place in ours if place in theirs]
    return [
        Comparison(
            ours[place],
            theirs[place],
            paired.get((*place, ours[place].epoch, theirs[place].epoch)),
        )
        for place in places
        if not (place[1] == "BvsC" and (place[0], "CvsB") in places)
    ]


def _last_rows(
    rows: Sequence[DivergenceRow], tagger: str, variant: str
) -> dict[tuple[str, str], DivergenceRow]:
    """Return the last row of a training that has a result, by selection and score in their order."""
    last: dict[tuple[str, str], DivergenceRow] = {}
    for row in rows:
        place = row.selection, row.score
        if (row.tagger, row.variant, row.status) == (tagger, variant, "ok"):
            last[place] = max(row, last.get(place, row), key=lambda each: each.epoch)
    return last


def headline(rows: Sequence[DivergenceRow], differences: Sequence[DifferenceRow] = ()) -> str:
    """Return the answer, a sentence per pair of trainings: which agrees better with data, undistorted.

    `differences` as for `compare_trainings`.
    """
    if not rows:
        return "No divergence of data from simulation was computed."
    reference, *others = in_order(row.tagger for row in rows)
    if not others:
        return f"One training, {quoted(reference)}: there is nothing to compare it with."
    sentences = []
    for other in others:
        comparisons = compare_trainings(
            rows, reference=reference, other=other, variant=UNDISTORTED, differences=differences
        )
        sentences.append(_verdict(comparisons, reference=reference, other=other))
    return " ".join(sentences)


def _verdict(comparisons: Sequence[Comparison], *, reference: str, other: str) -> str:
    if not comparisons:
        return (
            f"{quoted(other)} and {quoted(reference)} have no result in common on undistorted inputs: they "
            "cannot be compared."
        )
    if not any(math.isfinite(each.significance) for each in comparisons):
        return (
            f"{quoted(other)} and {quoted(reference)} cannot be told apart: the divergences have no errors."
        )
    wins = sum(each.better == other for each in comparisons)
    losses = sum(each.better == reference for each in comparisons)
    n = len(comparisons)
    inputs = f"undistorted inputs, {epochs_text(comparisons)}"
    if wins + losses == 0:
        return (
            f"No difference seen between {quoted(other)} and {quoted(reference)}: in none of {n} comparisons "
            f"does the agreement with data differ by {CLAIM:g} σ ({inputs}; {_clearest(comparisons)})."
        )
    counts = (
        f"better in {wins} and worse in {losses} of {n} comparisons by {CLAIM:g} σ or more "
        f"({inputs}; about {CHANCE * n:.1f} expected by chance; {_clearest(comparisons)})"
    )
    # Scores of one selection are correlated, so that chance brings several at once: ask for clearly more.
    if wins + losses <= 1 + 2 * CHANCE * n:
        both = f"{quoted(other)} and {quoted(reference)}"
        return f"No clear difference between {both}: {quoted(other)} is {counts}."
    if 4 * min(wins, losses) > max(wins, losses):
        return f"Mixed: {quoted(other)} agrees with data {counts}."
    better = other if wins > losses else reference
    return f"{quoted(better)} agrees better with data: {quoted(other)} is {counts}."


def _clearest(comparisons: Sequence[Comparison]) -> str:
    """Return where the difference is clearest, and by how much."""
    known = [each for each in comparisons if math.isfinite(each.significance)]
    clearest = max(known, key=lambda each: abs(each.significance))
    row = clearest.reference
    place = f"{score_label(row.score)} in {SELECTION_NAMES.get(row.selection, row.selection)}"
    return f"the clearest is {place}: {signed(clearest.significance, '.1f')} σ"


def epochs_text(comparisons: Sequence[Comparison]) -> str:
    """Return the epochs that are compared: one number if both trainings have the same."""
    ours, theirs = (
        sorted({getattr(each, role).epoch for each in comparisons}) for role in ("reference", "other")
    )
    if ours == theirs:
        return _numbered(ours)
    return f"{_numbered(theirs)} against {_numbered(ours)}"


def _numbered(epochs: Sequence[int]) -> str:
    return ("epoch " if len(epochs) == 1 else "epochs ") + ", ".join(map(str, epochs))


def agreement_sentences(
    rows: Sequence[DivergenceRow], differences: Sequence[DifferenceRow] = ()
) -> list[Sentence]:
    """Return which training agrees better in which score, per variant (raw, strongest FGSM) and selection.

    `differences` as for `compare_trainings`.
    """
    if not rows:
        return []
    reference, *others = in_order(row.tagger for row in rows)
    attack = largest_fgsm(list(dict.fromkeys(row.variant for row in rows)))
    sentences = []
    for other in others:
        for variant in filter(None, (UNDISTORTED, attack)):
            comparisons = compare_trainings(
                rows, reference=reference, other=other, variant=variant, differences=differences
            )
            for selection in dict.fromkeys(each.reference.selection for each in comparisons):
                chosen = [each for each in comparisons if each.reference.selection == selection]
                sentences.append(_selection_sentence(chosen))
    return sentences


def epoch_sentences(rows: Sequence[DivergenceRow], areas: Sequence[AucRow] = ()) -> list[Sentence]:
    """Return at which epoch each training agrees best, undistorted, and what it separates there.

    The measure is the mean over selections and scores of the divergence beyond statistics.
    """
    sentences = []
    for tagger in in_order(row.tagger for row in rows):
        means = _mean_excesses(rows, tagger)
        if len(means) < 2:
            continue
        best, final = min(means, key=lambda epoch: means[epoch]), max(means)
        text = (
            f"agrees best at epoch {best}, where KL beyond statistics is {minus(f'{means[best]:.2g}')} "
            f"in the mean over selections and scores{_area_at(areas, tagger, best)}"
        )
        if best != final:
            text += f"; at epoch {final} it is {minus(f'{means[final]:.2g}')}{_area_at(areas, tagger, final)}"
        sentences.append(Sentence(quoted(tagger), f"{text}."))
    return sentences


def _mean_excesses(rows: Sequence[DivergenceRow], tagger: str) -> dict[int, float]:
    """Return the mean per epoch, of the epochs that have all that any epoch has; BvsC is CvsB once more."""
    excesses: dict[int, list[float]] = {}
    for row in rows:
        if (row.tagger, row.variant, row.status) == (tagger, UNDISTORTED, "ok") and row.score != "BvsC":
            excesses.setdefault(row.epoch, []).append(row.excess)
    most = max(map(len, excesses.values()), default=0)
    return {epoch: sum(each) / len(each) for epoch, each in excesses.items() if len(each) == most}


def _area_at(areas: Sequence[AucRow], tagger: str, epoch: int) -> str:
    found = [
        f"{score_label(score)} {row.auc:.3f}"
        for score in HEADLINE_SCORES
        for row in areas
        if (row.tagger, row.epoch, row.variant, row.score) == (tagger, epoch, UNDISTORTED, score)
        and math.isfinite(row.auc)
    ]
    return f" (AUC: {', '.join(found)})" if found else ""


def _selection_sentence(comparisons: Sequence[Comparison]) -> Sentence:
    reference, other = comparisons[0].reference, comparisons[0].other
    inputs = "undistorted" if reference.variant == UNDISTORTED else variant_label(reference.variant)
    subject = f"{SELECTION_NAMES.get(reference.selection, reference.selection)}, {inputs}"
    lower = sum(each.difference < 0 for each in comparisons)
    start = (
        f"at {epochs_text(comparisons)}, KL beyond statistics alone is lower for {quoted(other.tagger)} than "
        f"for {quoted(reference.tagger)} in {lower} of {len(comparisons)} scores"
    )
    known = [each for each in comparisons if math.isfinite(each.significance)]
    if not known:
        return Sentence(subject, f"{start}; the errors are unknown, so nothing is claimed.")
    clearest = max(known, key=lambda each: abs(each.significance))
    example = (
        f"{score_label(clearest.reference.score)}: {minus(f'{clearest.other.excess:.2g}')} against "
        f"{minus(f'{clearest.reference.excess:.2g}')}, {signed(clearest.significance, '.1f')} σ"
    )
    decided = [_decided(known, name) for name in (other.tagger, reference.tagger)]
    claims = "; ".join(filter(None, decided))
    if not claims:
        return Sentence(subject, f"{start}, nowhere by {CLAIM:g} σ (largest difference in {example}).")
    return Sentence(subject, f"{start}; by {CLAIM:g} σ or more {claims} (largest difference in {example}).")


def _decided(comparisons: Sequence[Comparison], training: str) -> str:
    scores = [score_label(each.reference.score) for each in comparisons if each.better == training]
    return f"{quoted(training)} is lower in {', '.join(scores)}" if scores else ""


def quoted(name: str) -> str:
    """Return a name as it stands in a sentence."""
    return f"“{name}”"


def signed(value: float, digits: str = ".4f") -> str:
    """Return a number with its sign, the minus a minus; nothing but zeros has no sign."""
    text = f"{value:+{digits}}"
    return minus(text) if float(text) else text[1:]


def minus(number: str) -> str:
    """Return a formatted number with a minus sign instead of a hyphen."""
    return number.replace("-", "−")
