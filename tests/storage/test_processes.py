"""Processes side by side: what they need is asked for beforehand, and none is left behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from storage.processes import has_semaphores, interrupts_held_back, require_semaphores


def test_a_machine_without_semaphores_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """30 is EROFS on Linux: a /dev/shm that is mounted read-only."""
    require_semaphores("")
    assert has_semaphores()

    def read_only(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("_multiprocessing.SemLock", read_only)
    with pytest.raises(OSError, match=r"Read-only file system.*/dev/shm.*take --jobs 1$") as caught:
        require_semaphores("take --jobs 1")
    assert "\n" not in str(caught.value)
    assert not has_semaphores()


def test_a_process_that_is_started_meanwhile_does_not_see_ctrl_c() -> None:
    """It waits for its input, and would end by the signal: with -2 in place of 0."""
    with interrupts_held_back():
        process = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


ORPHANS = """
import multiprocessing, os, signal, sys
from storage.processes import end_with_parent

def work(path):
    end_with_parent()
    descriptor = os.open(path, os.O_WRONLY)
    os.write(descriptor, b"here")
    signal.pause()

if __name__ == "__main__":
    multiprocessing.get_context("spawn").Process(target=work, args=(sys.argv[1],)).start()
    signal.pause()
"""


def test_no_process_outlives_a_parent_that_is_killed(tmp_path: Path) -> None:
    """The process holds a pipe open, which is at its end as soon as no process does."""
    script, pipe = tmp_path / "script.py", tmp_path / "pipe"
    script.write_text(ORPHANS, encoding="utf-8")
    os.mkfifo(pipe)
    parent = subprocess.Popen([sys.executable, str(script), str(pipe)])
    with pipe.open("rb", buffering=0) as child:
        assert child.read(4) == b"here"
        parent.kill()
        parent.wait()
        assert child.read() == b""
