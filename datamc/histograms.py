"""The layout of a result's histograms: which axes there are, and how their cells become data and simulation.

Nothing else knows how a histogram is indexed. Simulation leaves this module scaled to cross section times
luminosity per sum of generator weights, and summed to flavour groups; the signs are still apart.
"""

from collections.abc import Mapping
from fnmatch import fnmatch
from typing import Any, NamedTuple

import hist
import numpy as np
from numpy.typing import NDArray

from datamc.records import DatasetRecord, Result
from datamc.scenarios import Scenario

Floats = NDArray[np.float64]

GROUPS: tuple[str, ...] = ("b", "c", "light")
"""The flavour groups of all templates, in this order."""

FLAVOURS_OF_GROUP: Mapping[str, tuple[int, ...]] = {"b": (5, 6), "c": (4,), "light": (0, 1)}
"""Values of the flavour axis: 0 udsg, 1 pileup, 4 c, 5 b, 6 bb."""

DATA_VARIANT = "raw"
"""Data are filled once, undistorted: every variant of the simulation is compared with them."""

NOMINAL = "nominal"

_CATEGORIES = ("dataset", "flavour", "sign", "tagger", "epoch", "variant", "systematic")
_N_SIGNS = 2


class RateShift(NamedTuple):
    """More or fewer simulated jets: those of some processes, of one flavour group or of all."""

    processes: tuple[str, ...]
    """Patterns as in file names, without regard to case: `wjets*` is every process that begins so."""
    factor: float
    group: str | None = None

    def factors_of(self, process: str) -> Floats:
        """Return what each flavour group of a process is multiplied by, shape `(n_groups,)`."""
        is_shifted = any(fnmatch(process.lower(), pattern.lower()) for pattern in self.processes)
        return np.array(
            [self.factor if is_shifted and self.group in (None, group) else 1.0 for group in GROUPS]
        )


class Content(NamedTuple):
    """Data and scaled simulation per sign (OS, SS) in the bins of a histogram, flow bins included."""

    data: Floats
    """Shape `(2, *bins)`, as are its variances."""
    data_variance: Floats
    mc: Floats
    """Shape `(n_groups, 2, *bins)`, as are its variances."""
    mc_variance: Floats


def scores_of(result: Result) -> list[str]:
    """Return the names of the score histograms, in the order of the result."""
    return [name for name in _jet_histograms(result) if "tagger" in result.histograms[name].axes.name]


def control_variables_of(result: Result) -> list[str]:
    """Return the names of the histograms of jets that no tagger enters, in the order of the result."""
    return [name for name in _jet_histograms(result) if "tagger" not in result.histograms[name].axes.name]


def scenarios_of(result: Result) -> list[Scenario]:
    """Return every (tagger, epoch, variant) that filled the scores: by tagger, then epoch, then as filled.

    The axes of a histogram hold more combinations than were filled: a tagger read from the files has no
    variants, trainings may have different epochs. What is in here was filled; whether it is a number is
    another question.
    """
    for score in scores_of(result):
        histogram = result.histograms[score]
        names = list(histogram.axes.name)
        kept = [names.index(name) for name in Scenario._fields]
        others = tuple(axis for axis in range(len(names)) if axis not in kept)
        content = np.asarray(histogram.view(flow=True)["variance"]).sum(axis=others)
        # (tagger, epoch, variant); a NaN is content, too
        filled = content.transpose([sorted(kept).index(axis) for axis in kept]) != 0
        taggers, epochs, variants = (list(histogram.axes[name]) for name in Scenario._fields)
        filled = filled[: len(taggers), : len(epochs), : len(variants)]
        found = ((taggers[i], int(epochs[j]), k) for i, j, k in np.argwhere(filled))
        return [Scenario(tagger, epoch, variants[k]) for tagger, epoch, k in sorted(found)]
    return []


def taggers_of(result: Result) -> list[tuple[str, int]]:
    """Return every checkpoint (tagger, epoch) that filled the scores, by tagger, then epoch."""
    return list(dict.fromkeys((point.tagger, point.epoch) for point in scenarios_of(result)))


def variants_of(result: Result) -> list[str]:
    """Return the variants of the inputs that any checkpoint filled."""
    return list(dict.fromkeys(point.variant for point in scenarios_of(result)))


