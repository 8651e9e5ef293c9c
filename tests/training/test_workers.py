"""Two processes of one training, as torchrun starts them, on this machine."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from training.checkpoints import checkpoint_path, load_checkpoint
from training.config import TrainConfig
from training.history import read_history, read_terms
from training.train import train

SCRIPT = """
import json, sys, time
from contextlib import suppress
from pathlib import Path
from training.config import TrainConfig
from training.train import train

def threads_of_the_group():
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # it ended meanwhile
            if "gloo" in (task / "comm").read_text():
                yield task

train(TrainConfig.model_validate(json.loads(sys.argv[1])))
until = time.monotonic() + 10
while list(threads_of_the_group()):
    if time.monotonic() > until:
        sys.exit("threads of the process group are left; they may abort the end of the interpreter")
    time.sleep(0.01)
"""


def train_in_two_processes(config: TrainConfig) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    card = json.dumps(config.model_dump(mode="json"))
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, card],
            env=os.environ
            | {
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
                "WORLD_SIZE": "2",
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "GLOO_SOCKET_IFNAME": "lo",
            },
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    errors = [process.communicate(timeout=300)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors


@pytest.mark.parametrize(
    ("settings", "methods"),
    [
        ({"attack": "fgsm:0.1", "mix": 0.5, "micro_batch": 60}, []),
        ({}, ["mmd_outputs", "gradient_reversal"]),
    ],
)
def test_two_processes_train_as_one_does_on_their_joint_batches(
    training_data: Path,
    unlabelled_folder: Path,
    tmp_path: Path,
    settings: dict[str, object],
    methods: list[str],
) -> None:
    cards = [{"method": method, "unlabelled": [str(unlabelled_folder)], "jets": 64} for method in methods]
    one, two = (
        TrainConfig.model_validate(
            {
                "name": "joint",
                "data": training_data,
                "output": tmp_path / name,
                "epochs": 1,
                "batch_size": 255,  # the shares of a batch differ in size
                "dropout": 0.0,  # its masks depend on the process
            }
            | settings
            | {"methods": cards}
        )
        for name in ("one", "two")
    )
    train(one)
    train_in_two_processes(two)
    both = [load_checkpoint(checkpoint_path(config.output, 1)) for config in (one, two)]
    states = [state["network"] | state["modules"] for state in both]
    for name, tensor in states[0].items():
        torch.testing.assert_close(states[1][name], tensor, atol=2e-4, rtol=1e-2)
    histories = [read_history(config.output)[-1] for config in (one, two)]
    assert histories[1][2:-1] == pytest.approx(histories[0][2:-1], rel=1e-3)
    terms = [[term.value for term in read_terms(config.output)] for config in (one, two)]
    assert len(terms[0]) == len(methods)
    assert terms[1] == pytest.approx(terms[0], rel=1e-2)
    assert {path.name for path in one.output.iterdir()} == {path.name for path in two.output.iterdir()}
