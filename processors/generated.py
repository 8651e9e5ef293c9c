"""How much was generated for a simulated file, of which events were left out before it came here.

A cross section is divided by the sum of weights of all events that were generated. Whoever leaves out events
keeps the tree Runs, which holds that sum.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from events.files import RootFile
from events.trees import Tree
from processors.theory import scale_members, shower_members

RUNS = "Runs"
COUNT, SUM, SUM_OF_SQUARES = "genEventCount", "genEventSumw", "genEventSumw2"
"""Branches of the tree Runs; some productions add an underscore.

Source: CMS NanoAOD documentation, Runs.
"""
_MEMBERS = {
    "PSWeight": ("PSSumw", shower_members),
    "LHEScaleWeight": ("LHEScaleSumw", scale_members),
}
"""Lists of weights, with the branch of their means (weighted by genWeight), and who reads their title."""

_TOLERANCE = 1e-3
"""Of sums that say the same; weights are stored in single precision."""


N_EVENTS, WEIGHTS, SQUARES = "n_events", "sum_weights", "sum_weights2"

Sums = Mapping[str, float]
"""Of events: their number, the sums of their weights and of the squares, and by name the sums with the
weights of variations of theory; as far as they are known."""


def generated_for(file: RootFile, events: Tree) -> Sums | None:
    """Return all that was generated for a simulated file; None if no more than it holds, as far as it says.

    Raises:
        FileError: If it cannot be read.
        ValueError: If its sums of weights are needed and are no finite numbers.
    """
    if RUNS not in file.kinds or file.kinds[RUNS] != "TTree":
        return None
    runs = file.tree(RUNS)
    count, total = (_column(runs, name) for name in (COUNT, SUM))
    if count is None and total is None:
        return None
    if not _says_more(events, count, total):
        return None
    n_events = float(events.n_events if count is None else count.sum())
    if total is None or (events.n_events and "genWeight" not in events):
        # Every event weighs 1 then.
        return {N_EVENTS: n_events, WEIGHTS: n_events, SQUARES: n_events}
    sums = {N_EVENTS: n_events, WEIGHTS: float(total.sum()), **_variation_sums(runs, events, total)}
    if (squares := _column(runs, SUM_OF_SQUARES)) is not None:
        sums[SQUARES] = float(squares.sum())
    if not all(map(math.isfinite, sums.values())):
        raise ValueError(
            f"{file.path}: sums of weights in its tree {RUNS} are no finite numbers, and it holds fewer "
            "events than were generated: make or fetch the file again"
        )
    return sums


def sums_of(weights: NDArray[np.float64], variations: Mapping[str, NDArray[np.float64]]) -> dict[str, float]:
    """Return the sums over some events.

    Args:
        weights: Of the events, shape ``(n_events,)``.
        variations: What they are multiplied by, by name, same shape.
    """
    sums = {N_EVENTS: float(len(weights)), WEIGHTS: float(weights.sum()), SQUARES: float(weights @ weights)}
    return sums | {name: float(weights @ factor) for name, factor in variations.items()}


def left_out(generated: Sums, processed: Sums, *, share: float, names: Iterable[str]) -> dict[str, float]:
    """Return the sums over what was generated for a file and is not in it any more.

    Of a part of the file it is a proportional part: all parts together make up the file once, in whatever
    jobs they are, and one that is lost takes its own with it.

    Args:
        generated: As `generated_for` returned it.
        processed: The sums over the processed events of the file.
        share: Which part of the events of the file that is; 1 for one that holds none.
        names: Which sums. One that the file does not say is as in the events that it holds.
    """
    weights, known = share * generated[WEIGHTS], processed.get(WEIGHTS, 0.0)
    sums = {}
    for name in names:
        here = processed.get(name, 0.0)
        if name in generated:
            sums[name] = share * generated[name] - here
        else:
            sums[name] = (here * weights / known if known else weights) - here
    return sums


def with_share(runs: ak.Array, share: float) -> ak.Array:
    """Return a tree Runs with so much of its sums: what belongs to a part of a file."""
    for name in (COUNT, SUM, SUM_OF_SQUARES):
        for branch in {name, f"{name}_"} & set(runs.fields):
            values = np.asarray(runs[branch])
            scaled = np.rint(values * share) if values.dtype.kind in "iu" else values * share
            runs = ak.with_field(runs, scaled.astype(values.dtype), branch)
    return runs


def _says_more(events: Tree, count: NDArray[Any] | None, total: NDArray[Any] | None) -> bool:
    if count is not None:
        return bool(count.sum() > events.n_events)
    if total is None or "genWeight" not in events:
        return False
    weights = events.column("genWeight").astype(np.float64)
    return bool(abs(total.sum() - weights.sum()) > _TOLERANCE * np.abs(weights).sum())


def _variation_sums(runs: Tree, events: Tree, total: NDArray[Any]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for branch, (name, members_of) in _MEMBERS.items():
        known = _name(runs, name)
        if known is None or branch not in events:
            continue
        means = runs.read([known])[known]
        for variation, member in members_of(events.title(branch)).items():
            if ak.all(ak.num(means) > member):
                sums[variation] = float(np.sum(total * np.asarray(means[:, member])))
    return sums


def _column(runs: Tree, name: str) -> NDArray[Any] | None:
    known = _name(runs, name)
    return None if known is None else runs.column(known).astype(np.float64)


def _name(runs: Tree, name: str) -> str | None:
    return next((known for known in (name, f"{name}_") if known in runs), None)
