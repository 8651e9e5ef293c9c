"""Signals end a command with the exit code that shells give it, also in an import or in compiled code."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from advtag.endings import exit_code, was_by_signal
from simulation.fixture import fixture_files

ENDING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


INSTALLED = """
import os, signal, sys
from advtag import endings
endings.install()
"""


def run(code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd, env=os.environ | {"PYTHONPATH": str(cwd)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_exit_codes_are_those_of_shells() -> None:
    """128 + the number of the signal: 2, 15 and 1 on every Unix."""
    assert [exit_code(number) for number in ENDING] == [130, 143, 129]
    assert was_by_signal(143)
    assert not was_by_signal(1)


@pytest.mark.parametrize("ending", ENDING)
def test_a_signal_in_an_import_waits_for_its_end(tmp_path: Path, ending: signal.Signals) -> None:
    """Libraries take any exception there for a module that is missing."""
    (tmp_path / "torn.py").write_text(
        f"import os\ntry:\n    os.kill(os.getpid(), {ending:d})\nexcept BaseException:\n    print('torn')\n",
        encoding="utf-8",
    )
    code = """
import torn
try:
    while True:
        pass
except BaseException as error:
    print(type(error).__name__, getattr(error, "code", None))
finally:
    endings.end_at_once()
"""
    finished = run(INSTALLED + code, tmp_path)
    name = "KeyboardInterrupt None" if ending == signal.SIGINT else f"SystemExit {128 + ending}"
    assert (finished.stdout, finished.stderr, finished.returncode) == (f"{name}\n", "", 0)


LOST = {
    "caught": """
try:
    os.kill(os.getpid(), signal.SIGTERM)
except BaseException:
    pass
""",
    "deleted": """
class Deleted:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
Deleted()
""",
    "unraisable": """
import gc
gc.callbacks.append(lambda *_: gc.callbacks.clear() or os.kill(os.getpid(), signal.SIGTERM))
gc.collect()
""",
}


@pytest.mark.parametrize("how", LOST)
def test_an_end_that_got_lost_comes_again_but_does_not_disturb_the_clean_up(tmp_path: Path, how: str) -> None:
    """What is cleaned up takes longer than the half second after which an end is asked for again."""
    code = f"""
import time
try:
    {LOST[how].strip().replace(chr(10), chr(10) + "    ")}
    while True:
        pass
finally:
    until = time.monotonic() + 1.2
    while time.monotonic() < until:
        pass
    print("cleaned up")
    endings.end_at_once()
"""
    finished = run(INSTALLED + code, tmp_path)
    assert (finished.stdout, finished.stderr, finished.returncode) == ("cleaned up\n", "", 143)


def test_what_was_ignored_stays_ignored(tmp_path: Path) -> None:
    """As of `nohup`, which lets a command live on when its terminal is closed."""
    code = "os.kill(os.getpid(), signal.SIGHUP)\nprint('alive')"
    finished = subprocess.run(
        [sys.executable, "-c", INSTALLED + code],
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (finished.stdout, finished.returncode) == ("alive\n", 0)


def test_a_signal_at_the_very_end_says_nothing(tmp_path: Path) -> None:
    """The interpreter would show an exception that is raised in what it does at its exit."""
    code = """
import atexit
atexit.register(lambda: os.kill(os.getpid(), signal.SIGTERM))
endings.end_at_once()
"""
    finished = run(INSTALLED + code, tmp_path)
    assert (finished.stdout, finished.stderr, finished.returncode) == ("", "", 143)


@pytest.mark.parametrize("ending", ENDING)
@pytest.mark.parametrize("module", ["advtag.application", "coffea.nanoevents", "onnxruntime"])
def test_a_command_that_is_ended_while_it_starts_shows_no_traceback(
    tmp_path: Path, ending: signal.Signals, module: str
) -> None:
    """The signal comes when a module is looked for, by the command or by a library."""
    (tmp_path / "fileset.json").write_text(json.dumps({"dy": [str(fixture_files()["dy"])]}), encoding="utf-8")
    code = f"""
import os, sys

class Ender:
    def find_spec(self, name, path, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), {ending:d})

sys.meta_path.insert(0, Ender())
sys.argv = "advtag process --selection dy --fileset fileset.json --taggers pretrained --out out".split()
from advtag.cli import main
if __name__ == "__main__":
    main()
"""
    finished = run(code, tmp_path)
    assert finished.returncode == 128 + ending, finished.stderr
    assert "Traceback" not in finished.stderr
