"""A study whose trainings run on a real SLURM, its jobs on a real HTCondor, and the same one without."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import yaml

from condor.trainings import read_trainings

Run = Callable[..., Any]

CARD = {
    "name": "small",
    "output": "far",
    "samples": {
        "training": {"scenario": "mc", "seed": 11, "events": {"qcd": 800, "tt": 600}},
        "evaluation": {
            "mc": {"seed": 3, "events": {"dy": 3000}},
            "data": {"seed": 4, "events": {"dy": 2000}},
        },
    },
    "prepare": {"pt_bins": 5, "eta_bins": 2, "weight_cap": 5},
    "training": {"epochs": 3, "batch_size": 100},
    "unlabelled": {"selections": ["dy"], "share": 0.3},
    "methods": {
        "basic": {},
        "mmd": {"methods": [{"method": "mmd_outputs", "jets": 20}]},
        "taught": {"methods": [{"method": "distillation", "teacher": "basic"}]},
    },
    "seeds": [1],
    "selections": ["dy"],
    "early_epochs": [1],
    "replicas": 20,
    "blocks": 16,
    "null_scenario": None,
}
"""Three trainings, one of which needs another, and a selection in jobs."""


class Story(NamedTuple):
    """What the command said each time it was given, and where things are."""

    folder: Path
    calls: list[Any]
    here: Any


@pytest.fixture(scope="module")
def story(slurm: Run, htcondor: Run, advtag: str, tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = tmp_path_factory.mktemp("study")
    (folder / "card.yaml").write_text(yaml.safe_dump(CARD, sort_keys=False))
    request = {"memory_mb": 1000, "disk_mb": 100, "minutes": 30}
    environment = {"path": str(Path(advtag).parent.parent)}
    for scheduler in ("slurm", "htcondor"):
        site = {"name": scheduler, "scheduler": scheduler, "request": request, "environment": environment}
        (folder / f"{scheduler}.yaml").write_text(yaml.safe_dump(site))

    def study(pool: Run) -> Any:
        sites = ("--train-on", "slurm.yaml", "--process-on", "htcondor.yaml")
        return pool(advtag, "study", "card.yaml", *sites, cwd=folder)

    def wait(pool: Run, kind: str, jobs: str) -> None:
        came = pool(advtag, kind, "status", f"far/jobs/{jobs}", "--watch", "--every", 1, cwd=folder)
        assert came.returncode == 0, came.stdout + came.stderr

    calls = [study(slurm)]
    wait(slurm, "slurm", "trainings_1")
    calls.append(study(slurm))
    wait(slurm, "slurm", "trainings_2")
    calls.append(study(htcondor))
    wait(htcondor, "condor", "process_data_1")
    calls.append(study(htcondor))
    words = [advtag, "study", "card.yaml", "--out", "here"]
    here = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    return Story(folder, calls, here)


def test_each_call_goes_as_far_as_it_can(story: Story) -> None:
    assert [came.returncode for came in story.calls] == [4, 4, 4, 0], story.calls[-1].stderr
    first, second, third, last = (" ".join(came.stderr.split()) for came in story.calls)
    assert "2 trainings submitted as " in first
    assert "1 trainings submitted as " in second
    assert "2 jobs (2 dy) on 2 files, 2 parts in all, submitted as " in third
    assert "data, dy: 5000 events expected, 5000 processed, 0 declared lost" in last


def test_students_follow_their_teachers(story: Story) -> None:
    arrays = [story.folder / "far" / "jobs" / f"trainings_{number}" for number in (1, 2)]
    names = [[each.name for each in read_trainings(array).trainings] for array in arrays]
    assert names == [["basic.s1", "mmd.s1"], ["taught.s1"]]


def test_taggers_and_tables_are_those_of_a_study_here(story: Story) -> None:
    assert story.here.returncode == 0, story.here.stderr
    far, here = (story.folder / name for name in ("far", "here"))
    runs = sorted(path.name for path in (here / "runs").iterdir())
    assert runs == ["basic.s1", "mmd.s1", "taught.s1"]
    for run in runs:
        states = [
            torch.load(out / "runs" / run / "epoch_003.pt", weights_only=True)["network"]
            for out in (far, here)
        ]
        assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())
    for table in ("methods.csv", "method_seeds.csv", "method_pairs.csv"):
        assert (far / table).read_text() == (here / table).read_text()
