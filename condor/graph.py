"""The whole analysis as a graph of HTCondor's DAGMan: process, merge, fit, divergence, plot, report."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from condor.commands import quoted, run
from condor.manifest import Manifest
from storage.files import write_text

GRAPH: Final = "analysis.dag"
_JOBS: Final = "process"


class Step(NamedTuple):
    """A node after the processing: its name, what it runs, and the nodes before it."""

    name: str
    arguments: tuple[str, ...]
    after: tuple[str, ...]


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
    """
    names = [f"job_{number:05d}" for number in range(len(manifest.jobs))]
    write_text(folder / f"{_JOBS}.sub", f"{description}queue\n")
    lines = []
    for name, values in zip(names, variables, strict=True):
        settings = " ".join(f"{key}={quoted(value)}" for key, value in values.items())
        lines += [f"JOB {name} {_JOBS}.sub", f"VARS {name} {settings}"]
    for step in steps_after(folder, out):
        write_text(folder / f"{step.name}.sub", _local(step, folder))
        parents = [name for parent in step.after for name in (names if parent == _JOBS else [parent])]
        lines += [f"JOB {step.name} {step.name}.sub", f"PARENT {' '.join(parents)} CHILD {step.name}"]
    write_text(folder / GRAPH, "\n".join(lines) + "\n")


def submit_graph(folder: Path) -> str:
    """Hand the graph in and return the number of its DAGMan job.

    Raises:
        BatchError: If there is no `condor_submit_dag`, or it refuses.
    """
    answer = run(["condor_submit_dag", "-f", GRAPH], folder=folder)
    return answer.rsplit("cluster ", 1)[-1].split(".")[0].strip()


def _local(step: Step, folder: Path) -> str:
    """Return the description of a step; it is short, and runs on the machine of the scheduler."""
    lines = [
        "universe = local",
        f"executable = {Path(sys.prefix) / 'bin' / 'advtag'}",
        f'arguments = "{" ".join(_in_double_quotes(word) for word in step.arguments)}"',
        f"initialdir = {folder.resolve()}",
        f'environment = "PYTHONSAFEPATH=1 HOME={Path.home()} PATH={os.environ.get("PATH", "")}"',
        f"output = {step.name}.out",
        f"error = {step.name}.err",
        "log = condor.log",
        "queue",
    ]
    return "\n".join(lines) + "\n"


def _in_double_quotes(word: str) -> str:
    """Return a word of HTCondor's `arguments`, which are in double quotes already."""
    escaped = word.replace('"', '""').replace("'", "''")
    return f"'{escaped}'"
