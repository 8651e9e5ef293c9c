"""How often jets go through the network in a step, and that sharing a pass changes no gradient."""

from collections.abc import Callable

import pytest
import torch

from models.network import TaggerNetwork
from training.batches import Batch
from training.config import TrainConfig
from training.distillation import Distilled
from training.losses import focal_loss
from training.methods import Method
from training.paired_methods import Augmented, PairConsistency
from training.passes import Passes
from training.train import train_step


class Counting(TaggerNetwork):
    """Counts how often jets go through it."""

    n_passes = 0

    def forward(self, scaled: torch.Tensor) -> torch.Tensor:
        self.n_passes += 1
        return super().forward(scaled)


@pytest.fixture
def network() -> Counting:
    torch.manual_seed(3)
    return Counting(dropout=0.2)


def test_the_same_jets_pass_once_and_others_anew(network: Counting, paired: Batch) -> None:
    passes = Passes(network)
    first = passes(paired.scaled)
    assert passes(paired.scaled) is first
    # Equal jets in another tensor are others: dropout falls on other nodes.
    assert not torch.equal(passes(paired.scaled.clone()), first)
    assert network.n_passes == 2
    assert passes.network is network


def test_the_nodes_of_others_are_dropped_whoever_asked_before(network: Counting, paired: Batch) -> None:
    passes = Passes(network)
    own = passes(paired.scaled)
    passes(paired.scaled.clone())
    before = torch.get_rng_state()
    assert torch.equal(passes.with_nodes_of(paired.scaled, paired.scaled.clone()), own)
    assert torch.equal(torch.get_rng_state(), before)


DISTILLED = Distilled(TaggerNetwork(dropout=0.0).eval().requires_grad_(False), temperature=2.0, weight=0.5)


@pytest.mark.parametrize(
    ("methods", "n_passes"),
    [
        ([], 1),
        ([PairConsistency(weight=1.0)], 2),
        ([DISTILLED], 1),
        ([DISTILLED, PairConsistency(weight=1.0)], 2),
        # The loss is that of other jets then.
        ([Augmented(share=0.5), PairConsistency(weight=1.0)], 3),
    ],
)
def test_loss_and_methods_share_their_passes(
    network: Counting,
    paired: Batch,
    train_config: Callable[..., TrainConfig],
    methods: list[Method],
    n_passes: int,
) -> None:
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    train_step(network, optimizer, paired, train_config(batch_size=400), methods=methods)
    assert network.n_passes == n_passes
    network.n_passes = 0
    train_step(network, optimizer, paired, train_config(batch_size=400, micro_batch=100), methods=methods)
    assert network.n_passes == 4 * n_passes


def test_a_shared_pass_has_the_gradients_of_both(
    paired: Batch, train_config: Callable[..., TrainConfig]
) -> None:
    torch.manual_seed(3)
    network = TaggerNetwork(dropout=0.0)
    config = train_config(batch_size=400, gamma=2.0, loss_input="logits")
    assert paired.partner is not None
    losses = focal_loss(network(paired.scaled), paired.labels, gamma=2.0, alpha=None, loss_input="logits")
    p, q = (network(jets).log_softmax(dim=1) for jets in (paired.scaled.clone(), paired.partner.scaled))
    divergence = ((p.exp() - q.exp()) * (p - q)).sum(dim=1)
    whole = (paired.weights * (losses + 0.5 * 3.0 * divergence)).sum() / paired.weights.sum()
    expected = torch.autograd.grad(whole, list(network.parameters()))
    still = torch.optim.SGD(network.parameters(), lr=0.0)
    found = train_step(network, still, paired, config, methods=[PairConsistency(weight=3.0)])
    assert found[0].item() == pytest.approx(whole.item(), rel=1e-5)
    for parameter, gradient in zip(network.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, atol=1e-7, rtol=1e-4)
