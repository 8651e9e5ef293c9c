"""A training that its time limit and a signal stop, and that SLURM puts back into the queue."""

import json
import math
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from storage.tables import read_table
from training.checkpoints import EpochRecord

Run = Callable[..., Any]

CALIBRATION_EPOCHS = 10
SECONDS = 80
"""How long the training takes: more than the minute it is given, so that the limit strikes at least once."""


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
    begin = time.perf_counter()
    subprocess.run(
        [advtag, "train", card(folder, "calibration", CALIBRATION_EPOCHS)], check=True, capture_output=True
    )
    epochs = math.ceil(SECONDS * CALIBRATION_EPOCHS / (time.perf_counter() - begin))
    whole = subprocess.Popen([advtag, "train", card(folder, "whole", epochs)], stderr=subprocess.DEVNULL)
    site = folder / "site.yaml"
    site.write_text(json.dumps({"name": "test", "scheduler": "slurm", "request": {"memory_mb": 1000}}))
    # SLURM looks at the time every half minute, and sends the signal when the next look would be too late.
    limits = ("--gpus", 1, "--minutes", 1, "--signal-seconds", 1)
    submitted = slurm(
        advtag, "slurm", "train", card(folder, "stopped", epochs), folder / "jobs", "--site", site, *limits
    )
    assert submitted.returncode == 0, submitted.stderr
    restarts = follow(slurm, advtag, folder / "jobs")
    assert whole.wait() == 0
    assert restarts >= 2
    assert last_state(folder / "stopped", epochs) == last_state(folder / "whole", epochs)
    records = [read_table(folder / name / "history.csv", kind=EpochRecord) for name in ("stopped", "whole")]
    assert [record._replace(jets_per_second=0) for record in records[0]] == [
        record._replace(jets_per_second=0) for record in records[1]
    ]


def follow(slurm: Run, advtag: str, jobs: Path) -> int:
    """Wait until the training is done; after its first stop, send it the signal once more."""
    signalled = False
    restarts = 0
    while slurm(advtag, "slurm", "status", jobs).returncode == 4:
        fields = slurm("squeue", "--noheader", "--format=%A|%r|%T").stdout.strip().split("|")
        if len(fields) < 3:
            continue
        number, reason, state = fields
        if reason == "BeginTime":  # a requeued job waits two minutes, which nobody needs here
            slurm("scontrol", "update", f"JobId={number}", "StartTime=now")
        restarts = max(restarts, restarts_of(slurm, number))
        if restarts == 1 and state == "RUNNING" and not signalled and is_training(jobs):
            slurm("scancel", "--signal=USR1", "--batch", number)
            signalled = True
    assert slurm(advtag, "slurm", "status", jobs).returncode == 0
    return restarts


def restarts_of(slurm: Run, number: str) -> int:
    words = slurm("scontrol", "show", "job", number).stdout.split()
    return next((int(word.removeprefix("Restarts=")) for word in words if word.startswith("Restarts=")), 0)


def is_training(jobs: Path) -> bool:
    """Say whether an epoch was finished since the training was stopped."""
    output = Path(json.loads((jobs / "trainings.json").read_text())["trainings"][0][1])
    stopped = (jobs / "00000" / "stderr").resolve()
    newest = max((path.stat().st_mtime for path in output.glob("epoch_*.pt")), default=0)
    return "REQUEUE" in stopped.read_text() and newest > stopped.stat().st_mtime - 5


def last_state(run: Path, epoch: int) -> dict[str, list[float]]:
    state = torch.load(run / f"epoch_{epoch:03d}.pt", weights_only=True)
    return {name: tensor.flatten().tolist() for name, tensor in state["network"].items()}
