"""Distillation: a network learns the scores of another one, softened, in the place of true flavours."""

import hashlib
from pathlib import Path
from typing import NamedTuple

import torch

from models.network import TaggerNetwork
from models.scaler import FeatureScaler
from training.batches import Batch, Partner
from training.checkpoints import checkpoint_path, epochs_of, read_run, restore_network
from training.methods import Method
from training.passes import Passes


class Teacher(NamedTuple):
    """A trained network to learn from.

    Attributes:
        network: In evaluation mode, and fixed.
        fingerprint: Of its parameters.
        adapted_on: The events whose jets it has seen unlabelled, as text; None for none.
    """

    network: TaggerNetwork
    fingerprint: str
    adapted_on: str | None


def read_teacher(folder: Path, epoch: int | None, scaler: FeatureScaler, *, device: torch.device) -> Teacher:
    """Return the network of a run directory after an epoch, the last one for None.

    Raises:
        FileNotFoundError: If the folder is no run directory or holds no such epoch.
        ValueError: If its files are broken, or its features were scaled in another way.
    """
    run = read_run(folder)
    epochs = epochs_of(folder)
    if not epochs or (epoch is not None and epoch not in epochs):
        held = f"only {epochs[0]} to {epochs[-1]}" if epochs else "none"
        raise FileNotFoundError(f"{folder}: holds no epoch {epoch or 1}, {held}: train the teacher first")
    if run.scaler != scaler:
        raise ValueError(
            f"{folder}: was trained on features of another scaling: train the teacher on the same prepared "
            "jets"
        )
    network = TaggerNetwork(dropout=0.0)
    restore_network(run, checkpoint_path(folder, epoch or epochs[-1]), network)
    digest = hashlib.sha256()
    for parameter in network.parameters():
        digest.update(parameter.detach().numpy().tobytes())
    network.eval().requires_grad_(False).to(device)
    return Teacher(network, digest.hexdigest(), run.adapted_on)


class Distilled(Method):
    r"""The loss on the softened scores of a teacher, in the place of that on true flavours.

    .. math:: (1 - \lambda)\, L(z, t) + \lambda\, T^2 D(\sigma(y / T) \parallel \sigma(z / T))

    with the logits :math:`z` of the network and :math:`y` of its teacher, and the softmax :math:`\sigma`;
    both see the jets as they are. The factor :math:`T^2` makes the gradient independent of a large :math:`T`.

    Args:
        teacher: The other network.
        temperature: :math:`T`; the tagger is used at 1.
        weight: :math:`\lambda`.

    Source:
        N. Papernot et al., "Distillation as a Defense to Adversarial Perturbations", arXiv:1511.04508;
        G. Hinton, O. Vinyals, J. Dean, arXiv:1503.02531 (the factor); thesis, section 5.2.
    """

    term = "distillation"

    def __init__(self, teacher: TaggerNetwork, *, temperature: float, weight: float) -> None:
        self._teacher, self._temperature, self._weight = teacher, temperature, weight

    def batch_transform(self, network: TaggerNetwork, batch: Batch, *, step: int) -> Batch:
        """Return the batch with the share of its weights that stays on true flavours; no jet if none does."""
        del network, step
        if self._weight == 1:
            return _emptied(batch)  # or a pass through the network would be computed for nothing
        return batch._replace(weights=batch.weights * (1.0 - self._weight))

    def extra_loss(self, passes: Passes, batch: Batch, *, step: int) -> torch.Tensor:
        """Return the weighted mean divergence from the teacher's scores, times its factors."""
        del step
        with torch.no_grad():
            taught = (self._teacher(batch.scaled) / self._temperature).log_softmax(dim=1)
        learned = (passes(batch.scaled) / self._temperature).log_softmax(dim=1)
        divergence = (taught.exp() * (taught - learned)).sum(dim=1)
        mean: torch.Tensor = (batch.weights * divergence).sum() / batch.weights.sum()
        return self._weight * self._temperature**2 * mean


def _emptied(batch: Batch) -> Batch:
    scaled, labels, weights, frozen_bits = (tensor[:0] for tensor in batch[:4])
    partner = None if batch.partner is None else Partner(*(tensor[:0] for tensor in batch.partner))
    return Batch(scaled, labels, weights, frozen_bits, partner)
