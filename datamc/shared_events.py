"""Two productions of the same events: which events both saw, and errors of differences that know it.

Blocks of events depend on the events alone, so that those of two productions hold the same ones. Replicas
with the same weights then move together, as those of two trainings of one production do.
"""

from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import NamedTuple

import numpy as np

from datamc.blocks import BlockReader, has_blocks
from datamc.histograms import Floats, bin_edges
from datamc.records import Result
from datamc.replicas import spread
from datamc.score_replicas import Replicated, ScoreReplicas, measure

Place = tuple[str, str, str, str, int]
"""Selection, score, tagger, variant, epoch."""


class SharedEvents(NamedTuple):
    """Whether two results were made of the same files, and by how many blocks their events can be paired."""

    data: bool
    mc: bool
    n_blocks: int
    """0 where either result holds no blocks, or theirs differ: nothing can be paired."""

    @property
    def is_paired(self) -> bool:
        """Whether differences have errors of their own."""
        return self.n_blocks > 0 and (self.data or self.mc)


def shared_events(first: Result, second: Result) -> SharedEvents:
    """Return what two results share: files are the same if name and number of events are.

    One file in common is enough: events that only one production saw fall into blocks by chance, and count
    as independent in an error from blocks.
    """
    data, mc = (bool(_files(first, is_data=role) & _files(second, is_data=role)) for role in (True, False))
    ours, theirs = _n_blocks(first), _n_blocks(second)
    return SharedEvents(data, mc, ours if ours == theirs else 0)


def paired_errors(
    first: Mapping[str, Result],
    second: Mapping[str, Result],
    places: Iterable[Place],
    *,
    n_bootstrap: int = 200,
    seed: int = 1,
) -> dict[Place, float]:
    """Return the error of the difference of both divergences (KL, 60 bins) where they share events.

    Args:
        first: Results of one production by selection.
        second: Of the other.
        places: What both hold; those without anything to pair are left out.
        n_bootstrap: Replicas of data and simulation.
        seed: Of the replicas.
    """
    by_score: dict[tuple[str, str], list[Place]] = {}
    for place in places:
        by_score.setdefault(place[:2], []).append(place)
    errors = {}
    for (selection, score), chosen in by_score.items():
        ours, theirs = first[selection], second[selection]
        shared = shared_events(ours, theirs)
        if not (shared.is_paired and has_blocks(ours, score) and has_blocks(theirs, score)):
            continue
        same = [ScoreReplicas(each, score, n_bootstrap=n_bootstrap, seed=seed) for each in (ours, theirs)]
        # What is not shared gets weights of its own.
        other = ScoreReplicas(theirs, score, n_bootstrap=n_bootstrap, seed=seed + 1)
        there = (same[1] if shared.data else other, same[1] if shared.mc else other)
        edges = bin_edges(ours, score)
        for place in chosen:
            values = _values(same[0], same[0], place, edges) - _values(*there, place, edges)
            errors[place] = spread(values, n_blocks=shared.n_blocks).error
    return {place: error for place, error in errors.items() if np.isfinite(error)}


def _values(data: ScoreReplicas, mc: ScoreReplicas, place: Place, edges: Floats) -> Floats:
    """Return KL and its replicas, shape `(1 + n_replicas,)`."""
    *_, tagger, variant, epoch = place
    recorded, simulated = data.data(tagger, epoch), mc.mc(tagger, epoch, variant)
    return measure(Replicated(data.edges, recorded, simulated, data.n_blocks), edges)[0]["kl"]


def _files(result: Result, *, is_data: bool) -> set[tuple[str, int]]:
    """Return the names of files, without folders, with their numbers of events."""
    numbers: dict[str, int] = {}
    for entry in result.ledger:
        if entry.dataset in result.datasets and result.datasets[entry.dataset].is_data == is_data:
            name = PurePath(entry.file).name
            numbers[name] = numbers.get(name, 0) + entry.n_processed
    return {(name, n) for name, n in numbers.items() if n}


def _n_blocks(result: Result) -> int:
    """Return the blocks of a result; 0 without any."""
    score = next((name for name in result.histograms if has_blocks(result, name)), None)
    return 0 if score is None else BlockReader(result, score).n_blocks
