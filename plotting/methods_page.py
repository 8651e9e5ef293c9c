"""The page of a study: which way to train makes data and simulation agree, in one file without a network."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from datamc.method_scale_factors import MethodScaleFactors
from datamc.method_tables import MethodRow, MethodStudy
from plotting.methods_figure import draw_methods, draw_ratios
from plotting.methods_summary import (
    MEASURE_NAMES,
    NULL,
    chosen_rows,
    measure_of,
    null_sentence,
    other_scenarios_sentence,
    place_sentence,
    says_something,
    trap_sentence,
    winner_of,
)
from plotting.methods_tables import main_table, null_tables, ratio_tables, scale_factor_tables
from plotting.pages import rendered
from plotting.style import (
    EventLabel,
    embedded_png,
    score_label,
)
from plotting.summary import CLAIM
from storage.files import write_text

TITLE = "Which training makes data and simulation agree?"


_HOW_TO_READ = (
    "Line: the reference with rising noise on its log-odds, to the left; the band is what the number of "
    "events leaves open. Dashed: the reference stopped early. Bars: what is not known of a point's distance "
    "to the line. Faint: single seeds. Only below the line a method is worth something."
)


class PageFigure(NamedTuple):
    """A figure as the page holds it."""

    caption: str
    png: str


class Asked(NamedTuple):
    """What the top of the page is about."""

    scenarios: Mapping[str, str]
    main: str
    score: str
    measure: str


def write_methods_page(
    path: Path,
    study: MethodStudy,
    *,
    scenarios: Mapping[str, str],
    scale_factors: Sequence[MethodScaleFactors] = (),
    costs: Mapping[str, float] | None = None,
    about: Sequence[tuple[str, str]] = (),
    simulated: bool = True,
    score: str = "CvsB",
    measure: str = "kl",
    title: str = TITLE,
) -> Path:
    """Write the page and return its path.

    Args:
        path: The HTML file.
        study: Of all selections and scenarios together.
        scenarios: What the data of each scenario are, the main one first; `null` is shown apart.
        scale_factors: Of the methods; none is fine.
        costs: Time of a training over that of the reference, by method.
        about: What was run, as (name, text): seeds, epochs, events, versions.
        simulated: Whether any events in the role of data were simulated.
        score: Whose divergence is on top.
        measure: Which one.
        title: Of the page.

    Raises:
        ValueError: If the main scenario has no row of this score and measure.
    """
    shown = [scenario for scenario in scenarios if scenario != NULL]
    asked = Asked(scenarios, shown[0] if shown else "", score, measure)
    selections = _selections(study, asked)
    answer, *sentences = _sentences(study, selections, asked)
    page = rendered(
        "methods.html",
        title=title,
        simulated=simulated,
        kind="Simulated events: no recorded data on this page" if simulated else "Recorded data",
        answer=answer,
        sentences=sentences,
        reference=study.rows[0].reference,
        claim=f"{CLAIM:g}",
        tables=[
            main_table(
                study.rows, scenarios=_most_telling(study, shown, selection, asked), selection=selection,
                score=score, measure=measure_of(selection, measure), costs=costs or {},
            )
            for selection in selections
        ],
        figures=list(_figures(study, shown, asked, EventLabel(simulated))),
        null_sentence=null_sentence(study.rows, measure=measure),
        null_tables=null_tables(study.rows, measure=measure),
        factor_tables=scale_factor_tables(scale_factors),
        ratio_tables={
            f"{scenario}: {scenarios[scenario]}": ratio_tables(
                study.rows, scenario=scenario, score=score, measure=measure
            )
            for scenario in shown
        },
        about=[*about, *((f"Scenario “{name}”", text) for name, text in scenarios.items())],
    )  # fmt: skip
    write_text(path, page)
    return path


def _selections(study: MethodStudy, asked: Asked) -> list[str]:
    """Return the selections in which the main scenario was measured."""
    place = asked.main, asked.score, asked.measure
    found = [row.selection for row in study.rows if (row.scenario, row.score, row.measure) == place]
    if not found:
        raise ValueError(
            f"no row of {asked.score}, {asked.measure} in scenario {asked.main!r}: choose what the study"
            " measured"
        )
    return list(dict.fromkeys(found))


def _place(study: MethodStudy, scenario: str, selection: str, asked: Asked) -> list[MethodRow]:
    measure = measure_of(selection, asked.measure)
    return chosen_rows(study.rows, scenario=scenario, selection=selection, score=asked.score, measure=measure)


def _most_telling(study: MethodStudy, scenarios: Sequence[str], selection: str, asked: Asked) -> list[str]:
    """Return the scenarios of a selection, those first in which its ratios mean anything."""

    def is_silent(scenario: str) -> bool:
        return not any(says_something(row) for row in _place(study, scenario, selection, asked))

    return sorted(scenarios, key=is_silent)


def _sentences(study: MethodStudy, selections: Sequence[str], asked: Asked) -> list[str]:
    """Return the answer of each selection, those that say something first, and what else is worth knowing."""
    places = [_place(study, asked.main, selection, asked) for selection in selections]
    places.sort(key=lambda rows: not any(says_something(row) for row in rows))
    found = [place_sentence(rows, study.pairs) for rows in places]
    winner = winner_of(places[0], study.pairs)
    if winner is not None and winner.significance >= CLAIM:
        found.append(other_scenarios_sentence(study.rows, winner.row, asked.scenarios, main=asked.main))
    silent = [rows[0].selection for rows in places if not any(says_something(row) for row in rows)]
    found += _elsewhere(study, silent, asked)
    found += [trap_sentence(places[0]), null_sentence(study.rows, measure=asked.measure)]
    return [sentence for sentence in found if sentence]


def _elsewhere(study: MethodStudy, selections: Sequence[str], asked: Asked) -> Iterator[str]:
    """Yield what other scenarios say in selections in which the main one says nothing."""
    for scenario in asked.scenarios:
        for selection in selections:
            rows = _place(study, scenario, selection, asked)
            if scenario not in (asked.main, NULL) and any(says_something(row) for row in rows):
                yield f"In “{scenario}”: {place_sentence(rows, study.pairs)}"


def _figures(
    study: MethodStudy, scenarios: Sequence[str], asked: Asked, label: EventLabel
) -> Iterator[PageFigure]:
    score, measure = asked.score, asked.measure
    what = f"{MEASURE_NAMES.get(measure, measure)} of {score_label(score)}"
    if measure_of("wc", measure) != measure:
        what += " (of W + c in bins of equal population)"
    figure = draw_ratios(study.rows, scenarios=scenarios, score=score, measure=measure, label=label)
    others = f" Filled: “{scenarios[0]}”; open: {', '.join(scenarios[1:])}." if len(scenarios) > 1 else ""
    yield PageFigure(
        f"{what} over that of the reference at equal AUC.{others}", embedded_png(figure, dpi=100)
    )
    for scenario in scenarios:
        place = {"scenario": scenario, "score": score, "measure": measure}
        if any((row.scenario, row.score, row.measure) == tuple(place.values()) for row in study.rows):
            figure = draw_methods(study.rows, study.seeds, study.curves, label=label, **place)
            yield PageFigure(
                f"{what} against AUC, “{scenario}”. {_HOW_TO_READ}", embedded_png(figure, dpi=100)
            )
