"""The commands of a batch system, called and read; the bindings of different versions do not agree."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from storage.documents import parse_json


class BatchError(OSError):
    """A batch system that is not there, or that refused."""


def run(command: Sequence[str], *, folder: Path | None = None) -> str:
    """Return what a command printed.

    Raises:
        BatchError: If it is not installed, or failed; one sentence with its own words.
    """
    try:
        finished = subprocess.run(
            list(command), cwd=folder, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError as error:
        raise BatchError(
            f"{command[0]}: no such command: log in to a machine from which jobs are submitted"
        ) from error
    if finished.returncode != 0:
        words = [line.strip() for line in (finished.stderr or finished.stdout).splitlines() if line.strip()]
        raise BatchError(
            f"{command[0]} failed ({finished.returncode}): {' '.join(words[-3:]) or 'no message'}"
        )
    return finished.stdout


def run_json(command: Sequence[str]) -> list[dict[str, Any]]:
    """Return the records that a command printed as JSON; HTCondor prints nothing where there is none."""
    text = run(command).strip()
    try:
        return list(parse_json(text, source=command[0], finite=False)) if text else []
    except ValueError as error:
        raise BatchError(f"{command[0]}: its answer is no JSON: is it an old version?") from error


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
