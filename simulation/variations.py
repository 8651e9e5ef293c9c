"""The same PYTHIA events seen by several detectors, in one pass."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import awkward as ak
import numpy as np
import uproot
from numpy.typing import NDArray

from simulation.extras import require_extra
from simulation.randomness import derived_seed
from simulation.samples import SampleInfo, SampleRequest
from simulation.scenarios import scenario_named
from simulation.simulate import BATCH_SIZE, Output, Progress, generate_into

MATCH_RADIUS = 0.2


def simulate_variations(
    request: SampleRequest,
    scenarios: Sequence[str],
    paths: Sequence[Path],
    *,
    batch_size: int = BATCH_SIZE,
    progress: Progress | None = None,
) -> list[SampleInfo]:
    """Simulate events once and write them as several detectors see them: one file each, of the same events.

    An event has the same run, luminosity block and number in all files, and the same random numbers: where
    two detectors do not differ, they measure the same. Each file holds the knobs of its detector.

    Args:
        request: What to generate; its scenario says what PYTHIA is told and gives the random numbers.
        scenarios: Of the files, see `scenario_named`; for instance ``["mc", "mc+efficiency_scale=0.97"]``.
        paths: Of the files; data come with the truth, see `truth_path`. All appear when all are complete.
        batch_size: Events in memory at a time; has no influence on them.
        progress: Called with the number of generated events and their total.

    Raises:
        MissingExtraError: If PYTHIA or numba is not installed.
        ValueError: If numbers of scenarios and paths differ, two paths are the same, or a scenario tells
            PYTHIA something else than that of the request.
    """
    require_extra()
    if len(scenarios) != len(paths) or not scenarios or len(set(paths)) < len(paths):
        raise ValueError(
            f"{len(scenarios)} scenarios and {len(set(paths))} different paths: give each scenario one path"
        )
    settings = scenario_named(request.scenario).pythia
    for name in scenarios:
        if scenario_named(name).pythia != settings:
            raise ValueError(
                f"scenario '{name}' changes the generator, not only the detector: make a sample of its own"
            )
    seed = derived_seed(request.process, request.scenario, request.seed)
    with ExitStack() as stack:
        outputs = [
            Output.open(stack, dataclasses.replace(request, scenario=name), path, seed=seed)
            for name, path in zip(scenarios, paths, strict=True)
        ]
        return generate_into(request, outputs, seed=seed, batch_size=batch_size, progress=progress)


def match_jets(first: ak.Array, second: ak.Array, *, radius: float = MATCH_RADIUS) -> NDArray[np.int64]:
    """Return pairs of jets of the same events that lie nearer than `radius`, as rows of the flattened jets.

    Each jet is in one pair at most; the hardest jets of `first` choose first.

    Args:
        first: Jets with fields ``eta`` and ``phi``, a list for each event.
        second: Jets of the same events in the same order.
        radius: In pseudorapidity and azimuth.

    Returns:
        Rows in `first` and in `second`, shape ``(n_pairs, 2)``.

    Raises:
        ValueError: If the numbers of events differ.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} events: match jets of the same events")
    offsets = [np.concatenate([[0], np.cumsum(ak.to_numpy(ak.num(jets)))]) for jets in (first, second)]
    flat = [
        np.stack([ak.to_numpy(ak.flatten(jets[name])) for name in ("eta", "phi")], axis=1).astype(np.float64)
        for jets in (first, second)
    ]
    pairs = []
    for begin, end, other_begin, other_end in zip(
        offsets[0][:-1], offsets[0][1:], offsets[1][:-1], offsets[1][1:], strict=True
    ):
        difference = flat[0][begin:end, None, :] - flat[1][None, other_begin:other_end, :]
        angle = (difference[..., 1] + np.pi) % (2.0 * np.pi) - np.pi
        distance = np.hypot(difference[..., 0], angle)  # (n_jets, n_others)
        for row in range(end - begin if other_end > other_begin else 0):
            other = int(np.argmin(distance[row]))
            if distance[row, other] < radius:
                pairs.append((begin + row, other_begin + other))
                distance[:, other] = np.inf
    return np.array(pairs, np.int64).reshape(-1, 2)


def read_jets(path: Path, *names: str) -> ak.Array:
    """Return the jets of a file, with eta, phi and whatever else is named: what `match_jets` needs."""
    wanted = list(dict.fromkeys(("eta", "phi", *names)))
    with uproot.open(path) as file:
        arrays = file["Events"].arrays([f"Jet_{name}" for name in wanted])
    return ak.zip({name: arrays[f"Jet_{name}"] for name in wanted}, depth_limit=2)
