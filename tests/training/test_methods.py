import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from models.network import TaggerNetwork
from models.variants import Variant
from training.attacks import Perturbation
from training.batches import Batch, StoredJets
from training.composition import methods_of, read_sources
from training.config import TrainConfig
from training.losses import focal_loss
from training.methods import Consistency, Method, Perturbed
from training.passes import Passes
from training.shards import TrainingData
from training.train import train_step

CPU = torch.device("cpu")
FGSM = Perturbation(Variant("fgsm", 0.1))


@pytest.fixture
def batch(training_data: Path) -> Batch:
    return next(StoredJets(TrainingData(training_data), "train", device=CPU).in_order(300))


@pytest.fixture
def network() -> TaggerNetwork:
    torch.manual_seed(3)
    return TaggerNetwork(dropout=0.0)


def gradient(network: TaggerNetwork, batch: Batch, weights: torch.Tensor | None = None) -> torch.Tensor:
    """Of the weighted mean loss in the weights of the head."""
    weights = batch.weights if weights is None else weights
    loss = (weights * focal_loss(network(batch.scaled), batch.labels, gamma=0)).sum() / weights.sum()
    return torch.autograd.grad(loss, network.head.weight)[0]


def step_of(
    network: TaggerNetwork, batch: Batch, config: TrainConfig, methods: list[Method], **where: int
) -> torch.Tensor:
    """The step that a rate of 1 takes in the weights of the head."""
    before = network.head.weight.detach().clone()
    train_step(
        network, torch.optim.SGD(network.parameters(), lr=1.0), batch, config, methods=methods, **where
    )
    return before - network.head.weight.detach()


@pytest.mark.parametrize("mix", [0.0, 0.3, 1.0])
def test_mix_is_the_share_of_the_attacked_loss(
    train_config: Callable[..., TrainConfig], network: TaggerNetwork, batch: Batch, mix: float
) -> None:
    attacked = batch._replace(scaled=FGSM(network, batch.scaled, batch.labels, batch.frozen))
    expected = mix * gradient(network, attacked) + (1 - mix) * gradient(network, batch)
    found = step_of(network, batch, train_config(batch_size=300, micro_batch=70), [Perturbed(FGSM, mix=mix)])
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-4)


def test_every_third_step_is_attacked(
    train_config: Callable[..., TrainConfig], network: TaggerNetwork, batch: Batch
) -> None:
    method = Perturbed(FGSM, every=3)
    is_attacked = [
        not torch.equal(method.batch_transform(network, batch, step=step).scaled, batch.scaled)
        for step in range(7)
    ]
    assert is_attacked == [True, False, False, True, False, False, True]


def test_consistency_is_the_divergence_of_the_scores(network: TaggerNetwork, batch: Batch) -> None:
    one = next(batch.pieces(1))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter *= 2.5  # logits spread as after training
    p = network(one.scaled).softmax(dim=1).squeeze().tolist()
    q = network(FGSM(network, *one[:2], one.frozen)).softmax(dim=1).squeeze().tolist()
    expected = 2.5 * sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    assert expected > 0
    found = Consistency(FGSM, weight=2.5).extra_loss(Passes(network), one, step=0)
    assert found.item() == pytest.approx(expected, rel=1e-3)


def test_an_extra_loss_is_a_mean_whatever_the_micro_batches(
    train_config: Callable[..., TrainConfig], batch: Batch
) -> None:
    steps = []
    for micro_batch in (300, 70):
        torch.manual_seed(3)
        methods: list[Method] = [Consistency(FGSM, weight=10.0)]
        config = train_config(batch_size=300, micro_batch=micro_batch)
        steps.append(step_of(TaggerNetwork(dropout=0.0), batch, config, methods))
    torch.testing.assert_close(steps[0], steps[1], atol=1e-6, rtol=1e-4)
    torch.manual_seed(3)
    plain = step_of(TaggerNetwork(dropout=0.0), batch, train_config(batch_size=300), [])
    assert not torch.allclose(steps[0], plain, atol=1e-5)


def test_a_method_of_ones_own_needs_no_change_of_the_loop(
    train_config: Callable[..., TrainConfig], network: TaggerNetwork, batch: Batch
) -> None:
    class SmallHidden(Method):
        """Draws the last hidden layer towards 0: the trunk is open to methods."""

        def extra_loss(self, passes: Passes, batch: Batch, *, step: int) -> torch.Tensor:
            return 100.0 * passes.network.trunk(batch.scaled).square().mean()

    before = network.trunk(batch.scaled).square().mean()
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    train_step(network, optimizer, batch, train_config(batch_size=300), methods=[SmallHidden()])
    assert network.trunk(batch.scaled).square().mean() < before


def test_a_step_tells_what_each_method_added(
    train_config: Callable[..., TrainConfig], network: TaggerNetwork, batch: Batch
) -> None:
    class OfJets(Method):
        """Adds a number to the loss of each jet: the mean is that of the weights."""

        def extra_loss(self, passes: Passes, batch: Batch, *, step: int) -> torch.Tensor:
            return (batch.weights * 0.5 * batch.labels).sum() / batch.weights.sum()

    class OfStep(Method):
        def step_loss(self, network: TaggerNetwork, *, step: int) -> torch.Tensor:
            return 0.25 * step + 0.0 * network.head.weight.sum()

    def losses(methods: list[Method], micro_batch: int) -> torch.Tensor:
        still = torch.optim.SGD(network.parameters(), lr=0.0)
        config = train_config(batch_size=300, micro_batch=micro_batch)
        return train_step(network, still, batch, config, methods=methods, step=3)

    (plain,) = losses([], 300).tolist()
    of_jets = 0.5 * float((batch.weights * batch.labels).sum() / batch.weights.sum())
    for micro_batch in (300, 70):
        found = losses([OfStep(), Method(), OfJets()], micro_batch)
        assert found.tolist() == pytest.approx([plain + 0.75 + of_jets, 0.75, 0.0, of_jets], rel=1e-5)


def test_the_basic_training_has_no_method(train_config: Callable[..., TrainConfig]) -> None:
    config = train_config(attack="fgsm:0", consistency=1.0)
    assert methods_of(config, read_sources(config, TrainingData(config.data), CPU), CPU) == []
