"""How every figure looks: the style, the labels, the colours, and how a figure becomes files.

The field's style (mplhep's CMS style) is a look, not a claim: what stands above the axes is an `EventLabel`,
and simulated events are always called simulated.
"""

import base64
import io
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import matplotlib as mpl
import mplhep
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.mathtext import MathTextParser
from matplotlib.text import Text

from datamc.histograms import luminosity_pb
from datamc.records import Result
from datamc.regions import energy_of
from storage.files import replaced_file
from storage.names import printable

SIMULATED = "Simulated events"
"""What is said of events made by a generator, in whichever role."""

REFERENCE = "basic"
"""The training the others are compared with, where there is one of that name."""

FLAVOUR_COLOURS = {"light": "#5790fc", "c": "#f89c20", "b": "#e42536"}
"""Distinguishable with all common colour visions. Source: M. A. Petroff, arXiv:2107.02270."""

LINE_COLOURS = ("#3f6fd8", "#c8431f", "#6a3d8a", "#14806f", "#8a6d00", "#555b66")
"""One a training, dark enough for thin lines on white."""

LINE_STYLES = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P")

FLAVOUR_LABELS = {"light": "light (udsg, pileup)", "c": "c", "b": "b (b, bb)"}

SELECTION_LABELS = {
    "dy": "DY + jets",
    "wc": "W + c (OS−SS)",
    "ttsemilep": r"$\mathrm{t\bar{t}}$ semileptonic",
    "inclusive": "inclusive",
}
SELECTION_NAMES = {
    "dy": "DY + jets",
    "wc": "W + c (OS−SS)",
    "ttsemilep": "tt̄ semileptonic",
    "inclusive": "inclusive",
}
"""The same without mathematics, for web pages and tables."""

SCORE_LABELS = {
    "b": "P(b)",
    "bb": "P(bb)",
    "c": "P(c)",
    "udsg": "P(udsg)",
    "BvsL": "BvsL",
    "BvsC": "BvsC",
    "CvsB": "CvsB",
    "CvsL": "CvsL",
}

_VARIANT_SYMBOLS = {
    "noise": ("noise", "σ"),
    "sign_noise": ("sign noise", "ε"),
    "fgsm": ("FGSM", "ε"),
    "pgd": ("PGD", "ε"),
}
_MINUS = {"axes.unicode_minus": True, "hatch.linewidth": 0.8}
_TRUETYPE = {
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "font.sans-serif": ["Fira Sans"],
    **{f"mathtext.{name}": "Fira Sans" for name in ("rm", "sf", "tt", "cal")},
    "mathtext.bf": "Fira Sans:bold",
    "mathtext.it": "Fira Sans:italic",
}
"""Of vector files: fonts of type 42, which journals and editors take. Those of the field's style have
PostScript outlines and cannot be embedded so; Fira Sans comes with it, too."""


class EventLabel(NamedTuple):
    """What stands above the axes.

    `experiment` and `status` ("CMS", "Private work") are shown for recorded data only; a label with
    `simulated=True` says "Simulated events" whatever they hold.
    """

    simulated: bool = True
    experiment: str = ""
    status: str = ""
    right: str = ""

    @property
    def left(self) -> tuple[str, str]:
        """The bold and the italic part at the left."""
        return ("", SIMULATED) if self.simulated else (self.experiment, self.status)


SIMULATION = EventLabel()
"""What stands above the axes unless something else is known to be true."""


def event_label(
    results: Sequence[Result], *, experiment: str = "", status: str = "", energy: str | None = None
) -> EventLabel:
    """Return the label that is true of these results: who recorded them, or that nobody did, and how much.

    The luminosity is told where all results have the same, the energy is theirs if none is given.
    """
    if energy is None:
        energy = " and ".join(f"{tev:g}" for tev in sorted({energy_of(each) for each in results})) + " TeV"
    luminosities = {luminosity_pb(result) or 0.0 for result in results}
    luminosity = luminosities.pop() if len(luminosities) == 1 else 0.0
    right = f"{luminosity_text(luminosity)} ({energy})" if luminosity > 0 else energy
    return EventLabel(is_simulated(results), experiment, status, right)


def is_simulated(results: Sequence[Result]) -> bool:
    """Say whether any events in the role of data were simulated, or none were recorded at all."""
    data = [record for result in results for record in result.datasets.values() if record.is_data]
    return not data or any(record.simulated for record in data)


def data_name(*, simulated: bool) -> str:
    """Return what the points in the role of data are called in a legend."""
    return "Data (simulated)" if simulated else "Data"


def luminosity_text(luminosity_pb: float) -> str:
    """Return a luminosity with its unit, in inverse femtobarn from one on."""
    if luminosity_pb >= 1000.0:
        return f"{luminosity_pb / 1000.0:.3g} fb$^{{-1}}$"
    return f"{luminosity_pb:.3g} pb$^{{-1}}$"


def variant_label(variant: str) -> str:
    """Return a variant as people write it: `fgsm:0.1` is "FGSM ε = 0.1"; an unknown one stays as it is."""
    kind, _, size = variant.partition(":")
    if kind not in _VARIANT_SYMBOLS or not size:
        return variant
    name, symbol = _VARIANT_SYMBOLS[kind]
    return f"{name} {symbol} = {size}"


def checkpoint_label(tagger: str, epoch: int, variant: str) -> str:
    """Return a checkpoint and the inputs of the simulation, for figures."""
    return plain(f"{tagger}, epoch {epoch}, {variant_label(variant)}")


def selection_label(selection: str) -> str:
    """Return a selection's name for figures (those of the table may hold mathematics)."""
    return SELECTION_LABELS.get(selection) or plain(selection)


