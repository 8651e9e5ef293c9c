from pathlib import Path

import correctionlib
import numpy as np
import pytest
from correctionlib import schemav2
from numpy.typing import NDArray

from datamc.cells import COARSE_BINNING, PUBLISHED_BINNING
from datamc.corrections import CORRECTION_NAME, HADRON_FLAVOURS, file_stem, provenance_of, write_correctionlib
from datamc.planes import plane_templates
from datamc.results import Result
from datamc.scale_factors import ScaleFactors, cell_of
from datamc.solve import solve


@pytest.fixture(scope="module", params=["published", "coarse"])
def scale_factors(request: pytest.FixtureRequest, results: dict[str, Result]) -> ScaleFactors:
    plane = plane_templates(results, tagger="basic", epoch=3, variant="noise:0.1")
    return solve(plane, binning=COARSE_BINNING if request.param == "coarse" else PUBLISHED_BINNING)


@pytest.fixture
def correction(scale_factors: ScaleFactors, tmp_path: Path) -> correctionlib.highlevel.Correction:
    write_correctionlib(scale_factors, tmp_path / "sf.json")
    return correctionlib.CorrectionSet.from_file(str(tmp_path / "sf.json"))[CORRECTION_NAME]


def scores() -> tuple[NDArray, NDArray]:
    """Jets all over the plane, on bin edges, at exactly 1, and with defaults in one score or both."""
    x, y = np.meshgrid(np.append(np.linspace(0, 1, 101), -0.1), np.append(np.linspace(0, 1, 41), -0.1))
    return x.ravel(), y.ravel()


def test_evaluator_returns_the_factor_of_the_cell(
    scale_factors: ScaleFactors, correction: correctionlib.highlevel.Correction
) -> None:
    cvsl, cvsb = scores()
    cell = cell_of(scale_factors, cvsl, cvsb)
    for flavour, name in HADRON_FLAVOURS.items():
        i = scale_factors.flavours.index(name)
        central = correction.evaluate(cvsl, cvsb, flavour, "central")
        np.testing.assert_allclose(central, scale_factors.value[cell, i], rtol=1e-14)
        up = correction.evaluate(cvsl, cvsb, flavour, "stat_up")
        np.testing.assert_allclose(up - central, scale_factors.error[cell, i])
        down = correction.evaluate(cvsl, cvsb, flavour, "stat_down")
        np.testing.assert_allclose(down, np.maximum(central - scale_factors.error[cell, i], 0), atol=1e-15)


def test_default_scores_have_their_own_factor(
    scale_factors: ScaleFactors, correction: correctionlib.highlevel.Correction
) -> None:
    default = scale_factors.value[-1, scale_factors.flavours.index("b")]
    for cvsl, cvsb in ((-0.1, -0.1), (-0.1, 0.5), (0.5, -0.1), (-0.1, 1.0), (-1e-9, 0.0)):
        assert correction.evaluate(cvsl, cvsb, 5, "central") == pytest.approx(default, rel=1e-14)
    assert correction.evaluate(0.0, 0.0, 5, "central") == scale_factors.value[0, 1]


def test_score_of_one_and_above_takes_the_last_cell(
    scale_factors: ScaleFactors, correction: correctionlib.highlevel.Correction
) -> None:
    for score in (0.999999, 1.0, 1.0000001):
        assert correction.evaluate(score, score, 4, "central") == scale_factors.value[-2, 0]


def test_unknown_systematic_or_flavour_is_an_error(correction: correctionlib.highlevel.Correction) -> None:
    with pytest.raises(IndexError, match="jes"):
        correction.evaluate(0.5, 0.5, 5, "jes")
    with pytest.raises(IndexError):
        correction.evaluate(0.5, 0.5, 21, "central")


def test_file_is_valid_and_tells_where_it_comes_from(
    scale_factors: ScaleFactors, results: dict[str, Result], tmp_path: Path
) -> None:
    path = tmp_path / "new" / f"{file_stem('basic', 3, 'noise:0.1')}.json"
    write_correctionlib(scale_factors, path, provenance=provenance_of(list(results.values())))
    assert [file.name for file in path.parent.iterdir()] == ["basic_epoch_003_noise_0.1.json"]
    read = schemav2.CorrectionSet.model_validate_json(path.read_text())
    description = read.corrections[0].description
    assert description is not None
    for told in (
        "basic, epoch 3",
        "noise:0.1",
        "btv20001",
        "DoubleMuon_2017 (simulated)",
        "wc 1000/pb",
        "0.1.0",
    ):
        assert told in description
