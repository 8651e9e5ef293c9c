"""Two productions side by side on one page: divergences, areas, scale factors, different settings."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from datamc.divergence import DivergenceRow
from datamc.history import HistoryRow, history_rows
from datamc.records import Result
from datamc.scale_factors import ScaleFactors
from datamc.shared_events import Place, shared_events
from plotting.pages import rendered
from plotting.style import FLAVOUR_LABELS, SELECTION_NAMES, is_simulated, score_label, variant_label
from plotting.summary import CLAIM, minus, signed
from plotting.tables import Table, decimals
from plotting.tagging import AucRow
from storage.files import write_text

ABSENT = "–"


@dataclass(frozen=True)
class Production:
    """One production and what was computed from it."""

    name: str
    results: Mapping[str, Result]
    divergence: Sequence[DivergenceRow] = ()
    scale_factors: Sequence[ScaleFactors] = ()
    auc_rows: Sequence[AucRow] = ()


class Number(NamedTuple):
    """A number of both productions, each with its own error."""

    place: tuple[str, ...]
    first: float
    first_error: float
    second: float
    second_error: float
    paired_error: float | None = None
    """Of the difference, where both saw the same events; None: they count as independent."""

    @property
    def difference(self) -> float:
        """The second production minus the first."""
        return self.second - self.first

    @property
    def error(self) -> float:
        """One standard deviation of the difference."""
        if self.paired_error is not None:
            return self.paired_error
        return math.hypot(self.first_error, self.second_error)

    @property
    def significance(self) -> float:
        """The difference in standard deviations; NaN without an error."""
        return self.difference / self.error if self.error > 0 else math.nan


def write_comparison(
    path: Path,
    first: Production,
    second: Production,
    *,
    title: str,
    paired: Mapping[Place, float] | None = None,
) -> Path:
    """Write the page that compares two productions, and return its path.

    Numbers are compared where both have the same selection, score, training and inputs, at the last epoch
    that both hold.

    Args:
        path: The HTML file.
        first: What is compared with.
        second: What is compared.
        title: The page's heading.
        paired: Errors of differences of divergences between productions of the same events.
    """
    simulated = [is_simulated(list(each.results.values())) for each in (first, second)]
    kind = "Simulated events" if all(simulated) else "Recorded data"
    page = rendered(
        "comparison.html",
        title=title,
        kind=kind if len(set(simulated)) == 1 else "Simulated events in part",
        first=first.name,
        second=second.name,
        answer=answer(first, second, paired),
        pairing=pairing_sentences(first, second, paired),
        sections=comparison_sections(first, second, paired),
    )
    write_text(path, page)
    return path


def pairing_sentences(
    first: Production, second: Production, paired: Mapping[Place, float] | None = None
) -> list[str]:
    """Return for every selection of both whether the errors of its differences know of shared events."""
    sentences = []
    for selection in (each for each in first.results if each in second.results):
        shared = shared_events(first.results[selection], second.results[selection])
        name = SELECTION_NAMES.get(selection, selection)
        if not shared.is_paired or not any(place[0] == selection for place in paired or {}):
            sentences.append(f"{name}: the productions are taken as independent.")
        else:
            roles = {"data": shared.data, "simulation": shared.mc}
            same = " and ".join(role for role, is_same in roles.items() if is_same)
            sentences.append(
                f"{name}: both read the same files of {same}; errors of differences in the divergence are "
                f"paired, from {shared.n_blocks} blocks of events."
            )
    return sentences


def comparison_sections(
    first: Production, second: Production, paired: Mapping[Place, float] | None = None
) -> dict[str, list[Table]]:
    """Return the page's tables under their headings."""
    return {
        "Divergence": _number_tables(compared_divergences(first, second, paired), first, second),
        "Areas under ROC curves": [_area_table(compared_areas(first, second), first, second)],
        "Scale factors": [_history_table(compared_scale_factors(first, second), first, second)],
        "What is set differently": [configuration_table(first, second)],
    }


def answer(first: Production, second: Production, paired: Mapping[Place, float] | None = None) -> str:
    """Return in one sentence how the divergences of the two differ, undistorted."""
    numbers = [each for each in compared_divergences(first, second, paired) if each.place[3] == "raw"]
    if numbers and all(each.first == each.second for each in numbers):
        return f"The two productions have the same divergences in all {len(numbers)} comparisons."
    # BvsC is 1 - CvsB, and its divergence the same number.
    known = [each for each in numbers if math.isfinite(each.significance) and each.place[1] != "BvsC"]
    if not known:
        return "The two productions share no divergence with errors: there is nothing to compare."
    lower = sum(each.significance <= -CLAIM for each in known)
    higher = sum(each.significance >= CLAIM for each in known)
    clearest = max(known, key=lambda each: abs(each.significance))
    selection, score, tagger = clearest.place[:3]
    where = f"{score_label(score)} of “{tagger}” in {SELECTION_NAMES.get(selection, selection)}"
    example = f"the clearest is {where}: {signed(clearest.significance, '.1f')} σ."
    if not lower + higher:
        return (
            f"No difference seen between “{first.name}” and “{second.name}”: in none of {len(known)} "
            f"comparisons do the divergences differ by {CLAIM:g} σ; {example}"
        )
    return (
        f"“{second.name}” agrees better with its data than “{first.name}” in {lower} and worse in {higher} "
        f"of {len(known)} comparisons by {CLAIM:g} σ or more; {example}"
    )


