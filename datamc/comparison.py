"""Two files of scale factors on a common grid: their difference, and its size in errors."""

from pathlib import Path
from typing import Any, NamedTuple

import correctionlib
import numpy as np
from correctionlib import schemav2

from datamc.corrections import CORRECTION_NAME, HADRON_FLAVOURS
from datamc.histograms import Floats
from datamc.planes import FIT_FLAVOURS
from datamc.scale_factor_files import PUBLISHED_FLAVOURS, read_scale_factors
from datamc.scale_factors import cell_of
from events.files import open_root
from storage.documents import parse_json, read_bytes

_DEFAULT = -0.5
"""A score below 0."""


class ScaleFactorGrid(NamedTuple):
    """Scale factors on a grid of CvsL and CvsB; flavours as in `FIT_FLAVOURS`.

    The first row and column, below 0, hold those of the default scores.
    """

    cvsl_edges: Floats
    """Without that of the default scores, shape `(n_x + 1,)`."""
    cvsb_edges: Floats
    value: Floats
    """Shape `(n_flavours, n_x + 1, n_y + 1)`."""
    error_up: Floats
    """Of all sources, same shape; negative where a file says so."""
    error_down: Floats
    name: str

    def on(self, cvsl_edges: Floats, cvsb_edges: Floats) -> "ScaleFactorGrid":
        """Return the same on other edges, by the centres of their bins."""
        x = np.searchsorted(self.cvsl_edges, _centres(cvsl_edges), side="right")
        y = np.searchsorted(self.cvsb_edges, _centres(cvsb_edges), side="right")
        last = (len(self.cvsl_edges) - 1, len(self.cvsb_edges) - 1)
        place = np.ix_(np.arange(len(FIT_FLAVOURS)), np.minimum(x, last[0]), np.minimum(y, last[1]))
        return ScaleFactorGrid(
            cvsl_edges,
            cvsb_edges,
            self.value[place],
            self.error_up[place],
            self.error_down[place],
            self.name,
        )


class ComparisonRow(NamedTuple):
    """One flavour in one bin of the common grid; default scores have bounds below 0."""

    flavour: str
    cvsl_low: float
    cvsl_high: float
    cvsb_low: float
    cvsb_high: float
    first: float
    first_error: float
    second: float
    second_error: float
    difference: float
    """First minus second."""
    pull: float
    """Difference over both errors in quadrature; NaN where an error is not positive."""


class ComparisonSummary(NamedTuple):
    """One flavour over the whole plane, each bin counted by its area, without the default scores."""

    flavour: str
    n_bins: int
    n_left_at_one: int
    """Bins in which the first file says exactly 1."""
    n_left_at_one_second: int
    n_bad_errors: int
    """Bins in which either file has an error that is not positive."""
    mean_difference: float
    rms_difference: float
    pull_mean: float
    pull_width: float
    """Root of the mean square of the pulls."""
    default_difference: float


