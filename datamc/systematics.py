"""Sources of systematic uncertainty: which templates each of them shifts, and what becomes of the factors.

Every shifted template is fitted in the cells of the nominal one. Names end in `Up` or `Down`, the rest is the
source.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from datamc.histograms import NOMINAL, Floats, RateShift
from datamc.planes import FIT_SELECTIONS, PlaneTemplates, plane_templates
from datamc.records import Result
from datamc.scale_factors import Systematics

UP, DOWN = "Up", "Down"

_W = ("wc", "wlight", "w_*", "wjets*", "w*jets*")
_DY = ("dy*", "zjets*")
_TOP_PAIRS = ("tt", "tt[sdmh_]*", "ttl*", "ttbar*", "ttto*")
_SINGLE_TOP = ("st", "st_*", "single*top*", "tw*")


class RateSource(NamedTuple):
    """How uncertain the rate of some processes is, or of one flavour group in them."""

    name: str
    processes: tuple[str, ...]
    """Patterns as in file names, without regard to case."""
    size: float
    """Relative."""
    group: str | None = None


RATE_SOURCES: tuple[RateSource, ...] = (
    RateSource("XSec_WJets", _W, 0.038),
    RateSource("XSec_DYJets", _DY, 0.02),
    RateSource("XSec_ttbar", _TOP_PAIRS, 0.055),
    RateSource("XSec_ST", _SINGLE_TOP, 0.05),
    RateSource("XSec_BRUnc_DYJets_b", _DY, 0.025, "b"),
    RateSource("XSec_BRUnc_DYJets_c", _DY, 0.09, "c"),
    RateSource("XSec_BRUnc_WJets_c", _W, 0.08, "c"),
)
"""Names and sizes of the published fit (CMS-BTV-20-001), but for single top: its 5 % is an assumption."""


def varied_names(results: Mapping[str, Result]) -> list[str]:
    """Return the variations on the systematic axis of the planes, in the order of the results.

    Raises:
        ValueError: If a name ends neither in Up nor in Down.
    """
    names: dict[str, None] = {}
    for selection in FIT_SELECTIONS:
        plane = results[selection].histograms.get("plane") if selection in results else None
        if plane is not None:
            names |= dict.fromkeys(name for name in plane.axes["systematic"] if name != NOMINAL)
    for name in names:
        source_of(name)
    return list(names)


def source_of(variation: str) -> tuple[str, str]:
    """Return the source and the direction of a variation.

    Raises:
        ValueError: If the name ends neither in Up nor in Down.
    """
    for direction in (UP, DOWN):
        if variation.endswith(direction) and variation != direction:
            return variation.removesuffix(direction), direction
    raise ValueError(f"systematic {variation!r}: its name must end in Up or Down, e.g. pileupUp")


def shifted_planes(
    results: Mapping[str, Result],
    *,
    tagger: str,
    epoch: int,
    variant: str,
    rates: Sequence[RateSource] = RATE_SOURCES,
    names: Sequence[str] | None = None,
) -> dict[str, PlaneTemplates]:
    """Return the shifted templates of one checkpoint and variant by the name of the variation.

    A selection that holds a variation not at all keeps its nominal templates there.

    Args:
        results: One result per selection, by name.
        tagger: The name of the training.
        epoch: The checkpoint of that training.
        variant: The perturbation of the simulation.
        rates: Sources that change rates; those that touch no process of the results are left out.
        names: Variations of the systematic axis; by default all.
    """
    point = {"tagger": tagger, "epoch": epoch, "variant": variant}
    planes = {
        name: plane_templates(results, **point, systematic=name)  # type: ignore[arg-type]
        for name in (varied_names(results) if names is None else names)
    }
    for source in _present(rates, results):
        for direction, factor in ((UP, 1 + source.size), (DOWN, 1 - source.size)):
            shift = RateShift(source.processes, factor, source.group)
            planes[f"{source.name}{direction}"] = plane_templates(results, **point, rate=shift)  # type: ignore[arg-type]
    return planes


def _present(rates: Sequence[RateSource], results: Mapping[str, Result]) -> list[RateSource]:
    processes = {
        record.process
        for selection in FIT_SELECTIONS
        for record in results[selection].datasets.values()
        if not record.is_data
    }
    return [
        source
        for source in rates
        if any((RateShift(source.processes, 2.0).factors_of(process) != 1).any() for process in processes)
    ]


def paired_shifts(names: Sequence[str], shifts: Floats) -> Systematics:
    """Return the shifts by source.

    Args:
        names: The variations.
        shifts: What each does to the factors, shape `(n_variations, n_cells, n_flavours)`.
    """
    sources = list(dict.fromkeys(source_of(name)[0] for name in names))
    up, down = (np.zeros((len(sources), *shifts.shape[1:])) for _ in range(2))
    for name, shift in zip(names, shifts, strict=True):
        source, direction = source_of(name)
        (up if direction == UP else down)[sources.index(source)] = shift
    return Systematics(tuple(sources), up, down)
