"""Files of scale factors: written, read back, evaluated by their own libraries, compared."""

from pathlib import Path

import correctionlib
import hist
import numpy as np
import pytest
import uproot

from datamc.cells import COARSE_BINNING
from datamc.comparison import compare_scale_factors, read_grid, summarise_comparison
from datamc.corrections import CORRECTION_NAME, shifted_values, write_correctionlib
from datamc.fit import FitCard, fit
from datamc.planes import plane_templates
from datamc.results import Result
from datamc.scale_factor_files import full_covariance, read_scale_factors, write_root, write_scale_factors
from datamc.scale_factors import ScaleFactors
from datamc.systematics import shifted_planes


@pytest.fixture(scope="module")
def fitted(results: dict[str, Result]) -> ScaleFactors:
    """A fit with systematics."""
    plane = plane_templates(results, tagger="basic", epoch=3)
    shifted = shifted_planes(results, tagger="basic", epoch=3, variant="raw")
    return fit([plane], variations=[shifted], card=FitCard(binning=COARSE_BINNING))[0]


def test_everything_of_a_fit_survives_its_file(fitted: ScaleFactors, tmp_path: Path) -> None:
    path = tmp_path / "new" / "fit.npz"
    write_scale_factors(fitted, path)
    read = read_scale_factors(path)
    assert (read.tagger, read.epoch, read.variant, read.engine) == ("basic", 3, "raw", "solve")
    for name in ("cvsl", "value", "covariance", "status", "mc", "n_effective"):
        np.testing.assert_array_equal(getattr(read, name), getattr(fitted, name))
    assert read.systematics is not None
    assert fitted.systematics is not None
    assert read.systematics.sources == fitted.systematics.sources
    np.testing.assert_array_equal(read.systematics.down, fitted.systematics.down)
    assert [file.name for file in path.parent.iterdir()] == ["fit.npz"]
    with np.load(path, allow_pickle=False) as file:
        assert all(file[name].dtype != object for name in file.files)
    (tmp_path / "text.npz").write_text("no")
    with pytest.raises(ValueError, match=r"text.npz: not the scale factors of a fit"):
        read_scale_factors(tmp_path / "text.npz")


def test_correction_holds_every_source_and_the_total(fitted: ScaleFactors, tmp_path: Path) -> None:
    write_correctionlib(fitted, tmp_path / "sf.json")
    correction = correctionlib.CorrectionSet.from_file(str(tmp_path / "sf.json"))[CORRECTION_NAME]
    assert fitted.systematics is not None
    x, y = 0.5 * fitted.cvsl[0].sum(), 0.5 * fitted.cvsb[0].sum()
    for name, values in shifted_values(fitted).items():
        assert correction.evaluate(x, y, 5, name) == pytest.approx(values[0, 1], rel=1e-12)
        assert correction.evaluate(-0.1, 0.3, 5, name) == pytest.approx(values[-1, 1], rel=1e-12)
    source = fitted.systematics.sources[0]
    up = correction.evaluate(x, y, 4, f"{source}_up") - correction.evaluate(x, y, 4, "central")
    assert up == pytest.approx(fitted.systematics.up[0, 0, 0], abs=1e-12)
    assert "solve" in str(correction.description)


def test_covariance_of_all_cells_holds_statistics_and_sources(fitted: ScaleFactors) -> None:
    full = full_covariance(fitted)
    n_cells, n_flavours = fitted.value.shape
    assert full.shape == (n_cells * n_flavours,) * 2
    assert np.linalg.eigvalsh(full).min() > 0
    assert fitted.systematics is not None
    shift = fitted.systematics.symmetric
    # between cells there are sources alone
    np.testing.assert_allclose(full[0, n_flavours], (shift[:, 0, 0] * shift[:, 1, 0]).sum(), atol=1e-15)
    np.testing.assert_allclose(
        full[0, 1], fitted.covariance[0, 0, 1] + (shift[:, 0, 0] * shift[:, 0, 1]).sum()
    )


