"""One call of advtag under limits, and what came of it.

Importing the libraries takes seconds, a call on a small file a fraction of one. So the harness imports them
once and forks for each call; what must be a process of its own (killed ones, jobs) is one.
"""

import atexit
import importlib
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

ADVTAG = Path(sys.executable).parent / "advtag"
"""The installed command."""

ONE_THREAD = {
    "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "COLUMNS": "200"
}  # fmt: skip

_MODULES = (
    "awkward", "coffea.processor", "correctionlib", "dask", "hist", "matplotlib.pyplot", "mplhep", "numpy",
    "onnx", "onnxruntime", "plotly", "pyarrow.parquet", "scipy.optimize", "torch", "uhi.io.zip", "uproot",
    "advtag.cli", "condor.merging", "datamc.results", "models.tagger", "plotting", "processors.run",
    "processors.skim", "training",
)  # fmt: skip


class Limits(NamedTuple):
    """What a call may take.

    Attributes:
        seconds: Of wall time; afterwards it counts as hanging and is killed.
        memory_mb: Of address space beyond that of the harness, in MiB; None for no limit.
        file_kb: Size that a file may reach, in KiB, as if the disk were full; None for no limit.
    """

    seconds: float = 90.0
    memory_mb: int | None = None
    file_kb: int | None = None


NO_LIMITS = Limits()


class Ended(NamedTuple):
    """How a call ended: the exit code (minus the signal where one ended it) and what it said."""

    code: int
    stdout: str
    stderr: str
    hung: bool = False

    @property
    def last_line(self) -> str:
        """The last thing said on standard error."""
        lines = self.stderr.strip().splitlines()
        return lines[-1] if lines else ""


def warm() -> None:
    """Import what calls will need, so that they need not; none of it starts a thread."""
    os.environ.update(ONE_THREAD)
    for module in _MODULES:
        importlib.import_module(module)


def call(arguments: Sequence[object], folder: Path, limits: Limits = NO_LIMITS) -> Ended:
    """Return how `advtag ARGUMENTS` ended in a folder, in a process forked from this one."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as error:
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if child == 0:
            _become(list(map(str, arguments)), folder, (out.fileno(), error.fileno()), limits)
        code, hung = _wait(child, limits.seconds)
        return Ended(code, _content(out), _content(error), hung)


def command(
    arguments: Sequence[object], folder: Path, *, seconds: float = 600.0, environment: Mapping[str, str] = {}
) -> Ended:
    """Return how the installed command ended in a folder, as a user starts it."""
    try:
        finished = subprocess.run(
            [ADVTAG, *map(str, arguments)], cwd=folder, env=os.environ | ONE_THREAD | environment,
            capture_output=True, stdin=subprocess.DEVNULL, timeout=seconds, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as expired:
        return Ended(-signal.SIGKILL, "", (expired.stderr or b"").decode(errors="replace"), hung=True)
    return Ended(
        finished.returncode,
        finished.stdout.decode(errors="replace"),
        finished.stderr.decode(errors="replace"),
    )


def _become(arguments: list[str], folder: Path, outputs: tuple[int, int], limits: Limits) -> None:
    """Turn this forked process into a call of advtag; never returns."""
    code = 1
    try:
        os.setsid()
        os.chdir(folder)
        silence = os.open(os.devnull, os.O_RDONLY)
        os.dup2(silence, 0)
        for descriptor, output in enumerate(outputs, start=1):
            os.dup2(output, descriptor)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _limit(limits)
        code = run_main(arguments)
    finally:
        os._exit(code)


def run_main(arguments: Sequence[str]) -> int:
    """Return the exit code of the command in this process, as the interpreter would make it."""
    from advtag.cli import main

    sys.argv = ["advtag", *arguments]
    try:
        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    # As the interpreter does in the end: workers are sent home.
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def _limit(limits: Limits) -> None:
    if limits.memory_mb is not None:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + limits.memory_mb * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    if limits.file_kb is not None:
        # Writing beyond the limit then fails with an error, as on a full disk, in place of a signal.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limits.file_kb * 1024, limits.file_kb * 1024))


def _wait(child: int, seconds: float) -> tuple[int, bool]:
    """Return the exit code of a child and whether it had to be killed, with all that it started."""
    deadline = time.monotonic() + seconds
    pause = 0.005
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status), False
        time.sleep(pause)
        pause = min(2 * pause, 0.05)
    os.killpg(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), True


def _content(file: object) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")
