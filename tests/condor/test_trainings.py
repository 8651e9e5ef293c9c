"""Trainings on SLURM, with stubs for its commands."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
Stubs = Any


@pytest.fixture
def run_card(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    path = tmp_path / "train.yaml"
    path.write_text(f"name: basic\ndata: {tmp_path / 'data'}\noutput: {tmp_path / 'run'}\nepochs: 3\n")
    return path


def test_a_training_for_each_combination_is_an_element_of_one_array(
    invoke: Run, stubs: Stubs, run_card: Path, tmp_path: Path
) -> None:
    vary = ("--vary", "attack=noise:0.1,fgsm:0.05", "--vary", "seed=1,2")
    command = ("slurm", "train", run_card, tmp_path / "trainings", "--site", "rwth", *vary)
    dry = invoke(*command, "--dry-run")
    assert "#SBATCH --gres=gpu:1" in dry.stdout
    assert not (tmp_path / "trainings").exists()
    assert stubs.calls("sbatch") == []
    came = invoke(*command, "--then", "advtag export x")
    assert came.exit_code == 0, came.exception
    assert stubs.calls("sbatch")[0] == "--parsable --array=0-3 train.slurm"
    assert "--dependency=afterok:8" in stubs.calls("sbatch")[1]
    stubs.answer("squeue", "8|0|RUNNING|None\n8|1|PENDING|BeginTime\n")
    (tmp_path / "run-attack-fgsm_0.05-seed-1").mkdir()
    (tmp_path / "run-attack-fgsm_0.05-seed-1" / "epoch_003.pt").touch()
    status = invoke("slurm", "status", tmp_path / "trainings", "--json")
    assert [(row["what"], row["state"], row["reason"]) for row in json.loads(status.stdout)] == [
        ("basic-attack-noise_0.1-seed-1", "running", "epoch 0 of 3"),
        ("basic-attack-noise_0.1-seed-2", "idle", "epoch 0 of 3"),
        ("basic-attack-fgsm_0.05-seed-1", "done", "epoch 3 of 3"),
        ("basic-attack-fgsm_0.05-seed-2", "failed", "epoch 0 of 3"),
    ]
    invoke("slurm", "resubmit", tmp_path / "trainings")
    assert (tmp_path / "trainings" / "trainings_002.txt").read_text() == "00003\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--vary", "seed"), "write KEY=VALUE,VALUE"),
        (("--vary", "speed=1"), "--vary speed=1: "),
        (("--site", "lxplus"), "site lxplus has no SLURM"),
    ],
)
def test_wrong_trainings_are_refused_before_anything_is_written(
    stubs: Stubs, run_card: Path, tmp_path: Path, options: tuple[str, ...], message: str, refused: Run
) -> None:
    assert message in refused("slurm", "train", run_card, tmp_path / "trainings", *options)
    assert not (tmp_path / "trainings").exists()
