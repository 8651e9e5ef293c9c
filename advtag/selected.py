"""What the three selections make of simulated files: the part of the validation that needs the processors."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from advtag.progress import ProgressCallback

if TYPE_CHECKING:
    from datamc.records import Result
    from datamc.templates import Templates
    from models.tagger import Tagger
    from simulation import SampleInfo
    from simulation.validation.checks import Check
    from simulation.validation.reading import Floats
    from simulation.validation.selections import CutflowRow, PurityRow, RatioRow

SELECTIONS = ("dy", "wc", "ttsemilep")
SCORES = ("CvsB", "CvsL", "BvsL")
BIN_WIDTH = 5
"""Bins of a score that are added up for Data/MC: ten between 0 and 1."""


class Stack(NamedTuple):
    """Data and simulation of one score, to be drawn."""

    selection: str
    scenario: str
    score: str
    templates: "Templates"


@dataclass
class Selected:
    """What came out of all selections."""

    tagger: str = ""
    checks: list["Check"] = field(default_factory=list)
    purities: list["PurityRow"] = field(default_factory=list)
    cutflows: list["CutflowRow"] = field(default_factory=list)
    ratios: list["RatioRow"] = field(default_factory=list)
    stacks: list[Stack] = field(default_factory=list)


def select_samples(
    files: Iterable[Path], *, tagger: "Tagger | None", progress: ProgressCallback | None = None
) -> Selected:
    """Return purities and cutflows of the selections and, with a tagger, Data/MC of its scores.

    Simulation of the scenario `mc` is compared with every other scenario that was written as data. The
    processes that a tagger is trained on are left out: inclusive top pairs hold the semileptonic ones.

    Args:
        files: Made by `simulation.simulate_sample`.
        tagger: Whose scores are compared; None leaves the comparison out.
        progress: Called with (selections done, all of them).
    """
    from simulation.validation.checks import skipped

    simulation, data = _analysed(files)
    found = Selected(tagger="" if tagger is None else tagger.label)
    if not simulation:
        found.checks.append(skipped("selections", "", "no files of dy, wc or ttsl in scenario mc"))
        return found
    runs = [
        (selection, scenario)
        for selection in SELECTIONS
        for scenario in (_scenarios(data, selection) or [None])
    ]
    for done, (selection, scenario) in enumerate(runs, start=1):
        own = [] if scenario is None else _own_data(data[scenario], selection)
        result = _run(selection, [*simulation, *own], tagger)
        first = all(row.selection != selection for row in found.cutflows)
        _collect(found, result, scenario, with_simulation=first)
        if progress:
            progress(done, len(runs))
    if tagger is None:
        found.checks.append(skipped("Data/MC of scores", "", "no reference tagger: give one with --tagger"))
    return found


def _analysed(files: Iterable[Path]) -> tuple[list["SampleInfo"], dict[str, list["SampleInfo"]]]:
    """Return the samples of simulation, and those of data by scenario."""
    from simulation import read_sample_info
    from simulation.validation.validate import is_trained_on

    simulation, data = [], dict[str, list["SampleInfo"]]()
    for info in map(read_sample_info, files):
        if is_trained_on(info.process):
            continue
        if info.is_data:
            data.setdefault(info.scenario, []).append(info)
        elif info.scenario == "mc":
            simulation.append(info)
    return simulation, data


def _own_data(infos: Sequence["SampleInfo"], selection: str) -> list["SampleInfo"]:
    from selections.parameters import parameters_of
    from selections.primary_datasets import starts_from

    row = parameters_of(selection)
    return [info for info in infos if starts_from(row, info.primary_dataset)]


def _scenarios(data: Mapping[str, Sequence["SampleInfo"]], selection: str) -> list[str | None]:
    return [scenario for scenario, infos in data.items() if _own_data(infos, selection)]


def _run(selection: str, infos: Sequence["SampleInfo"], tagger: "Tagger | None") -> "Result":
    from models.perturbations import parse_variants
    from processors.event_splits import split_to_hold_out
    from processors.extras import Extras
    from processors.run import run_selection

    groups: dict[str, list[SampleInfo]] = {}
    for info in infos:
        groups.setdefault(f"{info.primary_dataset or info.process} ({info.scenario})", []).append(info)
    taggers = [] if tagger is None else [tagger]
    return run_selection(
        selection=selection,
        fileset={name: _dataset(members) for name, members in groups.items()},
        taggers=taggers,
        variants=parse_variants("raw"),
        extras=Extras(held_out=split_to_hold_out(taggers)),
    )


def _dataset(infos: Sequence["SampleInfo"]) -> dict[str, Any]:
    """Return a dataset; shapes alone are compared, so its processes need not have the same luminosity."""
    first = infos[0]
    metadata: dict[str, Any] = {"is_data": first.is_data, "process": first.process, "simulated": True}
    if first.is_data:
        metadata |= {"process": "data", "luminosity_pb": _largest_luminosity(infos)}
    else:
        metadata["cross_section_pb"] = first.cross_section_pb
    return {"files": [str(info.path) for info in infos], "metadata": metadata}


def _largest_luminosity(infos: Sequence["SampleInfo"]) -> float | None:
    by_process: dict[str, float] = {}
    for info in infos:
        by_process[info.process] = by_process.get(info.process, 0.0) + (info.luminosity_pb or 0.0)
    return max(by_process.values()) or None


def _collect(found: Selected, result: "Result", scenario: str | None, *, with_simulation: bool) -> None:
    from datamc.templates import purity_table
    from simulation.validation.selections import CutflowRow, PurityRow, purity_checks

    for sample, rows in result.cutflows.items():
        if not (with_simulation or result.datasets[sample].is_data):
            continue
        total = rows[0].sum_weights
        found.cutflows += [
            CutflowRow(
                result.selection, sample, row.cut, row.n_events, row.sum_weights / total if total else 0.0
            )
            for row in rows
        ]
    if with_simulation:
        shares = [
            PurityRow(row.selection, row.group, row.fraction, row.error)
            for row in purity_table([result])
            if row.view in ("OS-SS", "OS+SS")
        ]
        found.purities += shares
        simulated = [record.process for record in result.datasets.values() if not record.is_data]
        found.checks += purity_checks(shares, simulated)
    if scenario is not None and found.tagger:
        _compare_scores(found, result, scenario)


def _compare_scores(found: Selected, result: "Result", scenario: str) -> None:
    from datamc.templates import score_templates
    from simulation.validation.selections import ratio_checks, ratio_rows, shape_ratio

    tagger, _, epoch = found.tagger.rpartition("@")
    for score in SCORES:
        templates = score_templates(result, score, tagger=tagger, epoch=int(epoch))
        added = _in_tenths(templates)
        ratio = shape_ratio(**added)
        where = {"selection": result.selection, "scenario": scenario, "score": score}
        found.checks += ratio_checks(ratio, **where)
        found.ratios += [] if ratio is None else ratio_rows(ratio, **where)
        found.stacks.append(Stack(templates=templates, **where))


def _in_tenths(templates: "Templates") -> dict[str, Any]:
    """Return edges, data and all simulation in ten bins from 0 to 1; jets without a score are left out."""
    import numpy as np

    inside = templates.edges[:-1] > -1e-9

    def added(values: "Floats") -> "Floats":
        # (n_bins,) -> (10, BIN_WIDTH) -> (10,)
        return np.asarray(values[inside].reshape(-1, BIN_WIDTH).sum(axis=1))

    return {
        "edges": np.append(templates.edges[:-1][inside][::BIN_WIDTH], templates.edges[-1]),
        "data": added(templates.data),
        "data_variance": added(templates.data_variance),
        "mc": added(templates.mc.sum(axis=0)),
        "mc_variance": added(templates.mc_variance.sum(axis=0)),
    }
