"""How long the scale factors of a whole study take: 14 checkpoints x 3 variants x 20 systematics, one core.

    OMP_NUM_THREADS=1 python -m benchmarks.scale_factors

Planes are made up, with the published binning: 501 cells where simulation is precise enough for all of them.
"""

import json
import time

import numpy as np

from datamc.cells import Binning
from datamc.fit import FitCard, fit
from datamc.planes import PlaneTemplates

CHECKPOINTS, VARIANTS, SYSTEMATICS = 14, 3, 20
LIMIT_S = 10.0
N_CVSB, N_CVSL = 10, 50
JETS = np.array([[900.0, 30.0, 60.0], [150.0, 700.0, 250.0], [300.0, 150.0, 4000.0]])
"""Of c, b, light (columns) per fine bin in W+c, top pairs, DY."""


def made_plane(random: np.random.Generator, *, tilt: float = 0.0) -> PlaneTemplates:
    """Return a plane of flat templates with statistics, `tilt` moving jets along CvsL."""
    slope = 1 + tilt * np.linspace(-1, 1, N_CVSL)
    mc = random.poisson(JETS[:, :, None, None] * slope * np.ones((N_CVSB, 1))).astype(float)
    data = random.poisson(mc.sum(axis=1)).astype(float)
    return PlaneTemplates(
        np.linspace(0, 1, N_CVSL + 1), np.linspace(0, 1, N_CVSB + 1), data, data, mc, mc,
        JETS.sum(axis=1), JETS.sum(axis=1), JETS, JETS, np.ones(3), "made", 1, "raw",
    )  # fmt: skip


def main() -> None:
    """Time the fit and print one row as JSON."""
    random = np.random.default_rng(1)
    n = CHECKPOINTS * VARIANTS
    planes = [made_plane(random) for _ in range(n)]
    names = [f"source{i // 2}{'Up' if i % 2 == 0 else 'Down'}" for i in range(SYSTEMATICS)]
    variations = [
        {name: made_plane(random, tilt=0.02 * (i + 1)) for i, name in enumerate(names)} for _ in range(n)
    ]
    card = FitCard(binning=Binning(max_merge=1))
    started, used = time.perf_counter(), time.process_time()
    found = fit(planes, variations=variations, card=card)
    wall, cpu = time.perf_counter() - started, time.process_time() - used
    cells = sum(len(each.value) for each in found)
    row = {
        "row": "scale factors, 14 checkpoints x 3 variants x 20 systematics",
        "cells": cells,
        "linear systems": cells * (1 + SYSTEMATICS),
        "wall_s": round(wall, 2),
        "cpu_s": round(cpu, 2),
        "limit_s": LIMIT_S,
    }
    print(json.dumps(row))  # noqa: T201


if __name__ == "__main__":
    main()
