"""Names are data: whatever a training, process or scenario is called, figures show it and nothing else."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from datamc.divergence import DivergenceRow
from datamc.history import history_rows
from datamc.scale_factors import ScaleFactors
from datamc.templates import Templates
from plotting.charts import Dots, Line, Surface, draw_dots, draw_lines, draw_matrix, draw_surfaces
from plotting.divergence import draw_divergence
from plotting.history import draw_history
from plotting.scale_factors import draw_scale_factors
from plotting.shapes import Shape, ShapePanel, draw_shapes
from plotting.stacks import draw_stack
from plotting.style import EventLabel, checkpoint_label, figure_style, plain, save_figure, selection_label
from plotting.tagging import draw_auc, draw_roc, roc_curves_of
from plotting.trade_off import draw_trade_off
from training.evaluate import AucRow, RocRow

NAME = "_$p_T$\\frac{1}{2}$ {%^_} 日本 \x1b[31m"
PLOTTING = Path(__file__).parents[2] / "plotting"

Draw = Callable[[str], Figure]


@pytest.fixture
def drawn(
    templates: Templates, scale_factors: ScaleFactors, row: Callable[..., DivergenceRow]
) -> dict[str, Draw]:
    """What draws each kind of figure with a name in it."""
    ones = np.ones(2)
    edges = np.array([0.0, 0.5, 1.0])
    points = [("raw", "CvsL", x, x, x**2) for x in (0.1, 0.5, 1.0)]
    return {
        "stack": lambda name: draw_stack(
            templates._replace(groups=(name, "b", "c")),
            title=f"{selection_label(name)}\n{checkpoint_label(name, 3, name)}",
            label=EventLabel(simulated=False, experiment=name, status=name),
        ),
        "divergence": lambda name: draw_divergence(
            [row(name, 0.5, variant=name, selection=name)], score="CvsL", null=[row(name, 0.4, variant=name)]
        ),
        "trade_off": lambda name: draw_trade_off(
            [row(name, 0.5, selection=name)],
            [AucRow(name, 3, "raw", "CvsL", 0.7, 0.01, 10, 10)],
            score="CvsL",
        ),
        "history": lambda name: draw_history(history_rows([scale_factors._replace(tagger=name)])),
        "scale_factors": lambda name: draw_scale_factors(scale_factors._replace(tagger=name, variant=name)),
        "auc": lambda name: draw_auc([AucRow(name, 3, name, "CvsL", 0.7, 0.01, 10, 10)], score="CvsL"),
        "roc": lambda name: draw_roc(roc_curves_of([RocRow(name, 3, *p) for p in points]), title=name),
        "lines": lambda name: draw_lines(
            [Line(name, [1, 2], [1, 2])], xlabel="Epoch", ylabel=f"of {name}", title=name
        ),
        "dots": lambda name: draw_dots([name], [Dots(name, [1.0])], xlabel="AUC", title=name),
        "matrix": lambda name: draw_matrix(
            np.ones((1, 1)), rows=[name], columns=[name], colour_label="AUC", title=name
        ),
        "surfaces": lambda name: draw_surfaces(
            [Surface(name, [0, 1], [0, 1], np.eye(2))], xlabel="x", ylabel="y", colour_label="loss"
        ),
        "shapes": lambda name: draw_shapes([ShapePanel(name, edges, [Shape(name, ones)])], xlabel=name),
    }


def legends_of(figure: Figure) -> list[str]:
    legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes if axes.get_legend())]
    return [text.get_text() for legend in legends for text in legend.get_texts()]


def test_every_figure_shows_every_name(drawn: dict[str, Draw]) -> None:
    for kind, draw in drawn.items():
        figure = draw(NAME)
        with figure_style():
            figure.draw_without_rendering()
        texts = [text.get_text() for text in figure.findobj(mpl.text.Text)]
        assert any(plain(NAME) in text for text in texts), kind
        if kind in ("stack", "divergence", "history", "auc", "roc", "lines", "dots", "shapes", "trade_off"):
            assert any(text.startswith(plain(NAME)) for text in legends_of(figure)), kind


@pytest.mark.parametrize(("name", "shown"), [("_dy", "_dy"), ("a$b", r"a\$b"), ("x\x1b[31m", r"x\x1b[31m")])
def test_legends_hold_names_as_they_are(templates: Templates, name: str, shown: str) -> None:
    figure = draw_stack(templates._replace(groups=(name, "_dy2", "Data")))
    # The name of the points is that of a process here: neither hides the other.
    names = ["Data (simulated)", "MC stat. unc.", "Data", "_dy2", shown]
    assert legends_of(figure) == names


def test_a_dollar_is_a_dollar(tmp_path: Path) -> None:
    # Matplotlib draws `\$` as a dollar, and mathematics between two dollars that are not escaped.
    figure = Figure()
    text = figure.text(0.5, 0.5, plain("$x$ and $y$"))
    with figure_style():
        assert text._preprocess_math(text.get_text()) == ("$x$ and $y$", False)


@pytest.mark.parametrize("ending", ["pdf", "eps"])
def test_vector_files_embed_truetype(drawn: dict[str, Draw], ending: str, tmp_path: Path) -> None:
    (path,) = save_figure(drawn["stack"]("_dy"), tmp_path / "stack", formats=[ending])
    content = path.read_bytes()
    if ending == "pdf":
        assert b"/Subtype /Type3" not in content
        assert set(re.findall(rb"/BaseFont /\w{6}\+(\w+)", content)) <= {b"FiraSans", b"FiraSansItalic"}
        assert b"/FontFile2" in content
    else:
        assert b"/FontType 3" not in content
        assert b"/FontType 42" in content


SETTINGS: dict[str, Any] = {
    "text.usetex": True,
    "axes.formatter.use_locale": True,
    "figure.dpi": 7,
    "savefig.bbox": "tight",
    "savefig.facecolor": "red",
    "font.size": 40,
    "lines.linewidth": 30,
    "legend.loc": "lower left",
    "axes.grid": True,
    "image.origin": "lower",
}


def test_no_matplotlibrc_decides_how_figures_look(drawn: dict[str, Draw], tmp_path: Path) -> None:
    def pictures(folder: Path) -> dict[str, bytes]:
        for kind in ("stack", "matrix"):
            save_figure(drawn[kind]("basic"), folder / kind, formats=["png"])
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    usual = pictures(tmp_path / "usual")
    with mpl.rc_context(SETTINGS):
        assert pictures(tmp_path / "changed") == usual
        assert mpl.rcParams["font.size"] == 40
    assert len(usual) == 2


@pytest.mark.parametrize("call", [".legend(", ".savefig(", "rc_context(", "pyplot", "rcParams"])
def test_only_the_style_draws_legends_and_writes_figures(call: str) -> None:
    elsewhere = [
        path.name
        for path in sorted(PLOTTING.glob("*.py"))
        if path.name != "style.py" and call in path.read_text(encoding="utf-8")
    ]
    assert elsewhere == []
