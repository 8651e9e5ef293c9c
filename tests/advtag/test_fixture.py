"""The events that come with the package: enough to run an analysis where nothing can be simulated."""

import json
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest
import uproot

from models.features import BRANCHES
from selections.branches import branches_of
from selections.parameters import parameters_of
from simulation import fileset_of, read_sample_info
from simulation.fixture import FIXTURE_EVENTS, FOLDER, MAX_BYTES, fixture_files
from training.reading import NEEDED_BRANCHES

WITHOUT_SIMULATION = """
import json, sys
for name in ("pythia8mc", "fastjet"):
    sys.modules[name] = None
from pathlib import Path
from processors.run import run_selection
from simulation.fixture import fixture_files
from simulation.validation.validate import validate
from training.config import PrepareConfig
from training.prepare import prepare

files = fixture_files()
jets = {}
for selection, process in (("dy", "dy"), ("wc", "wc"), ("ttsemilep", "ttsl")):
    result = run_selection(selection=selection, fileset={process: [str(files[process])]})
    jets[selection] = result.cutflows[process][-1].n_events
inputs = tuple(str(files[process]) for process in ("qcd", "ttsl"))
manifest = prepare(PrepareConfig(inputs=inputs, output=Path(sys.argv[1]), pt_bins=5, eta_bins=2))
found = validate(list(files.values()))
print(json.dumps({"jets": jets, "manifest": json.loads(manifest.read_text()), "mix": found.training_mix}))
"""


def test_fixture_is_small_and_of_every_kind() -> None:
    files = fixture_files()
    assert set(files) == {"dy", "wc", "ttsl", "qcd"}
    assert sum(path.stat().st_size for path in files.values()) <= MAX_BYTES
    for process, path in files.items():
        assert read_sample_info(path).n_generated == FIXTURE_EVENTS[process]


@pytest.mark.parametrize("process", FIXTURE_EVENTS)
def test_fixture_holds_what_selections_and_training_read(process: str) -> None:
    with uproot.open(fixture_files()[process]) as file:
        available = set(file["Events"].keys())
        assert file["Runs"]["genEventCount"].array().tolist() == [FIXTURE_EVENTS[process]]
    for selection in ("dy", "wc", "ttsemilep", "inclusive"):
        branches = branches_of(parameters_of(selection))
        assert branches.missing(available) == ()
        assert set(branches.optional) <= available
    assert {*NEEDED_BRANCHES, *BRANCHES} <= available


def test_fixture_makes_a_fileset() -> None:
    fileset = fileset_of(read_sample_info(path) for path in fixture_files().values())
    assert set(fileset) == set(FIXTURE_EVENTS)
    assert fileset["dy"]["metadata"]["cross_section_pb"] > 0


def test_fixture_is_analysed_where_nothing_can_be_simulated(tmp_path: Path) -> None:
    finished = subprocess.run(
        [sys.executable, "-c", WITHOUT_SIMULATION, str(tmp_path / "prepared")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    output = json.loads(finished.stdout)
    assert all(n_jets > 0 for n_jets in output["jets"].values()), output["jets"]
    assert output["mix"] == "qcd"
    assert (tmp_path / "prepared" / "scaler.json").is_file()


def test_fixture_lies_in_the_package() -> None:
    folder = resources.files("simulation").joinpath(FOLDER)
    assert sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".root")) == [
        "dy.root", "qcd.root", "ttsl.root", "wc.root",
    ]  # fmt: skip
