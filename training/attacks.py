"""Perturbations of scaled features during training.

The same definition as in `models.perturbations`, which acts on physical features: one unit is one standard
deviation, integers and defaults never move, nothing is clamped.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from models.features import IS_INTEGER
from training.config import LossInput
from training.losses import focal_loss


def frozen_cells(mask: torch.Tensor) -> torch.Tensor:
    """Return the cells that no perturbation moves: defaults and integers, bool, shape ``(n_jets, 67)``.

    Args:
        mask: Which cells are defaults, bool, shape ``(n_jets, 67)``.
    """
    return mask | torch.from_numpy(IS_INTEGER).to(mask.device)


def fgsm(
    network: torch.nn.Module,
    scaled: torch.Tensor,
    labels: torch.Tensor,
    frozen: torch.Tensor,
    *,
    epsilon: float,
    loss_input: LossInput = "logits",
) -> torch.Tensor:
    r"""Return the features one step up the loss, shape ``(n_jets, 67)``.

    .. math:: x + \epsilon \, \mathrm{sign}(\nabla_x J)

    Crafted in evaluation mode; the network's mode and its parameters' gradients are afterwards as they were.
    J is the summed cross entropy: the focal loss falls with :math:`p_t` for every gamma and so has the same
    sign, but its gradient vanishes in float32 where :math:`p_t` is near 1.

    Args:
        network: From scaled features to logits.
        scaled: float32, shape ``(n_jets, 67)``.
        labels: True flavours 0 to 3, int64, shape ``(n_jets,)``.
        frozen: Cells that never move, from `frozen_cells`.
        epsilon: Length of the step in standard deviations; 0 is the identity.
        loss_input: As the network's loss has it.

    Source:
        I. Goodfellow, J. Shlens, C. Szegedy, Explaining and Harnessing Adversarial Examples, 2015; thesis,
        Eq. 1.9.
    """
    if epsilon == 0:
        return scaled
    inputs = scaled.detach().requires_grad_(True)
    with torch.enable_grad(), evaluation_mode(network):
        loss = focal_loss(network(inputs), labels, gamma=0, loss_input=loss_input).sum()
        (gradient,) = torch.autograd.grad(loss, inputs)
    return scaled + epsilon * gradient.sign().masked_fill(frozen, 0.0)


def noise(
    scaled: torch.Tensor, frozen: torch.Tensor, *, sigma: float, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Return the features with Gaussian noise of width `sigma` standard deviations, shape ``(n_jets, 67)``.

    Source:
        Thesis, Eq. 1.8.
    """
    if sigma == 0:
        return scaled
    shifts = torch.randn(scaled.shape, generator=generator, dtype=scaled.dtype, device=scaled.device)
    return scaled + sigma * shifts.masked_fill(frozen, 0.0)


@contextmanager
def evaluation_mode(network: torch.nn.Module) -> Iterator[None]:
    """Switch dropout off, and set every module back to its own mode afterwards."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, was_training in modes:
            module.training = was_training
