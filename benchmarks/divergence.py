"""How long the agreement of a study takes: 200 epochs x 2 trainings x 8 scores x 3 selections x 3 variants.

    OMP_NUM_THREADS=1 python -m benchmarks.divergence [--epochs 200]

Histograms are made up, with 16 blocks of events (what fits at that size) and 200 replicas; one process.
"""

import argparse
import json
import resource
import time

import hist
import numpy as np

from datamc.agreement import agreement
from datamc.blocks import PREFIX
from datamc.results import DatasetRecord, Result
from models.discriminators import SCORES
from processors.blocks import block_edges

TAGGERS, VARIANTS, SELECTIONS = ("basic", "adversarial"), ("raw", "noise:0.1", "fgsm:0.1"), ("dy", "wc", "tt")
N_BLOCKS, REPLICAS, LIMIT_S = 16, 200, 120.0


def made_result(selection: str, epochs: int, random: np.random.Generator) -> Result:
    """Return a result of one selection: data and one simulated dataset, flat scores with statistics."""
    edges = block_edges()
    axes = [
        hist.axis.StrCategory(["data", "mc"], name="dataset", growth=True),
        hist.axis.StrCategory(["OS", "SS"], name="sign", overflow=False),
        hist.axis.StrCategory(TAGGERS, name="tagger", growth=True),
        hist.axis.IntCategory(range(1, epochs + 1), name="epoch", growth=True),
        hist.axis.StrCategory(VARIANTS, name="variant", growth=True),
    ]
    flavour = hist.axis.IntCategory([-1, 4], name="flavour")
    systematic = hist.axis.StrCategory(["nominal"], name="systematic", growth=True)
    block = hist.axis.Regular(N_BLOCKS, 0, N_BLOCKS, name="block", underflow=False, overflow=False)
    value = hist.axis.Variable(edges, name="value", underflow=False, overflow=False)
    starts = np.searchsorted(edges, np.linspace(-0.2, 1, 61)[:-1] - 1e-9)
    histograms = {}
    for score in SCORES:
        blocks = hist.Hist(*axes, block, value)
        counts = random.poisson(20.0, blocks.view().shape).astype(float)
        counts[:, 1] = 0 if selection != "wc" else counts[:, 1] // 4
        blocks.view()[...] = counts
        uniform = hist.axis.Regular(60, -0.2, 1, name="value")
        whole = hist.Hist(*axes, flavour, systematic, uniform, storage=hist.storage.Weight())
        summed = np.add.reduceat(counts.sum(axis=-2), starts, axis=-1)
        for dataset in (0, 1):
            cells = whole.view()[dataset, ..., dataset, 0, :]
            cells["value"] = cells["variance"] = summed[dataset]
        histograms |= {score: whole, PREFIX + score: blocks}
    records = {
        "data": DatasetRecord(True, "data", None, 1.0, True, 0, 0, 0),
        "mc": DatasetRecord(False, "mc", 10.0, None, True, 0, 10.0, 10.0),
    }
    return Result(selection, histograms, records)


def main() -> None:
    """Time all measures, errors, differences and the curve at equal AUC; print one row as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=200)
    epochs = parser.parse_args().epochs
    random = np.random.default_rng(1)
    sigmas = ((0.0, 0.95), (0.3, 0.94), (0.6, 0.92), (1.0, 0.88), (2.0, 0.8))
    areas = {
        (tagger, epoch, score): sigmas
        for tagger in TAGGERS
        for epoch in range(1, epochs + 1)
        for score in SCORES
    }
    wall, cpu, rows, differences = 0.0, 0.0, 0, 0
    for selection in SELECTIONS:
        result = made_result(selection, epochs, random)
        started, used = time.perf_counter(), time.process_time()
        found = agreement({selection: result}, n_bootstrap=REPLICAS, areas=areas)
        wall, cpu = wall + time.perf_counter() - started, cpu + time.process_time() - used
        rows, differences = rows + len(found.divergence), differences + len(found.differences)
    row = {
        "row": f"agreement, {epochs} epochs x 2 trainings x 8 scores x 3 selections x 3 variants",
        "divergences": rows,
        "differences": differences,
        "replicas": REPLICAS,
        "wall_s": round(wall, 1),
        "cpu_s": round(cpu, 1),
        "limit_s": LIMIT_S,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    print(json.dumps(row))  # noqa: T201


if __name__ == "__main__":
    main()
