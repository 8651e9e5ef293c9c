"""A large file of simulated events made of a small one, for measuring speed."""

from collections.abc import Mapping
from pathlib import Path

import awkward as ak
import numpy as np
import uproot
from numpy.typing import NDArray

from simulation.rewriting import extend_events, grouped
from storage.files import replaced_file

CLUSTER = 10_000
"""Events per cluster, about what NanoAOD files have."""


def write_many(
    shares: Mapping[Path, float],
    path: Path,
    *,
    n_events: int,
    compression: uproot.compression.Compression | None = None,
    seed: int = 1,
    cluster: int = CLUSTER,
) -> Path:
    """Write events drawn from files at random, each with a number of its own.

    The last bits of every real number are random, so that repeated events neither compress nor branch better
    than others. Two events of one origin still make the same selection, but for rounding.

    Args:
        shares: Files with a tree Events, and which share of the events comes from each.
        path: What is written.
        n_events: How many events it will hold.
        compression: Of the file; ZSTD(1), as `skim` writes, if None.
        seed: Of the drawing.
        cluster: Events per cluster.
    """
    rng = np.random.default_rng(seed)
    events, odds = _pooled(shares)
    with (
        replaced_file(path) as temporary,
        uproot.recreate(temporary, compression=compression or uproot.ZSTD(1)) as output,
    ):
        for start in range(0, n_events, cluster):
            n_drawn = min(cluster, n_events - start)
            drawn = events[rng.choice(len(events), n_drawn, p=odds)]
            columns = {name: _jittered(drawn[name], rng) for name in drawn.fields}
            columns["event"] = np.arange(start + 1, start + n_drawn + 1, dtype=np.uint64)
            extend_events(output, grouped(columns))
    return path


def _pooled(shares: Mapping[Path, float]) -> tuple[ak.Array, NDArray[np.float64]]:
    """Return the events of all files, and how likely each is to be drawn."""
    parts = [uproot.open(source)["Events"].arrays() for source in shares]
    common = [name for name in parts[0].fields if all(name in part.fields for part in parts)]
    odds = np.concatenate(
        [np.full(len(part), share / len(part)) for part, share in zip(parts, shares.values(), strict=True)]
    )
    return ak.concatenate([part[common] for part in parts]), odds / odds.sum()


def _jittered(column: ak.Array, rng: np.random.Generator) -> ak.Array:
    """Return the column with its real numbers changed by some 1e-5 of their size; defaults stay."""
    flat = np.asarray(ak.flatten(column, axis=None))
    if flat.dtype.kind != "f":
        return column
    moved = np.where(flat == -999, flat, flat * (1 + rng.uniform(-1e-5, 1e-5, len(flat))))
    moved = moved.astype(flat.dtype)
    return moved if column.ndim == 1 else ak.unflatten(moved, ak.num(column))
