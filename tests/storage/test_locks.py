import errno
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from storage import files, locks
from storage.files import held_file, one_writer, remove_remnants, replaced_file, replaced_folder
from storage.locks import locked

FORK = multiprocessing.get_context("fork")


def hold(path: Path, kind: str, ready: Connection) -> None:
    manager = one_writer(path) if kind == "folder" else held_file(path)
    with manager:
        ready.send("held")
        ready.recv()


class Holder:
    """Another process that holds a folder or file until it is told to end."""

    def __init__(self, path: Path, kind: str = "folder") -> None:
        self.pipe, other = FORK.Pipe()
        self.process = FORK.Process(target=hold, args=(path, kind, other), daemon=True)
        self.process.start()
        assert self.pipe.recv() == "held"

    def end(self) -> None:
        self.pipe.send("end")
        self.process.join(20)
        assert self.process.exitcode == 0

    def kill(self) -> None:
        self.process.kill()
        self.process.join(20)


def test_a_second_writer_is_told_who_the_first_is(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    holder = Holder(folder)
    with (
        pytest.raises(
            ValueError, match=rf"out: another process is writing into it \(process {holder.process.pid}"
        ),
        one_writer(folder),
    ):
        pass
    holder.end()
    with one_writer(folder):
        (folder / "result").touch()
    assert [path.name for path in folder.iterdir()] == ["result"]


def test_a_killed_writer_does_not_bar_the_next(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    holder = Holder(folder)
    holder.kill()
    with one_writer(folder):
        (folder / "result").touch()
    assert [path.name for path in folder.iterdir()] == ["result"]


def test_workers_of_a_killed_writer_do_not_bar_the_next(tmp_path: Path) -> None:
    code = (
        "import os, sys, time\nfrom pathlib import Path\nfrom storage.files import one_writer\n"
        f"with one_writer(Path({str(tmp_path / 'out')!r})):\n"
        "    worker = os.fork()\n"
        "    if not worker:\n        sys.stdin.read(); os._exit(0)\n"
        "    print(worker, flush=True)\n    os.kill(os.getpid(), 9)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        cwd=Path(files.__file__).parents[1],
    ) as parent:  # fmt: skip
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        assert parent.wait(20) == -signal.SIGKILL
        os.kill(worker, 0)
        with one_writer(tmp_path / "out"):
            pass


def test_parts_of_one_process_share_a_folder(tmp_path: Path) -> None:
    with one_writer(tmp_path / "out"):
        with one_writer(tmp_path / "out"):
            pass
        holder_refused = FORK.Process(target=refused, args=(tmp_path / "out",))
        holder_refused.start()
        holder_refused.join(20)
        assert holder_refused.exitcode == 0


def refused(folder: Path) -> None:
    locks._held.clear()  # what a process of its own starts with
    with pytest.raises(ValueError, match="another process is writing"), one_writer(folder):
        pass


def test_a_folder_that_nothing_was_written_into_vanishes(tmp_path: Path) -> None:
    with one_writer(tmp_path / "new" / "deeper"):
        assert (tmp_path / "new" / "deeper").is_dir()
    assert not list(tmp_path.iterdir())
    (tmp_path / "there").mkdir()
    with one_writer(tmp_path / "there"):
        pass
    assert (tmp_path / "there").is_dir()


def add_line(path: Path, line: str, start: Callable[[], object]) -> None:
    start()
    with held_file(path, wait=True):
        text = path.read_text() if path.exists() else ""
        with replaced_file(path) as temporary:
            temporary.write_text(f"{text}{line}\n")


def test_nothing_is_lost_where_many_add_to_one_file(tmp_path: Path) -> None:
    path = tmp_path / "list"
    barrier = FORK.Barrier(8)
    processes = [FORK.Process(target=add_line, args=(path, str(n), barrier.wait)) for n in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0] * 8
    assert sorted(path.read_text().split()) == list("01234567")
    assert [entry.name for entry in tmp_path.iterdir()] == ["list"]


def test_a_file_held_by_another_process_is_named(tmp_path: Path) -> None:
    holder = Holder(tmp_path / "f.root", "file")
    with (
        pytest.raises(ValueError, match=r"f\.root: another process is making it"),
        held_file(tmp_path / "f.root"),
    ):
        pass
    with (
        pytest.raises(ValueError, match=r"f\.root: another process is making it"),
        replaced_folder(tmp_path / "f.root"),
    ):
        pass
    holder.end()


def test_where_the_file_system_knows_no_locks_the_named_process_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("fcntl.lockf", unknown)
    monkeypatch.setattr("fcntl.flock", unknown)
    holder = Holder(tmp_path)
    with pytest.raises(ValueError, match="another process is writing"), one_writer(tmp_path):
        pass
    holder.kill()
    with one_writer(tmp_path), replaced_file(tmp_path / "f") as temporary:
        temporary.write_text("whole")
    assert (tmp_path / "f").read_text() == "whole"
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_a_lock_of_another_user_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    (tmp_path / ".lock").touch()
    monkeypatch.setattr("os.open", refuse)
    with (
        pytest.raises(PermissionError, match=r"\.lock: left by a process of another user"),
        locked(tmp_path / ".lock"),
    ):
        pass


def test_two_processes_that_write_one_file_do_not_mix(tmp_path: Path) -> None:
    """The one that ends last has it, whole; what is still written is no remnant."""
    path = tmp_path / "f"
    with replaced_file(path) as first:
        first.write_text("first")
        with replaced_file(path) as second:
            assert second != first
            remove_remnants(tmp_path)
            second.write_text("second")
        assert path.read_text() == "second"
    assert path.read_text() == "first"
    assert [entry.name for entry in tmp_path.iterdir()] == ["f"]
