"""Commands of batch systems that write down how they were called, and answer what a test wants to hear."""

import json
import os
import shlex
from pathlib import Path
from typing import Any

_SCRIPT = """#!/bin/bash
folder={folder}
name=$(basename "$0")
echo "$name $*" >> "$folder/calls"
[ -e "$folder/$name.fails" ] && {{ cat "$folder/$name.fails" >&2; exit 1; }}
if [ "$name" = condor_submit ] || [ "$name" = sbatch ]; then
  number=$(( $(cat "$folder/number") + 1 )); echo $number > "$folder/number"
  [ "$name" = sbatch ] && echo "$number" || echo "$number.0 - $number.9"
elif [ -e "$folder/$name.answer" ]; then cat "$folder/$name.answer"
fi
"""
_COMMANDS = (
    "condor_submit", "condor_q", "condor_history", "condor_rm", "sbatch", "squeue", "sacct", "scancel",
)  # fmt: skip


class Stubs:
    """Both batch systems, as scripts in a folder that comes first on the path; they count from 8."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "number").write_text("7")
        for name in _COMMANDS:
            script = folder / name
            script.write_text(_SCRIPT.format(folder=shlex.quote(str(folder))))
            script.chmod(0o755)

    @property
    def path(self) -> str:
        """The search path with the commands on it."""
        return f"{self.folder}:{os.environ['PATH']}"

    def answer(self, command: str, text: str) -> None:
        """Let a command print something from now on."""
        (self.folder / f"{command}.answer").write_text(text)

    def refuse(self, command: str, text: str) -> None:
        """Let a command fail from now on."""
        (self.folder / f"{command}.fails").write_text(text)

    def queue(self, *records: dict[str, Any]) -> None:
        """Let these jobs be in HTCondor's queue."""
        self.answer("condor_q", json.dumps(records) if records else "")

    def history(self, *records: dict[str, Any]) -> None:
        """Let these jobs be in HTCondor's history, newest first."""
        self.answer("condor_history", json.dumps(records) if records else "")

    def calls(self, command: str) -> list[str]:
        """Return how a command was called, oldest first."""
        log = self.folder / "calls"
        lines = log.read_text().splitlines() if log.is_file() else []
        return [line.removeprefix(f"{command} ") for line in lines if line.startswith(f"{command} ")]


def job(number: int, status: int, *, cluster: int = 8, **attributes: Any) -> dict[str, Any]:
    """Return what HTCondor says of a job."""
    return {"ClusterId": cluster, "AdvtagJob": f"{number:05d}", "JobStatus": status, **attributes}
