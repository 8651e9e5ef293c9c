"""Every command that writes, on a disk that becomes full: a sentence, whole files, older ones still there.

The disk is a file system in memory, filled but for a random part of what the command needs. It needs root.
Once there is room again, the same command ends well.
"""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random

from benchmarks.reliability.commands import COMMANDS, Command, make_place
from benchmarks.reliability.digests import digests
from benchmarks.reliability.outcomes import Outcome, complaint
from benchmarks.reliability.trials import Ended, Limits, call

SIZE_MB = 400
LIMITS = Limits(seconds=600)
SLOW = ("demo", "study", "process dask", "process dask --resume")
"""Commands that take minutes, or start clusters; only if they are asked for."""


def run(n_cases: int, seed: int, out: Path, only: Iterable[str] | None = None) -> Iterator[Outcome]:
    """Yield what came of so many full disks for each command, every second one with older output."""
    place = make_place(out / "place", out.parent / "world").folder
    for name in only or [name for name in COMMANDS if name not in SLOW]:
        for number in range(n_cases):
            rng = Random(f"{name}/{seed}/{number}")
            with small_disk(place / "out"):
                what, allowed, detail = _one(COMMANDS[name], place, rng, older=number % 2 == 1)
            yield Outcome(name, f"{seed}/{number}", what, allowed, detail)


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Make a folder a file system of its own, in memory."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def _one(command: Command, place: Path, rng: Random, *, older: bool) -> tuple[str, bool, str]:
    out = place / "out"
    command.before(place)
    before = _used(out)
    ended = call(command.arguments, place, LIMITS)
    if ended.code != 0:
        return "cannot be tried", False, ended.last_line[:300]
    needed = _used(out) - before
    keeps = older and not command.refuses_again and command.again is None
    if not keeps:
        _empty(out)
        command.before(place)
    marks = digests(out)
    free = int(rng.random() * needed)
    _fill(out, free)
    ended = call(command.arguments, place, LIMITS)
    (out / "filler").unlink()
    problems = [*_saying(ended), *_older(out, marks)]
    again = call(command.rerun, place, LIMITS) if ended.code != 0 else ended
    if again.code != 0 and not command.refuses_again:
        problems.append(f"cannot be run again: {again.last_line[:300]}")
    if problems:
        return problems[0].partition(":")[0], False, f"{free} of {needed} bytes free: {'; '.join(problems)}"
    return ("a sentence" if ended.code != 0 else "there was room enough"), True, ended.last_line


def _used(folder: Path) -> int:
    status = os.statvfs(folder)
    return (status.f_blocks - status.f_bavail) * status.f_frsize


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _fill(folder: Path, free: int) -> None:
    """Leave so many bytes of a file system."""
    status = os.statvfs(folder)
    with (folder / "filler").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, status.f_bavail * status.f_frsize - free))


def _saying(ended: Ended) -> list[str]:
    if (wrong := complaint(ended)) is not None:
        return [f"{wrong}: {ended.last_line[:300]}"]
    if ended.code != 0 and "space" not in ended.stderr:
        return [f"no word about space: {ended.last_line[:300]}"]
    if ended.code != 0 and "out/" not in ended.stderr:
        return [f"a sentence without a path: {ended.last_line[:300]}"]
    return []


def _older(out: Path, marks: dict[str, str]) -> list[str]:
    """Return what is wrong with the files that are there: none may be half, older ones may not be lost."""
    try:
        found = digests(out)
    except Exception as error:
        return [f"half-written: {type(error).__name__} {error}"]
    lost = [name for name in marks if name not in found and name != "filler"]
    return [f"older files are gone: {', '.join(lost[:5])}"] if lost else []
