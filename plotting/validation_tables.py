"""Tables on the page of a validation: every number by input, and what the selections leave."""

import math
from collections.abc import Sequence
from typing import Protocol

from plotting.tables import Table
from plotting.validation import AgreementRow, DefaultRow, RangeRow, short_name


class PurityRow(Protocol):
    """The share of one flavour among the jets that a selection takes."""

    @property
    def selection(self) -> str:
        """The selection."""

    @property
    def flavour(self) -> str:
        """The flavour."""

    @property
    def fraction(self) -> float:
        """Its share."""

    @property
    def error(self) -> float:
        """The statistical error."""


class CutflowRow(Protocol):
    """What one cut, after all above it, leaves of a sample."""

    @property
    def selection(self) -> str:
        """The selection."""

    @property
    def sample(self) -> str:
        """Process and scenario."""

    @property
    def cut(self) -> str:
        """The cut."""

    @property
    def n_events(self) -> int:
        """Events that are left."""

    @property
    def share(self) -> float:
        """Of the sum of weights before any cut."""


def validation_tables(
    defaults: Sequence[DefaultRow],
    agreement: Sequence[AgreementRow],
    ranges: Sequence[RangeRow],
    *,
    purities: Sequence[PurityRow] = (),
    cutflows: Sequence[CutflowRow] = (),
) -> list[Table]:
    """Return all tables of the page; those without rows are left out."""
    tables = [*_selection_tables(purities, cutflows), _default_table(defaults), _range_table(ranges)]
    return [*tables, _agreement_table(agreement)] if agreement else tables


def _selection_tables(purities: Sequence[PurityRow], cutflows: Sequence[CutflowRow]) -> list[Table]:
    shares: dict[str, dict[str, str]] = {}
    for row in purities:
        text = f"{100 * row.fraction:.1f} ± {100 * row.error:.1f} %"
        shares.setdefault(row.selection, {})[row.flavour] = text
    flavours = list(dict.fromkeys(row.flavour for row in purities))
    tables = []
    if purities:
        rows = [[name, *(own.get(flavour, "–") for flavour in flavours)] for name, own in shares.items()]
        tables.append(Table("Flavours of the selected jets (W+c: OS−SS)", ["Selection", *flavours], rows))
    for selection in dict.fromkeys(row.selection for row in cutflows):
        own_rows = [row for row in cutflows if row.selection == selection]
        samples = list(dict.fromkeys(row.sample for row in own_rows))
        by_cut: dict[str, dict[str, str]] = {}
        for left in own_rows:
            by_cut.setdefault(left.cut, {})[left.sample] = f"{left.n_events:,} ({100 * left.share:.3g} %)"
        cells = [[cut, *(own.get(sample, "–") for sample in samples)] for cut, own in by_cut.items()]
        tables.append(Table(f"Cutflow of {selection}: events, weighted share", ["Cut", *samples], cells))
    return tables


def _default_table(defaults: Sequence[DefaultRow]) -> Table:
    flavours = list(dict.fromkeys(row.flavour for row in defaults))
    by_input: dict[str, list[str]] = {}
    for row in defaults:
        mark = "" if row.within_factor or math.isnan(row.fraction) else " !"
        text = "–" if math.isnan(row.fraction) else f"{row.fraction:.4f} / {row.cms_fraction:.4f}{mark}"
        by_input.setdefault(short_name(row.input), []).append(text)
    return Table(
        "Share of defaults, here / CMS; ! beyond a factor 1.5",
        ["Input", *flavours],
        [[name, *texts] for name, texts in by_input.items()],
    )


def _range_table(ranges: Sequence[RangeRow]) -> Table:
    return Table(
        "Ranges of the inputs, defaults left out",
        [
            "Input",
            "Sample",
            "Values",
            "Lowest",
            "1 %",
            "16 %",
            "Median",
            "84 %",
            "99 %",
            "Highest",
            "Within ours",
        ],
        [[_cell(value) for value in row] for row in ranges],
        numeric_from=2,
    )


def _agreement_table(agreement: Sequence[AgreementRow]) -> Table:
    rows = [
            [short_name(row.input), row.process, row.scenario, f"{row.chi2:.1f}", str(row.ndf),
             f"{row.p_value:.3g}"]
            for row in sorted(agreement, key=lambda row: row.p_value)
        ]  # fmt: skip
    return Table(
        "Shapes of the inputs against mc, worst first",
        ["Input", "Process", "Scenario", "χ²", "Degrees of freedom", "p-value"],
        rows,
        numeric_from=3,
    )


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "–" if math.isnan(value) else f"{value:.4g}"
    return short_name(str(value))
