"""From variations on the systematic axis of results to the numbers in the files, worked out by hand."""

from collections.abc import Mapping
from pathlib import Path

import correctionlib
import hist
import numpy as np
import pytest
import uproot

from advtag.production import write_scale_factors
from datamc.cells import Binning
from datamc.corrections import CORRECTION_NAME
from datamc.fit import Engine, FitCard, fit_history
from datamc.history import history_rows
from datamc.results import DatasetRecord, Result, read_result, write_result

SIGNATURE = {"wc": 4, "ttsemilep": 5, "dy": 0}
"""Every selection holds its own flavour alone, so a factor is data over simulation of its cell."""

DATA = (500.0, 500.0)
"""Jets with CvsL below and above a half, in every selection."""

SIMULATION = {
    "dy": {
        "nominal": (400.0, 600.0),
        "pileupUp": (440.0, 660.0),  # a tenth more of all: after normalisation to data, nothing
        "pileupDown": (400.0, 600.0),
        "jesTotalUp": (500.0, 500.0),
        "jesTotalDown": (250.0, 750.0),
    },
    "ttsemilep": {
        "nominal": (400.0, 600.0),
        "pileupUp": (440.0, 660.0),
        "pileupDown": (400.0, 600.0),
        "muRUp": (250.0, 250.0),  # half as many: after normalisation (500, 500)
    },
    "wc": {"nominal": (400.0, 600.0)},
}


def made_result(selection: str) -> Result:
    """One plane of two cells, one score and one control variable; all W+c jets are of opposite sign."""
    varied = SIMULATION[selection]
    categories = [
        hist.axis.StrCategory(["data", "mc"], name="dataset", growth=True),
        hist.axis.IntCategory([-1, 0, 4, 5], name="flavour", growth=True),
        hist.axis.StrCategory(["OS", "SS"], name="sign", growth=True),
    ]
    tagger = [
        hist.axis.StrCategory(["basic"], name="tagger", growth=True),
        hist.axis.IntCategory([1], name="epoch", growth=True),
        hist.axis.StrCategory(["raw"], name="variant", growth=True),
    ]
    systematic = hist.axis.StrCategory(list(varied), name="systematic", growth=True)
    half = [hist.axis.Regular(2, 0, 1, name="cvsl"), hist.axis.Regular(1, 0, 1, name="cvsb")]
    value = hist.axis.Regular(2, 0, 1, name="value")
    weight = hist.storage.Weight()
    made = {
        "plane": hist.Hist(*categories, *tagger, systematic, *half, storage=weight),
        "CvsL": hist.Hist(*categories, *tagger, systematic, value, storage=weight),
        "jet_pt": hist.Hist(*categories, systematic, value, storage=weight),
    }
    for name, histogram in made.items():
        axis = "cvsl" if name == "plane" else "value"
        bins = {"cvsb": np.full(2, 0.5)} if name == "plane" else {}
        point = {} if name == "jet_pt" else {"tagger": "basic", "epoch": 1, "variant": "raw"}
        bins[axis] = np.array([0.25, 0.75])
        sides = {"dataset": "data", "flavour": -1, "sign": "OS", "systematic": "nominal"} | point
        filled(histogram, sides | bins, DATA)
        for variation, jets in varied.items():
            sides |= {"dataset": "mc", "flavour": SIGNATURE[selection], "systematic": variation}
            filled(histogram, sides | bins, jets)
    return Result(
        selection=selection,
        histograms=made,
        datasets={
            "data": DatasetRecord(True, "data", None, 1.0, True, 1000, 1000, 1000),
            "mc": DatasetRecord(False, "made", 1.0, None, True, 1, 1, 1),
        },
    )


def filled(histogram: hist.Hist, place: Mapping[str, object], jets: tuple[float, float]) -> None:
    """Add so many jets of weight 1 to both bins."""
    for i, number in enumerate(jets):
        one = {key: each[i] if isinstance(each, np.ndarray) else each for key, each in place.items()}
        histogram.fill(**{key: np.repeat(each, int(number)) for key, each in one.items()})


@pytest.mark.parametrize("engine", ["solve", "iterative"])
def test_sources_reach_the_files_as_worked_out_by_hand(engine: Engine, tmp_path: Path) -> None:
    results = {}
    for selection in SIGNATURE:
        write_result(made_result(selection), tmp_path / f"{selection}.zip")
        results[selection] = read_result(tmp_path / f"{selection}.zip")
    card = FitCard(engine=engine, binning=Binning(max_merge=1), rates=())
    (found,) = fit_history(results, card=card)
    assert found.systematics is not None
    assert set(found.systematics.sources) == {"pileup", "jesTotal", "muR"}
    write_scale_factors(results, [found], tmp_path / "sf")
    path = tmp_path / "sf" / "basic_epoch_001_raw.json"
    factor = correctionlib.CorrectionSet.from_file(str(path))[CORRECTION_NAME]

    def told(flavour: int, systematic: str) -> list[float]:
        return [factor.evaluate(cvsl, 0.5, flavour, systematic) for cvsl in (0.25, 0.75)]

    # 500 / 400 and 500 / 600 in every selection
    central = np.array([1.25, 0.8333])
    for flavour in (4, 5, 0):
        assert told(flavour, "central") == pytest.approx(central, rel=1e-3)
        assert told(flavour, "pileup_up") == pytest.approx(told(flavour, "central"), rel=1e-3)
    # DY: (500, 500) up, (250, 750) down; the others hold no such variation and stay
    assert told(0, "jesTotal_up") == pytest.approx([1.0, 1.0], rel=1e-3)
    assert told(0, "jesTotal_down") == pytest.approx([2.0, 0.6667], rel=1e-3)
    assert told(4, "jesTotal_down") == pytest.approx(central, rel=1e-3)
    # top pairs: one side alone
    assert told(5, "muR_up") == pytest.approx([1.0, 1.0], rel=1e-3)
    assert told(5, "muR_down") == pytest.approx(central, rel=1e-3)
    # Var x = (Var D + x^2 Var N) / N^2 = (500 + 1.5625 * 400) / 400^2, (500 + 0.6944 * 600) / 600^2
    statistics = np.array([0.007031, 0.002546])
    assert told(0, "stat_up") == pytest.approx(central + np.sqrt(statistics), rel=1e-3)
    # light goes up by 0.75 and 0.1667, and down by 0.25 and 0.1667; b goes down by 0.25 and up by 0.1667
    up = np.sqrt(statistics + np.square([0.75, 0.1667]))
    assert told(0, "total_up") == pytest.approx(central + up, rel=2e-3)
    down = np.sqrt(statistics + np.square([0.25, 0.1667]))
    assert told(0, "total_down") == pytest.approx(central - down, rel=2e-3)
    above = np.sqrt(statistics + np.square([0.0, 0.1667]))
    assert told(5, "total_up") == pytest.approx(central + above, rel=2e-3)
    assert told(4, "total_up") == pytest.approx(central + np.sqrt(statistics), rel=1e-3)
    with uproot.open(path.with_suffix(".root")) as file:
        varied = file["SFl_hist_jesTotalDown"].values()
        np.testing.assert_allclose(varied[[0, -1], 0], [2.0, 0.6667], rtol=1e-3)
    # sum of N x |larger shift| over N = (400 * 0.75 + 600 * 0.1667) / 1000
    light = next(row for row in history_rows([found]) if row.flavour == "light")
    assert light.systematic == pytest.approx(0.4, rel=1e-3)
