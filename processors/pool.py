"""A pool of processes on this machine.

Each has a pipe of its own to this process, and nothing else is shared: no semaphores and no shared memory,
which not every machine has. So it is known which chunk a process that died was at, and a process ends as
soon as its parent does, however that ends.
"""

import atexit
import contextlib
import json
import logging
import multiprocessing
import pickle
import signal
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

import cloudpickle
from coffea.processor.executor import WorkItem

from storage.processes import interrupts_held_back

log = logging.getLogger(__name__)

MAX_DEATHS = 3
"""How often a chunk is run again after its worker died, before it is to blame; dask does the same."""

# The path of modules is that of this process: a worker starts with the folder it is in, whatever is there.
_CODE = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]); "
    "from processors.pool_worker import work; work(int(sys.argv[1]))"
)
_CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE)
"""Signals of code that went wrong, not of a machine without memory."""


class WorkerError(ValueError):
    """Worker processes that died again and again."""


class WorkerTraceback(Exception):  # noqa: N818 - it is raised by nobody
    """Where an error was raised, in a worker process; shown with the traceback of this one."""

    def __str__(self) -> str:
        """Return the traceback."""
        return f"\n{self.args[0]}"


@dataclass(frozen=True)
class Worker:
    """A process and the pipe to it."""

    process: subprocess.Popen[bytes]
    pipe: Connection

    def send(self, kind: str, content: bytes) -> None:
        """Send a message; one that is dead says so when it is asked for its answer."""
        with contextlib.suppress(OSError):
            self.pipe.send_bytes(pickle.dumps((kind, content)))

    def end(self) -> int:
        """End the process, whatever it does, and return its exit code: less than 0 for a signal."""
        self.pipe.close()
        self.process.kill()
        return self.process.wait()


_kept: list[Worker] = []
"""Idle ones: a fresh process costs seconds of imports, so they wait for the next run."""


@atexit.register
def end_idle_workers() -> None:
    """End the processes that wait for a next run."""
    while _kept:
        _kept.pop().end()


def _take_worker() -> Worker:
    """Return an idle process, or a new one if there is none."""
    while _kept:
        worker = _kept.pop()
        if worker.process.poll() is None:
            return worker
        worker.end()
    return _start_worker()


def _start_worker() -> Worker:
    here, there = multiprocessing.Pipe()
    with interrupts_held_back(), there:
        process = subprocess.Popen(
            [sys.executable, "-c", _CODE, str(there.fileno()), json.dumps(sys.path)],
            stdin=subprocess.DEVNULL,
            pass_fds=[there.fileno()],
        )
    return Worker(process, here)


@dataclass(frozen=True)
class Pool:
    """A pool of processes on this machine."""

    workers: int

    def run(
        self, items: Sequence[WorkItem], task: Callable[[WorkItem], Any]
    ) -> Iterator[tuple[WorkItem, Any]]:
        """Yield each item with what the task returns, as it comes; the item of a worker that died runs again.

        Raises:
            WorkerError: If too many workers died of one item.
        """
        crew = _Crew(items, cloudpickle.dumps(task), self.workers)
        try:
            while crew.hand_out():
                answers = crew.collect()
                # Nobody waits while the sum is made.
                crew.hand_out()
                yield from answers
        finally:
            crew.leave()


class _Crew:
    """The processes of one run, and what each of them is at."""

    def __init__(self, items: Sequence[WorkItem], task: bytes, size: int) -> None:
        self._waiting = deque(items)
        self._task = task
        self._size = min(size, len(items))
        self._idle: list[Worker] = []
        self._busy: dict[Connection, tuple[Worker, WorkItem]] = {}
        self._deaths: Counter[WorkItem] = Counter()

    def hand_out(self) -> bool:
        """Give every idle process an item; return whether any is at work."""
        self._fill_up()
        while self._waiting and self._idle:
            worker, item = self._idle.pop(), self._waiting.popleft()
            self._busy[worker.pipe] = (worker, item)
            worker.send("item", cloudpickle.dumps(item))
        return bool(self._busy)

    def _fill_up(self) -> None:
        missing = min(self._size - len(self._busy), len(self._waiting)) - len(self._idle)
        taken = [_take_worker() for _ in range(missing)]
        self._idle += taken
        for worker in taken:
            worker.send("task", self._task)

    def collect(self) -> list[tuple[WorkItem, Any]]:
        """Wait for answers and return them.

        Raises:
            WorkerError: If too many workers died of one item.
        """
        answers = []
        for pipe in wait(list(self._busy)):
            worker, item = self._busy[pipe]  # type: ignore[index]
            try:
                value, there = pickle.loads(worker.pipe.recv_bytes())
            except (EOFError, OSError):
                self._bury(worker, item)
                continue
            del self._busy[worker.pipe]
            self._idle.append(worker)
            if there is not None:
                raise value from WorkerTraceback(there)
            answers.append((item, value))
        return answers

    def _bury(self, worker: Worker, item: WorkItem) -> None:
        """Let an item whose worker died run again.

        Raises:
            WorkerError: If it is too often.
        """
        del self._busy[worker.pipe]
        code = worker.end()
        self._deaths[item] += 1
        log.warning(
            "%s: its worker died (%d of %d times)", place_of(item), self._deaths[item], MAX_DEATHS + 1
        )
        if self._deaths[item] > MAX_DEATHS:
            raise WorkerError(f"{place_of(item)}: {sentence_of_deaths(MAX_DEATHS + 1, code)}")
        self._waiting.appendleft(item)

    def leave(self) -> None:
        """Keep the idle processes for the next run; what the others do is not wanted any more."""
        for worker, _ in self._busy.values():
            worker.end()
        _kept.extend(self._idle)


def place_of(item: WorkItem) -> str:
    """Return the file and the events of a chunk, for a message."""
    return f"{item.filename}, events {item.entrystart} to {item.entrystop}"


def sentence_of_deaths(times: int, code: int | None = None) -> str:
    """Return why workers died and what to do.

    Args:
        times: How many of them.
        code: The exit code of the last one, less than 0 for a signal; None if it is unknown.
    """
    if code is not None and -code in _CRASHES:
        return (
            f"worker processes died {times} times, of {signal.Signals(-code).name}: a library crashed on "
            "it, is the file damaged?"
        )
    return (
        f"worker processes died {times} times, most likely for lack of memory: use fewer workers or smaller "
        "chunks (--workers, --chunksize)"
    )
