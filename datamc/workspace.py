"""The likelihood of a plane as a pyhf workspace: cells as bins, selections as channels.

`sf_c`, `sf_b`, `sf_light` and `charge_symmetric` are shape factors (one free number per bin) that channels
share, `mc_statistics_*` the statistics of the simulation, and every source a correlated shape.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from datamc.cells import CellTemplates
from datamc.histograms import Floats
from datamc.likelihood_planes import cell_likelihood, channel_templates
from datamc.planes import FIT_FLAVOURS
from datamc.scale_factors import ScaleFactors
from datamc.solve import standing_of
from storage.files import write_text

CHANNELS = ("wc_opposite_sign", "wc_same_sign", "ttsemilep", "dy")
BACKGROUND = "charge_symmetric"
_BOUNDS = (1e-3, 10.0)
_BACKGROUND_BOUNDS = (-0.9, 10.0)


def workspace(
    cells: CellTemplates, varied: Mapping[str, CellTemplates], fitted: ScaleFactors
) -> dict[str, Any]:
    """Return the workspace of the cells in which all three flavours were measured.

    Args:
        cells: Data and templates.
        varied: Shifted templates in the same cells by the name of the variation.
        fitted: The fit in these cells.

    Raises:
        ValueError: If there is no such cell, or the same-sign jets of W+c are missing.
    """
    status = standing_of(cells.mc, cells.mc_variance)
    chosen = np.flatnonzero((status == "ok").all(axis=-1) & (fitted.status == "ok").all(axis=-1))
    if not len(chosen):
        raise ValueError(
            f"{fitted.tagger}, epoch {fitted.epoch}, {fitted.variant}: no cell with all flavours measured, "
            "so no workspace: choose larger cells (--coarse)"
        )
    likelihood = cell_likelihood(cells, varied, status=status, chosen=chosen)
    error = np.sqrt(channel_templates(cells)[1][chosen])
    sources = list(dict.fromkeys(name.removesuffix("Up").removesuffix("Down") for name in varied))
    # (channel, flavour, cell), sources first for the shifts
    nominal, spread = np.moveaxis(likelihood.templates, 0, -1), np.moveaxis(error, 0, -1)
    up, down = np.moveaxis(likelihood.up, 1, -1), np.moveaxis(likelihood.down, 1, -1)
    channels = []
    for k, channel in enumerate(CHANNELS):
        samples = [
            {
                "name": flavour,
                "data": nominal[k, f].tolist(),
                "modifiers": [
                    {"name": f"sf_{flavour}", "type": "shapefactor", "data": None},
                    {"name": f"mc_statistics_{channel}", "type": "staterror", "data": spread[k, f].tolist()},
                    *(
                        _shape(source, nominal[k, f], up[j, k, f], down[j, k, f])
                        for j, source in enumerate(sources)
                    ),
                ],
            }
            for f, flavour in enumerate(FIT_FLAVOURS)
        ]
        if likelihood.background[:, k].any():
            free = {"name": BACKGROUND, "type": "shapefactor", "data": None}
            samples.append(
                {"name": BACKGROUND, "data": likelihood.background[:, k].tolist(), "modifiers": [free]}
            )
        channels.append({"name": channel, "samples": samples})
    n = len(chosen)
    parameters = [
        {"name": f"sf_{flavour}", "inits": [1.0] * n, "bounds": [list(_BOUNDS)] * n}
        for flavour in FIT_FLAVOURS
    ]
    parameters.append({"name": BACKGROUND, "inits": [0.0] * n, "bounds": [list(_BACKGROUND_BOUNDS)] * n})
    return {
        "channels": channels,
        "observations": [
            {"name": channel, "data": likelihood.data[:, k].tolist()} for k, channel in enumerate(CHANNELS)
        ],
        "measurements": [{"name": "scale_factors", "config": {"poi": "", "parameters": parameters}}],
        "version": "1.0.0",
    }


def _shape(source: str, nominal: Floats, up: Floats, down: Floats) -> dict[str, Any]:
    data = {"hi_data": (nominal + up).tolist(), "lo_data": (nominal + down).tolist()}
    return {"name": source, "type": "histosys", "data": data}


def write_workspace(content: Mapping[str, Any], path: Path) -> None:
    """Write a workspace as JSON, as `pyhf.Workspace` reads it."""
    write_text(path, json.dumps(content, indent=1))
