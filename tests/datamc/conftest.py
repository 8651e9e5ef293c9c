"""Synthetic results: smooth shapes, known flavour content, Poisson counts, as a processing run would leave
them."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import hist
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import beta

from datamc.planes import PlaneTemplates, SameSign
from datamc.results import CutflowRow, DatasetRecord, LedgerEntry, Result

FLAVOURS = [-1, 0, 1, 4, 5, 6]
SIGNS = ["OS", "SS"]
SCORES = ["b", "bb", "c", "udsg", "BvsL", "BvsC", "CvsB", "CvsL"]
SCORE_EDGES = np.linspace(-0.2, 1, 61)
LUMINOSITY_PB = 1000.0

MEANS = {  # where a flavour sits on a score, fully trained: udsg, pileup, c, b, bb
    "b": (0.12, 0.08, 0.25, 0.60, 0.35),
    "bb": (0.05, 0.04, 0.08, 0.20, 0.55),
    "c": (0.25, 0.18, 0.42, 0.18, 0.15),
    "udsg": (0.58, 0.68, 0.30, 0.10, 0.07),
    "BvsL": (0.22, 0.16, 0.50, 0.85, 0.90),
    "BvsC": (0.42, 0.40, 0.40, 0.78, 0.84),
    "CvsB": (0.58, 0.60, 0.60, 0.22, 0.16),
    "CvsL": (0.28, 0.20, 0.58, 0.62, 0.64),
}


class Sample(NamedTuple):
    """One simulated dataset: cross section, generated events, selected jets per flavour and sign."""

    cross_section_pb: float
    n_generated: int
    opposite_sign: tuple[float, ...]  # expected selected jets, unweighted: udsg, pileup, c, b, bb
    same_sign: tuple[float, ...] = (0, 0, 0, 0, 0)


SAMPLES: dict[str, dict[str, Sample]] = {
    "dy": {
        "DYJets": Sample(60.0, 50_000, (16_000, 3_000, 2_200, 1_000, 150)),
        "ttbar": Sample(5.0, 10_000, (300, 60, 150, 700, 60)),
    },
    "wc": {
        "WJets": Sample(40.0, 40_000, (1_500, 300, 5_200, 260, 90), (1_450, 290, 700, 240, 85)),
        "ttbar": Sample(5.0, 10_000, (150, 30, 250, 420, 40), (140, 28, 120, 380, 36)),
        "DYJets": Sample(6.0, 10_000, (200, 40, 160, 90, 20), (190, 38, 110, 85, 20)),
    },
    "ttsemilep": {
        "ttbar": Sample(20.0, 40_000, (1_100, 200, 900, 5_000, 260), (1_000, 190, 600, 3_000, 220)),
        "single_top": Sample(2.0, 10_000, (90, 15, 60, 420, 20), (80, 15, 50, 230, 15)),
        "WJets": Sample(3.0, 10_000, (300, 60, 260, 110, 40), (280, 60, 180, 100, 40)),
    },
}
"""Roughly the flavour content of the three selections."""

DATA_NAMES = {"dy": "DoubleMuon_2017", "wc": "SingleMuon_2017", "ttsemilep": "SingleMuon_2017"}

CONTROLS = {  # edges, and the shape of the jets in them
    "jet_pt": (np.linspace(20, 220, 41), lambda x: np.exp(-x / 35)),
    "jet_eta": (np.linspace(-2.5, 2.5, 26), lambda x: 1 - 0.06 * x**2),
    "n_jets": (np.arange(0.5, 9.5), lambda x: np.exp(-x / 1.5)),
    "dimuon_mass": (np.linspace(71, 111, 41), lambda x: 1 / ((x - 91.2) ** 2 + 3.0)),
    "mt": (np.linspace(0, 200, 41), lambda x: np.exp(-0.5 * ((x - 80) / 25) ** 2)),
    "soft_muon_pt": (np.linspace(0, 25, 26), lambda x: np.exp(-x / 5)),
}
CONTROLS_OF = {
    "dy": ("jet_pt", "jet_eta", "n_jets", "dimuon_mass"),
    "wc": ("jet_pt", "jet_eta", "n_jets", "mt", "soft_muon_pt"),
    "ttsemilep": ("jet_pt", "jet_eta", "n_jets", "mt", "soft_muon_pt"),
}


def score_shape(
    score: str, flavour: int, edges: NDArray, *, tagger: str, epoch: int, variant: str, is_data: bool
) -> NDArray:
    """Fractions of the jets per bin, shape `(n_bins,)`; 2 % of them have the default score."""
    trained = 1 - 0.5 * np.exp(-epoch / 4)
    if variant.startswith("noise"):
        trained *= 0.9
    if variant.startswith("fgsm"):
        trained *= 0.85 if tagger == "adversarial" else 0.45
    mean = 0.4 + (MEANS[score][flavour] - 0.4) * trained
    if is_data:
        mean += (0.004 if tagger == "adversarial" else 0.008) * np.sqrt(epoch) * (0.5 - mean)
    bounds = np.clip(edges, 0, 1)
    shape = 0.98 * np.diff(beta.cdf(bounds, 5 * mean, 5 * (1 - mean)))
    inside = (edges[:-1] <= -0.1) & (edges[1:] > -0.1)
    return shape + 0.02 * inside


def category_axes(
    datasets: list[str], taggers: list[str], epochs: list[int], variants: list[str]
) -> list[Any]:
    return [
        hist.axis.StrCategory(datasets, growth=True, name="dataset"),
        hist.axis.IntCategory(FLAVOURS, name="flavour"),
        hist.axis.StrCategory(SIGNS, name="sign"),
        hist.axis.StrCategory(taggers, growth=True, name="tagger"),
        hist.axis.IntCategory(epochs, growth=True, name="epoch"),
        hist.axis.StrCategory(variants, growth=True, name="variant"),
        hist.axis.StrCategory(["nominal"], growth=True, name="systematic"),
    ]


class SyntheticRun:
    """Fills one Result; `smooth` gives expectation values instead of Poisson counts."""

    def __init__(
        self,
        selection: str,
        *,
        taggers: Sequence[str],
        epochs: Sequence[int],
        variants: Sequence[str],
        data_scale: float,
        size: float,
        weight: float,
        seed: int,
        smooth: bool,
        scale_factors: tuple[float, float, float],
    ) -> None:
        self.selection, self.samples = selection, SAMPLES[selection]
        self.taggers, self.epochs, self.variants = list(taggers), list(epochs), list(variants)
        self.data_scale, self.size, self.weight, self.smooth = data_scale, size, weight, smooth
        self.scale_factors = np.array(scale_factors)[[2, 2, 0, 1, 1]]  # c, b, light -> the five flavours
        self.random = np.random.default_rng(seed)
        self.data_name = DATA_NAMES[selection]
        self.datasets = [self.data_name, *self.samples]

    def counts(self, dataset: str) -> NDArray:
        """Expected selected jets, shape `(5 flavours, 2 signs)`; for data what nature holds."""
        if dataset != self.data_name:
            sample = self.samples[dataset]
            return self.size * np.array([sample.opposite_sign, sample.same_sign]).T
        total = np.zeros((5, 2))
        for name, sample in self.samples.items():
            total += self.counts(name) * sample.cross_section_pb * LUMINOSITY_PB / sample.n_generated
        return self.data_scale * total * self.scale_factors[:, None]

    def drawn(self, expected: NDArray) -> NDArray:
        return expected if self.smooth else self.random.poisson(expected).astype(float)

    def fill(self, histogram: hist.Hist, dataset: str, expected: NDArray, cell: dict[str, Any]) -> None:
        """Add jets, expected shape `(5, 2, *bins)`, in the given categories."""
        place = tuple(cell.get(axis.name, slice(None)) for axis in histogram.axes[3:])
        place = tuple(
            axis.index(value) if not isinstance(value, slice) else value
            for axis, value in zip(histogram.axes[3:], place, strict=True)
        )
        row = histogram.axes[0].index(dataset)
        view = histogram.view()
        counts = self.drawn(expected)
        if dataset == self.data_name:
            target = view[(row, 0, slice(0, 2), *place)]
            target["value"] += counts.sum(axis=0)
            target["variance"] += counts.sum(axis=0)
        else:
            target = view[(row, slice(1, 6), slice(0, 2), *place)]
            target["value"] += self.weight * counts
            target["variance"] += self.weight**2 * counts

    def checkpoints(self, dataset: str) -> list[dict[str, Any]]:
        """The categories to fill: data have the variant raw alone."""
        is_data = dataset == self.data_name
        return [
            {"tagger": tagger, "epoch": epoch, "variant": variant, "systematic": "nominal"}
            for tagger in self.taggers
            for epoch in self.epochs
            for variant in (["raw"] if is_data else self.variants)
        ]

    def shapes(self, score: str, dataset: str, cell: dict[str, Any], edges: NDArray) -> NDArray:
        checkpoint = {key: cell[key] for key in ("tagger", "epoch", "variant")}
        is_data = dataset == self.data_name and not self.smooth
        return np.array([score_shape(score, f, edges, **checkpoint, is_data=is_data) for f in range(5)])

    def score_histogram(self, score: str) -> hist.Hist:
        axes = category_axes(self.datasets, self.taggers, self.epochs, self.variants)
        histogram = hist.Hist(
            *axes, hist.axis.Regular(60, -0.2, 1, name="value"), storage=hist.storage.Weight()
        )
        for dataset in self.datasets:
            counts = self.counts(dataset)
            for cell in self.checkpoints(dataset):
                shape = self.shapes(score, dataset, cell, SCORE_EDGES)
                self.fill(histogram, dataset, counts[:, :, None] * shape[:, None, :], cell)
        return histogram

    def plane_histogram(self) -> hist.Hist:
        axes = category_axes(self.datasets, self.taggers, self.epochs, self.variants)
        histogram = hist.Hist(
            *axes,
            hist.axis.Regular(50, 0, 1, name="cvsl"),
            hist.axis.Regular(10, 0, 1, name="cvsb"),
            storage=hist.storage.Weight(),
        )
        default = histogram.view(flow=True)
        for dataset in self.datasets:
            counts = self.counts(dataset)
            for cell in self.checkpoints(dataset):
                cvsl = self.shapes("CvsL", dataset, cell, np.linspace(0, 1, 51)) / 0.98
                cvsb = self.shapes("CvsB", dataset, cell, np.linspace(0, 1, 11)) / 0.98
                plane = cvsl[:, :, None] * cvsb[:, None, :]
                self.fill(histogram, dataset, 0.98 * counts[:, :, None, None] * plane[:, None], cell)
                self.fill_default(default, histogram, dataset, cell, 0.02 * counts)
        return histogram

    def fill_default(
        self, view: Any, histogram: hist.Hist, dataset: str, cell: dict[str, Any], expected: NDArray
    ) -> None:
        """Put jets with a default score, expected shape `(5, 2)`, into the underflow of both axes."""
        place = [axis.index(cell[axis.name]) for axis in histogram.axes[3:7]]
        row = histogram.axes[0].index(dataset)
        counts = self.drawn(expected)
        is_data = dataset == self.data_name
        counts = counts.sum(axis=0) if is_data else counts
        target = view[(row, 0 if is_data else slice(1, 6), slice(0, 2), *place, 0, 0)]
        weight = 1.0 if is_data else self.weight
        target["value"] += weight * counts
        target["variance"] += weight**2 * counts

    def control_histogram(self, variable: str) -> hist.Hist:
        edges, density = CONTROLS[variable]
        axes = category_axes(self.datasets, [], [], [])
        histogram = hist.Hist(
            *axes[:3], axes[6], hist.axis.Variable(edges, name="value"), storage=hist.storage.Weight()
        )
        shape = density(0.5 * (edges[1:] + edges[:-1]))
        for dataset in self.datasets:
            expected = self.counts(dataset)[:, :, None] * (shape / shape.sum())
            self.fill(histogram, dataset, expected, {"systematic": "nominal"})
        return histogram

    def record(self, dataset: str) -> DatasetRecord:
        if dataset == self.data_name:
            n_events = int(5 * self.counts(dataset).sum())
            return DatasetRecord(True, "data", None, LUMINOSITY_PB, True, n_events, n_events, n_events)
        sample = self.samples[dataset]
        n_events = sample.n_generated
        sums = (self.weight * n_events, self.weight**2 * n_events)
        return DatasetRecord(False, dataset, sample.cross_section_pb, None, True, n_events, *sums)

    def result(self, scores: Sequence[str], *, plane: bool) -> Result:
        records = {dataset: self.record(dataset) for dataset in self.datasets}
        histograms = {score: self.score_histogram(score) for score in scores}
        if plane:
            histograms["plane"] = self.plane_histogram()
        histograms |= {name: self.control_histogram(name) for name in CONTROLS_OF[self.selection]}
        return Result(
            selection=self.selection,
            histograms=histograms,
            datasets=records,
            cutflows={name: self.cutflow(name, record) for name, record in records.items()},
            ledger=[LedgerEntry(name, f"{name}.root", r.n_events, r.n_events) for name, r in records.items()],
            notes=["all events are simulated, those of data too"],
            config={
                "selection": self.selection,
                "profile": "btv20001",
                "year": "2017",
                "variants": self.variants,
            },
            versions={"advtag": "0.1.0"},
        )

    def cutflow(self, dataset: str, record: DatasetRecord) -> list[CutflowRow]:
        fractions = {"all": 1.0, "luminosity mask": 1.0, "trigger": 0.7, "muons": 0.5, "jets": 0.3}
        rows = [
            CutflowRow(cut, int(f * record.n_events), f * record.sum_weights, f * record.sum_weights2)
            for cut, f in fractions.items()
        ]
        left, weight = self.counts(dataset).sum(), record.sum_weights / record.n_events
        return [*rows, CutflowRow("probe jet", int(left), weight * left, weight**2 * left)]


def synthetic_result(
    selection: str,
    *,
    taggers: Sequence[str] = ("basic", "adversarial"),
    epochs: Sequence[int] = (1, 3),
    variants: Sequence[str] = ("raw", "noise:0.1", "fgsm:0.1"),
    scores: Sequence[str] = ("BvsL", "CvsL"),
    plane: bool = False,
    data_scale: float = 0.9,
    size: float = 1.0,
    weight: float = 0.5,
    seed: int = 1,
    smooth: bool = False,
    scale_factors: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> Result:
    """Return a made-up result of one selection.

    `data_scale` is data/MC, `size` multiplies the simulated jets, `weight` is the generator weight of every
    simulated event, `scale_factors` (c, b, light) multiply the data; with `smooth` all counts are expectation
    values and data have the shapes of the simulation.
    """
    run = SyntheticRun(
        selection,
        taggers=taggers,
        epochs=epochs,
        variants=variants,
        data_scale=data_scale,
        size=size,
        weight=weight,
        seed=seed,
        smooth=smooth,
        scale_factors=scale_factors,
    )
    return run.result(scores, plane=plane)


@pytest.fixture(scope="session")
def make_result() -> Callable[..., Result]:
    """The factory of synthetic results."""
    return synthetic_result


@pytest.fixture(scope="session")
def results() -> dict[str, Result]:
    """One small synthetic result per selection, with planes."""
    return {name: synthetic_result(name, plane=True, seed=seed) for seed, name in enumerate(SAMPLES, start=1)}


# jets per selection (rows W+c, tt, DY) and flavour (c, b, light), as after OS-SS in W+c
TYPICAL = np.array([[900.0, 30.0, 60.0], [150.0, 700.0, 250.0], [300.0, 150.0, 4000.0]])


def smooth_plane(
    *, n_cvsb: int = 10, n_cvsl: int = 50, jets: float = 1.0, truth: Callable[..., NDArray] | None = None
) -> PlaneTemplates:
    """Templates of smooth shapes per flavour; data are simulation times `truth(x, y)`, shape (3, y, x).

    The same-sign jets of W+c have the shapes of the others and no c excess.
    """
    x, y = (np.arange(n_cvsl) + 0.5) / n_cvsl, (np.arange(n_cvsb) + 0.5) / n_cvsb
    shapes = np.array(
        [np.outer(0.5 + y, 0.5 + x), np.outer(1.5 - y, 0.7 + 0.4 * x), np.outer(0.5 + y, 1.6 - x)]
    )
    factors = np.ones_like(shapes) if truth is None else truth(*np.meshgrid(x, y))
    mc = jets * TYPICAL[:, :, None, None] * shapes
    same = jets * np.array([200.0, 150.0, 500.0])[:, None, None] * shapes
    data, same_data = (mc * factors).sum(axis=1), (same * factors).sum(axis=0)
    data_variance, mc_variance = data.copy(), mc.copy()
    data_variance[0] += 2 * same_data
    mc_variance[0] += 2 * same
    default, default_same = 20 * jets * TYPICAL, 20 * jets * np.array([200.0, 150.0, 500.0])
    return PlaneTemplates(
        cvsl_edges=np.linspace(0, 1, n_cvsl + 1),
        cvsb_edges=np.linspace(0, 1, n_cvsb + 1),
        data=data,
        data_variance=data_variance,
        mc=mc,
        mc_variance=mc_variance,
        default_data=default.sum(axis=1),
        default_data_variance=default.sum(axis=1),
        default_mc=default,
        default_mc_variance=default,
        factors=np.ones(3),
        tagger="basic",
        epoch=7,
        variant="raw",
        same_sign=SameSign(same_data, same, same, np.asarray(default_same.sum()), default_same, default_same),
    )


@pytest.fixture(scope="session")
def make_plane() -> Callable[..., PlaneTemplates]:
    """The factory of smooth planes."""
    return smooth_plane
