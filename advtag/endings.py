"""Signals that end a command: at a place where that does no harm, with the exit code that shells give it.

This is the first module that a command imports, and takes next to nothing itself.

A handler that raises in the midst of an import can end in anything: a library that takes it for a missing
module, a traceback, an abort of the interpreter. So it waits until the import is done. And compiled code can
lose what is raised in it, so a command that goes on in spite of it is ended once more.
"""

import os
import signal
import sys
import time

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, what batch systems send, and a terminal that was closed."""
_DEFAULTS = (signal.SIG_DFL, signal.default_int_handler)

_ASK_AGAIN_SECONDS = 0.05
_PATIENCE_SECONDS = 10.0
"""No import takes longer, unless it hangs."""
_LOST_SECONDS = 0.5
"""After so long, what was raised is looked for."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType


def exit_code(number: int) -> int:
    """Return the exit code after a signal, as shells have it: 130 after Ctrl-C, 143 after SIGTERM."""
    return 128 + number


def install() -> None:
    """Let signals end this command cleanly; those that whoever started it chose to ignore stay ignored."""
    ending = _Ending()
    signal.signal(signal.SIGALRM, ending.ask_again)
    sys.unraisablehook = ending.show_what_was_lost
    for number in SIGNALS:
        if signal.getsignal(number) in _DEFAULTS:
            signal.signal(number, ending.begin)


def end_at_once() -> None:
    """From now on end without clean-up, as there is nothing left to clean: the command is done."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number in SIGNALS:
        if signal.getsignal(number) not in (signal.SIG_IGN, None):
            signal.signal(number, lambda number, _: os._exit(exit_code(number)))


def was_by_signal(code: int) -> bool:
    """Tell whether an exit code says that a signal ended a command; SIGUSR1 ends trainings."""
    return code in {exit_code(number) for number in (*SIGNALS, signal.SIGUSR1)}


class _Ending:
    """Ends the command by an exception, if need be a little later, and again if that got lost."""

    def __init__(self) -> None:
        self._number = 0
        self._since = 0.0
        self._raised: BaseException | None = None

    def begin(self, number: int, frame: "FrameType | None") -> None:
        """End the command, or ask again soon if that would do harm where it is now."""
        self._number, self._since, self._raised = number, time.monotonic(), None
        self.ask_again(signal.SIGALRM, frame)

    def ask_again(self, _: int, frame: "FrameType | None") -> None:
        """End the command, unless it is about to end."""
        if _is_handled(self._raised):
            signal.setitimer(signal.ITIMER_REAL, _LOST_SECONDS)
        elif _may_end(frame):
            signal.setitimer(signal.ITIMER_REAL, _LOST_SECONDS)
            interrupted = self._number == signal.SIGINT
            self._raised = KeyboardInterrupt() if interrupted else SystemExit(exit_code(self._number))
            raise self._raised
        elif time.monotonic() - self._since > _PATIENCE_SECONDS:
            os._exit(exit_code(self._number))
        else:
            signal.setitimer(signal.ITIMER_REAL, _ASK_AGAIN_SECONDS)

    def show_what_was_lost(self, lost: "sys.UnraisableHookArgs") -> None:
        """Show an exception that came from nowhere to nowhere, but for the one that is raised again."""
        if lost.exc_value is None or lost.exc_value is not self._raised:
            sys.__unraisablehook__(lost)


def _is_handled(raised: BaseException | None) -> bool:
    """Tell whether an exception is on its way: what is done at present is to clean up after it."""
    handled = sys.exc_info()[1]
    while handled is not None:
        if handled is raised:
            return True
        handled = handled.__context__
    return False


def _may_end(frame: "FrameType | None") -> bool:
    """Tell whether an exception would get out of here: not of an import, not of what is being deleted."""
    while frame is not None:
        code = frame.f_code
        if code.co_filename.startswith("<frozen importlib") or code.co_name == "__del__":
            return False
        frame = frame.f_back
    return True
