"""Domain adaptation: data and simulation, jets without labels, are drawn towards the same distribution."""

from typing import Any, Final

import torch

from models.network import WIDTH, TaggerNetwork
from training.methods import Method
from training.unlabelled import UnlabelledLoader

BANDWIDTHS: Final = (4.0, 1.0, 0.25)
"""Of the kernels, in units of the median squared distance; each is a quarter of the one before."""
_LOWEST: Final = -10.0
"""Logarithms of probabilities below this count as this: a jet beyond all doubt shall not set the scale."""
_N_FOR_MEDIAN: Final = 128
_NO_DISTANCE: Final = 1e-30


class Adaptation(Method):
    r"""What the methods have in common that compare unlabelled jets of data and simulation.

    Each pool is compared in itself, for what two selections hold differs in truth; the terms are averaged.

    Args:
        loader: Of the jets.
        weight: Of the term in the loss, after the ramp.
        ramp_steps: The weight rises linearly from 0 in so many steps of the optimiser.
    """

    def __init__(self, loader: UnlabelledLoader, *, weight: float, ramp_steps: float) -> None:
        self._loader, self._weight, self._ramp_steps = loader, weight, ramp_steps

    def strength(self, step: int) -> float:
        """Return the weight at a step, 0 at the first one if there is a ramp."""
        return self._weight * (min(1.0, step / self._ramp_steps) if self._ramp_steps > 0 else 1.0)

    def step_loss(self, network: TaggerNetwork, *, step: int) -> torch.Tensor:
        """Return the mean of the pools' terms times the weight."""
        draws = self._loader.draws(step)
        # Simulation and data of all pools in one pass: (2 n_pools n, 67)
        values = self._looked_at(network, torch.cat([draw.scaled for draw in draws]))
        values_of_pools = values.split([len(draw.weights) for draw in draws])
        terms = [
            self._term(values_of_pool, draw.weights, place, step)
            for place, (values_of_pool, draw) in enumerate(zip(values_of_pools, draws, strict=True))
        ]
        return torch.stack(terms).mean()

    def _looked_at(self, network: TaggerNetwork, scaled: torch.Tensor) -> torch.Tensor:
        """Return what is compared, one row a jet."""
        raise NotImplementedError

    def _term(self, values: torch.Tensor, weights: torch.Tensor, place: int, step: int) -> torch.Tensor:
        """Return a pool's term, weight included; simulation is the first half of the jets."""
        raise NotImplementedError


class MmdOutputs(Adaptation):
    """The maximum mean discrepancy of the outputs: of the logarithms of the four probabilities.

    Source:
        A. Gretton et al., "A Kernel Two-Sample Test", JMLR 13 (2012) 723.
    """

    term = "mmd_outputs"

    def _looked_at(self, network: TaggerNetwork, scaled: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = network(scaled)
        return logits.log_softmax(dim=1).clamp(min=_LOWEST)

    def _term(self, values: torch.Tensor, weights: torch.Tensor, place: int, step: int) -> torch.Tensor:
        del place
        return self.strength(step) * mmd(values, weights)


class MmdHidden(MmdOutputs):
    """The same of the last hidden layer.

    Source:
        M. Long et al., "Learning Transferable Features with Deep Adaptation Networks", arXiv:1502.02791.
    """

    term = "mmd_hidden"

    def _looked_at(self, network: TaggerNetwork, scaled: torch.Tensor) -> torch.Tensor:
        hidden: torch.Tensor = network.trunk(scaled)
        return hidden


class GradientReversal(Adaptation):
    r"""A classifier learns to tell data from simulation by the last hidden layer; the trunk misleads it.

    The classifier's loss is added as it is; on its way back into the trunk its gradient is multiplied by
    :math:`-\lambda`. There is a classifier for each pool.

    Args:
        loader: Of the jets.
        weight: :math:`\lambda`, after the ramp.
        ramp_steps: As of `Adaptation`; it acts on the reversed gradient only.
        width: Hidden nodes of the classifier.
        device: Where the classifiers are.

    Source:
        Y. Ganin, V. Lempitsky, "Unsupervised Domain Adaptation by Backpropagation", arXiv:1409.7495; thesis,
        section 5.3.
    """

    module: torch.nn.ModuleList
    term = "gradient_reversal"

    def __init__(
        self,
        loader: UnlabelledLoader,
        *,
        weight: float,
        ramp_steps: float,
        width: int,
        device: torch.device,
    ) -> None:
        super().__init__(loader, weight=weight, ramp_steps=ramp_steps)
        self.module = torch.nn.ModuleList(
            torch.nn.Sequential(torch.nn.Linear(WIDTH, width), torch.nn.ReLU(), torch.nn.Linear(width, 1))
            for _ in range(len(loader))
        ).to(device)

    def _looked_at(self, network: TaggerNetwork, scaled: torch.Tensor) -> torch.Tensor:
        hidden: torch.Tensor = network.trunk(scaled)
        return hidden

    def _term(self, values: torch.Tensor, weights: torch.Tensor, place: int, step: int) -> torch.Tensor:
        log_odds = self.module[place](reversed_gradient(values, self.strength(step))).squeeze(1)
        simulated, data = log_odds.chunk(2)
        losses = torch.cat([torch.nn.functional.softplus(simulated), torch.nn.functional.softplus(-data)])
        return 0.5 * (weights * losses).sum()


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, factor: float) -> torch.Tensor:
        ctx.factor = factor
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradients[0] * -ctx.factor, None


