"""A report of made-up results, opened in headless Chromium."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import hist
import numpy as np
import pytest

from datamc.agreement import divergence_table
from datamc.divergence import DivergenceRow
from datamc.records import CutflowRow, DatasetRecord, LedgerEntry, Result
from datamc.reference_curve import CurvePoint
from datamc.scale_factors import ScaleFactors
from plotting.report import write_report

SCORES = ("BvsL", "CvsL")
TRAININGS = ("basic", "adversarial")
EPOCHS = (1, 2, 5)
VARIANTS = ("raw", "fgsm:0.1")
SYSTEMATICS = ("nominal", "pileupUp", "pileupDown")
PROCESSES = {"mc": "W+jets", "tt": "top pairs"}


def browser_or_skip() -> str:
    """Return the path of Chromium; without it skip, or fail where ADVTAG_BROWSER is required, as in CI."""
    path = os.environ.get("ADVTAG_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        reason = "no Chromium: apt-get install chromium, or name it in ADVTAG_CHROMIUM"
        if os.environ.get("ADVTAG_BROWSER") == "required":
            pytest.fail(f"a browser is required, but {reason}")
        pytest.skip(reason)
    return path


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


class Production(NamedTuple):
    """What is in the page, for the tests to compare it with."""

    path: Path
    results: dict[str, Result]
    divergence: list[DivergenceRow]
    null: list[DivergenceRow]
    areas: list[AucRow]
    scale_factors: list[ScaleFactors]


def _histogram(*bins: Any) -> hist.Hist[Any]:
    return hist.Hist(
        hist.axis.StrCategory(["data", *PROCESSES], name="dataset"),
        hist.axis.IntCategory([-1, 0, 1, 4, 5, 6], name="flavour"),
        hist.axis.StrCategory(["OS", "SS"], name="sign"),
        hist.axis.StrCategory(TRAININGS, name="tagger"),
        hist.axis.IntCategory(EPOCHS, name="epoch"),
        hist.axis.StrCategory(VARIANTS, name="variant"),
        hist.axis.StrCategory(SYSTEMATICS, name="systematic"),
        *bins,
        storage=hist.storage.Weight(),
    )


def _histograms(seed: int) -> dict[str, hist.Hist[Any]]:
    """Scores and the plane of the same jets; the wc-like second selection varies CvsL with the pileup."""
    rng = np.random.default_rng(seed)
    score = hist.axis.Regular(60, -0.2, 1, name="value")
    plane = hist.axis.Regular(50, 0, 1, name="cvsl"), hist.axis.Regular(10, 0, 1, name="cvsb")
    found = {"BvsL": _histogram(score), "CvsL": _histogram(score), "plane": _histogram(*plane)}

    def fill(n: int, **place: Any) -> None:
        cvsl, cvsb, bvsl = rng.beta(2, 3, (3, n))
        found["BvsL"].fill(value=bvsl, **place)
        found["CvsL"].fill(value=cvsl, **place)
        found["plane"].fill(cvsl=cvsl, cvsb=cvsb, **place)

    varied = SYSTEMATICS if seed else SYSTEMATICS[:1]
    for tagger in TRAININGS:
        for epoch in EPOCHS:
            for sign, n in (("OS", 300), ("SS", 60)):
                jets = {"sign": sign, "tagger": tagger, "epoch": epoch}
                fill(n, dataset="data", flavour=-1, variant="raw", systematic="nominal", **jets)
                for variant in VARIANTS:
                    for name in varied:
                        point = jets | {"variant": variant, "systematic": name, "weight": 0.4}
                        for flavour in (0, 4, 5):
                            fill(n * 3 // 4, dataset="mc", flavour=flavour, **point)
                            fill(n // 4, dataset="tt", flavour=flavour, **point)
    return found


def _result(selection: str, seed: int) -> Result:
    return Result(
        selection=selection,
        histograms=_histograms(seed),
        datasets={
            "data": DatasetRecord(True, "data", None, 1000.0, True, 5000, 5000.0, 5000.0),
            **{
                name: DatasetRecord(False, process, 1.0, None, True, 5000, 1000.0, 400.0)
                for name, process in PROCESSES.items()
            },
        },
        cutflows={"mc": [CutflowRow("all", 5000, 1000.0, 400.0), CutflowRow("trigger", 360, 144.0, 57.6)]},
        n_minus_one={"mc": [CutflowRow("trigger", 400, 160.0, 64.0)]},
        ledger=[LedgerEntry("data", "data.root", 5000, 5000), LedgerEntry("mc", "mc.root", 5000, 5000)],
        config={"profile": "btv20001"},
        versions={"advtag": "0.1.0"},
    )


def _scale_factors(tagger: str, epoch: int, variant: str) -> ScaleFactors:
    """Two cells side by side and that of the default scores; every fit has its own numbers."""
    shift = 0.01 * epoch + 0.1 * TRAININGS.index(tagger) + 0.05 * VARIANTS.index(variant)
    value = np.array([[0.9, 1.1, 1.0], [0.8, 1.2, 1.05], [0.95, 1.0, 1.02]]) + shift
    error = np.full((3, 3), 0.1)
    status = np.full((3, 3), "ok", dtype="<U10")
    status[0, 2] = "low_stat"
    return ScaleFactors(
        cvsl=np.array([[0.0, 0.5], [0.5, 1.0], [-1.0, 0.0]]),
        cvsb=np.array([[0.0, 1.0], [0.0, 1.0], [-1.0, 0.0]]),
        value=value,
        covariance=error[:, :, None] ** 2 * np.eye(3),
        status=status,
        spectral_radius=np.full(3, 0.5),
        condition=np.full(3, 3.0),
        n_data=np.full((3, 3), 100.0),
        n_effective=np.full((3, 3, 3), 50.0),
        mc=np.full((3, 3, 3), 50.0),
        factors=np.ones(3),
        tagger=tagger,
        epoch=epoch,
        variant=variant,
    )


@pytest.fixture(scope="session")
def production(tmp_path_factory: pytest.TempPathFactory) -> Production:
    results = {name: _result(name, seed) for seed, name in enumerate(("dy", "wc"))}
    divergence = divergence_table(results, n_bootstrap=20, seed=1)
    places = [(t, e, v, s) for t in TRAININGS for e in EPOCHS for v in VARIANTS for s in SCORES]
    null = divergence_table({"dy": _result("dy", 7)}, n_bootstrap=20, seed=1)
    areas = [AucRow(*place, 0.7 + 0.003 * i) for i, place in enumerate(places)]
    curves = [RocRow(*p, e, m) for p in places for e, m in ((0.1, 1e-3), (0.5, 0.1), (1.0, 1.0))]
    fits = [_scale_factors(t, e, v) for t in TRAININGS for e in EPOCHS for v in VARIANTS]
    curve = [
        CurvePoint(selection, score, "basic", 5, "kl", sigma, 0.8 - sigma / 10, 0.5 - sigma / 5, 0.1, 0.01)
        for selection in results
        for score in SCORES
        for sigma in (0.0, 1.0)
    ]
    path = write_report(
        tmp_path_factory.mktemp("report") / "report.html",
        results=results,
        divergence=divergence,
        null=null,
        curve=curve,
        scale_factors=fits,
        auc_rows=areas,
        roc_rows=curves,
    )
    return Production(path, results, divergence, null, areas, fits)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    executable = browser_or_skip()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Containers forbid the browser's own sandbox; the page is ours.
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield browser
        browser.close()
