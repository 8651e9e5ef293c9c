"""Commands killed at random times: nothing half-written, nobody left, and the next call makes it good.

Each command is started as a user starts it and gets SIGKILL or SIGTERM, in turn, at a time drawn from the
length of an undisturbed run. Then:

* no process that it started is there after ten seconds;
* every file under its final name is whole;
* after SIGTERM, the exit code is 143 and no traceback was shown;
* the same command (with `--resume` for a training) ends well, its output is that of an undisturbed run, and
  no hidden or temporary file is left.

Files that two undisturbed runs do not make alike (times are in them) are not compared, which is shown.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from random import Random
from typing import NamedTuple

from benchmarks.reliability.commands import COMMANDS, Command, make_place
from benchmarks.reliability.digests import digest, digests
from benchmarks.reliability.outcomes import Outcome
from benchmarks.reliability.trials import ADVTAG, ONE_THREAD, Ended, Limits, call

MARK = "ADVTAG_RELIABILITY"
"""An environment variable by which everything that a command started is known."""

GRACE_SECONDS = 10.0
PATIENCE_SECONDS = 60.0
TERMINATED = 128 + signal.SIGTERM
"""The exit code; a shell says so, too, of what the signal ends while the interpreter clears up."""
RERUN = Limits(seconds=900)


class Undisturbed(NamedTuple):
    """A run that nobody disturbed: how long it took, and a mark of each file that always comes out alike."""

    seconds: float
    files: Mapping[str, str]
    n_varying: int


def run(n_cases: int, seed: int, out: Path, only: Iterable[str] | None = None) -> Iterator[Outcome]:
    """Yield what came of so many kills of each command, half of them by either signal."""
    place = make_place(out / "place", out.parent / "world").folder
    for name in only or COMMANDS:
        command = COMMANDS[name]
        undisturbed = _undisturbed(command, place)
        for number in range(n_cases):
            rng = Random(f"{name}/{seed}/{number}")
            number_of_signal = (signal.SIGKILL, signal.SIGTERM)[number % 2]
            what, allowed, detail = _one(command, place, undisturbed, number_of_signal, rng)
            row = f"{name}, {number_of_signal.name}"
            yield Outcome(row, f"{seed}/{number}", what, allowed, detail)
        if undisturbed.n_varying:
            varying = f"{undisturbed.n_varying} of its files are not compared: they hold times"
            yield Outcome(name, "", varying, allowed=True)


def _fresh(command: Command, place: Path) -> Path:
    out = place / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    command.before(place)
    return out


def _undisturbed(command: Command, place: Path) -> Undisturbed:
    marks = []
    for _ in range(2):
        out = _fresh(command, place)
        start = time.monotonic()
        ended = _wait(_start(command, place, "undisturbed"), RERUN.seconds, place)
        seconds = time.monotonic() - start
        if ended.code != 0:
            raise RuntimeError(f"{command.arguments}: {ended.stderr[-1000:]}")
        marks.append(digests(out))
    alike = {name: mark for name, mark in marks[0].items() if marks[1].get(name) == mark}
    return Undisturbed(seconds, alike, len(marks[0]) - len(alike))


def _start(command: Command, place: Path, mark: str) -> subprocess.Popen[bytes]:
    # Into files: pipes that orphans hold open would never end.
    with (place / "stdout").open("wb") as stdout, (place / "stderr").open("wb") as stderr:
        return subprocess.Popen(
            [ADVTAG, *map(str, command.arguments)], cwd=place, stdin=subprocess.DEVNULL, stdout=stdout,
            stderr=stderr, env=os.environ | ONE_THREAD | {MARK: mark}, start_new_session=True,
        )  # fmt: skip


def _wait(process: subprocess.Popen[bytes], seconds: float, place: Path) -> Ended:
    hung = False
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        hung = True
        process.kill()
        process.wait()
    said = (place / "stderr").read_text(errors="replace")
    return Ended(process.returncode, "", said, hung)


def _one(
    command: Command, place: Path, undisturbed: Undisturbed, number: signal.Signals, rng: Random
) -> tuple[str, bool, str]:
    """Kill once; return what happened, whether it may, and details."""
    out = _fresh(command, place)
    mark = f"{os.getpid()}.{rng.random()}"
    process = _start(command, place, mark)
    after = rng.uniform(0, 1.02) * undisturbed.seconds
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        process.send_signal(number)
    ended = _wait(process, PATIENCE_SECONDS, place)
    when = f"after {after:.2f} of {undisturbed.seconds:.2f} s"
    problems = [*_ending(ended, number), *_orphans(mark), *_half_written(out)]
    problems += _rerun(command, place, undisturbed)
    killed = "killed" if ended.code != 0 else "had ended before"
    if problems:
        return problems[0].partition(":")[0], False, f"{when}: {'; '.join(problems)}"
    return killed, True, when


def _ending(ended: Ended, number: signal.Signals) -> list[str]:
    if ended.hung:
        return ["does not end"]
    if "Traceback" in ended.stderr:
        return [f"traceback: {ended.last_line[:200]}"]
    if number == signal.SIGTERM and ended.code not in (0, TERMINATED, -signal.SIGTERM):
        return [f"exit code {ended.code} after SIGTERM: {ended.last_line[:200]}"]
    return []


def _orphans(mark: str) -> list[str]:
    """Return which processes of a command outlive it, after waiting a little; they are then killed."""
    deadline = time.monotonic() + GRACE_SECONDS
    while (left := _marked(mark)) and time.monotonic() < deadline:
        time.sleep(0.2)
    for process in left:
        os.kill(process, signal.SIGKILL)
    return [f"processes left: {len(left)}"] if left else []


def _marked(mark: str) -> list[int]:
    sought = f"{MARK}={mark}".encode()
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            if sought in environment.read_bytes().split(b"\0"):
                found.append(int(environment.parent.name))
        except OSError:
            continue
    return found


def _half_written(out: Path) -> list[str]:
    """Return files that are not whole, hidden ones aside: nobody takes those for results."""
    problems = []
    for path in out.rglob("*"):
        inside = path.relative_to(out)
        if not path.is_file() or any(part.startswith(".") for part in inside.parts):
            continue
        try:
            digest(path)
        except Exception as error:
            problems.append(f"half-written: {inside}: {type(error).__name__}")
    return problems


def _rerun(command: Command, place: Path, undisturbed: Undisturbed) -> list[str]:
    """Call again; return what differs from an undisturbed run."""
    out = place / "out"
    complete = command.refuses_again and (out / "jobs").exists()
    if not complete:
        ended = call(command.rerun, place, RERUN)
        if ended.code != 0:
            return [f"cannot be run again: exit code {ended.code}, {ended.last_line[:300]}"]
    names = [path.relative_to(out) for path in out.rglob("*")]
    left = [str(name) for name in names if _is_remnant(name)]
    try:
        marks = digests(out)
    except Exception as error:
        return [f"not whole after the rerun: {type(error).__name__} {error}"]
    different = [name for name, mark in undisturbed.files.items() if marks.get(name) != mark]
    return [
        *([f"remnants: {', '.join(left[:5])}"] if left else []),
        *([f"other files than undisturbed: {', '.join(different[:5])}"] if different else []),
    ]


def _is_remnant(name: Path) -> bool:
    endings = (".partial", ".unfinished", ".previous", ".tmp", ".lock")
    return name.name.startswith(".") or name.name.endswith(endings) or "chunks" in name.parts
