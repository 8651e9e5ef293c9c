"""Every command that writes, on the small production: arguments, and what it needs before."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.reliability.jobs import batch_system, run_jobs, site_without_pool
from benchmarks.reliability.trials import call
from benchmarks.reliability.world import PREPARE, TRAIN, VARIANTS, World, make_world, study_card

FILESET = ("--fileset", "samples/fileset.json")


def _nothing(_folder: Path) -> None:
    """Prepare nothing."""


class Command(NamedTuple):
    """One command; it runs in the folder of a production and writes below `out` there.

    Attributes:
        arguments: Of the first call.
        again: Of the call that goes on after an interruption; the same if None.
        before: Puts into the folder what the command changes in place.
        refuses_again: Whether it refuses, once all of its output is there, to write it again.
    """

    arguments: Sequence[object]
    again: Sequence[object] | None = None
    before: Callable[[Path], None] = _nothing
    refuses_again: bool = False

    @property
    def rerun(self) -> Sequence[object]:
        """The arguments after an interruption."""
        return self.arguments if self.again is None else self.again


def _process(executor: str, *more: object) -> Command:
    return Command([
        "process", "--selection", "dy", *FILESET, "--taggers", "runs/basic", *VARIANTS, "--chunksize", 100,
        "--executor", executor, "--columns", *more, "--out", "out/results",
    ])  # fmt: skip


def _copy_of_run(folder: Path) -> None:
    shutil.copytree(folder / "runs" / "basic", folder / "out" / "run")


COMMANDS: Mapping[str, Command] = {
    "simulate": Command(
        ["simulate", "dy", "--events", 150, "--out", "out/dy.root", "--fileset", "out/fileset.json"]
    ),
    "prepare": Command(["prepare", "prepare_out.yaml"]),
    "train": Command(["train", "train_out.yaml"], ["train", "train_out.yaml", "--resume"]),
    "export": Command(["export", "out/run"], before=_copy_of_run),
    "evaluate": Command(
        ["evaluate", "runs/basic", "runs/adversarial", "--data", "jets", *VARIANTS, "--out", "out/evaluation"]
    ),
    "collect": Command(
        ["collect", "--selection", "dy", *FILESET, "--executor", "iterative", "--out", "out/unlabelled"]
    ),
    "skim": Command(["skim", "--selection", "dy", *FILESET, "--out", "out/skimmed"]),
    "process iterative": _process("iterative"),
    "process iterative --resume": _process("iterative", "--resume"),
    "process futures": _process("futures"),
    "process futures --resume": _process("futures", "--resume"),
    "process dask": _process("dask"),
    "process dask --resume": _process("dask", "--resume"),
    "fit": Command(["fit", "results", "--coarse", "--out", "out/factors"]),
    "divergence": Command(["divergence", "results", "--replicas", 20, "--out", "out/divergence.csv"]),
    "plot": Command(["plot", "results", "--coarse", "--out", "out/figures"]),
    "report": Command(["report", "results", "--coarse", "--out", "out/report.html"]),
    "condor submit": Command(
        [
            "condor", "submit", "out/jobs", "--site", "pool/site.yaml", "--selection", "dy", *FILESET,
            "--taggers", "runs/basic",
        ],
        refuses_again=True,
    ),
    "condor merge": Command(["condor", "merge", "jobs", "--out", "out/merged"]),
    "study": Command(["study", "study.yaml", "--out", "out/study", "--jobs", 1]),
    "demo": Command(["demo", "--scale", 0.02, "--out", "out/demo", "--jobs", 1]),
}  # fmt: skip


def make_place(folder: Path, production: Path) -> World:
    """Return a copy of the production in which the commands can run, with jobs that have ended."""
    made = make_world(production)
    if not (folder / "ready").is_file():
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(made.folder, folder)
        place = World(folder)
        place.card("prepare_out.yaml", PREPARE | {"output": "out/jets"})
        card = {"name": "basic", "attack": "raw", "output": "out/run", "epochs": 4}
        place.card("train_out.yaml", TRAIN | card)
        place.card("study.yaml", study_card())
        with batch_system(folder / "quick") as site:
            jobs: list[object] = ["condor", "submit", "jobs", "--site", site, "--selection", "dy", *FILESET]
            ended = call([*jobs, "--files-per-job", 1, "--columns", "--taggers", "runs/basic"], folder)
            if ended.code != 0 or any(run_jobs(folder / "jobs", "dy").values()):
                raise RuntimeError(f"jobs did not end well: {ended.stderr}")
        shutil.rmtree(folder / "quick")
        (folder / "ready").touch()
    site_without_pool(folder / "pool")
    return World(folder)
