"""One sample of simulated events: generated, reconstructed, and written into one file."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simulation.extras import require_extra
from simulation.processes import Process, process_named
from simulation.randomness import RandomStreams, derived_seed
from simulation.samples import SampleInfo, SampleRequest, luminosity_of
from simulation.scenarios import Scenario, scenario_named

if TYPE_CHECKING:
    from simulation.events import ReconstructedEvents
    from simulation.pythia import GeneratedBatch
    from simulation.rootfile import NanoFile

logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]

FORMAT_VERSION = 4
"""Raise it whenever the same request would give other events or other branches."""

BATCH_SIZE = 250


def configuration_of(request: SampleRequest) -> dict[str, Any]:
    """Return everything the events of a request depend on."""
    process, scenario = process_named(request.process), scenario_named(request.scenario)
    return {
        "format_version": FORMAT_VERSION,
        "request": dataclasses.asdict(request),
        "process": dataclasses.asdict(process),
        "scenario": dataclasses.asdict(scenario) | {"detector": scenario.detector._asdict()},
        "versions": {name: importlib.metadata.version(name) for name in ("pythia8mc", "numpy")},
    }


def fingerprint(configuration: dict[str, Any]) -> str:
    """Return a short name for a configuration."""
    return hashlib.sha256(json.dumps(configuration, sort_keys=True).encode()).hexdigest()[:12]


def truth_path(path: Path) -> Path:
    """Return where the truth about a data file lies: in a folder of its own, where no wildcard finds it."""
    return path.parent / "truth" / path.name


def simulate_sample(
    request: SampleRequest,
    path: Path,
    *,
    batch_size: int = BATCH_SIZE,
    uninitialised_tracks: bool = False,
    progress: Progress | None = None,
) -> SampleInfo:
    """Simulate events into one file and return what is in it.

    Args:
        request: What to simulate.
        path: Of the file; it appears when it is complete. Data come with a second file, see `truth_path`.
        batch_size: Events in memory at a time; has no influence on them.
        uninitialised_tracks: Write wild numbers for tracks that do not exist, as CMS files do, not -999.
        progress: Called with the number of generated events and their total.

    Raises:
        MissingExtraError: If PYTHIA or numba is not installed.
        RuntimeError: If PYTHIA fails.
    """
    require_extra()
    from simulation.rootfile import NanoFile

    scenario = scenario_named(request.scenario)
    with NanoFile(path) as file:
        if not scenario.is_data:
            return _fill(request, file, None, batch_size, uninitialised_tracks, progress)
        with NanoFile(truth_path(path)) as truth:
            return _fill(request, file, truth, batch_size, uninitialised_tracks, progress)


def _fill(
    request: SampleRequest,
    file: NanoFile,
    truth: NanoFile | None,
    batch_size: int,
    uninitialised_tracks: bool,
    progress: Progress | None,
) -> SampleInfo:
    from simulation.nanoaod import nano_columns, truth_columns
    from simulation.pythia import EventGenerator

    process, scenario = process_named(request.process), scenario_named(request.scenario)
    seed = derived_seed(request.process, request.scenario, request.seed)
    run, streams = derived_seed("run", seed), RandomStreams(seed)
    generator = EventGenerator(process, scenario, seed=seed)
    sums = np.zeros(2)
    for batch in generator.batches(request.n_events, batch_size):
        events = _reconstruct(batch, process, scenario, seed, streams)
        sums += [events.weights.sum(), (events.weights**2).sum()]
        columns = nano_columns(
            events,
            run=run,
            streams=streams,
            is_data=scenario.is_data,
            uninitialised_tracks=uninitialised_tracks,
        )
        file.extend(columns)
        if truth is not None:
            truth.extend(truth_columns(events, run=run))
        if progress is not None:
            progress(batch.first + len(batch), request.n_events)
    info = _info(request, file, float(sums[0]), generator.cross_section_pb)
    runs = _runs_tree(run, info, float(sums[1]))
    for output in (file, truth):
        if output is not None:
            output.finish(runs, configuration_of(request) | {"sample": _as_json(info)})
    return info


def _reconstruct(
    batch: GeneratedBatch, process: Process, scenario: Scenario, seed: int, streams: RandomStreams
) -> ReconstructedEvents:
    from simulation.events import reconstruct

    largest_weight = process.largest_weight if scenario.is_data else None
    return reconstruct(
        batch, detector=scenario.detector, seed=seed, streams=streams, largest_weight=largest_weight
    )


def _info(request: SampleRequest, file: NanoFile, sum_weights: float, measured: float) -> SampleInfo:
    process, scenario = process_named(request.process), scenario_named(request.scenario)
    luminosity = luminosity_of(request.process, request.n_events, cross_section_pb=request.cross_section_pb)
    return SampleInfo(
        path=file.path,
        process=request.process,
        scenario=request.scenario,
        is_data=scenario.is_data,
        n_generated=request.n_events,
        n_events=file.n_events,
        cross_section_pb=request.cross_section_pb or process.cross_section_pb,
        measured_cross_section_pb=measured,
        luminosity_pb=luminosity if scenario.is_data else None,
        sum_weights=sum_weights,
        seed=request.seed,
        primary_dataset=process.primary_dataset if scenario.is_data else None,
    )


def _as_json(info: SampleInfo) -> dict[str, Any]:
    return dataclasses.asdict(info) | {"path": info.path.name}


def _runs_tree(run: int, info: SampleInfo, sum_weights2: float) -> dict[str, Any]:
    tree: dict[str, Any] = {"run": np.array([run], np.uint32)}
    if not info.is_data:
        tree["genEventCount"] = np.array([info.n_events], np.int64)
        tree["genEventSumw"] = np.array([info.sum_weights])
        tree["genEventSumw2"] = np.array([sum_weights2])
    return tree


def read_sample_info(path: Path) -> SampleInfo:
    """Return what is in a file of this simulation.

    Raises:
        ValueError: If the file is not one.
    """
    from simulation.rootfile import read_metadata

    return SampleInfo(**(read_metadata(path)["sample"] | {"path": path}))
