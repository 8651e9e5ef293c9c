"""Scale factors as files beside the correction: all of a fit (npz), histograms as published (ROOT)."""

import json
from pathlib import Path
from typing import Any

import hist
import numpy as np

from datamc.corrections import shifted_values
from datamc.histograms import Floats
from datamc.scale_factors import ScaleFactors, Systematics, cell_of
from storage.archives import open_archive
from storage.documents import parse_json
from storage.files import replaced_file
from storage.trees import replaced_root_file

PUBLISHED_FLAVOURS = {"c": "SFc_hist", "b": "SFb_hist", "light": "SFl_hist"}
"""The histograms of the published file (CMS-BTV-20-001)."""

PUBLISHED_SOURCES = {
    "stat": "Stat",
    "pileup": "PUWeight",
    "muR": "LHEScaleWeight_muR",
    "muF": "LHEScaleWeight_muF",
    "ISR": "PSWeightISR",
    "FSR": "PSWeightFSR",
    "muon": "MuIDSF",
}
"""How that file calls what we call otherwise; other sources keep their names."""

_ARRAYS = (
    "cvsl", "cvsb", "value", "covariance", "status", "spectral_radius", "condition", "n_data", "n_effective",
    "mc", "factors",
)  # fmt: skip
_TEXTS = ("tagger", "epoch", "variant", "flavours", "selections", "engine")


def write_scale_factors(scale_factors: ScaleFactors, path: Path) -> None:
    """Write everything a fit found as npz: arrays, and one JSON text `about`; no pickle in it.

    The covariance of the whole plane follows from it (`full_covariance`): statistics correlate the flavours
    of a cell, a source correlates everything.
    """
    arrays = {name: getattr(scale_factors, name) for name in _ARRAYS}
    about = {name: getattr(scale_factors, name) for name in _TEXTS}
    if scale_factors.systematics is not None:
        arrays["systematic_up"] = scale_factors.systematics.up
        arrays["systematic_down"] = scale_factors.systematics.down
        about["sources"] = scale_factors.systematics.sources
    with replaced_file(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, about=np.array(json.dumps(about)), **arrays)


def read_scale_factors(path: Path) -> ScaleFactors:
    """Read what `write_scale_factors` wrote.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is something else.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such scale factors: run `advtag fit` first")
    try:
        with open_archive(path, complaint="not the scale factors of a fit", remedy="fit again") as file:
            about = parse_json(str(file.array("about")), source=f"{path}, about")
            arrays = {name: file.array(name) for name in _ARRAYS}
            systematics = None
            if "sources" in about:
                sources = tuple(about["sources"])
                systematics = Systematics(sources, file.array("systematic_up"), file.array("systematic_down"))
    except (LookupError, TypeError) as error:
        raise ValueError(f"{path}: not the scale factors of a fit ({error}): fit again") from error
    return ScaleFactors(
        **arrays,
        tagger=about["tagger"],
        epoch=about["epoch"],
        variant=about["variant"],
        flavours=tuple(about["flavours"]),
        selections=tuple(about["selections"]),
        engine=about["engine"],
        systematics=systematics,
    )


def full_covariance(scale_factors: ScaleFactors) -> Floats:
    """Return the covariance of all factors, shape `(n_cells * n_flavours, n_cells * n_flavours)`.

    Statistics correlate the flavours of one cell; a source shifts all cells and flavours together, by the
    larger of its shifts with its sign.
    """
    n_cells, n_flavours = scale_factors.value.shape
    full = np.zeros((n_cells, n_flavours, n_cells, n_flavours))
    cells = np.arange(n_cells)
    full[cells, :, cells, :] = scale_factors.covariance
    total = full.reshape(n_cells * n_flavours, -1)
    if scale_factors.systematics is not None:
        shifts = scale_factors.systematics.symmetric.reshape(-1, n_cells * n_flavours)
        total += shifts.T @ shifts
    return total


def write_root(scale_factors: ScaleFactors, path: Path) -> None:
    """Write the factors as TH2D with the published names: x is CvsL, y CvsB, underflow the default scores.

    `SFc_hist`, `SFc_hist_StatUp`, ... hold factors; `SFc_hist_TotalUncUp` and `Down` hold errors, as
    published.
    """
    x_edges = np.unique(scale_factors.cvsl[~scale_factors.is_default])
    y_edges = np.unique(scale_factors.cvsb[~scale_factors.is_default])
    x = np.append(-0.5, (x_edges[1:] + x_edges[:-1]) / 2)
    y = np.append(-0.5, (y_edges[1:] + y_edges[:-1]) / 2)
    cell = cell_of(scale_factors, *np.meshgrid(x, y, indexing="ij"))
    total = dict(zip(("Up", "Down"), scale_factors.total_error, strict=True))
    with replaced_root_file(path) as file:
        for i, flavour in enumerate(scale_factors.flavours):
            name = PUBLISHED_FLAVOURS[flavour]
            for systematic, values in shifted_values(scale_factors).items():
                if not systematic.startswith("total"):
                    error = scale_factors.error[cell, i]
                    file[name + _suffix(systematic)] = _histogram(x_edges, y_edges, values[cell, i], error)
            for direction, errors in total.items():
                file[f"{name}_TotalUnc{direction}"] = _histogram(x_edges, y_edges, errors[cell, i])


def _suffix(systematic: str) -> str:
    if systematic == "central":
        return ""
    source, _, direction = systematic.rpartition("_")
    return f"_{PUBLISHED_SOURCES.get(source, source)}{direction.capitalize()}"


def _histogram(
    x_edges: Floats, y_edges: Floats, values: Floats, errors: Floats | None = None
) -> hist.Hist[Any]:
    """Return a histogram; the first row and column of the values are the underflow."""
    histogram = hist.Hist(
        hist.axis.Variable(x_edges, name="CvsL"),
        hist.axis.Variable(y_edges, name="CvsB"),
        storage=hist.storage.Weight(),
    )
    view = histogram.view(flow=True)
    view["value"][:-1, :-1] = values
    view["variance"][:-1, :-1] = 0.0 if errors is None else errors**2
    return histogram
