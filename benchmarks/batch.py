"""Submit, status and the planning of a merge for 100 000 files: seconds and peak memory.

No file is opened and no batch system asked: commands that answer at once stand in for it, so that what is
measured is the work done here.

    python -m benchmarks.batch
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from advtag.tables import show

DATASETS = 10
AIM_SECONDS, AIM_MB = 30, 500

_PLAN_OF_A_MERGE = """
import sys
from pathlib import Path
from condor.judging import judge_jobs
from condor.manifest import read_manifest
from condor.merging import IncompleteError, merge_outputs
folder = Path(sys.argv[1])
manifest = read_manifest(folder)
try:
    merge_outputs(manifest, folder, judge_jobs(manifest, folder, None), folder / "merged")
except IncompleteError as error:
    print(error)
"""


class Measured(NamedTuple):
    """What a command took."""

    name: str
    seconds: float
    peak_mb: float


def write_fileset(path: Path, n_files: int) -> None:
    """Write a fileset of far files that nobody will open."""
    files = [f"root://host.example//store/set_{number:06d}/events.root" for number in range(n_files)]
    fileset = {
        f"dy_{number}": {
            "files": dict.fromkeys(files[number::DATASETS], "Events"),
            "metadata": {"is_data": False, "process": "dy", "cross_section_pb": 1.0},
        }
        for number in range(DATASETS)
    }
    path.write_text(json.dumps(fileset))


def write_commands(folder: Path) -> None:
    """Write commands that stand in for a batch system."""
    folder.mkdir()
    for name, answer in (("condor_submit", "8.0 - 8.9"), ("condor_q", "[]"), ("condor_history", "[]")):
        (folder / name).write_text(f"#!/bin/sh\necho '{answer}'\n")
        (folder / name).chmod(0o755)


def measure(name: str, command: Sequence[str | Path], folder: Path, codes: Sequence[int]) -> Measured:
    """Run a command in a process of its own and return what it took.

    Raises:
        RuntimeError: If it ends with another exit code than it should.
    """
    environment = os.environ | {"PATH": f"{folder / 'commands'}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    begin = time.perf_counter()
    process = subprocess.Popen(
        [*map(str, command)],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    words = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) not in codes:
        raise RuntimeError(f"{name} ended with {os.waitstatus_to_exitcode(status)}: {words[-500:]}")
    return Measured(name, time.perf_counter() - begin, usage.ru_maxrss / 1024)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100_000)
    n_files = parser.parse_args().files
    advtag = Path(sys.executable).parent / "advtag"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_fileset(folder / "fileset.json", n_files)
        write_commands(folder / "commands")
        submit = [advtag, "condor", "submit", "jobs", "--selection", "dy", "--fileset", "fileset.json"]
        submit += ["--no-count"]
        rows = [
            measure("submit --dry-run", [*submit, "--dry-run"], folder, (0,)),
            measure("submit", submit, folder, (0,)),
            measure("status", [advtag, "condor", "status", "jobs"], folder, (3,)),
            measure("merge, planning", [sys.executable, "-c", _PLAN_OF_A_MERGE, "jobs"], folder, (0,)),
        ]
    machine = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    title = f"{n_files:,} files; {machine}; aims: {AIM_SECONDS} s and {AIM_MB} MB each"
    show([row._asdict() for row in rows], title=title, as_json=False)


if __name__ == "__main__":
    main()
