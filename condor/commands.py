"""The commands of a batch system, called and read; the bindings of different versions do not agree.

Sites put commands of their own in front of them, which may print lines before the answer.
"""

import os
import re
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from storage.documents import parse_json


class BatchError(OSError):
    """A batch system that is not there, that refused, or whose answer nobody understands."""


class NoCommandError(BatchError):
    """A command that cannot be started, so that it has done nothing."""


def run(command: Sequence[str], *, folder: Path | None = None) -> str:
    """Return what a command printed.

    Raises:
        BatchError: If it is not installed, or failed; one sentence with its own words.
    """
    try:
        finished = subprocess.run(
            list(command),
            cwd=folder,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError as error:
        raise NoCommandError(
            f"{command[0]}: no such command: log in to a machine from which jobs are submitted"
        ) from error
    except OSError as error:
        raise NoCommandError(
            f"{command[0]}: cannot be started ({error.strerror}): check its rights"
        ) from error
    if finished.returncode != 0:
        words = [line.strip() for line in (finished.stderr or finished.stdout).splitlines() if line.strip()]
        raise BatchError(
            f"{command[0]} failed ({finished.returncode}): {' '.join(words[-3:]) or 'no message'}"
        )
    return finished.stdout


def run_json(command: Sequence[str]) -> list[dict[str, Any]] | None:
    """Return the records that a command printed as JSON; None if it printed nothing.

    Raises:
        BatchError: If the command fails, or prints something else.
    """
    text = run(command)
    if not text.strip():
        return None
    end = text.rfind("]") + 1
    for begin in re.finditer(r"^[ \t]*\[", text, re.MULTILINE):
        with suppress(ValueError):
            records = parse_json(text[begin.end() - 1 : end], source=command[0], finite=False)
            if all(isinstance(record, dict) for record in records):
                return list(records)
    raise BatchError(f"{command[0]}: its answer is no list of jobs ({_start(text)}): is it an old version?")


def number_in(answer: str, pattern: re.Pattern[str], *, command: str) -> str:
    """Return the number that a command of submission tells, whatever else it prints.

    Args:
        answer: What it printed.
        pattern: How the number stands there; groups beyond the first are joined to it with a semicolon.
        command: Its name, for the message.

    Raises:
        BatchError: If there is no number, or more than one.
    """
    numbers = {";".join(filter(None, found.groups())) for found in pattern.finditer(answer)}
    if len(numbers) != 1:
        what = "no number" if not numbers else f"several numbers, {' and '.join(sorted(numbers))}"
        raise BatchError(
            f"{command}: its answer tells {what} of the jobs ({_start(answer)}): they may be in the queue, "
            "for which `advtag condor status` asks"
        )
    return numbers.pop()


def _start(answer: str) -> str:
    text = " ".join(answer.split())
    return (f"{text[:80]} ..." if len(text) > 80 else text) or "nothing"


def quoted(text: str) -> str:
    """Return a string of HTCondor's expression language."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def last_line(path: Path, *, size: int = 8192) -> str:
    """Return the last line of a text file that says something; empty if there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - size))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
