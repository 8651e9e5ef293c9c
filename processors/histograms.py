"""The histograms of a selection: their axes, and how jets are filled into them.

Nothing is normalised and no weight is signed here: opposite and same sign are two categories of one axis.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import hist
import numpy as np
from numpy.typing import NDArray

from datamc.results import Scenario
from models.features import BRANCHES

Histogram = hist.Hist[Any]
Column = NDArray[np.floating]

DATA_FLAVOUR = -1
FLAVOURS = (DATA_FLAVOUR, 0, 1, 4, 5, 6)
"""Unknown (data), udsg, pileup, c, b, bb."""
_FLAVOUR_BINS = np.full(max(FLAVOURS) - DATA_FLAVOUR + 1, len(FLAVOURS))
_FLAVOUR_BINS[np.array(FLAVOURS) - DATA_FLAVOUR] = np.arange(len(FLAVOURS))
"""The bin of each flavour from -1 on; of those without one, the overflow."""
SIGNS = {1: "OS", -1: "SS"}
NOMINAL = "nominal"

SCORE_BINNING = (60, -0.2, 1.0)
"""Source: thesis, figures of the outputs and discriminators."""
CVSL_BINNING = (50, 0.0, 1.0)
CVSB_BINNING = (10, 0.0, 1.0)
"""The finest cells of a fit; they are added up there. Source: CMS-BTV-20-001, plane of CvsL and CvsB."""
_BELOW_ONE = 1.0 - 1e-9
"""Where a score of 1 is filled: into the last bin. The next float below 1 would be rounded to overflow."""
_BELOW_ZERO = -1.0
"""Where a jet without a score is filled in the plane: into the underflow of both axes."""


class Binning(NamedTuple):
    """The bins of a control variable, and how its axis is called."""

    n_bins: int
    low: float
    high: float
    label: str


CONTROL_BINNING: Mapping[str, Binning] = {
    "jet_pt": Binning(50, 0.0, 250.0, "jet $p_T$ [GeV]"),
    "jet_eta": Binning(50, -2.5, 2.5, r"jet $\eta$"),
    "n_jets": Binning(11, -0.5, 10.5, "number of jets"),
    "soft_muon_pt": Binning(25, 0.0, 25.0, "soft muon $p_T$ [GeV]"),
    "muon_pt": Binning(40, 0.0, 200.0, "muon $p_T$ [GeV]"),
    "mt": Binning(40, 0.0, 200.0, r"$m_T(\ell, E_T^{miss})$ [GeV]"),
    "electron_pt": Binning(40, 0.0, 200.0, "electron $p_T$ [GeV]"),
    "met": Binning(40, 0.0, 200.0, "$E_T^{miss}$ [GeV]"),
    "dimuon_mass": Binning(60, 61.0, 121.0, r"$m_{\mu\mu}$ [GeV]"),
    "dimuon_pt": Binning(40, 0.0, 200.0, r"$p_T(\mu\mu)$ [GeV]"),
    "dielectron_mass": Binning(60, 61.0, 121.0, "$m_{ee}$ [GeV]"),
    "dielectron_pt": Binning(40, 0.0, 200.0, "$p_T(ee)$ [GeV]"),
    "dilepton_mass": Binning(60, 0.0, 300.0, r"$m_{\ell\ell}$ [GeV]"),
}


class Jets(NamedTuple):
    """What every histogram needs to know of the jets that are filled, shape ``(n_jets,)`` each."""

    dataset: str
    flavour: NDArray[np.int64]
    sign: NDArray[np.int8]
    weight: NDArray[np.float64]
    systematic: str = NOMINAL

    def part(self, chosen: slice) -> "Jets":
        """Return some of the jets."""
        return self._replace(flavour=self.flavour[chosen], sign=self.sign[chosen], weight=self.weight[chosen])

    def weighted(self, factor: NDArray[np.float64] | float) -> "Jets":
        """Return the jets with their weights multiplied."""
        return self._replace(weight=self.weight * factor)


def score_histogram(
    dataset: str, scenarios: Sequence[Scenario], *, systematics: Sequence[str] = (NOMINAL,)
) -> Histogram:
    """Return an empty histogram of one score, with the categories that will be filled."""
    value = hist.axis.Regular(*SCORE_BINNING, name="value")
    return empty_histogram(dataset, [scenario_axis(scenarios)], [value], systematics=systematics)


def plane_histogram(
    dataset: str, scenarios: Sequence[Scenario], *, systematics: Sequence[str] = (NOMINAL,)
) -> Histogram:
    """Return an empty histogram of the plane of CvsL and CvsB, in which scale factors are fitted."""
    plane = [hist.axis.Regular(*CVSL_BINNING, name="cvsl"), hist.axis.Regular(*CVSB_BINNING, name="cvsb")]
    return empty_histogram(dataset, [scenario_axis(scenarios)], plane, systematics=systematics)


def control_histogram(dataset: str, name: str, systematics: Sequence[str] = (NOMINAL,)) -> Histogram:
    """Return an empty histogram of a control variable."""
    n_bins, low, high, label = CONTROL_BINNING[name]
    value = hist.axis.Regular(n_bins, low, high, name="value", label=label)
    return empty_histogram(dataset, [], [value], systematics=systematics)


def default_counts(dataset: str) -> Histogram:
    """Return an empty histogram of how often each input holds no value; unweighted numbers of jets."""
    return hist.Hist(
        hist.axis.StrCategory([dataset], name="dataset", growth=True),
        hist.axis.StrCategory(BRANCHES, name="feature"),
        hist.axis.IntCategory([0, 1], name="is_default"),
        storage=hist.storage.Weight(),
    )


def fill_scores(
    filled: Mapping[str, Histogram], jets: Jets, scores: Mapping[str, Column], scenario: Scenario
) -> None:
    """Fill the scores of one scenario into the histograms of their names; a 1 goes into the last bin."""
    values = [{"value": np.minimum(column, _BELOW_ONE)} for column in scores.values()]
    _fill([filled[name] for name in scores], jets, values, scenario=scenario.label)


def fill_plane(histogram: Histogram, jets: Jets, cvsl: Column, cvsb: Column, scenario: Scenario) -> None:
    """Fill the plane of one scenario; jets without a score (below 0) are underflow."""
    without = (cvsl < 0) | (cvsb < 0)
    values = {
        "cvsl": np.where(without, _BELOW_ZERO, np.minimum(cvsl, _BELOW_ONE)),
        "cvsb": np.where(without, _BELOW_ZERO, np.minimum(cvsb, _BELOW_ONE)),
    }
    _fill([histogram], jets, [values], scenario=scenario.label)


def fill_control(histogram: Histogram, jets: Jets, values: Column) -> None:
    """Fill a control variable."""
    _fill([histogram], jets, [{"value": values}])


def fill_defaults(histogram: Histogram, mask: NDArray[np.bool_]) -> None:
    """Count the jets with and without a value, input by input; `mask` has shape ``(n_jets, 67)``."""
    without = mask.sum(axis=0, dtype=np.float64)
    counts = np.stack([len(mask) - without, without], axis=1)
    # (dataset, feature, is_default) with the one dataset of a chunk; the variance of a count is the count.
    view = histogram.view()
    view["value"][0] += counts
    view["variance"][0] += counts


def in_order(histogram: Histogram, order: Mapping[str, Sequence[str | int]]) -> Histogram:
    """Return the histogram with the categories of its growing axes in a given order.

    Chunks arrive in any order, and so do their categories; the content is untouched.
    """
    axes, positions = [], []
    for axis in histogram.axes:
        if axis.name not in order or not axis.traits.growth:
            axes.append(axis)
            positions.append(np.arange(axis.extent))
            continue
        categories = [category for category in order[axis.name] if category in list(axis)]
        kind: Any = (
            hist.axis.StrCategory if isinstance(axis, hist.axis.StrCategory) else hist.axis.IntCategory
        )
        axes.append(kind(categories, name=axis.name, label=axis.label, growth=True))
        positions.append(np.array([list(axis).index(category) for category in categories], dtype=np.int64))
    ordered = hist.Hist(*axes, storage=histogram.storage_type())
    _cells(ordered)[...] = _cells(histogram)[np.ix_(*positions)]
    return ordered


def scenario_axis(scenarios: Sequence[Scenario]) -> Any:
    """Return the axis of what is scored, as chunks have it: what nobody fills takes no memory.

    `by_tagger` gives the three axes of a result.
    """
    # All categories are known beforehand: growing them one by one would copy the storage each time.
    labels = [scenario.label for scenario in scenarios]
    return hist.axis.StrCategory(labels, name="scenario", growth=True)


def by_tagger(histogram: Histogram) -> Histogram:
    """Return a histogram with axes of tagger, epoch and variant in place of that of scenarios, if it has one.

    Cells of combinations that are no scenario are empty.
    """
    names = list(histogram.axes.name)
    if "scenario" not in names:
        return histogram
    at = names.index("scenario")
    scenarios = [Scenario.of_label(label) for label in histogram.axes[at]]
    tagger, epoch, variant = (list(dict.fromkeys(each)) for each in zip(*scenarios, strict=True))
    checkpoint = [
        hist.axis.StrCategory(tagger, name="tagger", growth=True),
        hist.axis.IntCategory(epoch, name="epoch", growth=True),
        hist.axis.StrCategory(variant, name="variant", growth=True),
    ]
    axes = list(histogram.axes)
    spread = hist.Hist(*axes[:at], *checkpoint, *axes[at + 1 :], storage=histogram.storage_type())
    before: tuple[Any, ...] = (slice(None),) * at
    cells, target = _cells(histogram), _cells(spread)
    for row, scenario in enumerate(scenarios):
        place = (tagger.index(scenario.tagger), epoch.index(scenario.epoch), variant.index(scenario.variant))
        target[(*before, *place)] = cells[(*before, row)]
    return spread


def empty_histogram(
    dataset: str,
    categories: Sequence[Any],
    values: Sequence[Any],
    *,
    systematics: Sequence[str] = (NOMINAL,),
) -> Histogram:
    """Return an empty histogram of jets: the axes of all, and its own around systematics."""
    return hist.Hist(
        hist.axis.StrCategory([dataset], name="dataset", growth=True),
        hist.axis.IntCategory(FLAVOURS, name="flavour"),
        hist.axis.StrCategory(list(SIGNS.values()), name="sign"),
        *categories,
        hist.axis.StrCategory(list(systematics), name="systematic", growth=True),
        *values,
        storage=hist.storage.Weight(),
    )


def _cells(histogram: Histogram) -> NDArray[Any]:
    """Return the storage as a plain array, to read and write: boost's own views cost more than counting."""
    return np.asarray(histogram.view(flow=True)).view(np.ndarray)


