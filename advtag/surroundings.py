"""Shells, terminals and environments as they come: none of them keeps a command from its work."""

import codecs
import importlib.util
import os
import select
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TextIO

BROKEN_PIPE: Final = 128 + 13
"""The exit code of a command whose output nobody takes any more, as shells have it after SIGPIPE."""

PACKAGES: Final = (
    "condor", "datamc", "events", "models", "plotting", "processors", "selections", "simulation", "storage",
    "training",
)  # fmt: skip
"""The packages beside this one."""

_WIDTHS: Final = (40, 500)
"""Of a terminal, in characters: in less nothing can be read, and more is no terminal."""
_READABLE: Final = "advtag.readable"
_PLAIN: Final = str.maketrans(
    {"–": "-", "—": "-", "−": "-", "…": "...", "×": "x", "·": ".", "→": "->", "≥": ">=", "≤": "<=", "±": "+-"}
    | {chr(spinner): "*" for spinner in range(0x2800, 0x2900)}
)


def prepare() -> None:
    """Make the streams, the width of the terminal and the names of files such that nothing fails by them.

    Raises:
        ValueError: If another package is found in place of one of this project.
    """
    _open_closed_streams()
    _know_all_names_of_files()
    for stream in (sys.stdout, sys.stderr):
        _write_whatever_comes(stream)
    _limit("COLUMNS", *_WIDTHS)
    _limit("LINES", 10, _WIDTHS[1])
    _require_own_packages()


def _open_closed_streams() -> None:
    """Open standard streams that are closed, or the next file that is opened would take their place."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r+", encoding="utf-8"))  # noqa: PTH123, SIM115


def _know_all_names_of_files() -> None:
    """Start again in UTF-8 where this locale has no name for most files: in plain ASCII, as of `LC_ALL=C`."""
    if codecs.lookup(sys.getfilesystemencoding()).name != "ascii" or sys.flags.utf8_mode:
        return
    os.environ["PYTHONUTF8"] = "1"
    os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def _write_whatever_comes(stream: TextIO) -> None:
    """Let a stream write characters that its encoding lacks in another way, instead of failing."""
    codecs.register_error(_READABLE, _in_plain_characters)
    if getattr(stream, "errors", None) in ("strict", "backslashreplace"):
        stream.reconfigure(errors=_READABLE)  # type: ignore[attr-defined]


def _in_plain_characters(error: UnicodeError) -> tuple[str, int]:
    r"""Return what stands for characters that cannot be written, such as ``-`` for a dash or ``\u03b5``."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(_PLAIN)
    return text.encode("ascii", "backslashreplace").decode("ascii"), error.end


def _limit(variable: str, least: int, most: int) -> None:
    """Keep a size of the terminal that the environment gives within limits; what is no number goes."""
    text = os.environ.get(variable, "")
    if text.isascii() and text.isdigit() and int(text) > 0:
        os.environ[variable] = str(min(max(int(text), least), most))
    else:
        os.environ.pop(variable, None)


def _require_own_packages() -> None:
    """Raise if the packages of this project are not those beside this one.

    Raises:
        ValueError: If another package of the same name comes before.
    """
    home = Path(__file__).resolve().parents[1]
    for name in PACKAGES:
        own = home / name / "__init__.py"
        spec = importlib.util.find_spec(name) if own.is_file() else None
        if spec is None or spec.origin is None or Path(spec.origin).resolve() == own:
            continue
        other = Path(spec.origin).parent if spec.submodule_search_locations else Path(spec.origin)
        entry = str(other.parent)
        how = "PYTHONPATH" if entry in _python_path() else "Python's path"
        raise ValueError(
            f"{other}: hides the package {name} of advtag, since {how} names {entry} first: take that folder "
            f"off {how} or rename {other.name}"
        )


def _python_path() -> Iterator[str]:
    for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep):
        if entry:
            yield str(Path(entry).absolute())


def goes_nowhere(stream: TextIO) -> bool:
    """Tell whether a stream is a pipe whose reader has gone, or was replaced by one to nowhere since then."""
    try:
        descriptor = stream.fileno()
        poll = select.poll()
        poll.register(descriptor, 0)
        is_broken = any(event & select.POLLERR for _, event in poll.poll(0))
        return is_broken or os.fstat(descriptor).st_rdev == Path(os.devnull).stat().st_rdev
    except (OSError, ValueError):  # a stream of another kind
        return False


def flush(code: int) -> int:
    """Write what is left in the standard streams; return the exit code, another one if that fails."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:
            code = BROKEN_PIPE if isinstance(error, BrokenPipeError) else code or 1
            # The interpreter flushes once more at its end, and would complain.
            _lead_nowhere(stream)
    return code


def silence() -> None:
    """Let nothing be said any more: libraries that were torn from their work complain at the very end."""
    _lead_nowhere(sys.stderr)


def _lead_nowhere(stream: TextIO) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
