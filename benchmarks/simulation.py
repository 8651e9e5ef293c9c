"""How fast simulated events are made, in what memory, and what options cost: one table.

Run it by hand on an otherwise idle machine; figures of one run may be compared with one another::

    python -m benchmarks.simulation
    python -m benchmarks.simulation --events 5000 --processes dy,wc,ttsl,qcd,tw
"""

import argparse
import multiprocessing
import os
import platform
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from simulation import SampleRequest, simulate_samples, simulate_variations

EXPECTED = {"dy": 1900, "wc": 1000, "ttsl": 750, "qcd": 700}
"""Events per second and core of the prototype."""
VARIATION = "mc+resolution_scale=1.05+efficiency_scale=0.98"


def simulate(request: SampleRequest, folder: Path) -> tuple[float, float]:
    """Simulate in this process; return the CPU time in seconds and the peak of memory in MB."""
    paths = [folder / f"{number}.root" for number in range(len(request.scenarios))]
    begin = time.process_time()
    simulate_variations(request, paths)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return time.process_time() - begin, peak


def measured(request: SampleRequest, *, warm: bool = True) -> tuple[float, float]:
    """Simulate in a process of its own, after a few events that load and start everything."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as name, ProcessPoolExecutor(1, context) as pool:
        if warm:
            pool.submit(simulate, replace(request, n_events=20), Path(name)).result()
        return pool.submit(simulate, request, Path(name)).result()


def print_rates(processes: list[str], n_events: int, console: Console) -> None:
    """Print events per second of one process, and what a further detector and the shower weights cost."""
    console.print(
        f"{'':8}{'events/s':>10}{'prototype':>10}{'2nd detector':>14}{'shower weights':>16}{'peak MB':>9}"
    )
    for process in processes:
        request = SampleRequest(process, "mc", n_events)
        alone, peak = measured(request)
        twice, _ = measured(replace(request, variations=(VARIATION,)))
        showers, _ = measured(replace(request, shower_weights=True))
        console.print(
            f"{process:8}{n_events / alone:10.0f}{EXPECTED.get(process, '-'):>10}"
            f"{100 * (twice / alone - 1):+13.0f}%{100 * (showers / alone - 1):+15.0f}%{peak:9.0f}"
        )


def ratio_of_two_processes(n_events: int) -> float:
    """Return how much faster two processes are than one, by the clock, without their start."""
    seconds = []
    for n_processes in (1, 2):
        # Parts as long as the whole of one process each, and a first one that is not counted.
        requests = [SampleRequest("dy", "mc", n_events, seed=seed) for seed in range(1, n_processes + 1)]
        marks: list[tuple[float, int]] = []
        with tempfile.TemporaryDirectory() as name:
            simulate_samples(
                requests,
                Path(name),
                n_processes=n_processes,
                progress=lambda done, _, marks=marks: marks.append((time.perf_counter(), done)),
            )
        running = [mark for mark in marks if 0.1 * marks[-1][1] < mark[1] < 0.9 * marks[-1][1]]
        (begin, first), (end, last) = running[0], running[-1]
        seconds.append((end - begin) / (last - first))
    return seconds[0] / seconds[1]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--events", type=int, default=2000, help="of each measurement")
    parser.add_argument("--processes", default="dy,wc,wlight,ttsl,qcd,tw")
    options = parser.parse_args()
    console = Console(highlight=False)
    machine = platform.processor() or platform.machine()
    console.print(f"{machine}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start")
    print_rates(options.processes.split(","), options.events, console)
    console.print(f"two processes: {ratio_of_two_processes(3 * options.events):.2f} times one (dy)")
    for factor in (1, 4, 8):
        _, peak = measured(SampleRequest("dy", "mc", factor * options.events), warm=False)
        console.print(f"peak memory of {factor * options.events} events of dy: {peak:.0f} MB")


if __name__ == "__main__":
    main()
