"""Where PYTHIA and FastJet are not installed: simulating says so in a sentence, everything else works."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from simulation.fixture import fixture_files

WITHOUT_EXTRA = """
import sys
for name in ("pythia8mc", "fastjet"):  # numba comes with coffea
    sys.modules[name] = None  # importing it fails
from advtag.cli import main
main()
"""


def advtag_without_extra(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRA, *map(str, arguments)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    "command", [("simulate", "dy", "--events", "10", "--out", "f.root"), ("demo", "--out", "demo")]
)
def test_simulating_says_what_to_install(command: tuple[str, ...], tmp_path: Path) -> None:
    finished = advtag_without_extra(*command[:-1], tmp_path / command[-1])
    assert finished.returncode == 1
    assert "pip install 'advtag[sim]'" in finished.stderr
    assert "pythia8mc" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_simulated_files_are_validated_and_processed(tmp_path: Path) -> None:
    files = fixture_files()
    finished = advtag_without_extra("validate-simulation", files["dy"], "--out", tmp_path / "v", "--json")
    assert finished.returncode == 0, finished.stderr
    assert any(row["name"].startswith("purity of the selection dy") for row in json.loads(finished.stdout))
    fileset = tmp_path / "fileset.json"
    fileset.write_text(json.dumps({"dy": [str(files["dy"])]}))
    finished = advtag_without_extra(
        "process", "--selection", "dy", "--fileset", fileset, "--out", tmp_path / "results"
    )
    assert finished.returncode == 0, finished.stderr