def bin_edges(result: Result, name: str, *, axis: str = "value") -> Floats:
    """Return the bin edges of a histogram, shape `(n_bins + 1,)`.

    Raises:
        ValueError: If the result has no such histogram.
    """
    return np.asarray(_histogram(result, name).axes[axis].edges, dtype=np.float64)


def luminosity_pb(result: Result) -> float | None:
    """Return the luminosity of the processed data in inverse picobarn; None where a dataset does not tell it.

    Data that were declared lost take their share of it with them.

    Raises:
        ValueError: If one is no positive number.
    """
    told = {name: record.luminosity_pb for name, record in result.datasets.items() if record.is_data}
    for name, value in told.items():
        if value is not None:
            _require_positive(value, f"{result.selection}, {name}: luminosity_pb", "give it in the fileset")
    known = [value * result.processed_fraction(name) for name, value in told.items() if value is not None]
    return sum(known) if known and len(known) == len(told) else None


def dataset_scales(result: Result, systematic: str = NOMINAL) -> dict[str, float]:
    """Return what each simulated dataset is multiplied by: cross section x luminosity / sum of weights.

    A variation of theory is divided by its own sum of weights, so that it changes shapes and no rate.

    An unknown luminosity counts as 1 (inverse picobarn): the factor data/MC then carries it. A dataset
    of which no event was processed is multiplied by 0.

    Raises:
        ValueError: If a simulated dataset has no cross section, or it or a sum of weights is not positive.
    """
    luminosity = luminosity_pb(result)
    scales = {}
    for name, record in result.datasets.items():
        if record.is_data:
            continue
        sum_weights = record.variation_sums.get(systematic, record.sum_weights)
        if record.cross_section_pb is None:
            raise ValueError(f"{name}: simulation without cross_section_pb: add it to the fileset")
        if record.n_events == 0 and sum_weights == 0:
            scales[name] = 0.0
            continue
        place = f"{result.selection}, {name}:"
        _require_positive(record.cross_section_pb, f"{place} cross_section_pb", "give it in the fileset")
        which = "" if systematic == NOMINAL else f" of {systematic}"
        advice = "a cross section cannot be divided by it: look at the weights in its files"
        _require_positive(sum_weights, f"{place} the sum of weights{which}", advice)
        scales[name] = record.cross_section_pb * (1.0 if luminosity is None else luminosity) / sum_weights
    return scales


def _require_positive(value: float, what: str, advice: str) -> None:
    if not (np.isfinite(value) and value > 0):
        raise ValueError(f"{what} is {value:g}, no positive number: {advice}")


def content_of(
    result: Result,
    name: str,
    *,
    tagger: str | None = None,
    epoch: int | None = None,
    variant: str = DATA_VARIANT,
    systematic: str = NOMINAL,
    rate: RateShift | None = None,
) -> Content:
    """Return data and scaled simulation of one histogram; what was never filled is zero.

    A control variable has no tagger, epoch and variant. Data are always undistorted and nominal; so is
    simulation that does not hold the variation. `rate` changes how much there is of some of the simulation.

    Raises:
        ValueError: If the histogram or a cross section is missing, simulated jets have no known flavour, or
            a bin holds no finite number.
    """
    histogram = _histogram(result, name)
    of_data: dict[str, str | int | None] = {"systematic": NOMINAL}
    of_mc: dict[str, str | int | None] = {"systematic": systematic}
    if "tagger" in histogram.axes.name:
        of_data |= {"tagger": tagger, "epoch": epoch, "variant": DATA_VARIANT}
        of_mc |= {"tagger": tagger, "epoch": epoch, "variant": variant}
    recorded, simulated = (chosen_cells(histogram, chosen) for chosen in (of_data, of_mc))
    if systematic != NOMINAL:
        # A dataset without this variation stays as it is.
        is_varied = simulated["variance"].any(axis=tuple(range(1, simulated.ndim)), keepdims=True)
        nominal = chosen_cells(histogram, of_mc | {"systematic": NOMINAL})
        simulated = np.where(is_varied, simulated, nominal)
    for cells in (recorded, simulated):
        if not all(np.isfinite(cells[field]).all() for field in ("value", "variance")):
            place = "" if tagger is None else f" ({tagger}, epoch {epoch}, {variant})"
            raise ValueError(
                f"{result.selection}, {name}{place}: bins hold no finite number: look at the weights in the "
                "files, and process them again"
            )
    data = _sum_data(result, histogram, recorded)
    mc = _sum_simulation(result, histogram, simulated, dataset_scales(result, systematic), rate)
    return Content(*data, *mc)


