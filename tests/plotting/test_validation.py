import base64
import math
import re
from typing import NamedTuple

import numpy as np
import pytest

from datamc.templates import Templates
from plotting.validation import draw_agreement, draw_defaults, draw_p_values, draw_ranges, draw_spectra
from plotting.validation_page import write_validation_page


class Spectrum(NamedTuple):
    name: str
    label: str
    log: bool
    edges: np.ndarray
    series: str
    counts: np.ndarray
    variance: np.ndarray


class Default(NamedTuple):
    input: str
    flavour: str
    fraction: float
    error: float
    cms_fraction: float
    ratio: float
    within_factor: int


class Agreement(NamedTuple):
    process: str
    scenario: str
    input: str
    chi2: float
    ndf: int
    p_value: float


class Range(NamedTuple):
    input: str
    sample: str
    n_values: int
    low: float
    q01: float
    q16: float
    median: float
    q84: float
    q99: float
    high: float
    share_inside: float


class Stack(NamedTuple):
    selection: str
    scenario: str
    score: str
    templates: Templates


class Purity(NamedTuple):
    selection: str
    flavour: str
    fraction: float
    error: float


class Cut(NamedTuple):
    selection: str
    sample: str
    cut: str
    n_events: int
    share: float


class Check(NamedTuple):
    name: str
    sample: str
    value: float
    error: float
    low: float
    high: float
    source: str
    verdict: str
    note: str


def spectrum(series: str, counts: list[float], *, log: bool = True) -> Spectrum:
    values = np.array(counts, dtype=float)
    edges = np.linspace(0, 1, len(values) + 1)
    return Spectrum("Jet_DeepCSV_vertexMass", "mass [GeV]", log, edges, series, values, values)


DEFAULTS = [
    Default("Jet_DeepCSV_vertexMass", "b", 0.2, 0.02, 0.1792, 1.116, 1),
    Default("Jet_DeepCSV_vertexMass", "light", math.nan, math.nan, 0.7442, math.nan, 0),
    Default("Jet_pt", "b", 0.0, 0.01, 0.0, 1.0, 1),
    Default("Jet_pt", "light", 0.0, 0.01, 0.0, 1.0, 1),
]
AGREEMENT = [
    Agreement("dy", "null", "Jet_pt", 4.0, 8, 0.86),
    Agreement("dy", "null", "Jet_eta", 8.0, 8, 0.43),
    Agreement("dy", "data", "Jet_pt", 80.0, 8, 1e-12),
]
CHECKS = [
    Check("vertex <b>", "qcd", 0.7512, 0.0123, 0.7, 0.8, "tuned", "pass", ""),
    Check("tracks", "tt", 3.05, 0.01, 1.88, 2.82, "CMS", "fail", "all jets"),
    Check("lifetime", "", math.nan, math.nan, math.nan, math.nan, "", "skipped", "no GenPart"),
]


RANGES = [
    Range("Jet_pt", "qcd", 3, 20.0, 21.0, 25.0, 30.0, 45.0, 80.0, 90.0, math.nan),
    Range("Jet_pt", "real.root", 3, 20.0, 21.0, 20.0, 40.0, 50.0, 80.0, 90.0, 1.0),
]
STACK = Stack(
    "dy", "null", "CvsB",
    Templates(
        np.array([0.0, 0.5, 1.0]), np.array([3.0, 5.0]), np.array([3.0, 5.0]), np.ones((3, 2)),
        np.ones((3, 2)), ("b", "c", "light"), 1.0,
    ),
)  # fmt: skip


def test_ranges_are_in_units_of_the_first_sample() -> None:
    (axes,) = draw_ranges(RANGES).axes
    medians = [line.get_ydata().tolist() for line in axes.lines if line.get_marker() == "_"]
    # Half of the central 68 % is (45 - 25) / 2 = 10 GeV: 40 GeV is one above the median of 30.
    assert medians == [[0.0], [1.0]]


def test_each_series_adds_up_to_one_and_empty_ones_are_left_out() -> None:
    (axes,) = draw_spectra([spectrum("b", [1, 3]), spectrum("c", [0, 0])]).axes
    (drawn,) = axes.patches
    assert drawn.get_data().values.tolist() == [0.25, 0.75]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["b"]


def test_nothing_is_a_gap_on_a_logarithm() -> None:
    (axes,) = draw_spectra([spectrum("b", [0, 4])]).axes
    values = axes.patches[0].get_data().values
    assert math.isnan(values[0])
    assert values[1] == 1


def test_samples_of_one_process_share_a_colour() -> None:
    (axes,) = draw_spectra([spectrum("dy (mc)", [1, 1]), spectrum("dy (data)", [1, 2])]).axes
    first, second = axes.patches
    assert first.get_edgecolor() == second.get_edgecolor()
    assert first.get_linestyle() != second.get_linestyle()


def test_default_fractions_are_drawn_relative_to_cms() -> None:
    (axes,) = draw_defaults(DEFAULTS, factor=1.5).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["vertexMass"]
    points = [line.get_ydata().tolist() for line in axes.lines if line.get_marker() == "o"]
    assert points == [[1.116]]


def test_chi_square_is_drawn_per_degree_of_freedom() -> None:
    (axes,) = draw_agreement(AGREEMENT, process="dy").axes
    drawn = {line.get_label(): line.get_ydata().tolist() for line in axes.lines}
    assert drawn["null against mc"] == [0.5, 1.0]
    assert drawn["data against mc"] == [10.0]


def test_p_values_are_drawn_for_each_sample() -> None:
    (axes,) = draw_p_values(AGREEMENT).axes
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["dy (null)", "dy (data)"]


@pytest.fixture
def page(tmp_path) -> str:
    steps = []
    path = write_validation_page(
        tmp_path / "validation.html", checks=CHECKS, defaults=DEFAULTS, agreement=AGREEMENT,
        ranges=RANGES, spectra=[spectrum("b", [1, 3])], stacks=[STACK], tagger="reference@30",
        purities=[Purity("dy", "light", 0.853, 0.004)], cutflows=[Cut("dy", "dy (mc)", "n_jets", 1234, 0.25)],
        n_events={"qcd (mc)": 1500}, training_mix="qcd",
        progress=lambda done, total: steps.append((done, total)),
    )  # fmt: skip
    assert steps == [(done, 6) for done in range(1, 7)]
    return path.read_text()


def test_page_needs_nothing_but_itself(page: str) -> None:
    images = re.findall(r'<img [^>]*src="([^"]*)"', page)
    assert len(images) == 6
    for image in images:
        kind, _, content = image.partition(",")
        assert kind == "data:image/png;base64"
        assert base64.b64decode(content).startswith(b"\x89PNG")
    assert "<script" not in page
    assert not re.search(r"(src|href)=\"https?:", page)


def test_page_tells_the_verdicts_and_trusts_no_string(page: str) -> None:
    assert "1 of 2 checks pass, 1 fail (tracks)" in page
    assert "vertex &lt;b&gt;" in page
    assert "0.751 ± 0.012" in page
    assert "no GenPart" in page
    assert "85.3 ± 0.4 %" in page
    assert "1,234 (25 %)" in page
    assert page.index("Fail: outside") < page.index("Pass: as expected")
    assert "nan" not in re.sub(r'src="[^"]*"', "", page).lower()
