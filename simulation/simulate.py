"""One sample of simulated events: generated, reconstructed, and written into one file."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from simulation.extras import require_extra
from simulation.processes import Process, process_named
from simulation.randomness import RandomStreams, derived_seed
from simulation.reference_tagger import reference_fingerprint
from simulation.samples import SampleInfo, SampleRequest, luminosity_of
from simulation.scenarios import Scenario, scenario_named

if TYPE_CHECKING:
    from simulation.events import ReconstructedEvents
    from simulation.genparticles import GeneratorTruth
    from simulation.pythia import GeneratedBatch
    from simulation.rootfile import NanoFile

logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]

FORMAT_VERSION = 5
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
        "versions": {name: importlib.metadata.version(name) for name in ("pythia8mc", "fastjet", "numpy")},
        "reference_tagger": reference_fingerprint(),
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
    seed = derived_seed(request.process, request.scenario, request.seed)
    with ExitStack() as stack:
        output = Output.open(stack, request, path, seed=seed, uninitialised_tracks=uninitialised_tracks)
        (info,) = generate_into(request, [output], seed=seed, batch_size=batch_size, progress=progress)
    return info


@dataclasses.dataclass
class Output:
    """The file of a scenario while it is made, and the random numbers and sums that go with it."""

    request: SampleRequest
    file: NanoFile
    truth: NanoFile | None
    streams: RandomStreams
    uninitialised_tracks: bool
    sum_weights: float = 0.0
    sum_weights2: float = 0.0

    @classmethod
    def open(
        cls, stack: ExitStack, request: SampleRequest, path: Path, *, seed: int,
        uninitialised_tracks: bool = False,
    ) -> Self:  # fmt: skip
        """Return the output for a request; its files appear when the stack is closed without an error."""
        from simulation.rootfile import NanoFile

        file = stack.enter_context(NanoFile(path))
        is_data = scenario_named(request.scenario).is_data
        truth = stack.enter_context(NanoFile(truth_path(path))) if is_data else None
        return cls(request, file, truth, RandomStreams(seed), uninitialised_tracks)

    def add(
        self, batch: GeneratedBatch, *, seed: int, run: int, truth: GeneratorTruth | None
    ) -> GeneratorTruth | None:
        """Write a batch as the detector of this output sees it; return the truth about the whole batch."""
        from simulation.nanoaod import nano_columns, truth_columns

        process, scenario = process_named(self.request.process), scenario_named(self.request.scenario)
        events = _reconstruct(batch, process, scenario, seed, self.streams, truth)
        self.sum_weights += float(events.weights.sum())
        self.sum_weights2 += float((events.weights**2).sum())
        columns = nano_columns(
            events,
            run=run,
            streams=self.streams,
            is_data=scenario.is_data,
            uninitialised_tracks=self.uninitialised_tracks,
        )
        self.file.extend(columns)
        if self.truth is not None:
            self.truth.extend(truth_columns(events, run=run))
        return truth if scenario.is_data else events.truth

    def finish(self, run: int, measured_cross_section_pb: float) -> SampleInfo:
        """Write what is known at the end, and return what the file holds."""
        info = _info(self.request, self.file, self.sum_weights, measured_cross_section_pb)
        runs = _runs_tree(run, info, self.sum_weights2)
        for output in (self.file, self.truth):
            if output is not None:
                output.finish(runs, configuration_of(self.request) | {"sample": _as_json(info)})
        return info


def generate_into(
    request: SampleRequest,
    outputs: Sequence[Output],
    *,
    seed: int,
    batch_size: int,
    progress: Progress | None = None,
) -> list[SampleInfo]:
    """Generate the events of a request once and write them into all outputs."""
    from simulation.pythia import EventGenerator

    run = derived_seed("run", seed)
    generator = EventGenerator(process_named(request.process), scenario_named(request.scenario), seed=seed)
    for batch in generator.batches(request.n_events, batch_size):
        truth: GeneratorTruth | None = None
        for output in outputs:
            truth = output.add(batch, seed=seed, run=run, truth=truth)
        if progress is not None:
            progress(batch.first + len(batch), request.n_events)
    return [output.finish(run, generator.cross_section_pb) for output in outputs]


def _reconstruct(
    batch: GeneratedBatch,
    process: Process,
    scenario: Scenario,
    seed: int,
    streams: RandomStreams,
    truth: GeneratorTruth | None,
) -> ReconstructedEvents:
    from simulation.events import reconstruct

    largest_weight = process.largest_weight if scenario.is_data else None
    return reconstruct(
        batch,
        detector=scenario.detector,
        seed=seed,
        streams=streams,
        largest_weight=largest_weight,
        truth=truth,
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
    from simulation.provenance import read_provenance

    return SampleInfo(**(read_provenance(path)["sample"] | {"path": path}))
