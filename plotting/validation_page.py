"""The page of a validation: one HTML file with every number and figure in it, readable without a network."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from matplotlib.figure import Figure

from datamc.templates import Templates
from plotting.pages import rendered
from plotting.stacks import draw_stack
from plotting.style import (
    embedded_png,
    plain,
    score_label,
    selection_label,
)
from plotting.validation import (
    COLOURS,
    AgreementRow,
    DefaultRow,
    RangeRow,
    Spectrum,
    draw_agreement,
    draw_defaults,
    draw_p_values,
    draw_ranges,
    draw_spectra,
    short_name,
)
from plotting.validation_tables import CutflowRow, PurityRow, validation_tables
from storage.files import write_text

DEFAULT_FACTOR = 1.5
"""The band drawn around the default fractions of CMS."""

_GROUPS = (
    ("fail", "Fail: outside what is expected"),
    ("warn", "Warn: too few events to say"),
    ("pass", "Pass: as expected"),
    ("shown", "Without expectation"),
    ("skipped", "Skipped"),
)
_DEFAULTS_CAPTION = (
    "Share of jets in which an input holds no value, over that in CMS simulation (thesis, table of default "
    "fractions); the band is a factor 1.5. Inputs that always hold a value are left out."
)
_AGREEMENT_CAPTION = (
    "Shapes of the inputs in {}: other scenarios against mc; 95 % of equal samples are in the band."
)
_RANGES_CAPTION = (
    "Values of the inputs, defaults left out: box central 68 %, line central 98 %, in units of the simulated "
    "median and half width. The real file may hold other processes and flavours."
)
_OPEN = ("fail", "warn")


class Check(Protocol):
    """One number and what is expected of it; NaN bounds mean nothing is."""

    @property
    def name(self) -> str:
        """What is measured."""

    @property
    def sample(self) -> str:
        """In which sample."""

    @property
    def value(self) -> float:
        """The number; NaN where it was skipped."""

    @property
    def error(self) -> float:
        """Its statistical error."""

    @property
    def low(self) -> float:
        """Of the expected range."""

    @property
    def high(self) -> float:
        """Of the expected range."""

    @property
    def source(self) -> str:
        """Where the expectation comes from."""

    @property
    def verdict(self) -> str:
        """One of good, unclear, bad, shown, skipped."""

    @property
    def note(self) -> str:
        """Remarks."""


class Stack(Protocol):
    """A score in data and simulation of a selection."""

    @property
    def selection(self) -> str:
        """The selection."""

    @property
    def scenario(self) -> str:
        """Of the data."""

    @property
    def score(self) -> str:
        """The score."""

    @property
    def templates(self) -> Templates:
        """What is drawn."""


class PlacedFigure(NamedTuple):
    """A figure as the page holds it."""

    caption: str
    png: str


class FigureGroup(NamedTuple):
    """Figures under one heading; those of a wide group have a line of their own."""

    title: str
    wide: bool
    planned: list[tuple[str, Callable[[], Figure]]]
    """Captions with what draws them."""


def write_validation_page(
    path: Path,
    *,
    checks: Sequence[Check],
    defaults: Sequence[DefaultRow],
    agreement: Sequence[AgreementRow],
    ranges: Sequence[RangeRow],
    spectra: Sequence[Spectrum],
    n_events: Mapping[str, int],
    training_mix: str,
    purities: Sequence[PurityRow] = (),
    cutflows: Sequence[CutflowRow] = (),
    stacks: Sequence[Stack] = (),
    tagger: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write the page and return its path.

    Args:
        path: The HTML file.
        checks: Every number with its verdict.
        defaults: Default fractions beside those of CMS simulation.
        agreement: Inputs compared between scenarios; none is fine, as for all that follows.
        ranges: Ranges of the inputs.
        spectra: What is drawn, by name; spectra of one name go into one figure.
        n_events: Events by sample.
        training_mix: Which samples the numbers by flavour are from.
        purities: Flavours of the jets that the selections take.
        cutflows: What each cut of a selection leaves.
        stacks: Scores in data and simulation of a selection.
        tagger: Whose scores they are.
        progress: Called with (figures drawn, all figures).
    """
    groups = [
        _stack_group(stacks, tagger),
        _defaults_group(defaults, training_mix),
        *_agreement_groups(agreement),
        _range_group(ranges),
        *_spectrum_groups(spectra, training_mix),
    ]
    groups = [group for group in groups if group.planned]
    figures = _drawn(groups, progress)
    page = rendered(
        "validation.html",
        title="Validation of simulated events",
        answer=_answer(checks),
        lead=f"{sum(n_events.values()):,} events: "
        + ", ".join(f"{name} {n:,}" for name, n in n_events.items())
        + ".",
        training_mix=training_mix,
        groups=_groups(checks),
        figure_groups=figures,
        tables=validation_tables(defaults, agreement, ranges, purities=purities, cutflows=cutflows),
    )
    write_text(path, page)
    return path


