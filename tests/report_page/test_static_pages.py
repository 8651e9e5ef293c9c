"""Pages with pictures in a browser: every figure is as wide as its place, and nothing sticks out."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from datamc.method_tables import MethodRow, MethodStudy
from plotting.evaluation_page import StudySection, write_evaluation_page
from plotting.methods_page import write_methods_page
from plotting.style import save_figure
from plotting.validation_page import write_validation_page
from simulation.validation.agreement import AgreementRow
from simulation.validation.spectra import Spectrum

WIDTHS = (1400, 820, 390)
LONG = "A caption as long as those of real figures: " + "shapes of the inputs against simulation, " * 4


def validation(folder: Path) -> Path:
    edges, counts = np.linspace(0, 1, 5), np.ones(4)
    spectra = [
        Spectrum(name, LONG, False, edges, series, counts, counts)
        for name in ("pt", "eta")
        for series in ("b", "c")
    ]
    return write_validation_page(
        folder / "validation.html",
        checks=[],
        defaults=[],
        agreement=[AgreementRow("dy", "data", f"Jet_{name}", 10.0, 9, 0.4) for name in "abc"],
        ranges=[],
        spectra=spectra,
        n_events={"dy (mc)": 10},
        training_mix="dy (mc)",
    )


def methods(folder: Path) -> Path:
    rows = [
        MethodRow(
            "data", "dy", "CvsB", "kl", method, "basic", 1, auc=0.8, auc_error=0.01, auc_attacked=0.7,
            excess=1e-3, excess_error=1e-4, offset=1e-4, pull=5.0, ratio_basic=ratio, ratio_basic_error=0.1,
            ratio_curve=ratio, ratio_curve_error=0.1, ratio_curve_events=0.1, ratio_curve_seeds=0.0,
            ratio_curve_areas=0.0, significance=2.0, ratio_early=ratio, ratio_early_error=0.1,
            chi2_per_degree=1.0, p_value=0.5, status="ok",
        )
        for method, ratio in (("basic", 1.0), ("fgsm", 0.8))
    ]  # fmt: skip
    study = MethodStudy(rows, [], [], [])
    return write_methods_page(folder / "study.html", study, scenarios={"data": "as in data"})


def evaluation(folder: Path) -> Path:
    figure = Figure(figsize=(8, 6))
    figure.subplots().plot([0, 1])
    (picture,) = save_figure(figure, folder / "auc", formats=["png"])
    section = StudySection("auc_epochs", LONG, [picture.name] * 3, ["auc.csv"])
    return write_evaluation_page(folder, [section], title="Evaluation")


@pytest.fixture(scope="module", params=[validation, methods, evaluation], ids=lambda make: make.__name__)
def page_file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    make: Callable[[Path], Path] = request.param
    return make(tmp_path_factory.mktemp("pages"))


@pytest.fixture(scope="module")
def pages(browser: Any) -> Iterator[Any]:
    page = browser.new_page()
    yield page
    page.close()


@pytest.mark.parametrize("width", WIDTHS)
def test_every_figure_fills_its_place(pages: Any, page_file: Path, width: int) -> None:
    pages.set_viewport_size({"width": width, "height": 900})
    pages.goto(page_file.as_uri())
    # Lazy pictures load when they come into view.
    pages.evaluate("document.querySelectorAll('img').forEach(one => { one.loading = 'eager'; })")
    pages.wait_for_function("[...document.images].every(one => one.complete && one.naturalWidth > 0)")
    boxes = pages.evaluate(
        """[...document.images].map(one => {
            const shown = one.getBoundingClientRect();
            const place = one.closest('figure, div').getBoundingClientRect();
            return [shown.width, shown.height, shown.right, place.width, one.naturalWidth, one.naturalHeight];
        })"""
    )
    assert boxes
    for shown_width, shown_height, right, place_width, own_width, own_height in boxes:
        # As wide as its place, or as it is; never smaller than a thumb, never out of shape.
        assert shown_width >= 0.9 * min(place_width, own_width, 350)
        assert shown_height == pytest.approx(shown_width * own_height / own_width, rel=0.02)
        assert right <= width
    assert pages.evaluate("document.documentElement.scrollWidth") <= width