def reversed_gradient(values: torch.Tensor, factor: float) -> torch.Tensor:
    """Return the values themselves; going back, their gradient is multiplied by minus a factor."""
    reversed_values: torch.Tensor = _Reversal.apply(values, factor)
    return reversed_values


def mmd(values: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    r"""Return an unbiased estimate of the squared maximum mean discrepancy of two samples, a scalar.

    .. math::
        \sum_{i \ne j} w_i w_j k(x_i, x_j) + \sum_{i \ne j} v_i v_j k(y_i, y_j)
        - 2 \sum_{i j} w_i v_j k(x_i, y_j)

    where pairs of one sample and one sign weigh more by :math:`n / (n - 1)`, with their number of jets
    :math:`n`, for the pairs with themselves that are left out. It is as often negative as positive where the
    samples agree. A sample with subtracted jets is thus a difference of two, each drawn by itself.

    The kernel is :math:`k(x, y) = \sum_b \exp(-|x - y|^2 / (b\,m))`, with :math:`b` each of `BANDWIDTHS` and
    the median squared distance :math:`m` between jets of either sample, which no gradient flows through.

    Args:
        values: What is compared, first one sample and then as many of the other, shape ``(2 n, n_values)``.
        weights: Of the jets, 1 in sum for each sample; equal for those of one sample and sign, ``(2 n,)``.

    Source:
        A. Gretton et al., "A Kernel Two-Sample Test", JMLR 13 (2012) 723, Eq. 3.
    """
    found: torch.Tensor = _Mmd.apply(values, weights)
    return found


class _Mmd(torch.autograd.Function):
    """Value and gradient in one go: torch's own way back through the kernels takes twice the time."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        centred = values - values.mean(dim=0)  # or rounding tells on small distances far from 0
        squares = centred.square().sum(dim=1)
        distances = squares[:, None] + squares[None, :]  # (2 n, 2 n)
        distances = distances.addmm_(centred, centred.T, alpha=-2.0).clamp_(min=0.0)
        rate = -1.0 / _median(distances)
        of_this_width = distances.mul_(rate / BANDWIDTHS[0]).exp_()
        kernel, slope = of_this_width.clone(), of_this_width / BANDWIDTHS[0]
        for bandwidth in BANDWIDTHS[1:]:
            of_this_width = of_this_width.square_().square_()  # four times as steep
            kernel += of_this_width
            slope.add_(of_this_width, alpha=1.0 / bandwidth)
        pairs = _contrast(weights)
        slope *= pairs
        # Each pair is there twice, and |x - y|^2 falls off as 2 (x - y).
        gradient = 4.0 * rate * (slope.sum(dim=1, keepdim=True) * centred - slope @ centred)
        ctx.save_for_backward(gradient)
        return torch.dot(kernel.flatten(), pairs.flatten())

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return ctx.saved_tensors[0] * gradients[0], None


def _median(distances: torch.Tensor) -> torch.Tensor:
    """Return the median of the distances between some of the jets, more than 0."""
    stride = -(-len(distances) // _N_FOR_MEDIAN)
    some = distances[::stride, ::stride]
    rows, columns = torch.triu_indices(len(some), len(some), offset=1, device=some.device)
    return some[rows, columns].median().clamp(min=_NO_DISTANCE)


def _contrast(weights: torch.Tensor) -> torch.Tensor:
    """Return what each pair counts for, of one sample positive, of both negative, shape ``(2 n, 2 n)``."""
    n_jets = len(weights) // 2
    signed = torch.cat([weights[:n_jets], -weights[n_jets:]])
    is_first = torch.arange(len(weights), device=weights.device) < n_jets
    columns = [signed]
    for of_sample in (is_first, ~is_first):
        for of_sign in (weights > 0, weights < 0):
            alike = of_sample & of_sign
            # A pair of these counts n / (n - 1) = 1 + 1 / (n - 1) times.
            columns.append(signed * alike / (alike.sum() - 1.0).clamp(min=1.0).sqrt())
    factors = torch.stack(columns, dim=1)  # (2 n, 5)
    return (factors @ factors.T).fill_diagonal_(0.0)
