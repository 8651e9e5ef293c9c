"""The page of a validation: one HTML file with every number and figure in it, readable without a network."""

import base64
import io
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from plotting.style import figure_style
from plotting.tables import Table
from plotting.validation import (
    AgreementRow,
    DefaultRow,
    Spectrum,
    draw_agreement,
    draw_defaults,
    draw_p_values,
    draw_spectra,
    short_name,
)
from storage.files import write_text

DEFAULT_FACTOR = 1.5
"""The band drawn around the default fractions of CMS."""

_GROUPS = (("fail", "Outside what is expected"), ("warn", "Unclear"), ("pass", "As expected"),
           ("shown", "Without expectation"), ("skipped", "Skipped"))  # fmt: skip
_DEFAULTS_CAPTION = (
    "Share of jets in which an input holds no value, over that in CMS simulation (thesis, table of default "
    "fractions); the band is a factor 1.5. Inputs that always hold a value are left out."
)
_AGREEMENT_CAPTION = (
    "Shapes of the inputs in {}: other scenarios against mc; 95 % of equal samples are in the band."
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


class RangeRow(Protocol):
    """The values of one input in one sample, in order."""

    def __iter__(self) -> Any:
        """Go through input, sample, number of values, seven quantiles and the share inside."""


class PlacedFigure(NamedTuple):
    """A figure as the page holds it."""

    caption: str
    png: str


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
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write the page and return its path.

    Args:
        path: The HTML file.
        checks: Every number with its verdict.
        defaults: Default fractions beside those of CMS simulation.
        agreement: Inputs compared between scenarios; none is fine.
        ranges: Ranges of the inputs.
        spectra: What is drawn, by name; spectra of one name go into one figure.
        n_events: Events by sample.
        training_mix: Which samples the numbers by flavour are from.
        progress: Called with (figures drawn, all figures).
    """
    wide, small = _planned(defaults, agreement, spectra, training_mix)
    total, placed = len(wide) + len(small), []
    for done, (caption, draw) in enumerate([*wide, *small], start=1):
        placed.append(PlacedFigure(caption, _png(draw())))
        if progress is not None:
            progress(done, total)
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(_packaged("validation.html"))
    page = template.render(
        title="Validation of simulated events",
        answer=_answer(checks),
        lead=f"{sum(n_events.values()):,} events: "
        + ", ".join(f"{name} {n:,}" for name, n in n_events.items())
        + ".",
        training_mix=training_mix,
        groups=_groups(checks),
        wide_figures=placed[: len(wide)],
        figures=placed[len(wide) :],
        tables=_tables(defaults, agreement, ranges),
        footer=f"Made by advtag on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC.",
        style=Markup(_packaged("report.css")),
    )
    write_text(path, page)
    return path


def _planned(
    defaults: Sequence[DefaultRow],
    agreement: Sequence[AgreementRow],
    spectra: Sequence[Spectrum],
    training_mix: str,
) -> tuple[list[tuple[str, Callable[[], Figure]]], list[tuple[str, Callable[[], Figure]]]]:
    """Return captions with what draws them: wide figures, then small ones."""
    wide: list[tuple[str, Callable[[], Figure]]] = [
        (
            _DEFAULTS_CAPTION,
            lambda: draw_defaults(defaults, factor=DEFAULT_FACTOR, title=training_mix),
        )
    ]
    for process in dict.fromkeys(row.process for row in agreement):
        caption = _AGREEMENT_CAPTION.format(process)
        wide.append((caption, lambda process=process: draw_agreement(agreement, process=process)))  # type: ignore[misc]
    small: list[tuple[str, Callable[[], Figure]]] = []
    if agreement:
        small.append(("P-values of all inputs: equal samples follow the diagonal.",
                      lambda: draw_p_values(agreement)))  # fmt: skip
    for name in dict.fromkeys(spectrum.name for spectrum in spectra):
        own = [spectrum for spectrum in spectra if spectrum.name == name]
        caption = f"{own[0].label}: {short_name(name)}"
        small.append((caption, lambda own=own: draw_spectra(own)))  # type: ignore[misc]
    return wide, small


def _png(figure: Figure) -> str:
    content = io.BytesIO()
    with figure_style():
        figure.savefig(content, format="png", dpi=90)
    return base64.b64encode(content.getvalue()).decode()


def _answer(checks: Sequence[Check]) -> str:
    counts = {verdict: sum(check.verdict == verdict for check in checks) for verdict, _ in _GROUPS}
    judged = counts["pass"] + counts["warn"] + counts["fail"]
    return (
        f"{counts['pass']} of {judged} checks are as expected, {counts['fail']} are not, {counts['warn']} "
        f"are unclear; {counts['skipped']} could not be made."
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


def _tables(
    defaults: Sequence[DefaultRow], agreement: Sequence[AgreementRow], ranges: Sequence[RangeRow]
) -> list[Table]:
    flavours = list(dict.fromkeys(row.flavour for row in defaults))
    by_input: dict[str, list[str]] = {}
    for row in defaults:
        mark = "" if row.within_factor or math.isnan(row.fraction) else " !"
        text = "–" if math.isnan(row.fraction) else f"{row.fraction:.4f} / {row.cms_fraction:.4f}{mark}"
        by_input.setdefault(short_name(row.input), []).append(text)
    tables = [
        Table(
            "Share of defaults, here / CMS; ! beyond a factor 1.5",
            ["Input", *flavours],
            [[name, *texts] for name, texts in by_input.items()],
        ),
        Table(
            "Ranges of the inputs, defaults left out",
            ["Input", "Sample", "Values", "Lowest", "1 %", "16 %", "Median", "84 %", "99 %", "Highest",
             "Within ours"],
            [[_cell(value) for value in row] for row in ranges],
            numeric_from=2,
        ),
    ]  # fmt: skip
    if agreement:
        rows = [
            [short_name(row.input), row.process, row.scenario, f"{row.chi2:.1f}", str(row.ndf),
             f"{row.p_value:.3g}"]
            for row in sorted(agreement, key=lambda row: row.p_value)
        ]  # fmt: skip
        tables.append(
            Table(
                "Shapes of the inputs against mc, worst first",
                ["Input", "Process", "Scenario", "χ²", "Degrees of freedom", "p-value"],
                rows,
                numeric_from=3,
            )
        )
    return tables


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "–" if math.isnan(value) else f"{value:.4g}"
    return short_name(str(value))


def _packaged(name: str) -> str:
    return resources.files("plotting").joinpath(name).read_text(encoding="utf-8")
