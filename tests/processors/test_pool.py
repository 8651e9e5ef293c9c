"""Processes that share nothing but a pipe each: who does what is known, and none outlives its parent."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from coffea.processor.executor import WorkItem

from processors.pool import Pool, WorkerError, end_idle_workers

ITEMS = [WorkItem("dy", f"f{number}.root", "Events", 0, 10, b"") for number in range(4)]

PARENT = """
import os, signal, sys
from coffea.processor.executor import WorkItem
from processors.pool import Pool

item = WorkItem("dy", sys.argv[1], "Events", 0, 10, b"")

def task(item):
    descriptor = os.open(item.filename, os.O_WRONLY)
    os.write(descriptor, b"here")
    {then}

for _ in Pool(1).run([item], task):
    signal.pause()
"""


def processes_of(items: list[WorkItem], **options: Any) -> list[int]:
    return [pid for _, pid in Pool(**options).run(items, lambda _: os.getpid())]


def test_a_process_takes_one_chunk_after_the_other_and_waits_for_the_next_run() -> None:
    end_idle_workers()
    first = processes_of(ITEMS, workers=2)
    assert len(first) == len(ITEMS)
    assert 1 <= len(set(first)) <= 2
    assert os.getpid() not in first
    assert set(processes_of(ITEMS, workers=2)) <= set(first)


def test_what_a_run_leaves_is_ended_in_the_end() -> None:
    (pid,) = set(processes_of(ITEMS, workers=1))
    end_idle_workers()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_an_error_ends_what_the_others_do() -> None:
    """The second process would wait for ever."""

    def task(item: WorkItem) -> None:
        if item.filename != ITEMS[0].filename:
            signal.pause()
        raise ValueError(f"{item.filename}: no")

    with pytest.raises(ValueError, match=r"^f0.root: no$") as caught:
        list(Pool(2).run(ITEMS, task))
    # Where it was raised is shown with the traceback alone.
    assert "in task" in str(caught.value.__cause__)


class TwoNumbersError(Exception):
    """Pickles, but cannot be made again of its message."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"{first} and {second}")


def fail_oddly(item: WorkItem) -> None:
    raise TwoNumbersError(1, 2)


def test_an_error_that_cannot_travel_arrives_as_its_sentence() -> None:
    with pytest.raises(RuntimeError, match="TwoNumbersError: 1 and 2"):
        list(Pool(1).run(ITEMS[:1], fail_oddly))


def test_a_result_that_cannot_travel_is_an_error() -> None:
    with pytest.raises(TypeError, match="pickle"):
        list(Pool(1).run(ITEMS[:1], lambda _: sys._getframe()))


@pytest.mark.parametrize(
    ("ending", "reason"),
    [(signal.SIGKILL, "lack of memory"), (signal.SIGSEGV, "SIGSEGV.*damaged")],
)
def test_the_chunk_that_kills_its_workers_is_named(ending: signal.Signals, reason: str) -> None:
    def task(item: WorkItem) -> int:
        if item.filename == "f2.root":
            os.kill(os.getpid(), ending)
        return len(item)

    done = []
    with pytest.raises(WorkerError, match=rf"^f2.root, events 0 to 10: .*died 4 times.*{reason}"):
        done += [item.filename for item, _ in Pool(1).run(ITEMS, task)]
    assert "f2.root" not in done


@pytest.mark.parametrize("at", ["work", "rest"])
def test_no_worker_outlives_a_parent_that_is_killed(tmp_path: Path, at: str) -> None:
    """The worker holds a pipe open, which is at its end as soon as no process does."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    then = "signal.pause()" if at == "work" else "return descriptor"
    script = PARENT.replace("{then}", then)
    parent = subprocess.Popen([sys.executable, "-c", script, str(pipe)])
    with pipe.open("rb", buffering=0) as worker:
        assert worker.read(4) == b"here"
        parent.kill()
        parent.wait()
        assert worker.read() == b""


def test_neither_shared_memory_nor_semaphores_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Containers and batch systems leave them out, as a /dev/shm that is not there or not writable."""

    def forbidden(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("_multiprocessing.SemLock", forbidden)
    monkeypatch.setattr("_posixshmem.shm_open", forbidden)
    end_idle_workers()
    assert len(processes_of(ITEMS, workers=2)) == len(ITEMS)


def test_a_worker_starts_with_the_path_of_its_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not with the folder that the parent happens to be in, with other modules of the same names."""
    end_idle_workers()
    (tmp_path / "processors.py").write_text("raise SystemExit('the wrong module')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "here")
    ((_, there),) = Pool(1).run(ITEMS[:1], lambda _: sys.path)
    assert there == sys.path
