"""Processes that this one starts: what they need of the machine, and that none of them is left behind."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class ProcessDiedError(RuntimeError):
    """A process that worked for this one was ended from outside, most likely for lack of memory."""


def has_semaphores() -> bool:
    """Tell whether processes on this machine can wait for one another."""
    try:
        require_semaphores("")
    except OSError:
        return False
    return True


def require_semaphores(instead: str) -> None:
    """Raise if processes on this machine cannot wait for one another.

    Python's own pools need semaphores, which Linux keeps in /dev/shm; containers may have none, or one that
    may not be written to.

    Args:
        instead: What to do then.

    Raises:
        OSError: If there are no semaphores.
    """
    try:
        multiprocessing.get_context("spawn").Lock()
    except (ImportError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise OSError(
            f"no semaphores on this machine ({reason}: may /dev/shm be written to?), which processes side by "
            f"side need: {instead}"
        ) from error


@contextmanager
def interrupts_held_back() -> Iterator[None]:
    """Start processes that Ctrl-C does not reach: a terminal sends it to all, and the first ends the others.

    A signal that comes while the block runs is answered at its end.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_parent() -> None:
    """Let this process get SIGTERM when the one that started it is gone, however that ended."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
