"""Many samples at once: split into parts of equal size, made in parallel processes, and made only once."""

from __future__ import annotations

import dataclasses
import logging
import multiprocessing
import os
import queue
import re
import signal
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from simulation.extras import require_extra
from simulation.randomness import derived_seed
from simulation.samples import SampleInfo, SampleRequest, events_for_luminosity, fileset_of
from simulation.simulate import (
    Progress,
    configuration_of,
    fingerprint,
    read_sample_info,
    simulate_sample,
    simulate_variations,
)
from storage.processes import (
    ProcessDiedError,
    end_with_parent,
    interrupts_held_back,
    require_semaphores,
)

__all__ = [
    "SampleInfo",
    "SampleRequest",
    "events_for_luminosity",
    "fileset_of",
    "read_sample_info",
    "simulate_sample",
    "simulate_samples",
]

logger = logging.getLogger(__name__)

PART_SIZE = 5000
"""Events of a file: many small parts keep all processes busy to the end."""

_LONGEST_NAME = 60
"""Of a scenario in the name of a file, in characters."""

_POLL_SECONDS = 0.1
_TERMINATED = 128 + signal.SIGTERM
"""The exit code of a working process that SIGTERM ended."""


def parts_of(request: SampleRequest) -> list[SampleRequest]:
    """Return a request as parts of at most `PART_SIZE` events, each with a seed of its own."""
    if request.n_events <= PART_SIZE:
        return [request]
    n_parts = -(-request.n_events // PART_SIZE)
    sizes = [request.n_events // n_parts + (part < request.n_events % n_parts) for part in range(n_parts)]
    return [
        dataclasses.replace(request, n_events=size, seed=derived_seed("part", request.seed, part))
        for part, size in enumerate(sizes)
    ]


def part_paths(request: SampleRequest, directory: Path) -> list[Path]:
    """Return the files of a part, one a scenario; a name holds a fingerprint of all its events depend on."""
    paths = []
    for scenario in request.scenarios:
        readable = re.sub(r"[^\w.+=-]", "_", scenario)[:_LONGEST_NAME]
        suffix = fingerprint(configuration_of(request, scenario))
        paths.append(directory / f"{request.process}_{readable}_{suffix}.root")
    return paths


def simulate_samples(
    requests: Iterable[SampleRequest],
    directory: Path,
    *,
    n_processes: int = 2,
    progress: Progress | None = None,
) -> list[SampleInfo]:
    """Simulate samples into a folder and return what is in its files, in the order of the requests.

    A large request gives several files, one with variations a file for each scenario beside one another. A
    file that is there already is not made again: its name says which
    configuration it was made with.

    Args:
        requests: What to simulate.
        directory: Where to.
        n_processes: How many processes work; they are started afresh, so a script needs the usual
            ``if __name__ == "__main__"``.
        progress: Called with the number of generated events and their total, over all samples.

    Raises:
        MissingExtraError: If PYTHIA or numba is not installed.
        ValueError: If two requests are the same, or there is no process to work.
        RuntimeError: If PYTHIA fails, or a process is ended from outside; the files that are complete stay.
        OSError: If processes cannot work side by side on this machine.
        KeyboardInterrupt: When the user interrupts, within about a second; the files that are complete stay,
            and no process goes on.
    """
    require_extra()
    if n_processes < 1:
        raise ValueError(f"n_processes is {n_processes}: at least one process has to work")
    parts = [part for request in requests for part in parts_of(request)]
    repeated = [part for part, times in Counter(parts).items() if times > 1]
    if repeated:
        raise ValueError(
            f"the same events are asked for twice ({min(map(str, repeated))}): give each its own seed"
        )
    paths = [part_paths(part, directory) for part in parts]
    missing = [
        (part, files)
        for part, files in zip(parts, paths, strict=True)
        if not all(path.exists() for path in files)
    ]
    counter = _Counter(sum(part.n_events for part in parts), progress)
    counter.add(sum(part.n_events for part in parts) - sum(part.n_events for part, _ in missing))
    # The longest first, so that no process is left alone with a large part at the end.
    missing.sort(key=lambda item: item[0].n_events, reverse=True)
    if n_processes == 1 or len(missing) < 2:
        for part, files in missing:
            counter.simulate(part, files)
    else:
        _simulate_in_parallel(missing, min(n_processes, len(missing)), counter)
    return [read_sample_info(path) for files in paths for path in files]


class _Counter:
    """Adds up what all samples report."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self.total = total
        self.done = 0
        self._progress = progress

    def add(self, n_events: int) -> None:
        self.done += n_events
        if self._progress is not None:
            self._progress(self.done, self.total)

    def simulate(self, part: SampleRequest, files: Sequence[Path]) -> None:
        before = self.done
        simulate_variations(part, files, progress=lambda done, _: self.add(before + done - self.done))


_events_done: Any = None
"""In a working process, the queue that its progress goes to."""


_stop: Any = None
"""In a working process, the event that says that it is to give up."""


_busy = False
"""In a working process, whether it has files open that are not whole."""


class _StoppedError(Exception):
    """Another process failed, or the user interrupted: what is unfinished is not wanted any more."""


def _start_worker(events_done: Any, stop: Any) -> None:
    global _events_done, _stop  # they reach the processes of a pool only as these start
    _events_done, _stop = events_done, stop
    # Ctrl-C reaches all processes of a terminal; the first one tells the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _terminate)
    end_with_parent()


def _terminate(*_: object) -> None:
    """End this process, after its unfinished files are removed if it has any."""
    if _busy:
        sys.exit(_TERMINATED)
    os._exit(_TERMINATED)


def _simulate_part(part: SampleRequest, files: Sequence[Path]) -> None:
    global _busy
    reported = 0

    def report(done: int, _: int) -> None:
        nonlocal reported
        if _stop.is_set():
            raise _StoppedError
        _events_done.put(done - reported)
        reported = done

    if _stop.is_set():
        raise _StoppedError
    _busy = True
    try:
        simulate_variations(part, files, progress=report)
    except SystemExit as end:
        os._exit(end.code if isinstance(end.code, int) else 1)  # a pool would take it for a result
    finally:
        _busy = False


def _compile_detector() -> None:
    from simulation.warmup import compile_detector

    compile_detector()


def _compile_reconstruction() -> None:
    from simulation.warmup import compile_reconstruction

    compile_reconstruction()


def _simulate_in_parallel(
    missing: Sequence[tuple[SampleRequest, Sequence[Path]]], n_processes: int, counter: _Counter
) -> None:
    require_semaphores("take one process, --jobs 1")
    context = multiprocessing.get_context("spawn")
    events_done, stop = context.Queue(), context.Event()
    with ProcessPoolExecutor(n_processes, context, _start_worker, (events_done, stop)) as pool:
        try:
            # Half of the kernels each: what one process compiles, the other finds on disk.
            with interrupts_held_back():
                compiled = [pool.submit(_compile_detector), pool.submit(_compile_reconstruction)]
            _await(compiled, events_done, counter)
            with interrupts_held_back():
                made = [pool.submit(_simulate_part, part, files) for part, files in missing]
            _await(made, events_done, counter)
        except BaseException:
            stop.set()  # the others give up after the batch that they work on
            raise


def _await(futures: list[Future[None]], events_done: Any, counter: _Counter) -> None:
    """Wait for all futures and pass progress on; on the first failure, cancel the others and raise it."""
    pending = set(futures)
    try:
        while pending:
            done, pending = wait(pending, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
            _drain(events_done, counter)
            for future in done:
                future.result()
    except BrokenProcessPool as error:
        raise ProcessDiedError(
            "a simulating process was ended from outside (out of memory?): start again, whole files are kept"
        ) from error
    except BaseException:
        for future in pending:
            future.cancel()
        raise
    _drain(events_done, counter)


def _drain(events_done: Any, counter: _Counter) -> None:
    while True:
        try:
            counter.add(events_done.get_nowait())
        except queue.Empty:
            return