def score_label(score: str) -> str:
    """Return a score's name for figures and pages."""
    return SCORE_LABELS.get(score, score)


def in_order(trainings: Iterable[str]) -> list[str]:
    """Return the distinct trainings, `REFERENCE` first: a training has the same colour in every figure."""
    return sorted(dict.fromkeys(trainings), key=lambda name: name != REFERENCE)


def largest_fgsm(variants: Sequence[str]) -> str | None:
    """Return the strongest FGSM among the variants, None if there is none."""
    attacks = [variant for variant in variants if variant.startswith("fgsm")]
    return max(attacks, key=lambda variant: float(variant.partition(":")[2] or 0), default=None)


def plain(text: str) -> str:
    r"""Return a name as figures show it letter by letter: in it `$` begins no mathematics.

    Names are data: nothing in them is an instruction. Control characters are written out.
    """
    lines = (printable(line).replace("$", r"\$") for line in text.split("\n"))
    return "\n".join(lines)


def in_legend(name: str) -> str:
    """Return a name for the legend that `draw_legend` draws: also one that begins with an underscore.

    Matplotlib takes such a label for "not in the legend".
    """
    return plain(name) if name[:1] not in ("", "_") else _SHOWN + plain(name)


_SHOWN = "\u2060"
"""Before a label, until its legend is drawn: a word joiner, which no name begins with."""


Entry = tuple[str, Artist]
"""A label of a legend, and what it names."""


def draw_legend(owner: Axes | Figure, entries: Sequence[Entry] | None = None, **look: Any) -> None:
    """Draw a legend in which every label of `in_legend` stands as it is; none if there is no entry.

    Args:
        owner: What gets the legend.
        entries: Labels with their artists, in order; by default all in it that have a label.
        **look: What matplotlib's `legend` takes.
    """
    if entries is None:
        entries = entries_of([owner] if isinstance(owner, Axes) else owner.axes)
    if not entries:
        return
    names, handles = zip(*entries, strict=True)
    drawn = owner.legend(handles, names, **look)
    for text in drawn.get_texts():
        text.set_text(text.get_text().removeprefix(_SHOWN))


def entries_of(panels: Iterable[Axes]) -> list[Entry]:
    """Return the labels of panels with what they name, in the order of the panels."""
    found = (axes.get_legend_handles_labels() for axes in panels)
    return [entry for handles, names in found for entry in zip(names, handles, strict=True)]


@contextmanager
def figure_style(*, font_size: float = 14.0, ending: str = "png") -> Iterator[None]:
    """Draw what is inside in the field's style, and leave the settings of the caller alone.

    It begins with the defaults of matplotlib, so that no `matplotlibrc` decides what a figure shows, or that
    it needs LaTeX.

    Args:
        font_size: In points.
        ending: Of the file that is written inside.
    """
    scale = font_size / mplhep.style.CMS["font.size"]
    sizes = {
        key: mplhep.style.CMS[key] * scale
        for key in ("xtick.major.size", "xtick.minor.size", "ytick.major.size", "ytick.minor.size")
    }
    settings = {**mplhep.style.CMS, "font.size": font_size, "axes.linewidth": 1.0, **sizes, **_MINUS}
    with mpl.rc_context(), warnings.catch_warnings():
        # A letter that no font has is drawn as a box: a name may hold any.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        mpl.rcdefaults()
        mpl.rcParams.update(settings | (_TRUETYPE if ending in ("pdf", "ps", "eps") else {}))
        yield


def draw_label(axes: Axes, label: EventLabel, *, title: str = "") -> None:
    """Write the label above the axes and the title inside, at the top left."""
    experiment, text = label.left
    mplhep.label.exp_label(
        exp=plain(experiment),
        text=plain(text),
        data=True,
        rlabel=label.right,
        loc=0,
        fontsize="medium",
        scilocator_adjust=False,
        ax=axes,
    )
    if title:
        axes.text(0.04, 0.95, title, transform=axes.transAxes, va="top", ha="left", linespacing=1.4)


def save_figure(figure: Figure, path: Path, *, formats: Sequence[str] = ("png", "pdf")) -> list[Path]:
    """Write a figure once per format beside each other, whole or not at all.

    Args:
        figure: What to write.
        path: Where to, without ending.
        formats: Endings that matplotlib knows.

    Returns:
        The files written.
    """
    written = []
    for ending in formats:
        target = path.with_name(f"{path.name}.{ending}")
        with replaced_file(target) as temporary:
            _write_figure(figure, temporary, ending=ending, dpi=110)
        written.append(target)
    return written


def embedded_png(figure: Figure, *, dpi: int) -> str:
    """Return a figure as PNG in base64, for a page that holds it."""
    content = io.BytesIO()
    _write_figure(figure, content, ending="png", dpi=dpi)
    return base64.b64encode(content.getvalue()).decode()


def _write_figure(figure: Figure, target: Path | IO[bytes], *, ending: str, dpi: int) -> None:
    _take_names_as_they_are(figure)
    # Fonts are looked up when a figure is written, so the style holds here too.
    with figure_style(ending=ending):
        figure.savefig(target, format=ending, dpi=dpi)


def _take_names_as_they_are(figure: Figure) -> None:
    """Make texts of names from files harmless: dollars that are no mathematics, and control characters."""
    for text in figure.findobj(Text):
        content = text.get_text()
        lines = "\n".join(map(printable, content.split("\n")))
        if lines != content:
            text.set_text(lines)
        if "$" in lines and not _is_mathematics(lines):
            text.set_parse_math(False)


def _is_mathematics(text: str) -> bool:
    try:
        for line in text.split("\n"):
            MathTextParser("path").parse(line)
    except ValueError:
        return False
    return True
