"""Trainings on SLURM: one array, one element for each variant; they end and go on as the cluster likes.

Before its time is over a training is told so, keeps its state within a step, and is put back into the queue;
there it goes on, bit by bit as if nothing had been. The folder of the trainings:

    trainings.json       what was planned
    train.slurm          what every element of the array runs
    submissions.json     what was handed to SLURM, and when
    00002/config.yaml    the run card of a training
    00002/stdout, stderr what it said
"""

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from condor.commands import last_line
from condor.folder import job_folder, new_folder, next_list
from condor.judging import JobStatus, State
from condor.sites import Site
from condor.slurm import Slurm, container, sbatch, sbatch_lines
from condor.submissions import (
    Attempt,
    LastAttempt,
    QueueState,
    known_submissions,
    last_attempts,
    queue_states,
    require_plain,
)
from storage.documents import read_json
from storage.files import write_text

TRAININGS_NAME: Final = "trainings.json"
SCRIPT: Final = "train.slurm"
TOLD_TO_END: Final = 138
"""Exit code of `advtag train` after SIGUSR1: its state is kept, and it wants to go on."""
_MINUTES_AFTER: Final = 60
"""Time of a command that follows; those that take long submit jobs of their own."""
_EPOCH: Final = re.compile(r"epoch_(\d+)\.pt")


class Training(NamedTuple):
    """One training: its label, its run directory, its number of epochs, and whether it may stop before."""

    name: str
    output: str
    epochs: int
    may_stop_early: bool


