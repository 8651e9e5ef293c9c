"""One small production for all tests of the command line, made by the command a new user types first."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Advtag = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def advtag_command() -> list[str]:
    """The installed command."""
    return [str(Path(sys.executable).parent / "advtag")]


@pytest.fixture(scope="session")
def advtag(advtag_command: list[str]) -> Advtag:
    """Run the command with arguments and return what came of it."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"}

    def run(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*advtag_command, *map(str, arguments)],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def production(advtag: Advtag, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a demo with a thirtieth of its events."""
    folder = tmp_path_factory.mktemp("production") / "demo"
    # A relative path, as in the README: what is written must not depend on where the command ran.
    finished = advtag("demo", "--scale", "0.03", "--out", folder.name, cwd=folder.parent)
    assert finished.returncode == 0, finished.stderr
    (folder / "demo_output.txt").write_text(finished.stdout)
    return folder