def fold_overflow(counts: Floats) -> Floats:
    """Move the overflow of the last axis into the last bin: a score of exactly 1 belongs there."""
    folded = counts.copy()
    folded[..., -2] += folded[..., -1]
    folded[..., -1] = 0
    return folded


def _jet_histograms(result: Result) -> list[str]:
    """Return the histograms with one value per jet; a result may hold others beside them."""
    needed = {"dataset", "flavour", "sign", "value"}
    return [name for name, histogram in result.histograms.items() if needed <= set(histogram.axes.name)]


def _histogram(result: Result, name: str) -> hist.Hist[Any]:
    if name not in result.histograms:
        there = ", ".join(result.histograms) or "none at all"
        raise ValueError(f"{result.selection}: no histogram {name!r}, but {there}: choose one of these")
    return result.histograms[name]


def chosen_cells(histogram: hist.Hist[Any], chosen: Mapping[str, str | int | None]) -> NDArray[Any]:
    """Return the cells `(dataset, flavour, sign, *bins)` of the chosen categories, or zeros."""
    names = list(histogram.axes.name)
    bins = [name for name in names if name not in _CATEGORIES]
    order = [*(name for name in _CATEGORIES if name in names), *bins]
    cells = np.asarray(histogram.view(flow=True)).transpose([names.index(name) for name in order])
    place: list[slice | int] = []
    for name in order:
        if name not in chosen:
            place.append(slice(None))
        elif chosen[name] in (categories := list(histogram.axes[name])):
            place.append(categories.index(chosen[name]))
        else:
            kept = [n for n, axis in zip(cells.shape, order, strict=True) if axis not in chosen]
            return np.zeros(kept, cells.dtype)
    return cells[tuple(place)]


def _sum_data(result: Result, histogram: hist.Hist[Any], cells: NDArray[Any]) -> tuple[Floats, Floats]:
    rows = [i for i, name in enumerate(histogram.axes["dataset"]) if _record(result, name).is_data]
    recorded = cells[rows, :, :_N_SIGNS]
    return recorded["value"].sum(axis=(0, 1)), recorded["variance"].sum(axis=(0, 1))


def _sum_simulation(
    result: Result,
    histogram: hist.Hist[Any],
    cells: NDArray[Any],
    scales: Mapping[str, float],
    rate: RateShift | None,
) -> tuple[Floats, Floats]:
    datasets = list(histogram.axes["dataset"])
    rows = [i for i, name in enumerate(datasets) if not _record(result, name).is_data]
    of_process = [_record(result, datasets[i]).process for i in rows]
    # (dataset, group)
    scale = np.array(
        [
            scales[datasets[i]] * (np.ones(len(GROUPS)) if rate is None else rate.factors_of(process))
            for i, process in zip(rows, of_process, strict=True)
        ]
    ).reshape(len(rows), len(GROUPS))
    simulated = cells[rows, :, :_N_SIGNS]
    grouping = _grouping(histogram.axes["flavour"], n_rows=cells.shape[1])
    homeless = ~grouping.any(axis=0)
    if simulated["variance"][:, homeless].any():
        raise ValueError(
            f"{result.selection}: simulated jets with a flavour other than 0, 1, 4, 5, 6: is one of "
            f"{', '.join(datasets[i] for i in rows)} data?"
        )
    # (group, dataset, sign, *bins) from (group, flavour) and (dataset, flavour, sign, *bins)
    value = np.tensordot(grouping, simulated["value"], axes=(1, 1))
    variance = np.tensordot(grouping, simulated["variance"], axes=(1, 1))
    return np.einsum("dg,gd...->g...", scale, value), np.einsum("dg,gd...->g...", scale**2, variance)


def _grouping(axis: Any, *, n_rows: int) -> Floats:
    """Return which flavour belongs to which group, shape `(n_groups, n_rows)`; an overflow to none."""
    grouping = np.zeros((len(GROUPS), n_rows))
    flavours = list(axis)
    for row, group in enumerate(GROUPS):
        for flavour in FLAVOURS_OF_GROUP[group]:
            if flavour in flavours:
                grouping[row, flavours.index(flavour)] = 1
    return grouping


def _record(result: Result, dataset: str) -> DatasetRecord:
    if dataset not in result.datasets:
        raise ValueError(
            f"{result.selection}: histograms hold {dataset!r} but the result does not describe it: "
            "process it again"
        )
    return result.datasets[dataset]
