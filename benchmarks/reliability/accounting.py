"""Nothing is lost, nothing counted twice: random filesets against an independent count.

A fileset is processed by `advtag process` with one of its executors, or by jobs whose scripts are executed
here and merged. Its result must hold the events, weights and entries of histograms that uproot alone finds,
or there is none, and the error names a file that gives reason for it.
"""

import json
import math
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import hist
import numpy as np
import uhi.io.zip

from benchmarks.reliability.filesets import Configuration, Listed, Pool, make_pool, random_configuration
from benchmarks.reliability.jobs import process_in_jobs
from benchmarks.reliability.outcomes import Outcome, complaint
from benchmarks.reliability.trials import Ended, Limits, call

WITH_LOSSES = 3
"""Exit code of a run that declares losses."""

MODES = ("iterative", "futures", "dask", "jobs")


class Account(NamedTuple):
    """What a dataset amounts to, before any cut, and in the histogram of the jet under study."""

    n_events: int
    weights: float
    weights_squared: float
    filled: float
    filled_squared: float


Process = Callable[[Configuration, Path], tuple[Ended, Path]]
"""Processes a configuration in a folder; returns how that ended and where the result would be."""


def own_account(files: Sequence[Listed]) -> Account:
    """Return what the files of a dataset hold, without those that cannot be read."""
    weights = np.concatenate([[0.0], *(_taken(file, file.origin.weights) for file in files if _whole(file))])
    passes = np.concatenate([[False], *(_taken(file, file.origin.passes) for file in files if _whole(file))])
    return Account(
        sum(len(file.range) for file in files if _whole(file)),
        float(weights.sum()), float((weights**2).sum()),
        float(weights[passes].sum()), float((weights[passes] ** 2).sum()),
    )  # fmt: skip


def _whole(file: Listed) -> bool:
    return file.origin is not None and not file.fault


def _taken(file: Listed, values: np.ndarray) -> np.ndarray:
    return values[file.range.start : file.range.stop]


def read_accounts(path: Path) -> tuple[dict[str, Account], list[dict[str, Any]]]:
    """Return what a result says of its datasets, and its ledger, read without advtag."""
    with zipfile.ZipFile(path) as file:
        document = json.loads(file.read("result.json"))
        names = document["histograms"]
        histogram = hist.Hist(uhi.io.zip.read(file, "jet_pt")) if "jet_pt" in names else None
    filled = {} if histogram is None else _sums_by_dataset(histogram)
    accounts = {
        name: Account(
            record["n_events"], record["sum_weights"], record["sum_weights2"], *filled.get(name, (0.0, 0.0))
        )
        for name, record in document["datasets"].items()
    }
    return accounts, document["ledger"]


def _sums_by_dataset(histogram: Any) -> dict[str, tuple[float, float]]:
    sums = {}
    for name in histogram.axes["dataset"]:
        content = histogram[{"dataset": name}]
        sums[name] = float(content.values(flow=True).sum()), float(content.variances(flow=True).sum())
    return sums


def judge(configuration: Configuration, ended: Ended, result: Path) -> tuple[str, list[str]]:
    """Return what happened and what is wrong with it."""
    wrong = complaint(ended)
    if wrong is not None:
        return wrong, [ended.last_line]
    if ended.code not in (0, WITH_LOSSES):
        if result.exists():
            return "refused", [f"refused, but {result} is there"]
        return _judge_refusal(configuration, " ".join(ended.stderr.split()))
    if configuration.twins is not None:
        return "processed", [f"counted twice: {_names(configuration.twins)}"]
    if configuration.faults and not configuration.skip_bad_files:
        return "processed", [f"processed in spite of {_names(configuration.faults)}"]
    accounts, ledger = read_accounts(result)
    problems = _judge_exit(configuration, ended.code)
    for name in dict.fromkeys(file.dataset for file in configuration.files):
        mine = [file for file in configuration.files if file.dataset == name]
        entries = [entry for entry in ledger if entry["dataset"] == name]
        problems += [f"{name}: {problem}" for problem in _judge_dataset(mine, accounts.get(name), entries)]
    return ("processed with losses" if configuration.faults else "processed"), problems


def _judge_refusal(configuration: Configuration, said: str) -> tuple[str, list[str]]:
    twins = configuration.twins
    if twins is not None and any(file.path.name in said for file in twins):
        return "refused: the same events twice", []
    if any(file.path.name in said for file in configuration.listed_twice):
        return "refused: a file listed twice", []
    faults = configuration.faults
    if not configuration.skip_bad_files and any(file.path.name in said for file in faults):
        return "refused: a file that cannot be read", []
    if configuration.skip_bad_files and not any(_whole(file) for file in configuration.files):
        return "refused: nothing to process", []
    cancelling = [name for name, account in _own_accounts(configuration).items() if account.weights <= 0]
    if any(name in said for name in cancelling) and "weight" in said:
        return "refused: weights that cancel", []
    return "refused", [said[-300:]]


def _own_accounts(configuration: Configuration) -> dict[str, Account]:
    names = dict.fromkeys(file.dataset for file in configuration.files)
    return {name: own_account([f for f in configuration.files if f.dataset == name]) for name in names}


