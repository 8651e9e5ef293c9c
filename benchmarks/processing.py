"""Speed and memory of the processing, as ratios measured in one run; CPU seconds of one process.

It makes its own input of the simulated events in the package, which stand for files of any size::

    python -m benchmarks.processing --events 200000
    python -m benchmarks.processing --memory        # memory against the number of chunks, some minutes

In the file `dense` every event is a simulated Z to two muons, so that a third of the events holds a
jet under study; `sparse` has few such events among multijet ones, as in files of collision data and of most
simulation. `sparse` comes once more in LZMA, in which PFNano is published.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import uproot
from rich.console import Console
from rich.table import Table

from benchmarks.event_file import write_many
from benchmarks.made_tagger import made_tagger, scaler_of
from datamc.results import Result
from models.features import BRANCHES
from models.perturbations import Variant, parse_variants
from models.tagger import Tagger
from processors.opening import TRUTH_BRANCHES
from processors.planning import tagger_branches
from processors.run import run_selection
from selections.branches import branches_of
from selections.parameters import parameters_of
from simulation.fixture import fixture_files

CHUNKSIZE = 100_000
N_EPOCHS = 14
N_FOR_MEMORY = 2
"""Checkpoints in the runs of up to 1000 chunks; 14 in those of large chunks."""
VARIANTS = "raw,noise:0.1,fgsm:0.1"
SPARSE = 0.15
"""Share of simulated Z events in the file `sparse`."""


class Row(NamedTuple):
    """One measured number."""

    what: str
    value: str
    aim: str


def uproot_seconds(path: Path, selection: str) -> float:
    """Return how long uproot takes to read the columns of a selection with a tagger, and nothing else."""
    names = tagger_branches(branches_of(parameters_of(selection))).names() | set(TRUTH_BRANCHES)
    start = time.process_time()
    with uproot.open(path) as file:
        tree = file["Events"]
        wanted = [name for name in tree.keys() if name in names]  # noqa: SIM118
        for _ in tree.iterate(wanted, step_size=CHUNKSIZE):
            pass
    return time.process_time() - start


def process_seconds(
    path: Path, selection: str, taggers: Sequence[Tagger], variants: Sequence[Variant]
) -> tuple[float, Result]:
    """Return how long a selection takes, and its result."""
    start = time.process_time()
    result = run_selection(
        selection=selection,
        fileset={"mc": [str(path)]},
        taggers=taggers,
        variants=variants,
        chunksize=CHUNKSIZE,
    )
    return time.process_time() - start, result


def speed_rows(name: str, path: Path, tagger: Tagger, *, repeat: int) -> list[Row]:
    """Return the rate of one pass with one checkpoint against that of reading alone, the best of several."""
    raw = parse_variants("raw")
    process_seconds(path, "dy", [tagger], raw)
    limit, selecting, tagging = (
        min(measure() for _ in range(repeat))
        for measure in (
            lambda: uproot_seconds(path, "dy"),
            lambda: process_seconds(path, "dy", [], raw)[0],
            lambda: process_seconds(path, "dy", [tagger], raw)[0],
        )
    )
    rows = process_seconds(path, "dy", [tagger], raw)[1].cutflows["mc"]
    n_events = rows[0].n_events
    return [
        Row(f"{name}: events with a jet under study", f"{100 * rows[-1].n_events / n_events:.1f} %", ""),
        Row(f"{name}: uproot alone (the limit)", f"{n_events / limit / 1e3:.0f}k events/s", ""),
        Row(f"{name}: selection alone", f"{n_events / selecting / 1e3:.0f}k events/s", ""),
        Row(f"{name}: selection, 1 checkpoint, raw", f"{n_events / tagging / 1e3:.0f}k events/s", ""),
        Row(f"{name}: the same over the limit", f"{limit / tagging:.2f}", ">= 0.6 (0.8)"),
    ]


def one_pass_rows(name: str, path: Path, selection: str, taggers: Sequence[Tagger], aim: str) -> list[Row]:
    """Return how many times faster one pass is than one for each checkpoint and variant."""
    variants = parse_variants(VARIANTS)
    process_seconds(path, selection, taggers[:1], variants)
    together, result = process_seconds(path, selection, taggers, variants)
    apart = sum(
        process_seconds(path, selection, [tagger], [variant])[0] for tagger in taggers for variant in variants
    )
    n_scores = len(taggers) * len(variants)
    n_jets = result.histograms["defaults"].sum().value / len(BRANCHES)
    return [
        Row(f"{name}: {n_scores} predictions in one pass", f"{n_jets / together / 1e3:.1f}k jets/s", ""),
        Row(f"{name}: one pass against {n_scores}", f"{apart / together:.1f} times", aim),
    ]


def memory_rows(folder: Path) -> list[Row]:
    """Return the peak of memory for few and for many chunks, each in a process of its own."""
    many = write_many({fixture_files()["dy"]: 1.0}, folder / "chunks.root", n_events=100_000, cluster=100)
    rows = []
    for n_chunks in (10, 100, 1000):
        peak = _peak_mb(many, n_chunks * 100, chunksize=100)
        rows.append(Row(f"peak memory, {n_chunks} chunks of 100 events", f"{peak:.0f} MB", "flat"))
    large = write_many({fixture_files()["dy"]: 1.0}, folder / "large.root", n_events=400_000)
    for n_chunks in (1, 4):
        peak = _peak_mb(large, n_chunks * CHUNKSIZE, chunksize=CHUNKSIZE)
        rows.append(Row(f"peak memory, {n_chunks} chunks of 100k events", f"{peak:.0f} MB", "<= 1500 MB"))
    return rows


def _peak_mb(path: Path, n_events: int, *, chunksize: int) -> float:
    command = [sys.executable, "-m", "benchmarks.processing", "--one-peak", str(path), str(n_events)]
    finished = subprocess.run(
        [*command, str(chunksize)], capture_output=True, text=True, check=True, env=os.environ
    )
    return float(finished.stdout)


def _print_peak(path: str, n_events: str, chunksize: str) -> None:
    """Process a part of a file with some checkpoints and all variants, and print the peak in MiB."""
    n_epochs = N_EPOCHS if int(chunksize) == CHUNKSIZE else N_FOR_MEMORY
    scaler = scaler_of(fixture_files()["dy"])
    dataset = {"files": {path: {"tree": "Events", "entries": [0, int(n_events)]}}}
    result = run_selection(
        selection="dy",
        fileset={"mc": dataset},
        taggers=[made_tagger("made", epoch, scaler) for epoch in range(1, n_epochs + 1)],
        variants=parse_variants(VARIANTS),
        chunksize=int(chunksize),
    )
    sys.stdout.write(f"{result.usage['peak_memory_mb']}\n")


def _machine() -> str:
    cpu = Path("/proc/cpuinfo")
    names = [line for line in cpu.read_text().splitlines() if "model name" in line] if cpu.is_file() else []
    name = names[0].partition(":")[2].strip() if names else platform.processor()
    return f"{name}, {os.cpu_count()} cores, Python {platform.python_version()}, uproot {uproot.__version__}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--events", type=int, default=200_000, help="events per file")
    parser.add_argument("--repeat", type=int, default=3, help="each rate is the best of so many")
    parser.add_argument("--folder", type=Path, help="where the files go; a temporary folder by default")
    parser.add_argument("--memory", action="store_true", help="memory instead of speed")
    parser.add_argument("--one-peak", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one_peak:
        _print_peak(*options.one_peak)
        return
    with tempfile.TemporaryDirectory(prefix="advtag_benchmark_") as temporary:
        folder = options.folder or Path(temporary)
        rows = memory_rows(folder) if options.memory else _speed(folder, options.events, options.repeat)
    table = Table(title=f"{_machine()}; one process, CPU time", title_justify="left")
    for column in Row._fields:
        table.add_column(column)
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def _speed(folder: Path, n_events: int, repeat: int) -> list[Row]:
    files = fixture_files()
    scaler = scaler_of(files["dy"])
    taggers = [made_tagger("made", epoch, scaler) for epoch in range(1, N_EPOCHS + 1)]
    mixed = {files["dy"]: SPARSE, files["qcd"]: 1 - SPARSE}
    dense = write_many({files["dy"]: 1.0}, folder / "dense.root", n_events=n_events)
    sparse = write_many(mixed, folder / "sparse.root", n_events=n_events)
    # One cluster of LZMA takes seconds to write, so there are fewer of these events.
    lzma = write_many(mixed, folder / "lzma.root", n_events=n_events // 4, compression=uproot.LZMA(4))
    return [
        *speed_rows("dense", dense, taggers[0], repeat=repeat),
        *speed_rows("sparse", sparse, taggers[0], repeat=repeat),
        *one_pass_rows("sparse, probe jets", sparse, "dy", taggers, ">= 20 times"),
        *one_pass_rows("lzma, probe jets", lzma, "dy", taggers, ">= 20 times"),
        *one_pass_rows("lzma, all jets", lzma, "inclusive", taggers, ">= 8 times"),
    ]


if __name__ == "__main__":
    main()
