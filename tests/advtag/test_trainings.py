"""Trainings side by side: one that is told to end keeps its state, and no process is left behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from advtag import trainings

SCRIPT = """
import os, signal, sys
from pathlib import Path
from types import SimpleNamespace
from advtag import endings, trainings
from training.interruption import Interrupted, noted_signals

def train(config, progress):
    print(config.name, flush=True)
    if config.name == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    with noted_signals() as interruption:
        while not interruption.received:
            signal.pause()
    Path(f"{config.name}.kept").touch()
    raise Interrupted(interruption.received)

trainings._train = train

if __name__ == "__main__":
    endings.install()
    names = sys.argv[1:]
    configs = [SimpleNamespace(name=name) for name in names]
    try:
        trainings.train_side_by_side(configs, n_processes=2, progress={name: print for name in names})
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        endings.end_at_once()
"""


def started(folder: Path, *names: str) -> subprocess.Popen[str]:
    script = folder / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, str(script), *names],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupt_ends_all_after_the_step_that_they_are_in(
    tmp_path: Path, ending: signal.Signals
) -> None:
    """Ctrl-C reaches all processes of a terminal, SIGTERM one of them; the third training never begins."""
    process = started(tmp_path, "a", "b", "c")
    assert process.stdout is not None
    assert {process.stdout.readline().strip() for _ in range(2)} == {"a", "b"}
    if ending == signal.SIGINT:
        os.killpg(process.pid, ending)
    else:
        process.send_signal(ending)
    # The end of the output: no process that could write to it is left.
    said, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + ending
    assert (said, errors) == ("", "")
    assert {path.name for path in tmp_path.glob("*.kept")} == {"a.kept", "b.kept"}


def test_a_training_whose_process_is_killed_is_named(tmp_path: Path) -> None:
    process = started(tmp_path, "killed")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "ProcessDiedError: training killed: " in errors.splitlines()[-1]


def test_no_training_outlives_a_command_that_is_killed(tmp_path: Path) -> None:
    process = started(tmp_path, "a", "b")
    assert process.stdout is not None
    assert {process.stdout.readline().strip() for _ in range(2)} == {"a", "b"}
    process.kill()
    process.communicate(timeout=60)
    assert {path.name for path in tmp_path.glob("*.kept")} == {"a.kept", "b.kept"}


def test_one_process_is_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """It needs nothing of the machine; the first error is raised when the others are done."""
    done = []

    def train(config: Any, progress: Any) -> Path:
        done.append((config, os.getpid()))
        if config.name == "wrong":
            raise ValueError("wrong: no")
        return Path(config.name)

    monkeypatch.setattr(trainings, "_train", train)
    monkeypatch.setattr("_multiprocessing.SemLock", None)
    names = ["wrong", "right"]

    class Config:
        def __init__(self, name: str) -> None:
            self.name = name

    configs: list[Any] = [Config(name) for name in names]
    progress: Any = dict.fromkeys(names)
    with pytest.raises(ValueError, match=r"^wrong: no$"):
        trainings.train_side_by_side(configs, n_processes=1, progress=progress)
    assert done == [(config, os.getpid()) for config in configs]
    assert trainings.train_side_by_side(configs[1:], n_processes=1, progress=progress) == [Path("right")]