def _judge_exit(configuration: Configuration, code: int) -> list[str]:
    expected = WITH_LOSSES if configuration.faults else 0
    return [] if code == expected else [f"exit code {code}, not {expected}"]


def _judge_dataset(files: Sequence[Listed], found: Account | None, ledger: list[dict[str, Any]]) -> list[str]:
    """Return where a dataset differs from the independent count.

    How much is read of a file that is damaged inside depends on the chunks: its ledger must say so many
    events as are in the sums; each of them weighs 1.
    """
    own = own_account(files)
    problems, damaged = _judge_ledger(files, ledger)
    if found is None:
        lost_all = own.n_events == 0 and damaged == 0
        return problems if lost_all else [*problems, f"not in the result, {own.n_events} events are its own"]
    expected = own._replace(
        n_events=own.n_events + damaged,
        weights=own.weights + damaged,
        weights_squared=own.weights_squared + damaged,
    )
    compared = Account._fields if not damaged else Account._fields[:3]
    for field in compared:
        mine, other = getattr(expected, field), getattr(found, field)
        if not math.isclose(mine, other, rel_tol=1e-9, abs_tol=1e-9):
            problems.append(f"{field} {other}, counted {mine}")
    return problems


def _judge_ledger(files: Sequence[Listed], ledger: list[dict[str, Any]]) -> tuple[list[str], int]:
    """Return what is wrong with the ledger, and how many events of damaged files it says are processed."""
    problems, damaged = [], 0
    for file in files:
        entries = [entry for entry in ledger if entry["file"] in _paths(file)]
        expected = sum(entry["n_expected"] for entry in entries)
        processed = sum(entry["n_processed"] for entry in entries)
        said = f"{file.path.name}: {processed} of {expected} events in the ledger"
        if not entries:
            problems.append(f"{file.path.name}: not in the ledger")
        elif file.fault == "damaged_inside" and file.origin is not None:
            lost = [entry for entry in entries if entry["status"] != "processed" and entry["reason"]]
            damaged += processed
            if expected not in (0, file.origin.n_events) or processed > file.origin.n_events or not lost:
                problems.append(said)
        elif file.fault:
            if processed or not all(entry["status"] == "skipped" and entry["reason"] for entry in entries):
                problems.append(said)
        elif (expected, processed) != (len(file.range), len(file.range)):
            problems.append(f"{said}, counted {len(file.range)}")
    if any(not any(entry["file"] in _paths(file) for file in files) for entry in ledger):
        problems.append("files in the ledger that nobody listed")
    return problems, damaged


def _paths(file: Listed) -> set[str]:
    """Return the names a ledger may give a file: a link's own and that of what it leads to."""
    return {str(file.path), os.path.realpath(file.path)}


def _names(files: Sequence[Listed]) -> str:
    return ", ".join(f"{file.path.name}{list(file.entries) if file.entries else ''}" for file in files)


def process_by(executor: str, *, address: str | None = None) -> Process:
    """Return what processes a configuration with an executor."""

    def process(configuration: Configuration, folder: Path) -> tuple[Ended, Path]:
        out = folder / "results"
        arguments: list[object] = [
            "process", "--selection", "dy", "--fileset", configuration.fileset, "--out", out,
            "--executor", executor, "--workers", 1, "--retries", 0, "--chunksize", configuration.chunksize,
            *(["--skip-bad-files"] if configuration.skip_bad_files else []),
            *(["--dask-address", address] if address else []),
        ]  # fmt: skip
        return call(arguments, folder, Limits(seconds=120)), out / "dy.zip"

    return process


@contextmanager
def dask_cluster() -> Iterator[str]:
    """Yield the address of a dask cluster in processes of its own."""
    script = (
        "import logging, sys\n"
        "from distributed import LocalCluster\n"
        "if __name__ == '__main__':\n"
        "    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address='127.0.0.1:0',\n"
        "                      silence_logs=logging.ERROR) as cluster:\n"
        "        print(cluster.scheduler_address, flush=True)\n"
        "        sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as cluster:
        yield cluster.stdout.readline().strip()
        cluster.stdin.close()


def run(n_cases: int, seed: int, out: Path, only: Sequence[str] | None = None) -> Iterator[Outcome]:
    """Yield what came of so many random configurations, shared by the modes."""
    modes = only or MODES
    pool = make_pool(out / "pool")
    for position, mode in enumerate(modes):
        share = range(position, n_cases, len(modes))
        if mode == "dask":
            with dask_cluster() as address:
                yield from (_one(n, seed, out, pool, mode, process_by(mode, address=address)) for n in share)
        else:
            process = process_in_jobs if mode == "jobs" else process_by(mode)
            yield from (_one(number, seed, out, pool, mode, process) for number in share)


def _one(number: int, seed: int, out: Path, pool: Pool, mode: str, process: Process) -> Outcome:
    folder = out / "case"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    configuration = random_configuration(Random(f"{seed}/{number}"), pool, folder)
    ended, result = process(configuration, folder)
    what, problems = judge(configuration, ended, result)
    if problems:
        kept = out / f"wrong_{mode}_{seed}_{number}"
        shutil.rmtree(kept, ignore_errors=True)
        folder.rename(kept)
        (kept / "stderr").write_text(ended.stderr)
    return Outcome(mode, str(number), what, not problems, "; ".join(problems[:3]))
