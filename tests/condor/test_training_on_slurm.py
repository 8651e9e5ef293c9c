"""A training that its time limit stops, and that goes on when SLURM has put it back into the queue."""

import json
import math
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from storage.tables import read_table
from training.history import EpochRecord

Run = Callable[..., Any]

CALIBRATION_EPOCHS = 10
SECONDS = 80
"""How long the training takes: more than twice the half minute after which SLURM ends it, also where the
calibration found the machine slower than it is."""


def card(folder: Path, name: str, epochs: int) -> Path:
    path = folder / f"{name}.yaml"
    content = {
        "name": "basic",
        "data": str(folder / "data"),
        "output": str(folder / name),
        "epochs": epochs,
        "batch_size": 20,
    }
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture(scope="module")
def folder(advtag: str, samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with training data of the events that come with the package."""
    folder = tmp_path_factory.mktemp("training")
    files = [path for name in ("qcd", "ttsl") for path in json.loads(samples.read_text())[name]["files"]]
    config = {"inputs": files, "output": str(folder / "data"), "pt_bins": 5, "eta_bins": 2}
    (folder / "prepare.yaml").write_text(yaml.safe_dump(config))
    subprocess.run([advtag, "prepare", folder / "prepare.yaml"], check=True, capture_output=True)
    return folder


def test_a_training_stopped_twice_ends_as_one_that_was_not(slurm: Run, advtag: str, folder: Path) -> None:
    """SLURM tells it to end as its time limit comes near, and puts it back into the queue, at least twice."""
    epochs = math.ceil(SECONDS / seconds_per_epoch(advtag, folder))
    whole = subprocess.Popen(
        [advtag, "train", card(folder, "whole", epochs)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    site = folder / "site.yaml"
    site.write_text(json.dumps({"name": "test", "scheduler": "slurm", "request": {"memory_mb": 1000}}))
    # SLURM looks at the time every half minute, and sends the signal if the next look would be too late: one
    # minute less twice half a minute is at its first look.
    limits = ("--gpus", 1, "--minutes", 1, "--signal-seconds", 30)
    submitted = slurm(
        advtag, "slurm", "train", card(folder, "stopped", epochs), folder / "jobs", "--site", site, *limits
    )
    assert submitted.returncode == 0, submitted.stderr
    restarts = follow(slurm)
    status = slurm(advtag, "slurm", "status", folder / "jobs", "--json")
    assert status.returncode == 0, status.stderr
    assert json.loads(status.stdout)[0]["reason"] == f"epoch {epochs} of {epochs}"
    assert whole.wait() == 0
    assert restarts >= 2
    assert last_state(folder / "stopped", epochs) == last_state(folder / "whole", epochs)
    records = [read_table(folder / name / "history.csv", kind=EpochRecord) for name in ("stopped", "whole")]
    assert [record._replace(jets_per_second=0) for record in records[0]] == [
        record._replace(jets_per_second=0) for record in records[1]
    ]


def seconds_per_epoch(advtag: str, folder: Path) -> float:
    """Return how long an epoch takes, without the start of the program."""
    calibration = card(folder, "calibration", CALIBRATION_EPOCHS)
    subprocess.run([advtag, "train", calibration], check=True, capture_output=True)
    first, last = (
        (folder / "calibration" / f"epoch_{epoch:03d}.pt").stat().st_mtime
        for epoch in (1, CALIBRATION_EPOCHS)
    )
    return (last - first) / (CALIBRATION_EPOCHS - 1)


def follow(slurm: Run) -> int:
    """Wait until the training has left the queue; return how often it was put back into it."""
    restarts = 0
    while fields := slurm("squeue", "--noheader", "--format=%A|%r").stdout.strip():
        number, reason = fields.split("|")
        restarts = max(restarts, restarts_of(slurm, number))
        if reason == "BeginTime":  # a requeued job waits two minutes, which nobody needs here
            slurm("scontrol", "update", f"JobId={number}", "StartTime=now")
    return restarts


def restarts_of(slurm: Run, number: str) -> int:
    words = slurm("scontrol", "show", "job", number).stdout.split()
    return next((int(word.removeprefix("Restarts=")) for word in words if word.startswith("Restarts=")), 0)


def last_state(run: Path, epoch: int) -> dict[str, list[float]]:
    state = torch.load(run / f"epoch_{epoch:03d}.pt", weights_only=True)
    return {name: tensor.flatten().tolist() for name, tensor in state["network"].items()}
