"""States of SLURM, and what each says of a job: it waits, is held, is still there, or has ended."""

from collections.abc import Iterable, Mapping
from typing import Final, Literal, NamedTuple

from condor.submissions import QueueName, QueueState

Meaning = Literal["waiting", "held", "running", "ended"]

STATES: Final[Mapping[str, Meaning]] = {
    "PENDING": "waiting",
    "REQUEUED": "waiting",
    "REQUEUE_FED": "waiting",
    "RECONFIG_FAIL": "waiting",
    "EXPEDITING": "waiting",
    "REQUEUE_HOLD": "held",
    "RESV_DEL_HOLD": "held",
    "SPECIAL_EXIT": "held",
    "LAUNCH_FAILED": "held",
    "RUNNING": "running",
    "COMPLETING": "running",
    "CONFIGURING": "running",
    "POWER_UP_NODE": "running",
    "RESIZING": "running",
    "REVOKED": "running",
    "SIGNALING": "running",
    "STAGE_OUT": "running",
    "STOPPED": "running",
    "SUSPENDED": "running",
    "UPDATE_DB": "running",
    "BOOT_FAIL": "ended",
    "CANCELLED": "ended",
    "COMPLETED": "ended",
    "DEADLINE": "ended",
    "FAILED": "ended",
    "NODE_FAIL": "ended",
    "OUT_OF_MEMORY": "ended",
    "PREEMPTED": "ended",
    "TIMEOUT": "ended",
}
"""What the states and flags of a job mean.

A job whose node could not be set up, or where it could not be started, is put back by SLURM: it is not over.
One that is revoked runs on another cluster of the federation.

Source:
    SLURM's pages on job state codes (states and flags), and the manual pages of squeue and sacct.
"""

_OF_MEANINGS: Final[Mapping[Meaning, QueueName]] = {"running": "running", "waiting": "idle", "held": "held"}
"""From what says most that a job is still there to what says least."""


class Ending(NamedTuple):
    """How a job ended: exit code and signal as SLURM gives them, 0 if there is none."""

    exit_code: str = "0"
    signal: str = "0"


def queue_state(text: str, *, reason: str = "", ending: Ending | None = None) -> QueueState:
    """Return what a state of SLURM says of a job.

    Args:
        text: As `squeue` or `sacct` print it: a name, further words (``CANCELLED by 123``), several names
            joined by ``+``, or a name cut off (``OUT_OF_ME+``).
        reason: Why it waits or is held, as `squeue` prints it.
        ending: How it ended, as `sacct` prints it.

    Returns:
        The state; `unknown` for one that SLURM's manual does not have, or that is cut off too early.
    """
    names = _names(text)
    meanings = {STATES.get(name) for name in names}
    for meaning, state in _OF_MEANINGS.items():
        if meaning in meanings:
            is_held = state == "held"
            said = reason if reason not in ("", "None") else ", ".join(names)
            return QueueState(state, f"held: {said}" if is_held else "")
    if meanings != {"ended"}:
        return QueueState(
            "unknown", f"SLURM calls it {text.strip() or 'nothing'}, which advtag does not know"
        )
    return _ended(names, ending or Ending())


def _names(text: str) -> list[str]:
    """Return the names in a state; one that was cut off stands for those it can be, if they mean the same."""
    first = next(iter(text.upper().split()), "")
    names = [name for name in first.split("+") if name]
    if names and first.endswith("+") and names[-1] not in STATES:
        whole = [name for name in STATES if name.startswith(names[-1])]
        if len({STATES[name] for name in whole}) == 1:
            return [*names[:-1], whole[0]]
    return names or [first]


def _ended(names: Iterable[str], ending: Ending) -> QueueState:
    states = [name for name in names if name not in ("COMPLETED", "FAILED")]
    words = ", ".join(states).lower().replace("_", " ")
    if not words and ending.signal not in ("", "0"):
        words = f"killed by signal {ending.signal}"
    if not words and ending.exit_code not in ("", "0"):
        words = f"exit code {ending.exit_code}"
    return QueueState("gone", words, out_of_memory="OUT_OF_MEMORY" in states, out_of_time="TIMEOUT" in states)