def _fill(
    histograms: Sequence[Histogram], jets: Jets, values: Sequence[Mapping[str, Column]], **categories: Any
) -> None:
    """Add jets to histograms with the same axes, each with values of its own.

    They are counted by numpy: the histograms' own filling looks up every category of every jet.
    """
    axes: Any = {axis.name: axis for axis in histograms[0].axes}
    shape = tuple(axes[name].extent for name in ("flavour", *values[0]))
    flavour = _FLAVOUR_BINS[jets.flavour - DATA_FLAVOUR]
    for sign, name in SIGNS.items():
        chosen: Any = jets.sign == sign
        if not chosen.any():
            continue
        chosen = slice(None) if chosen.all() else chosen
        bins = categories | {"dataset": jets.dataset, "systematic": jets.systematic, "sign": name}
        place = tuple(axes[each].index(bins[each]) if each in bins else slice(None) for each in axes)
        weight = jets.weight[chosen]
        summands = {"value": weight, "variance": weight**2}
        for histogram, columns in zip(histograms, values, strict=True):
            cells = flavour[chosen]
            for axis, column in columns.items():
                # With its underflow, the first bin of the axis is number 1.
                cells = cells * axes[axis].extent + (axes[axis].index(column[chosen]) + 1)
            target = _cells(histogram)
            for part, summand in summands.items():
                counts = np.bincount(cells, summand, minlength=int(np.prod(shape)))
                target[part][place] += counts.reshape(shape)
