"""Damaged results: of runs, of jobs with their tables of jets, and chunks kept for `--resume`.

All of them are covered by checksums: another result is never right.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.reliability.damage import Trial
from benchmarks.reliability.jobs import run_jobs, site_without_pool
from benchmarks.reliability.made_files import damaged_inside, made_events, write
from benchmarks.reliability.mutants import BYTES
from benchmarks.reliability.trials import call
from benchmarks.reliability.world import World


def result_trials(world: World, folder: Path) -> Sequence[Trial]:
    """Return trials of each file that a run or a job leaves for others to read."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in ("results", "evaluation"):
        shutil.copytree(world.folder / name, folder / name)
    results = [folder / "results" / f"{name}.zip" for name in ("dy", "wc", "ttsemilep")]
    readers: dict[str, Sequence[object]] = {
        "divergence": ["divergence", "results", "--replicas", 2, "--out", "out/divergence.csv"],
        "fit": ["fit", "results", "--coarse", "--out", "out"],
        "report": ["report", "results", "--coarse", "--out", "out/report.html"],
    }
    return [
        *(
            Trial(f"results, {name}", folder, results, arguments, folder / "out", BYTES)
            for name, arguments in readers.items()
        ),
        *_job_trials(world, folder / "jobs_of"),
        _chunk_trial(folder / "resumed"),
    ]


def _job_trials(world: World, folder: Path) -> list[Trial]:
    """Return trials of the outputs of jobs: zips and tables, merged with what is missing declared lost."""
    folder.mkdir()
    jobs = folder / "jobs"
    site = site_without_pool(folder / "site")
    arguments: list[object] = [
        "condor", "submit", jobs, "--site", site, "--selection", "dy",
        "--fileset", world.folder / "samples" / "fileset.json", "--taggers", world.folder / "runs" / "basic",
        "--epochs", 2, "--columns", "--files-per-job", 1,
    ]  # fmt: skip
    submitted = call(arguments, folder)
    if submitted.code != 0:
        raise RuntimeError(submitted.stderr[-1000:])
    run_jobs(jobs, "dy")
    merge: list[object] = ["condor", "merge", jobs, "--out", "merged"]
    names = tuple(path.name for path in jobs.glob("0*"))
    trials = []
    for kind, pattern in (("zips", "0*/output/*.zip"), ("tables of jets", "0*/output/**/*.parquet")):
        files = sorted(jobs.glob(pattern))
        if not files:
            raise RuntimeError(f"{jobs}: no {kind}")
        trials.append(
            Trial(f"{kind} of jobs, merge", folder, files, merge, folder / "merged", BYTES, names=names)
        )
    trials.append(
        Trial("manifest of jobs, merge", folder, [jobs / "manifest.json"], merge, folder / "merged", BYTES)
    )
    return trials


def _chunk_trial(folder: Path) -> Trial:
    """Return a trial of kept chunks: a run that broke at its second file goes on with a whole one."""
    folder.mkdir()
    good, late = folder / "a_good.root", folder / "b_late.root"
    for number, path in enumerate((good, late)):
        write(
            path, made_events(120, first=5000 * (number + 1), is_data=False, weights=np.ones(120)), cluster=30
        )
    metadata = {"is_data": False, "simulated": True, "process": "dy", "cross_section_pb": 1.0}
    files = {path.name: "Events" for path in (good, late)}
    (folder / "fileset.json").write_text(json.dumps({"dy": {"files": files, "metadata": metadata}}))
    whole = late.read_bytes()
    process: list[object] = [
        "process", "--selection", "dy", "--fileset", "fileset.json", "--executor", "iterative",
        "--retries", 0, "--chunksize", 30, "--columns", "--resume", "--out", "results",
    ]  # fmt: skip
    damaged_inside(late)
    call(process, folder)
    late.write_bytes(whole)
    kept = sorted((folder / "results" / "chunks").rglob("*.zip"))
    kept += sorted((folder / "results" / "chunks").rglob("*.parquet"))
    if not kept:
        raise RuntimeError(f"{folder}: no chunk was kept")
    shutil.copytree(folder / "results", folder / "kept")
    damaged = [folder / "kept" / path.relative_to(folder / "results") for path in kept]
    return Trial(
        "kept chunks, process --resume", folder, damaged, process, folder / "results", BYTES,
        before=_copied(folder / "kept", folder / "results"),
    )  # fmt: skip


def _copied(source: Path, target: Path) -> Callable[[], None]:
    def copy() -> None:
        shutil.copytree(source, target)

    return copy
