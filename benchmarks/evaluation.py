"""How fast areas are measured, how exact the streamed one is, and the memory of a preparation.

python -m benchmarks.evaluation. The fastest time of several rounds counts, in seconds of the processor, in
one thread. Read the ratios: jets per second are those of this machine.
"""

import argparse
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import awkward as ak
import numpy as np
import uproot
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.metrics import roc_auc_score

from models.features import BRANCHES, FEATURES
from training.config import PrepareConfig
from training.metrics import auc
from training.prepare import prepare
from training.ranking import SCORE_BINS, area, classes_of, count_by_flavour

ROUNDS = 5
SPREADS = {"usual": 2.0, "saturated": 60.0}
"""Widths of the log-odds: of a usual tagger, and of one whose probabilities are mostly 0 and 1 in float32."""


def made_up_odds(n_jets: int, spread: float) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return log-odds of BvsL and labels of jets, a third of them b."""
    rng = np.random.default_rng(1)
    labels = rng.choice([0, 3, 3], n_jets)
    return (spread * rng.normal(np.where(labels == 0, 1.2, 0.0))).astype(np.float32), labels


def streamed(odds: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Return the area from counts, with its error, block by block as an evaluation does."""
    counts = np.zeros((4, SCORE_BINS.number), dtype=np.uint32)
    for start in range(0, len(odds), 20_000):
        part = slice(start, start + 20_000)
        found = count_by_flavour(SCORE_BINS.of(odds[part]), labels[part], n_bins=SCORE_BINS.number)
        counts += found.astype(np.uint32)
    return area(*classes_of("BvsL", counts)).auc


def exact(odds: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Return the area by sorting."""
    return auc(odds[labels == 0], odds[labels == 3])


def scikit_learn(odds: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Return scikit-learn's area."""
    return float(roc_auc_score(labels == 0, odds))


def fastest(run: Callable[[], object]) -> float:
    """Return the seconds of the processor of the fastest of several rounds."""
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return min(times)


def area_table(n_jets: int) -> Table:
    """Return speed and deviation of each way to an area."""
    table = Table(
        "scores", "way", "M jets/s", "times scikit-learn", "deviation", title=f"Areas, {n_jets:,} jets"
    )
    for name, spread in SPREADS.items():
        odds, labels = made_up_odds(n_jets, spread)
        expected = scikit_learn(odds, labels)
        base = fastest(lambda odds=odds, labels=labels: scikit_learn(odds, labels))
        for way in (scikit_learn, exact, streamed):
            seconds = fastest(lambda way=way, odds=odds, labels=labels: way(odds, labels))
            deviation = abs(way(odds, labels) - expected)
            speed = f"{n_jets / seconds / 1e6:.1f}"
            table.add_row(name, way.__name__, speed, f"{base / seconds:.1f}", f"{deviation:.1e}")
    return table


def write_file(path: Path, n_events: int) -> None:
    """Write random jets, three an event, as a PFNano file in baskets of 5000 events."""
    rng = np.random.default_rng(2)
    with uproot.recreate(path) as file:
        for start in range(0, n_events, 5000):
            n = min(5000, n_events - start)
            jets = {
                branch.removeprefix("Jet_"): (
                    rng.integers(0, 9, 3 * n).astype(np.float32) if feature.integer
                    else rng.normal(size=3 * n).astype(np.float32)
                )
                for branch, feature in zip(BRANCHES, FEATURES, strict=True)
            }  # fmt: skip
            jets |= {"pt": rng.uniform(20, 200, 3 * n).astype(np.float32)}
            jets |= {"DeepCSV_trackSumJetDeltaR": rng.uniform(0, 0.3, 3 * n).astype(np.float32)}
            jets |= {"hadronFlavour": rng.choice([0, 4, 5], 3 * n).astype(np.int32)}
            jets |= {"nBHadrons": rng.integers(0, 3, 3 * n).astype(np.int32)}
            events = {
                "run": np.ones(n, np.uint32),
                "luminosityBlock": np.ones(n, np.uint32),
                "event": np.arange(start, start + n, dtype=np.uint64),
                "Jet": ak.zip({name: ak.unflatten(values, np.full(n, 3)) for name, values in jets.items()}),
            }
            if start == 0:
                file.mktree("Events", {name: ak.type(value).content if name == "Jet" else value.dtype
                                       for name, value in events.items()})  # fmt: skip
            file["Events"].extend(events)


def prepare_table(n_events: int) -> Table:
    """Return the largest memory of preparing so many events, and twice and four times as many."""
    table = Table(
        "events", "jets", "peak memory, MB", "seconds", title="advtag prepare, shards of 20,000 jets"
    )
    with tempfile.TemporaryDirectory() as name:
        for factor in (1, 2, 4):
            path = Path(name) / f"{factor}.root"
            write_file(path, factor * n_events)
            command = [sys.executable, "-m", "benchmarks.evaluation", "--prepare", str(path)]
            peak, seconds = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
            table.add_row(f"{factor * n_events:,}", f"{3 * factor * n_events:,}", peak, seconds)
    return table


def prepare_alone(path: Path) -> None:
    """Prepare one file in this process and print its largest memory in MB and its seconds."""
    start = time.process_time()
    prepare(
        PrepareConfig(inputs=(str(path),), output=path.with_suffix(""), shard_jets=20_000, chunk_events=5000)
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(f"{peak:.0f} {time.process_time() - start:.1f}\n")


def main() -> None:
    """Print the tables, or prepare one file for the second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jets", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, default=20_000, help="of the smallest file that is prepared")
    parser.add_argument("--prepare", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.prepare:
        prepare_alone(options.prepare)
        return
    console = Console()
    console.print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}")
    console.print(area_table(options.jets))
    console.print(prepare_table(options.events))


if __name__ == "__main__":
    main()
