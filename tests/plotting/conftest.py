"""Small results with known contents, and rows of tables made by hand."""

from collections.abc import Callable
from typing import Any, NamedTuple

import hist
import numpy as np
import pytest

from datamc.differences import DifferenceRow
from datamc.divergence import DivergenceRow
from datamc.reference_curve import CurvePoint, EqualAucRow
from datamc.results import CutflowRow, DatasetRecord, LedgerEntry, Result
from datamc.scale_factors import ScaleFactors
from datamc.templates import Templates

EDGES = np.linspace(-0.2, 1, 61)
TAGGERS = ("adversarial", "basic")
EPOCHS = (1, 3)
VARIANTS = ("raw", "noise:0.1", "fgsm:0.05", "fgsm:0.1")


class AucRow(NamedTuple):
    tagger: str
    epoch: int
    variant: str
    score: str
    auc: float
    error: float = 0.002
    n_signal: int = 1000
    n_background: int = 2000


class RocRow(NamedTuple):
    tagger: str
    epoch: int
    variant: str
    score: str
    efficiency: float
    mistag: float


def _histogram(rng: np.random.Generator, *, signs: tuple[str, ...]) -> hist.Hist[Any]:
    """120 jets of data, 60 of weight 1/2 per simulated flavour; a third of either with the same sign."""
    histogram = hist.Hist(
        hist.axis.StrCategory(["data", "mc"], growth=True, name="dataset"),
        hist.axis.IntCategory([-1, 0, 1, 4, 5, 6], name="flavour"),
        hist.axis.StrCategory(["OS", "SS"], name="sign"),
        hist.axis.StrCategory([], growth=True, name="tagger"),
        hist.axis.IntCategory([], growth=True, name="epoch"),
        hist.axis.StrCategory([], growth=True, name="variant"),
        hist.axis.StrCategory(["nominal"], growth=True, name="systematic"),
        hist.axis.Regular(60, -0.2, 1, name="value"),
        storage=hist.storage.Weight(),
    )
    for tagger in TAGGERS:
        for epoch in EPOCHS:
            for sign in signs:
                share = 3 if sign == "SS" else 1
                chosen = {"sign": sign, "tagger": tagger, "epoch": epoch, "systematic": "nominal"}
                histogram.fill("data", flavour=-1, variant="raw", value=rng.random(120 // share), **chosen)
                for variant in VARIANTS:
                    for flavour in (0, 4, 5):
                        values = rng.random(60 // share)
                        histogram.fill(
                            "mc", flavour=flavour, variant=variant, value=values, weight=0.5, **chosen
                        )
    return histogram


def make_result(selection: str, *, simulated: bool = True) -> Result:
    rng = np.random.default_rng(7)
    signs = ("OS",) if selection == "dy" else ("OS", "SS")
    n_data, n_mc = 1000, 500
    return Result(
        selection=selection,
        histograms={score: _histogram(rng, signs=signs) for score in ("CvsB", "CvsL")},
        datasets={
            "data": DatasetRecord(True, "data", None, 1500.0, simulated, n_data, n_data, n_data),
            "mc": DatasetRecord(False, "W+jets", 2.0, None, True, n_mc, 250.0, 125.0),
        },
        cutflows={"mc": [CutflowRow("all", 500, 250.0, 125.0), CutflowRow("trigger", 125, 62.5, 31.25)]},
        n_minus_one={"mc": [CutflowRow("trigger", 200, 100.0, 50.0)]},
        ledger=[
            LedgerEntry("data", "data.root", n_data, n_data),
            LedgerEntry("mc", "mc.root", n_mc, n_mc),
            LedgerEntry("mc", "broken.root", 100, 0, "failed", "no basket"),
        ],
        notes=["all events are simulated"],
        config={"profile": "btv20001"},
        versions={"advtag": "0.1.0"},
    )


@pytest.fixture(scope="session")
def results() -> dict[str, Result]:
    return {selection: make_result(selection) for selection in ("dy", "wc")}


@pytest.fixture
def result_of() -> Callable[..., Result]:
    return make_result


@pytest.fixture
def templates() -> Templates:
    """Three bins: b 1, 2, 0 under c 3, 4, -2 under light 4, 4, 0; data 10, 5, 1."""
    return Templates(
        edges=np.array([0.0, 0.5, 0.8, 1.0]),
        data=np.array([10.0, 5.0, 1.0]),
        data_variance=np.array([10.0, 5.0, 1.0]),
        mc=np.array([[1.0, 2.0, 0.0], [3.0, 4.0, -2.0], [4.0, 4.0, 0.0]]),
        mc_variance=np.array([[0.1, 0.5, 0.0], [0.2, 0.5, 1.0], [0.34, 0.0, 0.0]]),
        groups=("b", "c", "light"),
        factor=0.5,
    )


def divergence_row(
    tagger: str,
    kl: float,
    *,
    error: float = 0.1,
    score: str = "CvsL",
    selection: str = "dy",
    epoch: int = 3,
    variant: str = "raw",
    status: str = "ok",
    offset: float = 0.01,
) -> DivergenceRow:
    return DivergenceRow(
        selection,
        score,
        tagger,
        epoch,
        variant,
        kl,
        low=kl - error,
        high=kl + error,
        offset=offset,
        chi2=70.0,
        n_degrees=50,
        n_data=900.0,
        n_mc=800.0,
        dropped_fraction=0.0,
        n_replaced=0,
        status=status,
    )


@pytest.fixture
def row() -> Callable[..., DivergenceRow]:
    return divergence_row


@pytest.fixture
def auc_row() -> type[AucRow]:
    return AucRow


@pytest.fixture
def roc_row() -> type[RocRow]:
    return RocRow


@pytest.fixture
def scale_factors() -> ScaleFactors:
    """Four cells and the default one; the last flavour of the first cell and the default's b are unknown."""
    status = np.array([["ok", "ok", "low_stat"], *[["ok"] * 3] * 3, ["ok", "low_purity", "ok"]])
    value = np.array([[0.9, 1.1, 1.0], [0.8, 1.2, 1.05], [0.7, 1.3, 1.1], [1.6, 1.4, 1.15], [0.95, 1.0, 1.2]])
    error = np.array([[0.1, 0.2, 1.0], [0.1, 0.2, 0.3], [0.1, 0.2, 0.3], [0.1, 0.2, 0.3], [0.1, 1.0, 0.25]])
    n_cells = len(value)
    return ScaleFactors(
        cvsl=np.array([[0.0, 0.5], [0.5, 1.0], [0.0, 0.2], [0.2, 1.0], [-1.0, 0.0]]),
        cvsb=np.array([[0.0, 0.5], [0.0, 0.5], [0.5, 1.0], [0.5, 1.0], [-1.0, 0.0]]),
        value=value,
        covariance=error[:, :, None] ** 2 * np.eye(3),
        status=status,
        spectral_radius=np.full(n_cells, 0.5),
        condition=np.full(n_cells, 3.0),
        n_data=np.full((n_cells, 3), 100.0),
        n_effective=np.full((n_cells, 3, 3), 50.0),
        mc=np.full((n_cells, 3, 3), 50.0),
        factors=np.ones(3),
        tagger="basic",
        epoch=3,
        variant="raw",
    )


def difference_row(
    difference: float,
    error: float,
    *,
    score: str = "CvsL",
    selection: str = "dy",
    variant: str = "raw",
    measure: str = "kl",
    epoch: int = 3,
    n_blocks: int = 32,
) -> DifferenceRow:
    place = (selection, score, variant, measure, "adversarial", epoch, "basic", epoch)
    return DifferenceRow(*place, difference, error, difference / error, 1.0, 0.1, n_blocks)


@pytest.fixture
def paired() -> Callable[..., DifferenceRow]:
    return difference_row


@pytest.fixture
def equal_auc() -> Callable[..., EqualAucRow]:
    def row(
        ratio: float, error: float, *, score: str = "CvsL", status: str = "ok", epoch: int = 3
    ) -> EqualAucRow:
        place = ("dy", score, "adversarial", epoch, "basic", epoch, "kl")
        return EqualAucRow(*place, 0.7, 0.5, ratio, 1.0, ratio, error, status)

    return row


@pytest.fixture
def curve() -> list[CurvePoint]:
    """Noise of 0, 1 and 2 on the basic training: less AUC, less divergence; another epoch and measure."""
    places = ((3, "kl"), (1, "kl"), (3, "kl_equal"))
    return [
        CurvePoint(
            "dy", "CvsL", "basic", epoch, measure, sigma, 0.8 - 0.1 * sigma, 1.5 - 0.5 * sigma, 0.5, 0.1
        )
        for epoch, measure in places
        for sigma in (0.0, 1.0, 2.0)
    ]
