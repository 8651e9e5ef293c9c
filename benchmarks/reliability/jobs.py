"""Jobs without a batch system: planned by `advtag condor submit`, executed by their own scripts, merged."""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from random import Random

from benchmarks.reliability.filesets import Configuration
from benchmarks.reliability.forks import quick_prefix
from benchmarks.reliability.trials import Ended, call

_NO_POOL = """#!/bin/bash
[ "${0##*/}" = condor_submit ] && echo "8.0 - 8.99"
exit 0
"""
"""A batch system that takes every job, starts none and has forgotten all."""

_COMMANDS = ("condor_submit", "condor_q", "condor_history", "condor_rm")


def site_without_pool(folder: Path, prefix: Path | None = None) -> Path:
    """Return the profile of a site whose jobs nobody starts; its commands come first on the search path.

    Args:
        folder: Where they are made.
        prefix: Of the environment in which jobs run; that of this process if None.
    """
    commands = folder / "commands"
    commands.mkdir(parents=True, exist_ok=True)
    for name in _COMMANDS:
        (commands / name).write_text(_NO_POOL)
        (commands / name).chmod(0o755)
    site = folder / "site.yaml"
    environment = {"kind": "prefix", "path": None if prefix is None else str(prefix)}
    site.write_text(json.dumps({"name": "here", "scheduler": "htcondor", "environment": environment}))
    os.environ["PATH"] = ":".join([str(commands), *_search_path()])
    return site


def _search_path() -> list[str]:
    """Return the search path without the batch systems that were made before."""
    return [part for part in os.environ["PATH"].split(":") if not (Path(part) / "condor_submit").is_file()]


@contextlib.contextmanager
def batch_system(folder: Path) -> Iterator[Path]:
    """Yield the profile of such a site; its jobs start at once in processes forked from this one."""
    with quick_prefix(folder / "prefix") as prefix:
        yield site_without_pool(folder, prefix)


def run_jobs(folder: Path, selection: str, *, seconds: float = 120.0) -> dict[str, int]:
    """Execute the script of every job in its folder, as a worker does; return the exit codes."""
    codes = {}
    for job in sorted(path for path in folder.glob("[0-9]*") if path.is_dir()):
        with (job / "stdout").open("w") as out, (job / "stderr").open("w") as error:
            finished = subprocess.run(
                ["bash", "../run_job.sh", selection, "../inputs"], cwd=job, stdout=out, stderr=error,
                stdin=subprocess.DEVNULL, timeout=seconds, check=False,
            )  # fmt: skip
        codes[job.name] = finished.returncode
    return codes


def process_in_jobs(configuration: Configuration, folder: Path) -> tuple[Ended, Path]:
    """Process a configuration in jobs and merge them; return how that ended and where the result would be.

    A job that ends with an error is shown as the error of the whole.
    """
    rng = Random(str(configuration.fileset.read_text()))
    jobs, merged = folder / "jobs", folder / "merged"
    shapes = (["--files-per-job", 1], ["--files-per-job", 5], ["--events-per-job", 60], ["--no-count"])
    shape = rng.choice(shapes)
    skip = ["--skip-bad-files"] if configuration.skip_bad_files else []
    with batch_system(folder / "site") as site:
        submitted = call(
            [
                "condor", "submit", jobs, "--site", site, "--selection", "dy", "--fileset",
                configuration.fileset, *shape, *skip,
            ],
            folder,
        )  # fmt: skip
        if submitted.code != 0:
            shutil.rmtree(jobs, ignore_errors=True)
            return submitted, merged / "dy.zip"
        codes = run_jobs(jobs, "dy")
        failed = [job for job, code in codes.items() if code not in (0, 3)]
        if failed:
            said = (jobs / failed[0] / "stderr").read_text()
            return Ended(codes[failed[0]], "", said), merged / "dy.zip"
        ended = call(["condor", "merge", jobs, "--out", merged], folder)
    return ended, merged / "dy.zip"
