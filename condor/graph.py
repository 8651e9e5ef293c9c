"""The whole analysis as a graph of HTCondor's DAGMan: process, merge, fit, divergence, plot, report."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from condor.commands import last_line, number_in, quoted, run
from condor.folder import clean_environment, run_of
from condor.htcondor import queue_value, tag_line
from condor.judging import State
from condor.manifest import Manifest
from condor.submissions import require_plain
from storage.files import write_text

GRAPH: Final = "analysis.dag"
STEP_WRAPPER: Final = "run_step.sh"
_NODES: Final = "analysis.nodes"
_JOBS: Final = "process"
_SECONDS_BETWEEN_UPDATES: Final = 5
_CLUSTER: Final = re.compile(r"submitted to cluster (\d+)")
_NODE: Final = re.compile(r'Node = "(\w+)";\s*NodeStatus = (\d)')
_WHOLE: Final = re.compile(r'Type = "DagStatus";.*?DagStatus = (\d)', re.DOTALL)
_NOT_READY, _DONE, _ERROR = 0, 5, 6
"""Values of NodeStatus and DagStatus. Source: HTCondor manual, DAGMan, capturing the status of nodes."""


class Step(NamedTuple):
    """A node after the processing: its name, what it runs, and the nodes before it."""

    name: str
    arguments: tuple[str, ...]
    after: tuple[str, ...]


class StepStatus(NamedTuple):
    """A step as it stands; `reason` says why it failed."""

    name: str
    state: State
    reason: str


def steps_after(folder: Path, out: Path) -> list[Step]:
    """Return what follows the jobs, in order."""
    results = str(out.resolve())
    return [
        Step("merge", ("condor", "merge", str(folder.resolve()), "--out", results), (_JOBS,)),
        Step("fit", ("fit", results), ("merge",)),
        Step("divergence", ("divergence", results), ("merge",)),
        Step("plot", ("plot", results), ("fit", "divergence")),
        Step("report", ("report", results), ("plot",)),
    ]


def write_graph(
    manifest: Manifest, folder: Path, *, description: str, variables: Sequence[dict[str, str]], out: Path
) -> None:
    """Write the graph and the submit descriptions of its nodes.

    Each job is a node of its own, so that the failure of one does not take the others away; DAGMan then
    writes a rescue file, and submitting the same graph goes on from there.

    Args:
        manifest: What was planned.
        folder: The folder of the jobs.
        description: The submit description of the jobs, without its queue statement.
        variables: What the description leaves open, for each job.
        out: Folder of the results.

    Raises:
        ValueError: If the folder of the results has a name that submit descriptions do not take.
    """
    require_plain(out)
    names = [f"job_{number:05d}" for number in range(len(manifest.jobs))]
    write_text(folder / f"{_JOBS}.sub", f"{description}queue\n")
    write_text(folder / STEP_WRAPPER, _step_wrapper(manifest))
    (folder / STEP_WRAPPER).chmod(0o755)
    lines = [f"NODE_STATUS_FILE {_NODES} {_SECONDS_BETWEEN_UPDATES}"]
    lines += [f"JOB {name} {_JOBS}.sub" for name in names]
    lines += [_settings(name, values) for name, values in zip(names, variables, strict=True)]
    for step in steps_after(folder, out):
        write_text(folder / f"{step.name}.sub", _description(manifest, step, folder))
        parents = [name for parent in step.after for name in (names if parent == _JOBS else [parent])]
        lines += [f"JOB {step.name} {step.name}.sub", f"PARENT {' '.join(parents)} CHILD {step.name}"]
    write_text(folder / GRAPH, "\n".join(lines) + "\n")


def submit_graph(folder: Path, *, tag: str) -> str:
    """Hand the graph in and return the number of its DAGMan job, which carries a tag.

    After a failure it goes on from there.

    Raises:
        BatchError: If there is no `condor_submit_dag`, it refuses, or tells no number.
    """
    (folder / _NODES).unlink(missing_ok=True)
    answer = run(["condor_submit_dag", "-append", tag_line(tag), GRAPH], folder=folder)
    return number_in(answer, _CLUSTER, command="condor_submit_dag")


def has_graph(folder: Path) -> bool:
    """Say whether the jobs of a folder are nodes of a graph."""
    return (folder / GRAPH).is_file()


def change_variables(folder: Path, changed: dict[int, dict[str, str]]) -> None:
    """Write other variables of some jobs into the graph."""
    lines = {
        _settings(f"job_{job:05d}", {}): _settings(f"job_{job:05d}", new) for job, new in changed.items()
    }
    old = (folder / GRAPH).read_text().splitlines()
    write_text(
        folder / GRAPH,
        "\n".join(lines.get(" ".join(line.split(maxsplit=2)[:2]), line) for line in old) + "\n",
    )


def judge_steps(folder: Path) -> list[StepStatus]:
    """Return what became of the steps after the jobs, as DAGMan tells; none where there is no graph."""
    if not has_graph(folder):
        return []
    nodes = folder / _NODES
    text = nodes.read_text() if nodes.is_file() else ""
    whole = _WHOLE.search(text)
    is_over = whole is not None and int(whole[1]) in (_DONE, _ERROR)
    found = {name: int(number) for name, number in _NODE.findall(text)}
    return [
        _step_status(folder, step.name, found.get(step.name, _NOT_READY), is_over)
        for step in steps_after(folder, folder)
    ]


def _step_status(folder: Path, name: str, number: int, is_over: bool) -> StepStatus:
    if number == _DONE:
        return StepStatus(name, "done", "")
    if number == _ERROR:
        words = last_line(folder / f"{name}.err").removeprefix("Error: ")
        return StepStatus(name, "failed", words or f"see {folder / name}.err")
    if is_over:
        return StepStatus(name, "planned", "what it needs failed")
    return StepStatus(name, "idle" if number == _NOT_READY else "running", "")


def _settings(name: str, values: dict[str, str]) -> str:
    return " ".join(["VARS", name, *(f"{key}={quoted(value)}" for key, value in values.items())])


def _step_wrapper(manifest: Manifest) -> str:
    lines = ["#!/bin/bash", "set -euo pipefail", *clean_environment(manifest.site)]
    return "\n".join([*lines, f'{run_of(manifest.site)} "$@"', ""])


def _description(manifest: Manifest, step: Step, folder: Path) -> str:
    """Return the description of a step.

    Where workers see the files it is a job as any other, else it runs beside the scheduler, which does.
    """
    site = manifest.site
    container = [f"container_image = {site.environment.path}"] if site.environment.kind == "container" else []
    if site.transfer == "shared":
        queue = site.queue_for(site.request.minutes)
        lines = [
            f"universe = {'container' if container else 'vanilla'}",
            *container,
            "should_transfer_files = YES",
            "when_to_transfer_output = ON_EXIT",
            'transfer_output_files = ""',
            f"request_memory = {site.request.memory_mb}",
            f"request_disk = {site.request.disk_mb}MB",
            *([f"{site.queue_key} = {queue_value(queue)}"] if queue else []),
            *(f"{key} = {value}" for key, value in site.lines.items()),
        ]
    else:
        lines = ["universe = local"]
    lines += [
        f"executable = {folder.resolve() / STEP_WRAPPER}",
        f"arguments = {' '.join(step.arguments)}",
        f"initialdir = {folder.resolve()}",
        f"output = {step.name}.out",
        f"error = {step.name}.err",
        "log = condor.log",
        "queue",
    ]
    return "\n".join(lines) + "\n"