def test_root_file_has_the_published_names(fitted: ScaleFactors, tmp_path: Path) -> None:
    write_root(fitted, tmp_path / "sf.root")
    with uproot.open(tmp_path / "sf.root") as file:
        names = set(file.keys(cycle=False))
        assert {
            "SFc_hist", "SFb_hist_StatUp", "SFl_hist_XSec_WJetsDown", "SFl_hist_TotalUncUp",
        } <= names  # fmt: skip
        assert file["SFc_hist"].classname.startswith("TH2")
        values = file["SFc_hist"].values(flow=True)
    assert values[0, 0] == fitted.value[-1, 0]
    assert values[1, 1] == fitted.value[0, 0]
    assert values[-2, -2] == fitted.value[-2, 0]


def test_three_formats_of_a_fit_are_the_same(fitted: ScaleFactors, tmp_path: Path) -> None:
    write_scale_factors(fitted, tmp_path / "sf.npz")
    write_correctionlib(fitted, tmp_path / "sf.json")
    write_root(fitted, tmp_path / "sf.root")
    grids = [read_grid(tmp_path / f"sf.{ending}") for ending in ("npz", "json", "root")]
    for other in grids[1:]:
        for row in compare_scale_factors(grids[0], other):
            assert row.difference == pytest.approx(0, abs=1e-12)
        np.testing.assert_allclose(other.error_up, grids[0].error_up, rtol=1e-9)


def test_pull_is_the_difference_over_both_errors(fitted: ScaleFactors, tmp_path: Path) -> None:
    moved = fitted._replace(value=fitted.value + 0.1, systematics=None, cvsl=fitted.cvsl, variant="fgsm:0.1")
    plain = fitted._replace(systematics=None)
    write_scale_factors(plain, tmp_path / "a.npz")
    write_scale_factors(moved, tmp_path / "b.npz")
    rows = compare_scale_factors(read_grid(tmp_path / "b.npz"), read_grid(tmp_path / "a.npz"))
    assert rows[0].cvsl_low == -1.0
    for row in rows:
        assert row.difference == pytest.approx(0.1)
        assert row.pull == pytest.approx(0.1 / (np.sqrt(2) * row.first_error))
    summary = summarise_comparison(rows)
    assert [each.flavour for each in summary] == ["c", "b", "light"]
    assert summary[0].mean_difference == pytest.approx(0.1)
    assert summary[0].default_difference == pytest.approx(0.1)
    assert summary[0].n_bad_errors == 0


def test_bins_of_both_files_are_compared(tmp_path: Path) -> None:
    # x edges 0, 0.5, 1 against 0, 0.25, 1: three bins; an error of 0 has no pull
    def write(name: str, edges: list[float], values: list[float]) -> Path:
        with uproot.recreate(tmp_path / name) as file:
            for histogram in ("SFc_hist", "SFb_hist", "SFl_hist"):
                content = np.array([[0.9, 0.9], *([0.9, value] for value in values)])
                for suffix, scale in (("", 1.0), ("_TotalUncUp", 0.1), ("_TotalUncDown", 0.0)):
                    made = hist.Hist(hist.axis.Variable(edges), hist.axis.Variable([0.0, 1.0]))
                    made.view(flow=True)[:-1, :-1] = scale * content
                    file[histogram + suffix] = made
        return tmp_path / name

    first = read_grid(write("a.root", [0.0, 0.5, 1.0], [1.0, 2.0]))
    second = read_grid(write("b.root", [0.0, 0.25, 1.0], [1.0, 1.5]))
    rows = [row for row in compare_scale_factors(first, second) if row.flavour == "b" and row.cvsl_low >= 0]
    assert [(row.cvsl_low, row.first, row.second) for row in rows] == [
        (0.0, 1.0, 1.0), (0.25, 1.0, 1.5), (0.5, 2.0, 1.5),
    ]  # fmt: skip
    # first below second: its upper error, 0.1, counts, and the second's lower one, 0
    assert np.isnan(rows[1].pull)


def test_other_files_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such file of scale factors"):
        read_grid(tmp_path / "none.root")
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(ValueError, match=r"come as .json, .npz or .root"):
        read_grid(tmp_path / "a.txt")
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(ValueError, match="no correction 'flavour_tagging_shape' of advtag"):
        read_grid(tmp_path / "a.json")
    with uproot.recreate(tmp_path / "a.root"):
        pass
    with pytest.raises(ValueError, match="no histogram SFc_hist"):
        read_grid(tmp_path / "a.root")
