"""How much memory this process may take for a while."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_STATUS: Final = Path("/proc/self/status")


@contextmanager
def memory_limit(n_bytes: int | None) -> Iterator[None]:
    """Let this process have no more data than that while the block runs; None for no limit.

    What goes beyond meets a `MemoryError`, or the error of the library that asked. A limit that is there
    already and lower stays.
    """
    if n_bytes is None:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    lowest = n_bytes if soft == resource.RLIM_INFINITY else min(n_bytes, soft)
    resource.setrlimit(resource.RLIMIT_DATA, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


@contextmanager
def memory_limit_beyond_now(n_bytes: int) -> Iterator[None]:
    """The same, counted from what this process has now; no limit where the system does not tell that."""
    used = _data_in_use()
    with memory_limit(None if used is None else used + n_bytes):
        yield


def _data_in_use() -> int | None:
    if not _STATUS.is_file():
        return None
    lines = dict(line.split(":", 1) for line in _STATUS.read_text(encoding="utf-8").splitlines())
    return int(lines["VmData"].split()[0]) * 1024 if "VmData" in lines else None
