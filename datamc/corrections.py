"""Scale factors as a correctionlib file: the form in which an analysis applies them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from correctionlib import schemav2

from datamc.histograms import Floats, luminosity_pb
from datamc.records import Result
from datamc.scale_factors import ScaleFactors
from storage.files import replaced_file
from storage.names import LONGEST_NAME, file_name, variant_name

CORRECTION_NAME = "flavour_tagging_shape"
"""The one correction in every file: a factor per jet from the shape of (CvsL, CvsB)."""

HADRON_FLAVOURS: Mapping[int, str] = {0: "light", 4: "c", 5: "b"}
"""The hadron flavour of a simulated jet, as NanoAOD writes it."""


def write_correctionlib(
    scale_factors: ScaleFactors, path: Path, *, provenance: Mapping[str, str] | None = None
) -> None:
    """Write one checkpoint's scale factors as correctionlib JSON (schema version 2).

    Args:
        scale_factors: The result of a fit.
        path: A name ending in `.json`.
        provenance: What else the description tells, such as `provenance_of` gives.
    """
    text = correction_set(scale_factors, provenance=provenance).model_dump_json(exclude_unset=True, indent=1)
    with replaced_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def file_stem(tagger: str, epoch: int, variant: str) -> str:
    """Return a file name, without its ending, for the scale factors of a checkpoint and variant."""
    stem = f"{file_name(tagger)}_epoch_{epoch:03d}_{variant_name(variant, joint='_')}"
    return stem if len(stem) <= LONGEST_NAME else file_name(stem)


def provenance_of(results: Sequence[Result]) -> dict[str, str]:
    """Return what made the results, in words: profile, year, data and their luminosity, versions."""
    told: dict[str, list[str]] = {"profile": [], "year": [], "data": [], "luminosity": [], "version": []}
    for result in results:
        told["profile"].append(str(result.config.get("profile", "unknown")))
        told["year"].append(str(result.config.get("year", "unknown")))
        told["version"].append(result.versions.get("advtag", "unknown"))
        recorded = {name: record for name, record in result.datasets.items() if record.is_data}
        told["data"] += [name + (" (simulated)" if r.simulated else "") for name, r in recorded.items()]
        luminosity = luminosity_pb(result)
        amount = "unknown" if luminosity is None else f"{luminosity:g}/pb"
        told["luminosity"].append(f"{result.selection} {amount}")
    return {key: ", ".join(dict.fromkeys(values)) for key, values in told.items() if values}


def correction_set(
    scale_factors: ScaleFactors, *, provenance: Mapping[str, str] | None = None
) -> schemav2.CorrectionSet:
    """Return the scale factors as a validated correction with the inputs CvsL, CvsB, flavour and systematic.

    A score below 0 (a default) takes the factor of the default scores, also where only one of the two is; a
    score of 1 and above that of the last cell. A factor moved down by its error stops at 0.
    """
    shifts = shifted_values(scale_factors)
    correction = {
        "name": CORRECTION_NAME,
        "description": _description(scale_factors, provenance or {}),
        "version": 1,
        "inputs": [
            {"name": "CvsL", "type": "real", "description": "score c against light; below 0: a default"},
            {"name": "CvsB", "type": "real", "description": "score c against b; below 0: a default"},
            {"name": "flavour", "type": "int", "description": "hadron flavour: 5 b, 4 c, 0 light"},
            {"name": "systematic", "type": "string", "description": ", ".join(shifts)},
        ],
        "output": {"name": "weight", "type": "real", "description": "scale factor of one jet"},
        "data": _category(
            "systematic", {name: _by_flavour(scale_factors, values) for name, values in shifts.items()}
        ),
    }
    document = {
        "schema_version": schemav2.VERSION,
        "description": correction["description"],
        "corrections": [correction],
    }
    return schemav2.CorrectionSet.model_validate(document)


def shifted_values(scale_factors: ScaleFactors) -> dict[str, Floats]:
    """Return the factors by the name of the systematic, each of shape `(n_cells, n_flavours)`; none below 0.

    `central`, `stat_up`, `stat_down`; per source the factors fitted with the source up and down, so that it
    stays correlated between cells and flavours; `total_up` and `total_down`, all errors in quadrature.
    """
    value, error = scale_factors.value, scale_factors.error
    shifts = {"central": value, "stat_up": value + error, "stat_down": value - error}
    if scale_factors.systematics is not None:
        for source, up, down in zip(*scale_factors.systematics, strict=True):
            shifts |= {f"{source}_up": value + up, f"{source}_down": value + down}
    total_up, total_down = scale_factors.total_error
    shifts |= {"total_up": value + total_up, "total_down": value - total_down}
    return {name: np.maximum(shifted, 0.0) for name, shifted in shifts.items()}


def _description(scale_factors: ScaleFactors, provenance: Mapping[str, str]) -> str:
    told = {
        "tagger": f"{scale_factors.tagger}, epoch {scale_factors.epoch}",
        "inputs of the simulation": scale_factors.variant,
        "data/MC contained in the fit": ", ".join(
            f"{selection} {factor:.4g}"
            for selection, factor in zip(scale_factors.selections, scale_factors.factors, strict=True)
        ),
        "engine": scale_factors.engine,
        "errors": "statistical" if scale_factors.systematics is None else "statistical and systematic",
        **provenance,
    }
    return "Scale factors of jet-flavour tagging by advtag. " + "; ".join(
        f"{k}: {v}" for k, v in told.items()
    )


def _by_flavour(scale_factors: ScaleFactors, values: Floats) -> dict[str, Any]:
    content = {
        flavour: _plane(scale_factors, values[:, scale_factors.flavours.index(name)])
        for flavour, name in HADRON_FLAVOURS.items()
    }
    return _category("flavour", content)


def _plane(scale_factors: ScaleFactors, values: Floats) -> dict[str, Any]:
    """Return one flavour's cells: a default CvsL first, then slices of CvsB, each with its own CvsL cells."""
    default = float(values[-1])
    slices = _slices(scale_factors)
    content = [
        _binning(
            "CvsL",
            np.append(scale_factors.cvsl[cells, 0], scale_factors.cvsl[cells[-1], 1]),
            values[cells].tolist(),
        )
        for cells in slices
    ]
    lows = np.array([scale_factors.cvsb[cells[0], 0] for cells in slices])
    edges = np.append(lows, scale_factors.cvsb[slices[-1][-1], 1])
    with_default = _binning("CvsB", edges, content, default=default)
    bounds = np.array([edges[0], edges[-1]])
    return _binning("CvsL", bounds, [with_default], default=default)


def _slices(scale_factors: ScaleFactors) -> list[np.ndarray[Any, np.dtype[np.intp]]]:
    """Return the cells of each CvsB slice, the cell of the default scores left out."""
    low = scale_factors.cvsb[:-1, 0]
    return np.split(np.arange(len(low)), np.flatnonzero(np.diff(low)) + 1)


def _binning(name: str, edges: Floats, content: list[Any], *, default: float | None = None) -> dict[str, Any]:
    """Return bins of one input; what lies below takes the default, or the first bin without one."""
    below: list[str | float] = [] if default is None else ["-inf"]
    return {
        "nodetype": "binning",
        "input": name,
        "edges": [*below, *edges.tolist()],
        "content": content if default is None else [default, *content],
        "flow": "clamp",
    }


def _category(name: str, content: Mapping[str, Any] | Mapping[int, Any]) -> dict[str, Any]:
    return {
        "nodetype": "category",
        "input": name,
        "content": [{"key": key, "value": value} for key, value in content.items()],
    }
