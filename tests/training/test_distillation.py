import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from models.features import N_FEATURES
from models.network import TaggerNetwork
from models.scaler import FeatureScaler
from training.batches import Batch, StoredJets
from training.checkpoints import checkpoint_path, load_checkpoint
from training.composition import methods_of, read_sources
from training.config import TrainConfig
from training.distillation import Distilled, read_teacher
from training.passes import Passes
from training.shards import TrainingData
from training.train import train_step

CPU = torch.device("cpu")


@pytest.fixture
def batch(training_data: Path) -> Batch:
    return next(StoredJets(TrainingData(training_data), "train", device=CPU).in_order(300))


class _Constant(TaggerNetwork):
    """Has the same logits for every jet."""

    def __init__(self, logits: list[float]) -> None:
        super().__init__(dropout=0.0)
        with torch.no_grad():
            self.head.weight.zero_()
            self.head.bias.copy_(torch.tensor(logits))


def test_the_divergence_at_a_temperature_by_hand(batch: Batch) -> None:
    # Teacher 4 ln 3, 0, 0, 0 at T = 4: 3/6, 1/6, 1/6, 1/6. Network 0: 1/4 each.
    expected = 0.5 * math.log(2) + 3 / 6 * math.log(4 / 6)
    method = Distilled(_Constant([4 * math.log(3), 0, 0, 0]), temperature=4.0, weight=0.5)
    found = method.extra_loss(Passes(_Constant([0, 0, 0, 0])), batch, step=0)
    assert found.item() == pytest.approx(0.5 * 16 * expected, rel=1e-4)


def test_the_gradient_at_temperature_one_is_that_of_soft_labels(batch: Batch) -> None:
    teacher, network = _Constant([1.0, 0.0, 2.0, -1.0]), _Constant([0.3, -0.2, 0.0, 0.5])
    loss = Distilled(teacher, temperature=1.0, weight=1.0).extra_loss(Passes(network), batch, step=0)
    (found,) = torch.autograd.grad(loss, network.head.bias)
    # Cross entropy with soft labels q: p - q
    expected = network.head.bias.softmax(dim=0) - teacher.head.bias.softmax(dim=0)
    torch.testing.assert_close(found, expected.detach(), atol=1e-6, rtol=1e-4)


def test_a_student_of_itself_learns_nothing_in_the_place_of_truth(
    train_config: Callable[..., TrainConfig], batch: Batch
) -> None:
    torch.manual_seed(3)
    network, teacher = TaggerNetwork(dropout=0.0), TaggerNetwork(dropout=0.0)
    teacher.load_state_dict(network.state_dict())
    before = network.head.weight.detach().clone()
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    method = Distilled(teacher, temperature=3.0, weight=1.0)
    train_step(network, optimizer, batch, train_config(batch_size=300, micro_batch=70), methods=[method])
    torch.testing.assert_close(network.head.weight.detach(), before, atol=1e-6, rtol=0)


def test_the_weight_is_the_share_of_the_teacher(
    train_config: Callable[..., TrainConfig], batch: Batch
) -> None:
    teacher = _Constant([1.0, 0.0, 2.0, -1.0])
    steps = {}
    for weight in (0.0, 0.3, 1.0):
        network = _Constant([0.3, -0.2, 0.0, 0.5])
        before = network.head.bias.detach().clone()
        method = Distilled(teacher, temperature=2.0, weight=weight)
        optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
        train_step(network, optimizer, batch, train_config(batch_size=300), methods=[method])
        steps[weight] = network.head.bias.detach() - before
    torch.testing.assert_close(steps[0.3], 0.7 * steps[0.0] + 0.3 * steps[1.0], atol=1e-5, rtol=1e-3)


def test_a_teacher_is_read_from_its_run_directory(
    train_config: Callable[..., TrainConfig], finished_run: Path, batch: Batch
) -> None:
    card = {"method": "distillation", "teacher": str(finished_run), "temperature": 2}
    config = train_config(methods=[card])
    sources = read_sources(config, TrainingData(config.data), CPU)
    ((_, teacher),) = sources.teachers.items()
    expected = load_checkpoint(checkpoint_path(finished_run, 2))["network"]
    assert all(torch.equal(tensor, expected[name]) for name, tensor in teacher.network.state_dict().items())
    assert not any(module.training for module in teacher.network.modules())
    (method,) = methods_of(config, sources, CPU)
    before = {name: tensor.clone() for name, tensor in teacher.network.state_dict().items()}
    network = TaggerNetwork()
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    train_step(network, optimizer, batch, config, methods=[method])
    assert all(torch.equal(tensor, before[name]) for name, tensor in teacher.network.state_dict().items())
    earlier = read_teacher(finished_run, 1, sources.scaler, device=CPU)
    assert earlier.fingerprint != teacher.fingerprint


def test_an_unfit_teacher_is_one_sentence(finished_run: Path, training_data: Path, tmp_path: Path) -> None:
    scaler = TrainingData(training_data).scaler()
    with pytest.raises(FileNotFoundError, match="give the output folder of 'advtag train'"):
        read_teacher(tmp_path, None, scaler, device=CPU)
    with pytest.raises(FileNotFoundError, match="holds no epoch 7, only 1 to 2: train the teacher"):
        read_teacher(finished_run, 7, scaler, device=CPU)
    ones = np.ones(N_FEATURES, dtype=np.float32)
    with pytest.raises(ValueError, match="another scaling: train the teacher on the same prepared jets"):
        read_teacher(finished_run, None, FeatureScaler(0 * ones, ones, 0 * ones), device=CPU)