def _drawn(
    groups: Sequence[FigureGroup], progress: Callable[[int, int], None] | None
) -> list[dict[str, Any]]:
    total, done, drawn = sum(len(group.planned) for group in groups), 0, []
    for group in groups:
        placed = []
        for caption, draw in group.planned:
            placed.append(PlacedFigure(caption, embedded_png(draw(), dpi=90)))
            done += 1
            if progress is not None:
                progress(done, total)
        drawn.append({"title": group.title, "wide": group.wide, "figures": placed})
    return drawn


def _stack_group(stacks: Sequence[Stack], tagger: str) -> FigureGroup:
    planned: list[tuple[str, Callable[[], Figure]]] = []
    for stack in stacks:
        title = f"{selection_label(stack.selection)}\n{plain(f'{stack.scenario} against mc, {tagger}')}"
        caption = f"{stack.score} in the selection {stack.selection}: {stack.scenario} over mc."
        planned.append(
            (caption, partial(draw_stack, stack.templates, xlabel=score_label(stack.score), title=title))
        )
    return FigureGroup("Scores in the selections", False, planned)


def _defaults_group(defaults: Sequence[DefaultRow], training_mix: str) -> FigureGroup:
    draw = partial(draw_defaults, defaults, factor=DEFAULT_FACTOR, title=training_mix)
    return FigureGroup("Inputs without a value", True, [(_DEFAULTS_CAPTION, draw)])


def _agreement_groups(agreement: Sequence[AgreementRow]) -> list[FigureGroup]:
    """Return the figures of each process, and that of all p-values, where samples are compared at all."""
    inputs: list[tuple[str, Callable[[], Figure]]] = [
        (_AGREEMENT_CAPTION.format(process), partial(draw_agreement, agreement, process=process))
        for process in dict.fromkeys(row.process for row in agreement)
    ]
    caption = "P-values of all inputs: equal samples follow the diagonal."
    p_values = [(caption, partial(draw_p_values, agreement))] if agreement else []
    return [
        FigureGroup("Agreement of the scenarios", True, inputs),
        FigureGroup("P-values of the scenarios", False, [*p_values]),
    ]


def _range_group(ranges: Sequence[RangeRow]) -> FigureGroup:
    """Return the figure of all ranges, where there is a real file to compare with."""
    planned: list[tuple[str, Callable[[], Figure]]] = []
    if len({row.sample for row in ranges}) > 1:
        planned.append((_RANGES_CAPTION, partial(draw_ranges, ranges)))
    return FigureGroup("Inputs in a real file", True, planned)


def _spectrum_groups(spectra: Sequence[Spectrum], training_mix: str) -> list[FigureGroup]:
    """Return figures of what is drawn by flavour, then of all others."""
    of_inputs: list[tuple[str, Callable[[], Figure]]] = []
    of_samples: list[tuple[str, Callable[[], Figure]]] = []
    for name in dict.fromkeys(spectrum.name for spectrum in spectra):
        own = [spectrum for spectrum in spectra if spectrum.name == name]
        by_flavour = {spectrum.series for spectrum in own} <= set(COLOURS)
        placed = (f"{own[0].label}: {short_name(name)}", partial(draw_spectra, own))
        (of_inputs if by_flavour else of_samples).append(placed)
    return [
        FigureGroup(f"Inputs of a tagger by flavour: {training_mix}", False, of_inputs),
        FigureGroup("Jets, leptons and missing momentum by sample", False, of_samples),
    ]


def _answer(checks: Sequence[Check]) -> str:
    counts = {verdict: sum(check.verdict == verdict for check in checks) for verdict, _ in _GROUPS}
    judged = counts["pass"] + counts["warn"] + counts["fail"]
    failed = dict.fromkeys(check.name for check in checks if check.verdict == "fail")
    which = f" ({'; '.join(failed)})" if failed else ""
    return (
        f"{counts['pass']} of {judged} checks pass, {counts['fail']} fail{which}; {counts['warn']} have too "
        f"few events to say, {counts['skipped']} could not be made."
    )


def _groups(checks: Sequence[Check]) -> list[dict[str, Any]]:
    groups = []
    for verdict, title in _GROUPS:
        own = [check for check in checks if check.verdict == verdict]
        if own:
            rows = [_check_row(check) for check in own]
            groups.append({"title": f"{title} ({len(own)})", "rows": rows, "open": verdict in _OPEN})
    return groups


def _check_row(check: Check) -> dict[str, str]:
    value = "–" if math.isnan(check.value) else _with_error(check.value, check.error)
    expected = "" if math.isnan(check.low) else f"{check.low:.3g} – {check.high:.3g}"
    remark = "; ".join(part for part in (check.source, check.note) if part)
    return {"name": check.name, "sample": check.sample, "value": value, "expected": expected,
            "verdict": check.verdict, "remark": remark}  # fmt: skip


def _with_error(value: float, error: float) -> str:
    """Return a number and its error, both to two digits of the error."""
    if not error > 0:
        return f"{value:.3g}"
    digits = min(max(1 - math.floor(math.log10(error)), 0), 6)
    return f"{value:.{digits}f} ± {error:.{digits}f}"
