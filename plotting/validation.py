"""Figures of the validation of simulated files: distributions by flavour, defaults, agreement."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator
from numpy.typing import NDArray
from scipy import stats

from plotting.style import (
    FLAVOUR_COLOURS,
    LINE_COLOURS,
    MARKERS,
    SIMULATION,
    draw_label,
    draw_legend,
    figure_style,
    in_legend,
    plain,
)

COLOURS = FLAVOUR_COLOURS | {"bb": "#964a8b"}
"""Of flavours. Source: M. A. Petroff, arXiv:2107.02270."""

SCENARIO_STYLES = {"mc": "-", "null": ":"}
"""Of lines; every other scenario is dashed."""

_FONT_SIZE = 12.0
_LOWEST_SHARE = 1e-6
"""Of a bin on a logarithmic axis; the rest of steep, weighted spectra is cut off."""
_HIGHEST_RATIO = 12.0
_PLAIN = FormatStrFormatter("%g")


class Spectrum(Protocol):
    """One series of a distribution; `simulation.validation.spectra` makes such objects."""

    @property
    def name(self) -> str:
        """Of the distribution."""

    @property
    def label(self) -> str:
        """Of the horizontal axis, with its unit."""

    @property
    def log(self) -> bool:
        """Whether the vertical axis is logarithmic."""

    @property
    def edges(self) -> NDArray[np.float64]:
        """Of the bins, shape `(n_bins + 1,)`."""

    @property
    def series(self) -> str:
        """What is counted: a flavour, an origin or a sample."""

    @property
    def counts(self) -> NDArray[np.float64]:
        """Weighted numbers per bin, shape `(n_bins,)`."""

    @property
    def variance(self) -> NDArray[np.float64]:
        """Squares of their errors, shape `(n_bins,)`."""


class DefaultRow(Protocol):
    """How often one input holds no value in jets of one flavour, here and in CMS simulation."""

    @property
    def input(self) -> str:
        """The branch."""

    @property
    def flavour(self) -> str:
        """The flavour of the jets."""

    @property
    def fraction(self) -> float:
        """Share of jets without a value; NaN without jets."""

    @property
    def error(self) -> float:
        """Its statistical error."""

    @property
    def cms_fraction(self) -> float:
        """The same in CMS simulation."""

    @property
    def ratio(self) -> float:
        """Here over CMS."""

    @property
    def within_factor(self) -> int:
        """1 if the ratio is close enough to 1, else 0."""


class AgreementRow(Protocol):
    """One input of two samples of a process compared by a chi-square test."""

    @property
    def process(self) -> str:
        """The process."""

    @property
    def scenario(self) -> str:
        """The scenario that is compared with simulation."""

    @property
    def input(self) -> str:
        """The branch."""

    @property
    def chi2(self) -> float:
        """The sum of squares."""

    @property
    def ndf(self) -> int:
        """Degrees of freedom."""

    @property
    def p_value(self) -> float:
        """The probability of a larger chi-square in equal samples."""


class RangeRow(Protocol):
    """The values of one input in one sample."""

    @property
    def input(self) -> str:
        """The branch."""

    @property
    def sample(self) -> str:
        """Simulated jets, or a real file."""

    @property
    def q01(self) -> float:
        """Quantile of 1 %; NaN where there is no value, as are the others."""

    @property
    def q16(self) -> float:
        """Quantile of 16 %."""

    @property
    def median(self) -> float:
        """Quantile of 50 %."""

    @property
    def q84(self) -> float:
        """Quantile of 84 %."""

    @property
    def q99(self) -> float:
        """Quantile of 99 %."""

    def __iter__(self) -> Any:
        """Go through input, sample, number of values, seven quantiles and the share inside."""


def short_name(branch: str) -> str:
    """Return the name of an input as people say it."""
    return branch.removeprefix("Jet_").removeprefix("DeepCSV_")


def draw_spectra(spectra: Sequence[Spectrum], *, title: str = "") -> Figure:
    """Return a figure of one distribution, a line a series, each adding up to one; no line for empty ones."""
    first = spectra[0]
    with figure_style(font_size=_FONT_SIZE):
        figure = Figure(figsize=(6.4, 4.6), layout="constrained")
        axes = figure.add_subplot()
        colours = _colours([spectrum.series for spectrum in spectra])
        for spectrum in spectra:
            total = spectrum.counts.sum()
            if total <= 0:
                continue
            _draw_series(axes, spectrum, total, colours[spectrum.series])
        axes.set(xlabel=first.label, ylabel="share of each, per bin", xlim=(first.edges[0], first.edges[-1]))
        if first.log:
            axes.set_yscale("log")
        if np.array_equal(first.edges % 1, np.full(len(first.edges), 0.5)):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.xaxis.set_minor_locator(NullLocator())
        axes.margins(y=0.25)
        axes.set_ylim(bottom=max(axes.get_ylim()[0], _LOWEST_SHARE) if first.log else 0)
        draw_legend(axes, loc="best", fontsize="small", ncols=1 + (len(spectra) > 4))
        draw_label(axes, SIMULATION._replace(right=plain(title)))
    return figure


def _colours(series: Sequence[str]) -> dict[str, str]:
    """Return a colour for each series: that of the flavour, or one for each process."""
    if set(series) <= set(COLOURS):
        return {name: COLOURS[name] for name in series}
    processes = list(dict.fromkeys(name.partition(" (")[0] for name in series))
    return {
        name: LINE_COLOURS[processes.index(name.partition(" (")[0]) % len(LINE_COLOURS)] for name in series
    }


def _draw_series(axes: Axes, spectrum: Spectrum, total: float, colour: str) -> None:
    _, _, scenario = spectrum.series.rstrip(")").partition(" (")
    style = SCENARIO_STYLES.get(scenario, "--") if scenario else "-"
    shape, error = spectrum.counts / total, np.sqrt(spectrum.variance) / total
    # On a logarithmic axis nothing is a gap, not a line to the bottom.
    shape = np.where(shape > 0, shape, np.nan)
    axes.stairs(
        shape,
        spectrum.edges,
        baseline=None,
        color=colour,
        linestyle=style,
        linewidth=1.4,
        label=in_legend(spectrum.series),
    )
    low, high = (np.append(bound, bound[-1]) for bound in (shape - error, shape + error))
    axes.fill_between(spectrum.edges, low, high, step="post", color=colour, alpha=0.2, linewidth=0)


def draw_defaults(rows: Sequence[DefaultRow], *, factor: float, title: str = "") -> Figure:
    """Return a figure of default fractions over those of CMS simulation, without those that are 0 there."""
    inputs = list(dict.fromkeys(row.input for row in rows if row.cms_fraction > 0))
    flavours = list(dict.fromkeys(row.flavour for row in rows))
    with figure_style(font_size=_FONT_SIZE):
        figure = Figure(figsize=(14, 5.6), layout="constrained")
        axes = figure.add_subplot()
        axes.axhspan(1 / factor, factor, color="#dddddd", zorder=0)
        axes.axhline(1, color="#888888", linewidth=1)
        for i, flavour in enumerate(flavours):
            own = [row for row in rows if row.flavour == flavour and row.cms_fraction > 0 and row.ratio > 0]
            x = np.array([inputs.index(row.input) for row in own]) + 0.18 * (i - (len(flavours) - 1) / 2)
            axes.errorbar(
                x, [row.ratio for row in own], [row.error / row.cms_fraction for row in own],
                color=COLOURS.get(flavour, LINE_COLOURS[-1]), marker=MARKERS[i], markersize=4, linestyle="",
                elinewidth=1, label=flavour,
            )  # fmt: skip
        axes.set(yscale="log", ylabel="share of defaults, here / CMS", xlim=(-0.8, len(inputs) - 0.2))
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(_PLAIN)
        axes.yaxis.set_minor_formatter(NullFormatter())
        highest = max([factor, *(row.ratio for row in rows if np.isfinite(row.ratio))])
        axes.set_ylim(0.5, min(2 * highest, _HIGHEST_RATIO))
        _label_inputs(axes, inputs)
        draw_legend(axes, loc="upper left", fontsize="small", ncols=4)
        draw_label(axes, SIMULATION._replace(right=plain(title)))
    return figure


def draw_agreement(rows: Sequence[AgreementRow], *, process: str) -> Figure:
    """Return a figure of chi-square per degree of freedom, input by input, of all scenarios of a process.

    The band holds 95 % of what equal samples would give.
    """
    own = [row for row in rows if row.process == process]
    inputs = list(dict.fromkeys(row.input for row in own))
    with figure_style(font_size=_FONT_SIZE):
        figure = Figure(figsize=(14, 5.2), layout="constrained")
        axes = figure.add_subplot()
        ndf = np.array([next(row.ndf for row in own if row.input == name) for name in inputs])
        low, high = stats.chi2.ppf([[0.025], [0.975]], ndf) / ndf
        places = np.arange(len(inputs))
        axes.bar(places, high - low, bottom=low, width=1.0, color="#dddddd", zorder=0)
        for i, scenario in enumerate(dict.fromkeys(row.scenario for row in own)):
            some = [row for row in own if row.scenario == scenario]
            axes.plot(
                [inputs.index(row.input) for row in some], [row.chi2 / row.ndf for row in some],
                linestyle="", marker=MARKERS[i], markersize=5, color=LINE_COLOURS[i % len(LINE_COLOURS)],
                label=in_legend(f"{scenario} against mc"),
            )  # fmt: skip
        highest = max(row.chi2 / row.ndf for row in own)
        axes.set(yscale="log", ylabel="χ² / degrees of freedom", xlim=(-0.8, len(inputs) - 0.2))
        axes.set_ylim(0.05, 8 * max(highest, 2.0))
        axes.yaxis.set_major_formatter(_PLAIN)
        _label_inputs(axes, inputs)
        draw_legend(axes, loc="upper left", fontsize="small", ncols=3)
        draw_label(axes, SIMULATION._replace(right=plain(process)))
    return figure


def draw_p_values(rows: Iterable[AgreementRow]) -> Figure:
    """Return a figure of the share of inputs with a p-value below the abscissa; equal: the diagonal."""
    groups: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        groups.setdefault((row.process, row.scenario), []).append(row.p_value)
    with figure_style(font_size=_FONT_SIZE):
        figure = Figure(figsize=(6.4, 4.6), layout="constrained")
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color="#888888", linewidth=1)
        names = [f"{process} ({scenario})" for process, scenario in groups]
        colours = _colours(names)
        for name, (scenario, values) in zip(
            names, ((key[1], values) for key, values in groups.items()), strict=True
        ):
            axes.ecdf(
                values, color=colours[name], linestyle=SCENARIO_STYLES.get(scenario, "--"), linewidth=1.6,
                label=in_legend(name),
            )  # fmt: skip
        axes.set(xlabel="p-value", ylabel="share of inputs below", xlim=(0, 1), ylim=(0, 1.02))
        draw_legend(axes, loc="lower right", fontsize="small")
        draw_label(axes, SIMULATION)
    return figure


def draw_ranges(rows: Sequence[RangeRow]) -> Figure:
    """Return a figure of the values of all inputs, sample beside sample, in units of the first sample.

    Zero is its median, one half of its central 68 %. Boxes hold the central 68 %, lines the central 98 %.
    """
    samples = list(dict.fromkeys(row.sample for row in rows))
    first = {row.input: row for row in rows if row.sample == samples[0] and row.q84 > row.q16}
    inputs = list(first)
    with figure_style(font_size=_FONT_SIZE):
        figure = Figure(figsize=(14, 5.6), layout="constrained")
        axes = figure.add_subplot()
        for i, sample in enumerate(samples):
            own = [row for row in rows if row.sample == sample and row.input in first]
            x = np.array([inputs.index(row.input) for row in own]) + 0.36 * (i - (len(samples) - 1) / 2)
            quantiles = np.array([_in_units_of(first[row.input], row) for row in own]).reshape(-1, 5)
            low, box_low, median, box_high, high = quantiles.T
            colour = LINE_COLOURS[i % len(LINE_COLOURS)]
            axes.vlines(x, low, high, color=colour, linewidth=1)
            axes.vlines(x, box_low, box_high, color=colour, linewidth=4, alpha=0.5, label=in_legend(sample))
            axes.plot(x, median, linestyle="", marker="_", color=colour, markersize=7)
        axes.set_yscale("symlog", linthresh=2)
        axes.yaxis.set_major_formatter(_PLAIN)
        axes.set(ylabel="(value - median) / half width", xlim=(-0.8, len(inputs) - 0.2))
        _label_inputs(axes, inputs)
        draw_legend(axes, loc="upper left", fontsize="small", ncols=len(samples))
        draw_label(axes, SIMULATION)
    return figure


def _in_units_of(first: RangeRow, row: RangeRow) -> list[float]:
    width = (first.q84 - first.q16) / 2
    return [(value - first.median) / width for value in (row.q01, row.q16, row.median, row.q84, row.q99)]


def _label_inputs(axes: Axes, inputs: Sequence[str]) -> None:
    axes.set_xticks(
        np.arange(len(inputs)), [plain(short_name(name)) for name in inputs], rotation=90, fontsize=7.5
    )
    axes.tick_params(axis="x", which="minor", bottom=False, top=False)
