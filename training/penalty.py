"""A penalty on scale factors: differentiable histograms of discriminators, in data and in simulation."""

from collections.abc import Sequence
from typing import Final

import torch

from models.network import TaggerNetwork
from training.adaptation import Adaptation
from training.method_cards import Discriminator
from training.metrics import SIGNAL_AND_BACKGROUND
from training.ranking import flavour_indices
from training.unlabelled import UnlabelledLoader

_SMALLEST_SHARE: Final = 0.1
"""Of what a bin holds on average: one with less of simulation, as after subtraction, is taken to hold it."""


class ScaleFactorPenalty(Adaptation):
    r"""Shapes of discriminators that agree: the ratio of data to simulation is drawn to 1 in each bin.

    .. math:: \sum_k m_k (d_k / m_k - 1)^2

    averaged over discriminators, with the shares :math:`d_k` of data and :math:`m_k` of simulation. Bins hold
    equally many jets of simulation in each draw, so that squeezing the scores changes nothing. Statistics
    alone add about two parts in the number of jets for each bin.

    Args:
        loader: Of the jets.
        weight: Of the penalty, after the ramp.
        ramp_steps: As of `Adaptation`.
        discriminators: Which ones.
        n_bins: Of each.

    Source:
        Thesis, section 5.3.
    """

    term = "scale_factor_penalty"

    def __init__(
        self,
        loader: UnlabelledLoader,
        *,
        weight: float,
        ramp_steps: float,
        discriminators: Sequence[Discriminator],
        n_bins: int,
    ) -> None:
        super().__init__(loader, weight=weight, ramp_steps=ramp_steps)
        self._discriminators, self._n_bins = discriminators, n_bins

    def _looked_at(self, network: TaggerNetwork, scaled: torch.Tensor) -> torch.Tensor:
        logits = network(scaled)
        return torch.stack([log_odds(logits, name) for name in self._discriminators], dim=1)

    def _term(self, values: torch.Tensor, weights: torch.Tensor, place: int, step: int) -> torch.Tensor:
        del place
        simulated, data = weights.chunk(2)
        terms = []
        for of_one in values.T.contiguous():  # (n_discriminators, 2 n)
            edges = population_edges(of_one.detach(), self._n_bins)
            mc_values, data_values = of_one.chunk(2)
            terms.append(
                ratio_penalty(
                    soft_histogram(data_values, data, edges), soft_histogram(mc_values, simulated, edges)
                )
            )
        return self.strength(step) * torch.stack(terms).mean()


def log_odds(logits: torch.Tensor, discriminator: Discriminator) -> torch.Tensor:
    """Return the logarithm of D / (1 - D), shape ``(n_jets,)``.

    Args:
        logits: The network's output, shape ``(n_jets, 4)``.
        discriminator: Which D.
    """
    signal, background = (
        logits[:, flavour_indices(flavours)].logsumexp(dim=1)
        for flavours in SIGNAL_AND_BACKGROUND[discriminator]
    )
    return signal - background


def population_edges(values: torch.Tensor, n_bins: int) -> torch.Tensor:
    """Return edges of bins that hold all values, and equally many of the first half, ``(n_bins + 1,)``.

    Args:
        values: Of simulation and then as many of data, shape ``(2 n,)``.
        n_bins: How many.
    """
    places = torch.linspace(0.0, 1.0, n_bins + 1, dtype=values.dtype, device=values.device)
    edges = torch.quantile(values.chunk(2)[0], places)
    edges[0], edges[-1] = values.min(), values.max()
    return edges


def soft_histogram(values: torch.Tensor, weights: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
    """Return a histogram of weights that gradients flow through, shape ``(n_bins,)``.

    A jet in the centre of a bin counts in it alone, one at an edge half in either bin, and linearly in
    between; below the first centre and above the last all counts in that bin.

    Args:
        values: Of the jets, shape ``(n_jets,)``.
        weights: Of the jets, may be negative, shape ``(n_jets,)``.
        edges: Of the bins, ascending; no gradient flows through them, shape ``(n_bins + 1,)``.
    """
    n_bins = len(edges) - 1
    bins = torch.searchsorted(edges[1:-1].contiguous(), values.detach(), right=True)
    widths = edges.diff().clamp(min=torch.finfo(edges.dtype).tiny)
    # 0 in the centre of the first bin, n_bins - 1 in that of the last
    places = (bins + (values - edges[bins]) / widths[bins] - 0.5).clamp(0.0, n_bins - 1.0)
    lower = places.detach().floor().clamp(max=n_bins - 2.0)
    share = places - lower
    shares = torch.stack([1.0 - share, share]) * weights
    indices = torch.stack([lower, lower + 1.0]).long()
    return torch.zeros(n_bins, dtype=shares.dtype, device=shares.device).index_add(
        0, indices.flatten(), shares.flatten()
    )


def ratio_penalty(data: torch.Tensor, simulated: torch.Tensor) -> torch.Tensor:
    r"""Return :math:`\sum_k m_k (d_k / m_k - 1)^2`, a scalar.

    Args:
        data: Shares of data :math:`d_k`, shape ``(n_bins,)``.
        simulated: Shares of simulation :math:`m_k`, shape ``(n_bins,)``.
    """
    expected = simulated.clamp(min=_SMALLEST_SHARE / len(simulated))
    return ((data - simulated).square() / expected).sum()
