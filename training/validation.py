"""How good a network is on jets it was not trained on, raw and under attack."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch

from models.discriminators import scores
from models.network import TaggerNetwork
from training.attacks import Perturbation, evaluation_mode
from training.batches import StoredJets
from training.config import TrainConfig
from training.losses import focal_loss
from training.metrics import auc, split_by_truth

_BATCH = {"cpu": 4096, "cuda": 1_000_000}
_SEED = 0
"""Of the noise, so that every epoch meets the same."""


class Validation(NamedTuple):
    """Unweighted losses and areas of BvsL, on raw inputs and under attack; nan where a flavour is missing."""

    loss: float
    loss_attacked: float
    auc_raw: float
    auc_attacked: float


def validate(
    network: TaggerNetwork,
    jets: StoredJets,
    config: TrainConfig,
    perturbation: Perturbation,
    *,
    after_batch: Callable[[], None] = lambda: None,
) -> Validation:
    """Return losses and areas with the network in evaluation mode; all nan without a jet.

    Args:
        network: It is afterwards in the mode it was in.
        jets: The validation split.
        config: The loss.
        perturbation: The attack.
        after_batch: Called after each batch; what it raises ends the validation.
    """
    logits: list[torch.Tensor] = []
    attacked: list[torch.Tensor] = []
    labels: list[torch.Tensor] = []
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.no_grad(), evaluation_mode(network), torch.random.fork_rng(devices=devices):
        torch.manual_seed(_SEED)
        for batch in jets.in_order(_BATCH.get(jets.device.type, 4096)):
            moved = perturbation(network, batch.scaled, batch.labels, batch.frozen)
            logits.append(network(batch.scaled))
            attacked.append(network(moved))
            labels.append(batch.labels)
            after_batch()
    if not logits:
        return Validation(math.nan, math.nan, math.nan, math.nan)
    truth = torch.cat(labels)
    losses, areas = zip(
        *(_loss_and_area(torch.cat(some), truth, config) for some in (logits, attacked)), strict=True
    )
    return Validation(*losses, *areas)


def _loss_and_area(logits: torch.Tensor, truth: torch.Tensor, config: TrainConfig) -> tuple[float, float]:
    losses = focal_loss(logits, truth, gamma=config.gamma, alpha=config.alpha, loss_input=config.loss_input)
    discriminator = scores(logits.cpu().numpy())["BvsL"]
    return float(losses.mean()), auc(*split_by_truth("BvsL", discriminator, truth.cpu().numpy()))
