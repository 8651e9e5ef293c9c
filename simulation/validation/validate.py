"""The validation of simulated files: every number, its expectation and its verdict, and what to draw.

Nothing is simulated and nothing drawn here: files come in, numbers go out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from simulation.validation.agreement import AgreementRow, compare_inputs
from simulation.validation.checks import Check, check, skipped
from simulation.validation.expectations import Expectation
from simulation.validation.flavours import (
    DefaultRow,
    FlavourCounts,
    count_flavours,
    default_checks,
    default_rows,
    track_checks,
    vertex_checks,
)
from simulation.validation.jets import (
    FLATNESS,
    agreement_checks,
    jet_checks,
    lifetime_checks,
    response_checks,
)
from simulation.validation.lifetimes import LifetimeSums
from simulation.validation.muons import muon_checks
from simulation.validation.ranges import Inputs, RangeRow, outside_reference, range_rows, read_reference
from simulation.validation.reading import Group, Progress, Sample, group_files, read_sample
from simulation.validation.spectra import (
    Spectrum,
    add_spectra,
    category_spectra,
    flavour_spectra,
    origin_spectra,
    sample_spectra,
)

SIMULATION, SAME_SETTINGS = "mc", "null"
TRAINED_ON = ("qcd", "tt", "tthad")
"""Processes that a tagger is trained on, slices of QCD among them: the jets to compare with the thesis's."""


@dataclass(frozen=True)
class Validation:
    """What came out of a validation."""

    checks: list[Check]
    defaults: list[DefaultRow]
    agreement: list[AgreementRow]
    ranges: list[RangeRow]
    spectra: list[Spectrum]
    training_mix: str
    """Which samples the numbers by flavour are from."""
    n_events: dict[str, int]
    n_jets: dict[str, int]


@dataclass
class _Collected:
    """What is added up on the way."""

    checks: list[Check] = field(default_factory=list)
    agreement: list[AgreementRow] = field(default_factory=list)
    spectra: list[Spectrum] = field(default_factory=list)
    lifetimes: LifetimeSums | None = None
    by_flavour: list[Spectrum] = field(default_factory=list)
    counts: FlavourCounts | None = None
    inputs: list[Inputs] = field(default_factory=list)
    n_events: dict[str, int] = field(default_factory=dict)
    n_jets: dict[str, int] = field(default_factory=dict)


def validate(
    files: Sequence[Path], *, reference: Path | None = None, progress: Progress | None = None
) -> Validation:
    """Return what simulated files say, beside what is expected of them.

    At most two samples (a process in two scenarios) are in memory at a time, and the inputs of the jets that
    a tagger is trained on.

    Args:
        files: Made by `simulate_sample`; those of data have their truth beside them.
        reference: A real PFNano file, to compare the ranges of the inputs with.
        progress: Called with (files read, all files).

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file was not made by this simulation or lacks a branch.
    """
    groups = group_files(files)
    if not groups:
        raise ValueError("no file to validate: give files made by `advtag simulate`")
    real = None if reference is None else read_reference(reference)
    mix = _training_mix(groups)
    collected = _Collected()
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, len(files))

    for process in dict.fromkeys(name for name, _ in groups):
        scenarios = [scenario for name, scenario in groups if name == process]
        simulation = None
        for scenario in sorted(scenarios, key=lambda name: name != SIMULATION):
            sample = read_sample(groups[process, scenario], progress=count)
            _collect(collected, sample, in_mix=(process, scenario) in mix)
            if scenario == SIMULATION:
                simulation = sample
            elif simulation is not None:
                _compare(collected, simulation, sample)
    return _finish(collected, groups, mix, real, "" if reference is None else reference.name)


def _training_mix(groups: dict[Group, list[Path]]) -> list[Group]:
    """Return the samples that numbers by flavour are taken from: all of simulation if none is trained on."""
    simulated = [group for group in groups if group[1] == SIMULATION] or list(groups)
    return [group for group in simulated if is_trained_on(group[0])] or simulated


def is_trained_on(process: str) -> bool:
    """Return whether a tagger is trained on this process, rather than compared with data in it."""
    return process in TRAINED_ON or process.startswith("qcd_")


def _collect(collected: _Collected, sample: Sample, *, in_mix: bool) -> None:
    collected.n_events[sample.name] = len(sample.weight)
    collected.n_jets[sample.name] = len(sample.jets.raw)
    collected.checks += jet_checks(sample) + response_checks(sample) + muon_checks(sample)
    collected.spectra += sample_spectra(sample)
    if sample.scenario == SIMULATION:
        collected.spectra += origin_spectra(sample)
    if sample.lifetimes is not None:
        known = collected.lifetimes
        collected.lifetimes = sample.lifetimes if known is None else known.plus(sample.lifetimes)
    counts = count_flavours(sample.jets)
    if sample.notes:
        collected.checks.append(skipped("numbers by flavour", sample.name, "; ".join(sample.notes)))
    else:
        collected.checks += vertex_checks(counts, sample.name, judged=False)
    if in_mix:
        collected.by_flavour += flavour_spectra(sample)
        collected.counts = counts if collected.counts is None else collected.counts.plus(counts)
        collected.inputs.append(sample.jets.accepted().raw)


def _compare(collected: _Collected, simulation: Sample, other: Sample) -> None:
    agreement = compare_inputs(simulation, other)
    collected.agreement += agreement.rows
    collected.checks += agreement_checks(agreement, other.name, same_settings=other.scenario == SAME_SETTINGS)


def _finish(
    collected: _Collected, groups: dict[Group, list[Path]], mix: list[Group], real: Inputs | None, source: str
) -> Validation:
    name = " + ".join(process for process, _ in mix)
    counts = collected.counts
    if counts is None:
        raise ValueError("no sample to take numbers by flavour from: give files of scenario mc")
    ranges = range_rows(collected.inputs, name=name, reference=real, source=source)
    general = [
        *vertex_checks(counts, name, judged=True),
        *track_checks(counts, name),
        *default_checks(counts, name),
        *lifetime_checks(collected.lifetimes, "all simulation"),
        *_missing_scenarios(groups),
        _range_check(ranges, source),
    ]
    return Validation(
        checks=general + collected.checks,
        defaults=default_rows(counts, name),
        agreement=collected.agreement,
        ranges=ranges,
        spectra=category_spectra(counts.n_category) + add_spectra(collected.by_flavour) + collected.spectra,
        training_mix=name,
        n_events=collected.n_events,
        n_jets=collected.n_jets,
    )


def _missing_scenarios(groups: dict[Group, list[Path]]) -> list[Check]:
    if any(scenario == SAME_SETTINGS for _, scenario in groups):
        return []
    return [skipped(FLATNESS, "null", "no files of scenario null")]


def _range_check(ranges: list[RangeRow], source: str) -> Check:
    name = "inputs with real values beyond the simulated range"
    if not source:
        return skipped(name, "", "no real PFNano file given")
    outside = outside_reference(ranges)
    expected = Expectation(0.0, 0.0, "same units, signs and sizes as CMS writes")
    return check(name, source, float(len(outside)), 0.0, expected, ", ".join(outside))
