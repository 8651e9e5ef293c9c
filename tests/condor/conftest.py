"""Pools on this machine, brought up once for all tests that submit real jobs."""

import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

POOLS = Path(__file__).parent / "pools"
PREFIX = Path(os.environ.get("ADVTAG_POOL_PREFIX", "/var/tmp/advtag-condor-23"))
"""Where HTCondor is unpacked; kept between runs of the tests."""


class Finished(NamedTuple):
    """What came of a command."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Finished]


def unavailable() -> str | None:
    """Say why no pool can be brought up here; None where one can."""
    if os.environ.get("ADVTAG_POOLS") == "no":
        return "ADVTAG_POOLS is no"
    release = platform.freedesktop_os_release() if sys.platform == "linux" else {}
    if (release.get("ID"), release.get("VERSION_ID")) != ("debian", "12") or platform.machine() != "x86_64":
        return "the pools of the tests are for Debian 12 on x86-64"
    return "the pools of the tests need root" if os.geteuid() != 0 else None


def require_pools() -> None:
    """Skip where no pool can be had; where ADVTAG_POOLS is required, as in CI, that is a failure."""
    if (reason := unavailable()) is None:
        return
    if os.environ.get("ADVTAG_POOLS") == "required":
        pytest.fail(f"batch pools are required, but {reason}")
    pytest.skip(reason)


def pool(script: str, *before: object, environment: Mapping[str, str]) -> Iterator[Run]:
    """Install, start and at last stop a pool; yield what runs a command in it."""
    command = ["bash", str(POOLS / script), *map(str, before)]

    def run(*arguments: object, cwd: Path | None = None) -> Finished:
        finished = subprocess.run(
            [*command, *map(str, arguments)],
            cwd=cwd,
            env=os.environ | dict(environment),
            capture_output=True,
            text=True,
            check=False,
        )
        return Finished(finished.returncode, finished.stdout, finished.stderr)

    for action in ("install", "start"):
        came = run(action)
        assert came.returncode == 0, came.stderr
    try:
        yield lambda *arguments, cwd=None: run("run", *arguments, cwd=cwd)
    finally:
        run("stop")


ENVIRONMENT = {"OMP_NUM_THREADS": "1", "COLUMNS": "250", "CPUS": "4", "MEMORY": "8000"}


@pytest.fixture(scope="session")
def htcondor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Run a command on the submit node of a real HTCondor pool."""
    require_pools()
    yield from pool("htcondor.sh", PREFIX, tmp_path_factory.mktemp("htcondor"), environment=ENVIRONMENT)


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Run a command on the login node of a real SLURM cluster."""
    require_pools()
    yield from pool("slurm.sh", tmp_path_factory.mktemp("slurm"), environment=ENVIRONMENT)


@pytest.fixture(scope="session")
def advtag() -> str:
    """The installed command."""
    return str(Path(sys.executable).parent / "advtag")


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fileset of the events that come with the package."""
    from simulation import fileset_of, read_sample_info
    from simulation.fixture import fixture_files

    path = tmp_path_factory.mktemp("samples") / "fileset.json"
    fileset: dict[str, Any] = fileset_of(read_sample_info(file) for file in fixture_files().values())
    path.write_text(json.dumps(fileset, default=str))
    return path


@pytest.fixture(scope="session")
def restricted(samples: Path) -> Callable[..., Path]:
    """Write a fileset with so many events of some datasets: independent of how many the package has."""

    def write(**n_events: int) -> Path:
        content = json.loads(samples.read_text())
        fileset = {name: content[name] for name in n_events}
        for name, number in n_events.items():
            [file] = fileset[name]["files"]
            fileset[name]["files"] = {file: {"tree": "Events", "entries": [0, number]}}
        path = samples.with_name("_".join(f"{name}_{number}" for name, number in n_events.items()) + ".json")
        path.write_text(json.dumps(fileset))
        return path

    return write


_SCRIPT = """#!/bin/bash
folder={folder}
name=$(basename "$0")
echo "$name $*" >> "$folder/calls"
[ -e "$folder/$name.fails" ] && {{ cat "$folder/$name.fails" >&2; exit 1; }}
for special in "$folder/$name".with*; do
  [[ -e "$special" && "$*" = *"${{special##*.with}}"* ]] && {{ cat "$special"; exit 0; }}
done
if [ "$name" = condor_submit ] || [ "$name" = sbatch ]; then
  number=$(( $(cat "$folder/number") + 1 )); echo $number > "$folder/number"
  [ "$name" = sbatch ] && echo "$number" || echo "$number.0 - $number.9"
elif [[ "$*" = *-totals* ]]; then echo "Total for query: 0 jobs; 0 completed, 0 removed"
elif [ "$name" = condor_submit_dag ]; then echo "1 job(s) submitted to cluster 8."
elif [ -e "$folder/$name.answer" ]; then cat "$folder/$name.answer"
fi
"""
_COMMANDS = (
    "condor_submit", "condor_submit_dag", "condor_q", "condor_history", "condor_rm", "condor_qedit",
    "condor_release", "sbatch", "squeue", "sacct", "scancel",
)  # fmt: skip