def compared_divergences(
    first: Production, second: Production, paired: Mapping[Place, float] | None = None
) -> list[Number]:
    """Return the divergences beyond statistics that both have.

    Places are (selection, score, tagger, variant, epoch).
    """

    def place(row: DivergenceRow) -> tuple[str, ...]:
        return row.selection, row.score, row.tagger, row.variant

    def number(row: DivergenceRow) -> tuple[float, float]:
        return row.excess, (row.high - row.low) / 2

    usable = [[row for row in each.divergence if row.status == "ok"] for each in (first, second)]
    numbers = _paired(*usable, place=place, number=number)
    return [each._replace(paired_error=(paired or {}).get(place_of(each))) for each in numbers]


def place_of(divergence: Number) -> Place:
    """Return what a compared divergence is of."""
    selection, score, tagger, variant, epoch = divergence.place
    return selection, score, tagger, variant, int(epoch)


def compared_areas(first: Production, second: Production) -> list[Number]:
    """Return the areas that both have; places are (score, tagger, variant, epoch)."""

    def place(row: AucRow) -> tuple[str, ...]:
        return row.score, row.tagger, row.variant

    def number(row: AucRow) -> tuple[float, float]:
        return row.auc, row.error

    usable = [[row for row in each.auc_rows if math.isfinite(row.auc)] for each in (first, second)]
    return list(_paired(*usable, place=place, number=number))


def compared_scale_factors(first: Production, second: Production) -> list[Number]:
    """Return mean |SF - 1| that both have; places are (flavour, tagger, variant, epoch)."""

    def place(row: HistoryRow) -> tuple[str, ...]:
        return row.flavour, row.tagger, row.variant

    def number(row: HistoryRow) -> tuple[float, float]:
        return row.mean_deviation, row.error

    rows = [history_rows(each.scale_factors) for each in (first, second)]
    usable = [[row for row in each if math.isfinite(row.mean_deviation)] for each in rows]
    return list(_paired(*usable, place=place, number=number))


def _paired(
    ours: Sequence[Any],
    theirs: Sequence[Any],
    *,
    place: Callable[[Any], tuple[str, ...]],
    number: Callable[[Any], tuple[float, float]],
) -> Iterator[Number]:
    """Pair rows of the same place at the last epoch that both have; the epoch ends the place."""
    there = {(place(row), row.epoch): row for row in theirs}
    last: dict[tuple[str, ...], Any] = {}
    for row in ours:
        key = place(row)
        if (key, row.epoch) in there and (key not in last or row.epoch > last[key].epoch):
            last[key] = row
    for key, row in last.items():
        yield Number((*key, str(row.epoch)), *number(row), *number(there[key, row.epoch]))


def _number_tables(numbers: Sequence[Number], first: Production, second: Production) -> list[Table]:
    return [
        Table(
            f"{SELECTION_NAMES.get(selection, selection)}: KL beyond statistics, 10⁻³",
            _columns(first, second),
            [
                _row(each, score_label(each.place[1]), scale=1e3)
                for each in numbers
                if each.place[0] == selection
            ],
        )
        for selection in dict.fromkeys(each.place[0] for each in numbers)
    ]


def _area_table(numbers: Sequence[Number], first: Production, second: Production) -> Table:
    rows = [_row(each, score_label(each.place[0])) for each in numbers]
    return Table("AUC", _columns(first, second), rows)


def _history_table(numbers: Sequence[Number], first: Production, second: Production) -> Table:
    names = {"all": "all flavours", **FLAVOUR_LABELS}
    rows = [_row(each, names.get(each.place[0], each.place[0])) for each in numbers]
    return Table("Mean |SF − 1|", _columns(first, second), rows)


def _columns(first: Production, second: Production) -> list[str]:
    return ["What is compared", first.name, second.name, "Difference", "In σ"]


def _row(number: Number, subject: str, *, scale: float = 1.0) -> list[str]:
    tagger, variant, epoch = number.place[-3:]
    name = f"{subject}, {tagger} epoch {epoch}, {variant_label(variant)}"
    return [name, *_texts(number, scale=scale)]


def _texts(number: Number, *, scale: float = 1.0) -> list[str]:
    def text(value: float, error: float, *, sign: bool = False) -> str:
        value, error = scale * value, scale * error
        digits = decimals(error) if error > 0 else 4
        shown = signed(value, f".{digits}f") if sign else minus(f"{value:.{digits}f}")
        return f"{shown} ± {error:.{digits}f}"

    significance = number.significance
    return [
        text(number.first, number.first_error),
        text(number.second, number.second_error),
        text(number.difference, number.error, sign=True),
        f"{signed(significance, '.1f')} σ" if math.isfinite(significance) else ABSENT,
    ]


def configuration_table(first: Production, second: Production) -> Table:
    """Return the settings and versions that differ, and what only one production holds."""
    ours, theirs = _settings(first), _settings(second)
    rows = [
        [key, ours.get(key, ABSENT), theirs.get(key, ABSENT)]
        for key in dict.fromkeys([*ours, *theirs])
        if ours.get(key) != theirs.get(key)
    ]
    return Table("Settings", ["Setting", first.name, second.name], rows or [["none", "", ""]], numeric_from=9)


def _settings(production: Production) -> dict[str, str]:
    """Return every setting by its path in the configuration of its selection; lists are one setting."""
    found = {}
    for selection, result in production.results.items():
        for part, values in (("", result.config), ("versions.", result.versions)):
            for key, value in _leaves(values):
                found[f"{selection}.{part}{key}"] = json.dumps(value, ensure_ascii=False, default=str)
        for name, record in result.datasets.items():
            found[f"{selection}.events.{name}"] = f"{record.n_events:,}"
    return found


def _leaves(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            for inner, leaf in _leaves(value):
                yield f"{key}.{inner}", leaf
        else:
            yield key, value
