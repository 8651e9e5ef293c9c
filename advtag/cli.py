"""The `advtag` command, from its first instruction to its exit code.

It begins with what takes no time: signals are caught, and terminals of all kinds are prepared for, before the
first import that takes long.
"""

import signal
import sys

from advtag import endings


def main() -> None:
    """Run the command line: exit code 0 only if all went well, errors as one sentence."""
    endings.install()
    try:
        code = _run()
    except KeyboardInterrupt:  # before a command began
        code = endings.exit_code(signal.SIGINT)
    finally:
        endings.end_at_once()
    sys.exit(code)


def _run() -> int:
    from advtag import surroundings

    try:
        surroundings.prepare()
    except ValueError as error:
        sys.exit(f"Error: {error}")
    from advtag.application import run

    code = surroundings.flush(run(sys.argv[1:]))
    if endings.was_by_signal(code) and "--debug" not in sys.argv:
        surroundings.silence()
    return code