class Stubs:
    """Commands of batch systems that write down how they were called, and answer what a test wants to hear.

    Jobs are numbered from 8.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "number").write_text("7")
        for name in _COMMANDS:
            script = folder / name
            script.write_text(_SCRIPT.format(folder=shlex.quote(str(folder))))
            script.chmod(0o755)

    @property
    def path(self) -> str:
        """The search path with the commands on it."""
        return f"{self.folder}:{os.environ['PATH']}"

    def answer(self, command: str, text: str, *, only_with: str | None = None) -> None:
        """Let a command print something from now on, always or only if it is called with a word."""
        (self.folder / f"{command}.{f'with{only_with}' if only_with else 'answer'}").write_text(text)

    def say_number(self, command: str, text: str) -> None:
        """Let a command of submission print this instead of a number."""
        self.answer(command, text, only_with="-")

    def refuse(self, command: str, text: str) -> None:
        """Let a command fail from now on."""
        (self.folder / f"{command}.fails").write_text(text)

    def queue(self, *records: dict[str, Any]) -> None:
        """Let these jobs be in HTCondor's queue."""
        self.answer("condor_q", json.dumps(records) if records else "")

    def history(self, *records: dict[str, Any]) -> None:
        """Let these jobs be in HTCondor's history, newest first."""
        self.answer("condor_history", json.dumps(records) if records else "")

    def calls(self, command: str) -> list[str]:
        """Return how a command was called, oldest first."""
        log = self.folder / "calls"
        lines = log.read_text().splitlines() if log.is_file() else []
        return [line.removeprefix(f"{command} ") for line in lines if line.startswith(f"{command} ")]


@pytest.fixture
def stubs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stubs:
    """Both batch systems as commands that are none, first on the path."""
    stubs = Stubs(tmp_path / "commands")
    monkeypatch.setenv("PATH", stubs.path)
    monkeypatch.setenv("COLUMNS", "250")
    return stubs


@pytest.fixture
def invoke() -> Callable[..., Any]:
    """Run a command of the program in this process, and return what came of it."""
    from typer.testing import CliRunner

    from advtag.application import app

    runner = CliRunner()
    return lambda *arguments: runner.invoke(app, list(map(str, arguments)))


@pytest.fixture
def refused(invoke: Callable[..., Any]) -> Callable[..., str]:
    """Run a command that has to fail, and return what it says."""

    def run(*arguments: object) -> str:
        came = invoke(*arguments)
        assert came.exit_code != 0
        return f"{came.exception} {came.output}"

    return run


@pytest.fixture(scope="session")
def fileset(restricted: Callable[..., Path]) -> Path:
    """200 events: four jobs of 50, where at most 60 are asked for."""
    return restricted(dy=200)


@pytest.fixture
def submit(invoke: Callable[..., Any], fileset: Path, stubs: Stubs, tmp_path: Path) -> Callable[..., Path]:
    """Submit jobs of at most 60 events to a stub, and return their folder."""

    def submit(*options: object, name: str = "jobs") -> Path:
        command = ("condor", "submit", tmp_path / name, "--selection", "dy", "--fileset", fileset)
        came = invoke(*command, "--events-per-job", 60, *options)
        assert came.exit_code == 0, came.exception
        return tmp_path / name

    return submit


@pytest.fixture(scope="session")
def process() -> Callable[..., None]:
    """Do what jobs of a folder do: these, or all of them."""
    from condor.manifest import read_manifest
    from datamc.results import write_result
    from processors.run import run_selection

    def process(folder: Path, *jobs: int, seed: int = 5, tables: bool = False) -> None:
        manifest = read_manifest(folder)
        for number in jobs or range(len(manifest.jobs)):
            output = folder / f"{number:05d}" / "output"
            result = run_selection(
                selection="dy", fileset=manifest.fileset(number), seed=seed,
                submission=manifest.fingerprint,
                table=output / "dy_jets" if tables else None,
            )  # fmt: skip
            write_result(result, output / "dy.zip")

    return process
