"""Signals of a batch system: finish the step, keep the state, and end with the signal's exit code."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
"""What SLURM and HTCondor send before they end a job."""


class Interrupted(SystemExit):
    """A training was told to end, and its state is kept; the exit code is 128 + signal, as shells have it.

    That is 143 after SIGTERM, 138 after SIGUSR1. `kept` says so to people.
    """

    kept = "the state of the training is kept: `advtag train CARD --resume` goes on from there."

    def __init__(self, received: int) -> None:
        super().__init__(128 + received)


class Interruption:
    """Whether a signal has come; `received` is its number, or 0."""

    def __init__(self) -> None:
        self.received = 0

    def note(self, received: int, frame: FrameType | None) -> None:
        """Remember a signal; what is computed goes on to the end of its step."""
        del frame
        self.received = received


@contextmanager
def noted_signals() -> Iterator[Interruption]:
    """Note SIGTERM and SIGUSR1 instead of dying of them; afterwards they do again what they did before.

    Python handles signals in the main thread only: elsewhere nothing is noted.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    before = {number: signal.signal(number, interruption.note) for number in SIGNALS}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
