"""What sets a training apart from the basic one: three hooks, and one short class for each method.

A training holds a list of methods. Each may change a batch before the loss is computed, and add a loss of its
own, to that of a batch or to that of a step; the loop knows nothing else of them. `network.trunk` gives the
last hidden layer and `network.head` the logits, for a loss that looks at either.
"""

from collections.abc import Sequence
from typing import ClassVar

import torch

from models.network import TaggerNetwork
from training.attacks import Perturbation
from training.batches import Batch, joined
from training.passes import Passes


class Method:
    """The basic training: it changes nothing.

    Attributes:
        module: What a method trains beside the network, by the same optimiser; it is kept in the checkpoints
            and left out of the tagger. None for nothing.
        term: The name of the loss that it adds; None if it adds none.
    """

    module: torch.nn.Module | None = None
    term: ClassVar[str | None] = None

    def batch_transform(self, network: TaggerNetwork, batch: Batch, *, step: int) -> Batch:
        """Return the jets that the loss is computed on.

        Their weights are those of the batch in sum, or less by what an extra loss takes the place of.

        Args:
            network: As it is before this step.
            batch: The jets of a micro-batch.
            step: Steps of the optimiser before this one, in all epochs.
        """
        del network, step
        return batch

    def extra_loss(self, passes: Passes, batch: Batch, *, step: int) -> torch.Tensor | None:
        """Return what is added to the batch's mean loss, a scalar, or None.

        Args:
            passes: Through the network, which is in train mode; the loss shares them.
            batch: The jets of a micro-batch, before `batch_transform`.
            step: Steps of the optimiser before this one, in all epochs.
        """
        del passes, batch, step
        return None

    def step_loss(self, network: TaggerNetwork, *, step: int) -> torch.Tensor | None:
        """Return what is added to the loss once a step, on whatever else than its batch, a scalar, or None.

        It is the same in all processes of a training.

        Args:
            network: In train mode.
            step: Steps of the optimiser before this one, in all epochs.
        """
        del network, step
        return None


class Perturbed(Method):
    r"""Noise and attacks: the loss on perturbed jets, or a mixture of it with the raw loss.

    .. math:: a\, L(x + \Delta x) + (1 - a)\, L(x)

    Args:
        perturbation: What is done to the jets.
        mix: :math:`a`.
        every: Which steps are perturbed: each k-th, the first among them.

    Source:
        Thesis, section 1.5 and Eq. 5.1; I. Goodfellow, J. Shlens, C. Szegedy, arXiv:1412.6572, Eq. 6.
    """

    def __init__(self, perturbation: Perturbation, *, mix: float = 1.0, every: int = 1) -> None:
        self._perturbation, self._mix, self._every = perturbation, mix, every

    def batch_transform(self, network: TaggerNetwork, batch: Batch, *, step: int) -> Batch:
        """Return the perturbed jets, and beside them the raw ones if their losses are mixed."""
        if self._mix == 0 or step % self._every:
            return batch
        moved = batch._replace(scaled=self._perturbation(network, batch.scaled, batch.labels, batch.frozen))
        if self._mix == 1:
            return moved
        return joined(
            moved._replace(weights=moved.weights * self._mix),
            batch._replace(weights=batch.weights * (1.0 - self._mix)),
        )


class Consistency(Method):
    r"""Scores on perturbed jets that are close to those on raw ones.

    .. math:: \lambda \sum w\, D(p(x) \parallel p(x + \Delta x)) / \sum w

    Args:
        perturbation: What is done to the jets.
        weight: :math:`\lambda`.

    Source:
        H. Zhang et al., "Theoretically Principled Trade-off between Robustness and Accuracy",
        arXiv:1901.08573 (TRADES, which crafts the attack on the divergence; here it is crafted on the loss).
    """

    term = "consistency"

    def __init__(self, perturbation: Perturbation, *, weight: float) -> None:
        self._perturbation, self._weight = perturbation, weight

    def extra_loss(self, passes: Passes, batch: Batch, *, step: int) -> torch.Tensor:
        """Return the weighted mean divergence times lambda."""
        del step
        moved = self._perturbation(passes.network, batch.scaled, batch.labels, batch.frozen)
        raw, perturbed = (passes(inputs).log_softmax(dim=1) for inputs in (batch.scaled, moved))
        divergence = (raw.exp() * (raw - perturbed)).sum(dim=1)
        mean: torch.Tensor = (batch.weights * divergence).sum() / batch.weights.sum()
        return self._weight * mean


def modules_of(methods: Sequence[Method]) -> torch.nn.ModuleDict:
    """Return what methods train beside the network, by their number; empty if there is nothing."""
    modules = {str(number): method.module for number, method in enumerate(methods)}
    return torch.nn.ModuleDict({number: module for number, module in modules.items() if module is not None})