def read_grid(path: Path) -> ScaleFactorGrid:
    """Return the scale factors of a file: `.json` (correctionlib), `.npz`, or `.root` with published names.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds no scale factors.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of scale factors: run `advtag fit` first")
    readers = {".root": _read_root, ".json": _read_correction, ".npz": _read_npz}
    if path.suffix not in readers:
        raise ValueError(f"{path}: scale factors come as .json, .npz or .root: choose one of these")
    return readers[path.suffix](path)


def compare_scale_factors(first: ScaleFactorGrid, second: ScaleFactorGrid) -> list[ComparisonRow]:
    """Return the differences in the bins that the edges of both files make together."""
    x = _common(first.cvsl_edges, second.cvsl_edges)
    y = _common(first.cvsb_edges, second.cvsb_edges)
    a, b = first.on(x, y), second.on(x, y)
    difference = a.value - b.value
    # The error towards the other file
    error_a = np.where(difference > 0, a.error_down, a.error_up)
    error_b = np.where(difference > 0, b.error_up, b.error_down)
    is_good = (error_a > 0) & (error_b > 0)
    spread = np.sqrt(error_a**2 + error_b**2)
    pull = np.divide(difference, spread, out=np.full_like(difference, np.nan), where=is_good)
    x_low, y_low = np.append(-1.0, x), np.append(-1.0, y)
    default = [(0, 0)]
    bins = [*default, *((i, j) for i in range(1, len(x)) for j in range(1, len(y)))]
    return [
        ComparisonRow(
            flavour,
            *(float(x_low[i]), float(x_low[i + 1])),
            *(float(y_low[j]), float(y_low[j + 1])),
            *(float(a.value[f, i, j]), float(error_a[f, i, j])),
            *(float(b.value[f, i, j]), float(error_b[f, i, j])),
            float(difference[f, i, j]),
            float(pull[f, i, j]),
        )
        for f, flavour in enumerate(FIT_FLAVOURS)
        for i, j in bins
    ]


def summarise_comparison(rows: list[ComparisonRow]) -> list[ComparisonSummary]:
    """Return a comparison in one row per flavour."""
    found = []
    for flavour in FIT_FLAVOURS:
        default, *inside = [row for row in rows if row.flavour == flavour]
        area = np.array([(r.cvsl_high - r.cvsl_low) * (r.cvsb_high - r.cvsb_low) for r in inside])
        difference = np.array([row.difference for row in inside])
        pull = np.array([row.pull for row in inside])
        known = np.isfinite(pull)
        weight = area[known]
        found.append(
            ComparisonSummary(
                flavour,
                len(inside),
                sum(row.first == 1 for row in inside),
                sum(row.second == 1 for row in inside),
                int((~known).sum()),
                float(np.average(difference, weights=area)),
                float(np.sqrt(np.average(difference**2, weights=area))),
                float(np.average(pull[known], weights=weight)) if known.any() else float("nan"),
                float(np.sqrt(np.average(pull[known] ** 2, weights=weight))) if known.any() else float("nan"),
                default.difference,
            )
        )
    return found


def _common(first: Floats, second: Floats) -> Floats:
    """Return the edges of both; those that are the same but for rounding once."""
    edges = np.unique(np.concatenate([first, second]))
    return np.asarray(edges[np.append(True, np.diff(edges) > 1e-6)])


def _centres(edges: Floats) -> Floats:
    """Return a score below 0, and the middle of each bin."""
    return np.append(_DEFAULT, (edges[1:] + edges[:-1]) / 2)


def _read_npz(path: Path) -> ScaleFactorGrid:
    found = read_scale_factors(path)
    x, y = np.unique(found.cvsl[~found.is_default]), np.unique(found.cvsb[~found.is_default])
    cell = cell_of(found, *np.meshgrid(_centres(x), _centres(y), indexing="ij"))
    up, down = found.total_error
    value, up, down = (np.moveaxis(each[cell], -1, 0) for each in (found.value, up, down))
    return ScaleFactorGrid(x, y, value, up, down, str(path))


def _read_correction(path: Path) -> ScaleFactorGrid:
    try:
        text = read_bytes(path, kind="file of scale factors")
        document = schemav2.CorrectionSet.model_validate(
            parse_json(text, source=str(path), remedy="fit again", finite=False)
        )
        correction = correctionlib.CorrectionSet.from_string(text.decode("utf-8-sig"))[CORRECTION_NAME]
    except (ValueError, IndexError, RuntimeError) as error:
        raise ValueError(f"{path}: no correction {CORRECTION_NAME!r} of advtag in it: fit again") from error
    edges: dict[str, set[float]] = {"CvsL": set(), "CvsB": set()}
    _collect_edges(document.corrections[0].data, edges)
    x, y = (np.array(sorted(edges[name])) for name in ("CvsL", "CvsB"))
    grid = np.meshgrid(_centres(x), _centres(y), indexing="ij")
    shape = grid[0].shape
    numbers = {name: number for number, name in HADRON_FLAVOURS.items()}

    def values(systematic: str) -> Floats:
        return np.stack(
            [
                correction.evaluate(grid[0].ravel(), grid[1].ravel(), numbers[flavour], systematic).reshape(
                    shape
                )
                for flavour in FIT_FLAVOURS
            ]
        )

    central = values("central")
    return ScaleFactorGrid(
        x, y, central, values("total_up") - central, central - values("total_down"), str(path)
    )


def _collect_edges(node: Any, edges: dict[str, set[float]]) -> None:
    if isinstance(node, schemav2.Binning):
        numbers = [float(edge) for edge in node.edges]
        edges[node.input].update(edge for edge in numbers if np.isfinite(edge))
    for child in getattr(node, "content", []):
        _collect_edges(getattr(child, "value", child), edges)


def _read_root(path: Path) -> ScaleFactorGrid:
    with open_root(path) as file:
        names = [PUBLISHED_FLAVOURS[flavour] for flavour in FIT_FLAVOURS]
        there = set(file.kinds)
        missing = [name for name in names if name not in there]
        if missing:
            raise ValueError(f"{path}: no histogram {missing[0]}: not a file of shape scale factors")
        x, y = (np.asarray(file.object(names[0]).axis(axis).edges(), dtype=np.float64) for axis in ("x", "y"))

        def values(suffix: str) -> Floats:
            return np.stack([file.object(name + suffix).values(flow=True)[:-1, :-1] for name in names])

        central = values("").astype(np.float64)
        if {f"{name}_TotalUncUp" for name in names} <= there:
            up, down = values("_TotalUncUp"), values("_TotalUncDown")
        else:
            up = down = np.stack([file.object(name).errors(flow=True)[:-1, :-1] for name in names])
    return ScaleFactorGrid(x, y, central, up, down, str(path))
