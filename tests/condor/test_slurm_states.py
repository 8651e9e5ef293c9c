"""States of SLURM: what its manual says of each, and what becomes of a job that is in it."""

import pytest

from condor.slurm_states import STATES, Ending, queue_state

ENDED_BY_THE_MANUAL = {
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED",
    "TIMEOUT",
}  # fmt: skip
"""The states that "Job State Codes" of SLURM calls terminated, cancelled, completed or out of memory."""
MANUAL_OF_SQUEUE = {
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "CONFIGURING", "COMPLETING", "DEADLINE", "FAILED", "NODE_FAIL",
    "OUT_OF_MEMORY", "PENDING", "PREEMPTED", "RUNNING", "RESV_DEL_HOLD", "REQUEUE_FED", "REQUEUE_HOLD",
    "REQUEUED", "RESIZING", "REVOKED", "SIGNALING", "SPECIAL_EXIT", "STAGE_OUT", "STOPPED", "SUSPENDED",
    "TIMEOUT",
}  # fmt: skip
"""The list in the manual page of squeue, SLURM 22.05."""


def test_every_state_of_the_manual_is_known_and_no_other_job_is_called_gone() -> None:
    assert set(STATES) > MANUAL_OF_SQUEUE
    gone = {name for name in STATES if queue_state(name).state == "gone"}
    assert gone == ENDED_BY_THE_MANUAL


@pytest.mark.parametrize(
    ("text", "state", "reason"),
    [
        ("RUNNING", "running", ""),
        ("REQUEUED", "idle", ""),
        ("REQUEUE_HOLD", "held", "held: REQUEUE_HOLD"),
        ("SPECIAL_EXIT", "held", "held: SPECIAL_EXIT"),
        ("STOPPED", "running", ""),
        # Another cluster of the federation runs it.
        ("REVOKED", "running", ""),
        # As sacct prints them: with who did it, or cut after ten letters.
        ("CANCELLED by 12345", "gone", "cancelled"),
        ("CANCELLED+", "gone", "cancelled"),
        ("OUT_OF_ME+", "gone", "out of memory"),
        ("RESV_DEL_+", "held", "held: RESV_DEL_HOLD"),
        # Several at once: that a job is still there says most.
        ("COMPLETED+COMPLETING", "running", ""),
        ("PENDING+REQUEUED", "idle", ""),
        ("FAILED+NODE_FAIL", "gone", "node fail"),
    ],
)
def test_states_as_the_commands_print_them(text: str, state: str, reason: str) -> None:
    assert queue_state(text)[:2] == (state, reason)


@pytest.mark.parametrize("text", ["", "HIBERNATING", "COMPLET+", "REQUEUE_+", "by", "+"])
def test_a_state_that_nobody_knows_is_no_failure(text: str) -> None:
    """COMPLET+ may be COMPLETED or COMPLETING, REQUEUE_+ held or waiting."""
    assert queue_state(text).state == "unknown"


def test_an_ending_tells_memory_time_signal_and_exit_code() -> None:
    assert queue_state("OUT_OF_MEMORY").out_of_memory
    assert queue_state("TIMEOUT").out_of_time
    assert queue_state("FAILED", ending=Ending("0", "9")).reason == "killed by signal 9"
    assert queue_state("FAILED", ending=Ending("3", "0")).reason == "exit code 3"
    assert queue_state("COMPLETED", ending=Ending("0", "0")).reason == ""
