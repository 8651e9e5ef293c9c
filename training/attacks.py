"""Perturbations of scaled features during training.

The same definition as in `models.perturbations`, which acts on physical features: one unit is one standard
deviation, integers and defaults never move, nothing is clamped.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from models.features import IS_INTEGER
from training.config import LossInput


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
    The sign is the same for every gamma, for the focal loss falls with :math:`p_t`. A jet without a finite
    gradient stays where it is.

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
        logits = network(inputs)
        uphill = _uphill(logits.detach(), labels, loss_input)
        (gradient,) = torch.autograd.grad(logits, inputs, grad_outputs=uphill)
    return scaled + epsilon * gradient.sign().nan_to_num_(nan=0.0).masked_fill_(frozen, 0.0)


def _uphill(logits: torch.Tensor, labels: torch.Tensor, loss_input: LossInput) -> torch.Tensor:
    r"""Return the direction in the logits in which the loss grows most, shape ``(n_jets, 4)``.

    That is the loss's gradient up to a positive factor for each jet. torch's own, :math:`p_j - \delta_{jt}`
    times the focal factor, loses its digits where :math:`p_t` nears 1 and is 0 where it rounds to 1.

    For the plain loss the factor is :math:`1 - p_t`: what is left is :math:`q_j - \delta_{jt}`, with
    :math:`q` the softmax over the wrong flavours alone. For the loss that takes :math:`p` for its logits,
    with :math:`g_j = \mathrm{softmax}(p)_j - \delta_{jt}`, it is :math:`p_j \sum_i p_i (g_j - g_i)`, where
    differences keep the term of a flavour with :math:`p_j = 1`.
    """
    is_true = torch.nn.functional.one_hot(labels, logits.shape[1]).bool()
    if loss_input == "logits":
        return logits.masked_fill(is_true, -torch.inf).softmax(dim=1) - is_true.float()
    p = logits.softmax(dim=1)
    g = p.softmax(dim=1) - is_true.float()
    # (n, 4, 1) - (n, 1, 4) -> (n, 4, 4): axis 1 is j, axis 2 is i
    return p * ((g[:, :, None] - g[:, None, :]) * p[:, None, :]).sum(dim=2)


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
