import math
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from models.network import TaggerNetwork
from training.batches import Batch, Partner, StoredJets
from training.checkpoints import checkpoint_path, load_checkpoint
from training.config import TrainConfig
from training.interruption import Interrupted
from training.paired_methods import Augmented, PairConsistency
from training.passes import Passes
from training.shards import TrainingData
from training.train import train, train_step

CPU = torch.device("cpu")
MakeConfig = Callable[..., TrainConfig]
METHODS = [{"method": "augment", "share": 0.4}, {"method": "pair_consistency", "weight": 0.7}]


@pytest.fixture
def network() -> TaggerNetwork:
    torch.manual_seed(3)
    return TaggerNetwork(dropout=0.2)


def pairs(scaled: list[float], partner: list[float], weights: list[float]) -> Batch:
    """Jets whose features are all one number, and none of them frozen but in the partners."""
    n_jets = len(scaled)
    rows = [torch.tensor(values)[:, None].expand(n_jets, 67) for values in (scaled, partner)]
    bits = torch.zeros(n_jets, 9, dtype=torch.uint8)
    return Batch(rows[0], torch.arange(n_jets) % 4, torch.tensor(weights), bits, Partner(rows[1], bits + 255))


def test_a_replaced_jet_has_its_partners_features_and_frozen_cells(network: TaggerNetwork) -> None:
    torch.manual_seed(1)
    before = pairs([0.0] * 1000, [1.0] * 1000, [2.0] * 1000)
    after = Augmented(share=0.3).batch_transform(network, before, step=0)
    is_replaced = after.scaled[:, 0] == 1
    # 0.05 is 3.5 sigma of 1000 draws.
    assert is_replaced.float().mean().item() == pytest.approx(0.3, abs=0.05)
    assert torch.equal(after.scaled, is_replaced[:, None].float().expand(1000, 67))
    assert torch.equal(after.frozen, is_replaced[:, None].expand(1000, 67))
    assert torch.equal(after.labels, before.labels)
    assert torch.equal(after.weights, before.weights)
    whole = Augmented(share=1.0).batch_transform(network, before, step=0)
    assert (whole.scaled == 1).all()


def test_augmentation_leaves_jets_without_variation_as_they_are(
    network: TaggerNetwork, varied_data: Path, paired: Batch
) -> None:
    augmented = Augmented(share=1.0).batch_transform(network, paired, step=0)
    assert paired.partner is not None
    is_alone = (paired.partner.scaled == paired.scaled).all(dim=1)
    assert 0.05 < is_alone.float().mean() < 0.15
    assert torch.equal(augmented.scaled[is_alone], paired.scaled[is_alone])
    assert torch.equal(augmented.frozen_bits[is_alone], paired.frozen_bits[is_alone])
    assert (augmented.scaled[~is_alone] != paired.scaled[~is_alone]).any(dim=1).all()


def test_consistency_is_the_weighted_mean_of_both_divergences(network: TaggerNetwork) -> None:
    jets = pairs([0.5, -1.0], [0.8, 2.0], [1.0, 3.0])
    network.eval()
    assert jets.partner is not None
    with torch.no_grad():
        for parameter in network.parameters():
            parameter *= 2.5  # logits spread as after training
        p, q = (network(values).softmax(dim=1).tolist() for values in (jets.scaled, jets.partner.scaled))

    def divergence(first: list[float], second: list[float]) -> float:
        return sum(a * math.log(a / b) for a, b in zip(first, second, strict=True))

    means = [(divergence(p[jet], q[jet]) + divergence(q[jet], p[jet])) / 2 for jet in (0, 1)]
    # The weights are 1 and 3, lambda is 2.
    expected = 2.0 * (1.0 * means[0] + 3.0 * means[1]) / 4.0
    assert expected > 0
    found = PairConsistency(weight=2.0).extra_loss(Passes(network), jets, step=0)
    assert found.item() == pytest.approx(expected, rel=1e-4)


def test_equal_pairs_cost_exactly_nothing_with_dropout(network: TaggerNetwork, paired: Batch) -> None:
    assert network.training
    alike = paired._replace(partner=Partner(paired.scaled, paired.frozen_bits))
    loss = PairConsistency(weight=5.0).extra_loss(Passes(network), alike, step=0)
    assert loss.item() == 0.0
    gradients = torch.autograd.grad(loss, list(network.parameters()))
    assert all((gradient == 0).all() for gradient in gradients)
    assert PairConsistency(weight=5.0).extra_loss(Passes(network), paired, step=0).item() > 0


def test_consistency_draws_scores_of_pairs_together(
    network: TaggerNetwork, paired: Batch, train_config: MakeConfig
) -> None:
    method = PairConsistency(weight=10.0)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    before = method.extra_loss(Passes(network.eval()), paired, step=0).item()
    network.train()
    for step in range(20):
        train_step(network, optimizer, paired, train_config(batch_size=400), methods=[method], step=step)
    plain = TaggerNetwork(dropout=0.2)
    optimizer = torch.optim.Adam(plain.parameters(), lr=1e-3)
    for step in range(20):
        train_step(plain, optimizer, paired, train_config(batch_size=400), step=step)
    without, after = (
        method.extra_loss(Passes(each.eval()), paired, step=0).item() for each in (plain, network)
    )
    assert after < without
    assert before > 0


def test_methods_without_partners_are_refused(network: TaggerNetwork, varied_data: Path) -> None:
    alone = next(StoredJets(TrainingData(varied_data), "train", device=CPU).in_order(10))
    with pytest.raises(ValueError, match="the jets have no partners"):
        Augmented(share=0.5).batch_transform(network, alone, step=0)
    with pytest.raises(ValueError, match="the jets have no partners"):
        PairConsistency(weight=1.0).extra_loss(Passes(network), alone, step=0)


def test_data_without_variations_leave_no_run_directory(train_config: MakeConfig) -> None:
    config = train_config(methods=METHODS[:1])
    with pytest.raises(ValueError, match="as other detectors see them: prepare again with 'variations'"):
        train(config)
    assert not config.output.exists()


@pytest.mark.parametrize("changes", [{}, {"window_shards": 1, "micro_batch": 100, "attack": "fgsm:0.1"}])
def test_a_training_on_pairs_stopped_in_mid_epoch_goes_on_bit_by_bit(
    train_config: MakeConfig,
    varied_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, object],
) -> None:
    monkeypatch.setattr("training.train._REPORT_EVERY", -1.0)
    sent: list[int] = []

    def stop_once(done: int, total: int) -> None:
        if done > 0.7 * total and not sent:
            sent.append(done)
            os.kill(os.getpid(), signal.SIGTERM)

    settings = {"data": varied_data, "methods": METHODS, "batch_size": 150, **changes}
    whole = train(train_config(output=tmp_path / "whole", **settings))
    config = train_config(output=tmp_path / "parts", **settings)
    with pytest.raises(Interrupted):
        train(config, progress=stop_once)
    parts = train(config, resume=True)
    first, second = (load_checkpoint(checkpoint_path(folder, 2))["network"] for folder in (whole, parts))
    assert all(torch.equal(first[name], second[name]) for name in first)
    other = train(train_config(output=tmp_path / "other", **settings, seed=2))
    third = load_checkpoint(checkpoint_path(other, 2))["network"]
    assert not all(torch.equal(first[name], third[name]) for name in first)