class Trainings(BaseModel):
    """All trainings of a submission."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["advtag-trainings"] = "advtag-trainings"
    format_version: Literal[1] = 1
    site: Site
    signal_seconds: int = Field(120, ge=1, description="how long before its time is over a training is told")
    trainings: tuple[Training, ...] = Field(min_length=1)


def is_trainings(folder: Path) -> bool:
    """Say whether a folder holds trainings, not jobs of `process`."""
    return (folder / TRAININGS_NAME).is_file()


def write_trainings(planned: Trainings, cards: Sequence[dict[str, Any]], folder: Path) -> None:
    """Write the folder of the trainings, whole or not at all.

    Args:
        planned: What is to be trained.
        cards: The run card of each, with absolute paths.
        folder: The folder.

    Raises:
        FileExistsError: If it is there already.
    """
    with new_folder(folder, see="slurm") as temporary:
        for number, card in enumerate(cards):
            own = job_folder(temporary, number)
            own.mkdir()
            (own / "config.yaml").write_text(yaml.safe_dump(card, sort_keys=False))
        write_text(temporary / TRAININGS_NAME, planned.model_dump_json(indent=1))


def read_trainings(folder: Path) -> Trainings:
    """Return what was planned in a folder of trainings.

    Raises:
        ValueError: If the record is damaged or of another version.
    """
    try:
        return Trainings.model_validate(read_json(folder / TRAININGS_NAME, remedy="submit anew"))
    except ValidationError as error:
        raise ValueError(f"{folder / TRAININGS_NAME}: not a record of this version: submit anew") from error


def script(planned: Trainings, folder: Path, attempts: Sequence[Attempt], *, tag: str = "") -> str:
    """Return the batch script of an array of trainings.

    The shell stays in front of the training to pass signals on: SIGUSR1, which SLURM sends before the time is
    over, and SIGTERM, which comes with pre-emption.

    Raises:
        ValueError: If the folder has a name that shells do not take as it is.
    """
    require_plain(folder)
    site, folder = planned.site, folder.resolve()
    lines = [
        "#!/bin/bash",
        *sbatch_lines(site, attempts, tag=tag),
        "#SBATCH --output=/dev/null",
        "#SBATCH --error=%A.%a.err",
        "#SBATCH --requeue",
        "#SBATCH --open-mode=append",
        f"#SBATCH --signal=B:USR1@{planned.signal_seconds}",
        f"jobs={_training_list(folder)} folder={folder}",
        'number=$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" "$jobs")',
        'cd "$folder/$number"',
        'ln -sf "../$SLURM_ARRAY_JOB_ID.$SLURM_ARRAY_TASK_ID.err" stderr',
        *_environment(site),
        f"{container(site, folder)}advtag train config.yaml --resume >> stdout & child=$!",
        "trap 'kill -USR1 $child' USR1",
        "trap 'kill -TERM $child' TERM",
        "# A signal ends a wait, but not the training.",
        'while kill -0 "$child" 2> /dev/null; do wait "$child"; done',
        'wait "$child"; code=$?',
        f'if [ "$code" = {TOLD_TO_END} ]; then scontrol requeue "$SLURM_JOB_ID"; fi',
        'exit "$code"',
    ]
    return "\n".join(lines) + "\n"


def submit_trainings(planned: Trainings, folder: Path, attempts: Sequence[Attempt], *, tag: str) -> str:
    """Hand trainings in, marked with a tag, and return the number of their array.

    Raises:
        BatchError: If there is no `sbatch`, it refuses, or tells no number.
    """
    text = script(planned, folder, attempts, tag=tag)
    write_text(_training_list(folder), "".join(f"{attempt.job:05d}\n" for attempt in attempts))
    write_text(folder / SCRIPT, text)
    return sbatch([f"--array=0-{len(attempts) - 1}", SCRIPT], folder=folder)


def _training_list(folder: Path) -> Path:
    return next_list(folder, of="trainings")


def _environment(site: Site) -> list[str]:
    prefix = site.environment.path or sys.prefix
    return [
        "unset PYTHONPATH",
        "export PYTHONSAFEPATH=1",
        *site.setup,
        *([f"export PATH={shlex.quote(f'{prefix}/bin')}:$PATH"] if site.environment.kind == "prefix" else []),
    ]


def submit_after(command: Sequence[str], site: Site, *, after: str, folder: Path) -> str:
    """Hand in a command that runs once all trainings of an array are done, and return its number.

    Raises:
        BatchError: If there is no `sbatch`, or it refuses.
    """
    site = site.model_copy(update={"request": site.request.model_copy(update={"gpus": 0})})
    lines = [
        "#!/bin/bash",
        *sbatch_lines(site, [Attempt(0, site.request.memory_mb, _MINUTES_AFTER)]),
        *_environment(site),
        f"exec {container(site, folder)}{shlex.join(command)}",
    ]
    number = 1 + len(list(folder.glob("after_*.slurm")))
    path = folder / f"after_{number:03d}.slurm"
    write_text(path, "\n".join(lines) + "\n")
    options = [f"--dependency=afterok:{after.partition(';')[0]}", "--kill-on-invalid-dep=yes"]
    output = path.with_suffix(".out").resolve()
    return sbatch([*options, f"--output={output}", str(path.resolve())], folder=Path.cwd())


def judge_trainings(planned: Trainings, folder: Path) -> list[JobStatus]:
    """Return what became of every training, judged by its checkpoints.

    Raises:
        BatchError: If SLURM does not answer.
    """
    n_done = [epochs_of(Path(training.output)) for training in planned.trainings]
    unfinished = any(done < training.epochs for done, training in zip(n_done, planned.trainings, strict=True))
    submissions = known_submissions(folder, Slurm() if unfinished else None)
    last = last_attempts(submissions)
    states = queue_states(Slurm(), submissions, list(last)) if unfinished else {}
    return [
        _status(planned, folder, number, done, last.get(number), states.get(number, QueueState("gone")))
        for number, done in enumerate(n_done)
    ]


def epochs_of(run_directory: Path) -> int:
    """Return the last complete epoch of a run directory; 0 if there is none."""
    if not run_directory.is_dir():
        return 0
    matches = (_EPOCH.fullmatch(path.name) for path in run_directory.iterdir())
    return max((int(match[1]) for match in matches if match), default=0)


def _status(
    planned: Trainings, folder: Path, number: int, n_done: int, last: LastAttempt | None, queue: QueueState
) -> JobStatus:
    training, request = planned.trainings[number], planned.site.request
    attempt = last.attempt if last else Attempt(number, request.memory_mb, request.minutes)
    words = last_line(job_folder(folder, number) / "stderr").removeprefix("Error: ") if last else ""
    said_run_directory = last_line(job_folder(folder, number) / "stdout").endswith(Path(training.output).name)
    progress = f"epoch {n_done} of {training.epochs}"
    state: State
    if n_done >= training.epochs or (
        training.may_stop_early and queue.state == "gone" and n_done and said_run_directory
    ):
        state, reason = "done", progress
    elif last is None:
        state, reason = "planned", "never submitted"
    elif queue.state == "gone":
        state, reason = "failed", "; ".join(filter(None, (queue.reason, progress, words)))
    else:
        state, reason = queue.state, queue.reason or progress
    return JobStatus(
        job=number,
        selection=training.name,
        state=state,
        reason=reason,
        attempts=last.number if last else 0,
        memory_mb=attempt.memory_mb,
        minutes=attempt.minutes,
        out_of_memory=queue.out_of_memory,
        out_of_time=queue.out_of_time,
        n_events=None,
        n_lost=0,
    )
