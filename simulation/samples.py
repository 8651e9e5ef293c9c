"""Samples: what is asked for, what came out, and how data and simulation are put side by side."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simulation.processes import process_named
from simulation.randomness import derived_seed
from simulation.scenarios import scenario_named


@dataclass(frozen=True)
class SampleRequest:
    """Events of one process in one scenario.

    Attributes:
        n_events: To generate: after the filter, but before "data" are unweighted by accepting and rejecting.
        seed: Any integer from 0; the same request gives the same events.
        cross_section_pb: What the events stand for, in pb, in place of the recorded constant of the process.
        variations: Further scenarios: their detectors see the same events, into files of their own.
        shower_weights: Whether simulation holds the weights of varied showers (`PSWeight`); other events come
            out then, and they take PYTHIA about a third longer.

    Raises:
        ValueError: If process or scenario is unknown, the number is not positive, the seed negative, or a
            variation tells PYTHIA something else than the scenario or is there twice.
    """

    process: str
    scenario: str
    n_events: int
    seed: int = 1
    cross_section_pb: float | None = None
    variations: tuple[str, ...] = ()
    shower_weights: bool = False

    @property
    def scenarios(self) -> tuple[str, ...]:
        """The scenario and its variations."""
        return (self.scenario, *self.variations)

    def __post_init__(self) -> None:
        process_named(self.process)
        settings = set(scenario_named(self.scenario).pythia)
        if self.n_events < 1:
            raise ValueError(f"n_events is {self.n_events} for '{self.process}': ask for at least one event")
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed} for '{self.process}': choose one from 0")
        if self.cross_section_pb is not None and not self.cross_section_pb > 0:
            raise ValueError(
                f"cross_section_pb is {self.cross_section_pb} for '{self.process}': give a positive number"
            )
        for name in self.variations:
            if set(scenario_named(name).pythia) != settings:
                raise ValueError(
                    f"scenario '{name}' changes the generator, not only the detector:"
                    " make a sample of its own"
                )
            if self.scenarios.count(name) > 1:
                raise ValueError(f"scenario '{name}' is asked for twice: leave one out")


@dataclass(frozen=True)
class SampleInfo:
    """One file of events.

    Attributes:
        n_generated: Events that were generated.
        n_events: Events in the file; fewer in "data" that were unweighted.
        cross_section_pb: What `sum_weights` stands for, in pb; the recorded constant of the process.
        measured_cross_section_pb: PYTHIA's estimate from these events.
        luminosity_pb: Of data, in inverse pb; None for simulation.
        primary_dataset: Of data; None for simulation.
        nominal: The scenario of the first of several detectors that saw the same events, else its own: files
            of one process with the same `nominal` and `seed` are of the same events.
    """

    path: Path
    process: str
    scenario: str
    is_data: bool
    n_generated: int
    n_events: int
    cross_section_pb: float
    measured_cross_section_pb: float
    luminosity_pb: float | None
    sum_weights: float
    seed: int
    primary_dataset: str | None
    nominal: str
    simulated: bool = True


def events_for_luminosity(
    process: str, luminosity_pb: float, *, seed: int | None = None, cross_section_pb: float | None = None
) -> int:
    """Return how many events data of this luminosity (in inverse pb) need to be generated.

    With a seed it is drawn from a Poisson distribution, as the number of real data would be; without, it is
    the mean. A cross section given here must be given in the request, too.
    """
    mean = luminosity_pb / luminosity_of(process, 1, cross_section_pb=cross_section_pb)
    if seed is None:
        return round(mean)
    return int(np.random.default_rng(derived_seed("luminosity", process, seed)).poisson(mean))


def luminosity_of(process: str, n_generated: int, *, cross_section_pb: float | None = None) -> float:
    """Return the luminosity of data unweighted from so many generated events, in inverse pb."""
    chosen = process_named(process)
    cross_section = cross_section_pb or chosen.cross_section_pb
    return n_generated * chosen.mean_weight / (cross_section * chosen.largest_weight)


def _data_luminosity(dataset: str, infos: list[SampleInfo]) -> float:
    """Return the common luminosity of the processes of a primary dataset, in inverse pb."""
    processes = {info.process for info in infos}
    for process in sorted(processes):
        if counted_twice := processes.intersection(process_named(process).includes):
            raise ValueError(
                f"{dataset} holds '{process}' and '{min(counted_twice)}', which is part of it: leave one out"
            )
    generated: dict[str, int] = {}
    per_event: dict[str, float] = {}
    for info in infos:
        generated[info.process] = generated.get(info.process, 0) + info.n_generated
        per_event[info.process] = (info.luminosity_pb or 0.0) / info.n_generated
    total = sum(1.0 / each for each in per_event.values())
    luminosity = sum(generated.values()) / total
    for process, n_generated in generated.items():
        expected = luminosity / per_event[process]
        if abs(n_generated - expected) > 5.0 * expected**0.5 + 1.0:
            each = ", ".join(f"{name} {n * per_event[name]:.1f}/pb" for name, n in sorted(generated.items()))
            raise ValueError(
                f"the processes of {dataset} have different luminosities ({each}):"
                " generate as many events as `events_for_luminosity` says"
            )
    return luminosity


def fileset_of(infos: Iterable[SampleInfo]) -> dict[str, Any]:
    """Return samples as a fileset: simulation by process, data by primary dataset.

    Data that are the simulated events as another detector sees them are marked (`same_events`).

    Raises:
        ValueError: If the files of a dataset are of several scenarios, or the processes of a primary dataset
            do not have the same luminosity.
    """
    groups: dict[str, list[SampleInfo]] = {}
    for info in infos:
        groups.setdefault(info.primary_dataset or info.process, []).append(info)
    simulated = {_events_of(info) for members in groups.values() for info in members if not info.is_data}
    return {dataset: _dataset(dataset, members, simulated) for dataset, members in groups.items()}


def _events_of(info: SampleInfo) -> tuple[str, str, int]:
    """Return what two files of the same events have in common."""
    return info.process, info.nominal, info.seed


def _dataset(dataset: str, infos: list[SampleInfo], simulated: set[tuple[str, str, int]]) -> dict[str, Any]:
    first = infos[0]
    scenarios = sorted({info.scenario for info in infos})
    if len(scenarios) > 1:
        raise ValueError(f"{dataset} mixes the scenarios {' and '.join(scenarios)}: make one fileset of each")
    metadata: dict[str, Any] = {"is_data": first.is_data, "simulated": True}
    if first.is_data:
        metadata["process"] = "data"
        metadata["luminosity_pb"] = _data_luminosity(dataset, infos)
        metadata["primary_dataset"] = first.primary_dataset
        if all(_events_of(info) in simulated for info in infos):
            metadata["same_events"] = True
    else:
        metadata["process"] = first.process
        metadata["cross_section_pb"] = first.cross_section_pb
    return {"files": {str(info.path): "Events" for info in infos}, "metadata": metadata}
