"""One sample of simulated events: generated, reconstructed, and written into a file for each detector."""

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
from simulation.processes import process_named
from simulation.randomness import RandomStreams, derived_seed
from simulation.reference_tagger import reference_fingerprint
from simulation.samples import SampleInfo, SampleRequest, luminosity_of
from simulation.scenarios import KNOB_EVENTS, Detector, Scenario, drawn_knobs, scenario_named

if TYPE_CHECKING:
    from simulation.events import ReconstructedEvents
    from simulation.nanoaod import Columns
    from simulation.pythia import GeneratedBatch
    from simulation.rootfile import NanoFile

logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]

FORMAT_VERSION = 6
"""Raise it whenever the same request would give other events or other branches."""

BATCH_SIZE = 250


def configuration_of(request: SampleRequest, scenario_name: str | None = None) -> dict[str, Any]:
    """Return everything the events of a request depend on, as one of its scenarios sees them."""
    process, scenario = process_named(request.process), scenario_named(scenario_name or request.scenario)
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
        request: What to simulate; without variations.
        path: Of the file; it appears when it is complete. Data come with a second file, see `truth_path`.
        batch_size: Events in memory at a time; has no influence on them.
        uninitialised_tracks: Write wild numbers for tracks that do not exist, as CMS files do, not -999.
        progress: Called with the number of generated events and their total.

    Raises:
        MissingExtraError: If PYTHIA or numba is not installed.
        ValueError: If the request has variations.
        RuntimeError: If PYTHIA fails.
    """
    (info,) = simulate_variations(
        request,
        [path],
        batch_size=batch_size,
        uninitialised_tracks=uninitialised_tracks,
        progress=progress,
    )
    return info


def simulate_variations(
    request: SampleRequest,
    paths: Sequence[Path],
    *,
    batch_size: int = BATCH_SIZE,
    uninitialised_tracks: bool = False,
    progress: Progress | None = None,
) -> list[SampleInfo]:
    """Simulate events once and write them as several detectors see them: one file each, of the same events.

    An event has the same run, luminosity block and number in all files, and the same random numbers: where
    two detectors do not differ, they measure the same. Each file holds the knobs of its detector, those drawn
    from a prior beside each jet (``Jet_knob_*``). Simulated jets of a variation know which jet of the first
    file they are (``Jet_nominalIdx``, -1 for none).

    Args:
        request: What to generate; its scenario says what PYTHIA is told and gives the random numbers.
        paths: Of the files: for the scenario of the request, then for its variations; data come with the
            truth, see `truth_path`. All appear when all are complete.
        batch_size: Events in memory at a time; has no influence on them.
        uninitialised_tracks: As of `simulate_sample`.
        progress: Called with the number of generated events and their total.

    Raises:
        MissingExtraError: If PYTHIA or numba is not installed.
        ValueError: If numbers of scenarios and paths differ, or two paths are the same.
        RuntimeError: If PYTHIA fails.
    """
    require_extra()
    if len(request.scenarios) != len(paths) or len(set(paths)) < len(paths):
        raise ValueError(
            f"{len(request.scenarios)} scenarios and {len(set(paths))} different paths:"
            " give each scenario one path"
        )
    seed = derived_seed(request.process, request.scenario, request.seed)
    with ExitStack() as stack:
        outputs = [
            Output.open(stack, request, name, path, seed=seed, uninitialised_tracks=uninitialised_tracks)
            for name, path in zip(request.scenarios, paths, strict=True)
        ]
        return _generate_into(request, outputs, seed=seed, batch_size=batch_size, progress=progress)


@dataclasses.dataclass
class Output:
    """The file of a scenario while it is made, and the random numbers and sums that go with it."""

    request: SampleRequest
    scenario: Scenario
    file: NanoFile
    truth: NanoFile | None
    seed: int
    streams: RandomStreams
    uninitialised_tracks: bool
    sums: dict[str, Any] = dataclasses.field(default_factory=dict)

    @classmethod
    def open(
        cls, stack: ExitStack, request: SampleRequest, scenario_name: str, path: Path, *, seed: int,
        uninitialised_tracks: bool,
    ) -> Self:  # fmt: skip
        """Return the output for a request; its files appear when the stack is closed without an error."""
        from simulation.rootfile import NanoFile
        from simulation.theory import branch_titles

        scenario = scenario_named(scenario_name)
        titles = branch_titles(with_showers=request.shower_weights)
        file = stack.enter_context(NanoFile(path, titles))
        truth = stack.enter_context(NanoFile(truth_path(path))) if scenario.is_data else None
        return cls(request, scenario, file, truth, seed, RandomStreams(seed), uninitialised_tracks)

    def add(
        self, batch: GeneratedBatch, *, run: int, nominal: ReconstructedEvents | None
    ) -> ReconstructedEvents:
        """Write a batch as the detector of this output sees it, and return it.

        Args:
            batch: From the generator.
            run: Number of the run.
            nominal: The same events as the first detector sees them; None for the first one.
        """
        from simulation.nanoaod import nano_columns, truth_columns

        is_data = self.scenario.is_data
        knobs = drawn_knobs(self.scenario, self.seed, block=batch.first // KNOB_EVENTS)
        events = self._reconstruct(batch, knobs, nominal)
        columns = nano_columns(
            events,
            run=run,
            streams=self.streams,
            is_data=is_data,
            uninitialised_tracks=self.uninitialised_tracks,
            theory=batch.theory,
        )
        hidden = truth_columns(events, run=run) if self.truth is not None else columns
        _add_variation(hidden, knobs, events, None if is_data else nominal)
        self.file.extend(columns)
        if self.truth is not None:
            self.truth.extend(hidden)
        self._add_weights(events, {} if is_data or batch.theory is None else batch.theory.branches())
        return events

    def _reconstruct(
        self, batch: GeneratedBatch, knobs: dict[str, float], nominal: ReconstructedEvents | None
    ) -> ReconstructedEvents:
        from simulation.events import reconstruct

        process = process_named(self.request.process)
        unweighted = self.scenario.is_data and process.largest_weight != process.mean_weight
        return reconstruct(
            batch,
            detector=self.scenario.detector._replace(**knobs),
            seed=self.seed,
            streams=self.streams,
            largest_weight=process.largest_weight if unweighted else None,
            nominal=nominal,
        )

    def _add_weights(self, events: ReconstructedEvents, theory: dict[str, Any]) -> None:
        weights = events.weights
        sums = {"weights": weights.sum(), "weights2": (weights**2).sum()}
        sums |= {name: weights @ variations for name, variations in theory.items()}
        for name, value in sums.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def finish(self, run: int, measured_cross_section_pb: float) -> SampleInfo:
        """Write what is known at the end, and return what the file holds."""
        info = _info(self, measured_cross_section_pb)
        runs = _runs_tree(run, info, self.sums)
        configuration = configuration_of(self.request, self.scenario.name)
        for output in (self.file, self.truth):
            if output is not None:
                output.finish(runs, configuration | {"sample": _as_json(info)})
        return info


def _add_variation(
    columns: Columns,
    knobs: dict[str, float],
    events: ReconstructedEvents,
    nominal: ReconstructedEvents | None,
) -> None:
    """Add to the jets the knobs they were measured with, and which jet of the first detector they are."""
    fields = columns.collections["Jet"].fields
    for knob, value in knobs.items():
        fields[f"knob_{knob}"] = np.full(len(events.jets.jets), value, np.float32)
    if nominal is not None and len(nominal) == len(events):
        from simulation.genparticles import nearest_of
        from simulation.variations import MATCH_RADIUS

        fields["nominalIdx"] = nearest_of(
            events.jets.jets, events.jets.offsets, nominal.jets.jets, nominal.jets.offsets, MATCH_RADIUS
        )


def _generate_into(
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
    with_theory = not all(output.scenario.is_data for output in outputs)
    generator = EventGenerator(
        process_named(request.process),
        scenario_named(request.scenario),
        seed=seed,
        with_theory=with_theory,
        with_showers=with_theory and request.shower_weights,
    )
    block = KNOB_EVENTS if any(output.scenario.priors for output in outputs) else None
    for batch in generator.batches(request.n_events, batch_size, block=block):
        nominal: ReconstructedEvents | None = None
        for output in outputs:
            events = output.add(batch, run=run, nominal=nominal)
            if nominal is None:
                nominal = events
        if progress is not None:
            progress(batch.first + len(batch), request.n_events)
    return [output.finish(run, generator.cross_section_pb) for output in outputs]


def _info(output: Output, measured: float) -> SampleInfo:
    request, scenario = output.request, output.scenario
    process = process_named(request.process)
    luminosity = luminosity_of(request.process, request.n_events, cross_section_pb=request.cross_section_pb)
    return SampleInfo(
        path=output.file.path,
        process=request.process,
        scenario=scenario.name,
        is_data=scenario.is_data,
        n_generated=request.n_events,
        n_events=output.file.n_events,
        cross_section_pb=request.cross_section_pb or process.cross_section_pb,
        measured_cross_section_pb=measured,
        luminosity_pb=luminosity if scenario.is_data else None,
        sum_weights=float(output.sums["weights"]),
        seed=request.seed,
        primary_dataset=process.primary_dataset if scenario.is_data else None,
        nominal=request.scenario,
    )


def _as_json(info: SampleInfo) -> dict[str, Any]:
    return dataclasses.asdict(info) | {"path": info.path.name}


_SUMS = {"PSWeight": "PSSumw", "LHEScaleWeight": "LHEScaleSumw", "LHEPdfWeight": "LHEPdfSumw"}
"""Weights of theory and, as NanoAOD calls them, their sums over that of the nominal weights."""


def _runs_tree(run: int, info: SampleInfo, sums: dict[str, Any]) -> dict[str, Any]:
    import awkward as ak

    tree: dict[str, Any] = {"run": np.array([run], np.uint32)}
    if not info.is_data:
        tree["genEventCount"] = np.array([info.n_events], np.int64)
        tree["genEventSumw"] = np.array([info.sum_weights])
        tree["genEventSumw2"] = np.array([float(sums["weights2"])])
        for weight, name in _SUMS.items():
            if weight in sums:
                tree[name] = ak.Array([(sums[weight] / sums["weights"]).tolist()])
    return tree


def read_sample_info(path: Path) -> SampleInfo:
    """Return what is in a file of this simulation.

    Raises:
        ValueError: If the file is not one.
    """
    from simulation.provenance import read_provenance

    stored = read_provenance(path)
    return SampleInfo(**(stored["sample"] | {"path": path, "nominal": stored["request"]["scenario"]}))


def read_scenario(path: Path) -> Scenario:
    """Return the scenario of a file as it was when the file was made: detector, priors, settings of PYTHIA.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not one of this simulation, or of a version whose detector has other knobs.
    """
    from simulation.provenance import read_provenance

    stored = read_provenance(path)["scenario"]
    try:
        return Scenario(
            name=stored["name"],
            is_data=stored["is_data"],
            detector=Detector(**stored["detector"]),
            pythia=tuple(stored["pythia"]),
            priors=tuple((knob, low, high) for knob, low, high in stored["priors"]),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{path}: its scenario is of another version of this simulation ({error}): simulate it again"
        ) from error
