"""Methods that look at a jet as two detectors see it.

Which variation of a jet is its partner is drawn anew in each batch (`training.batches`); a jet that has none
is its own partner, and neither method does anything to it.
"""

import torch

from models.network import TaggerNetwork
from training.batches import Batch, Partner
from training.methods import Method
from training.passes import Passes


class Augmented(Method):
    """Jets that are replaced at random by themselves as another detector sees them.

    Features and frozen cells are the partner's, label and weight stay.

    Args:
        share: Probability that a jet is replaced.

    Source:
        J. Tobin et al., "Domain Randomization for Transferring Deep Neural Networks from Simulation to the
        Real World", arXiv:1703.06907.
    """

    def __init__(self, *, share: float) -> None:
        self._share = share

    def batch_transform(self, network: TaggerNetwork, batch: Batch, *, step: int) -> Batch:
        """Return the jets, some replaced by their partners; which ones is drawn from torch's generator."""
        del network, step
        partner = _partner_of(batch)
        is_replaced = torch.rand((len(batch.labels), 1), device=batch.labels.device) < self._share
        return batch._replace(
            scaled=torch.where(is_replaced, partner.scaled, batch.scaled),
            frozen_bits=torch.where(is_replaced, partner.frozen_bits, batch.frozen_bits),
        )


class PairConsistency(Method):
    r"""Scores of a jet that are close to those of its partner: the mean of both divergences.

    .. math:: \frac{\lambda}{2} \frac{\sum w\, [D(p \parallel q) + D(q \parallel p)]}{\sum w}
        = \frac{\lambda}{2} \frac{\sum w \sum_k (p_k - q_k) \ln (p_k / q_k)}{\sum w}

    :math:`p` are the scores of the jet and :math:`q` those of its partner. Dropout drops the same nodes for
    both, so that a pair of equal jets costs exactly nothing and the detector is all that is looked at.

    Args:
        weight: :math:`\lambda`.

    Source:
        The divergence: H. Jeffreys, Proc. R. Soc. A 186 (1946) 453. As a loss on pairs of scores: X. Liang et
        al., "R-Drop: Regularized Dropout for Neural Networks", arXiv:2106.14448 (pairs from dropout
        there); on pairs of inputs: D. Hendrycks et al., "AugMix", arXiv:1912.02781 (Jensen-Shannon there).
    """

    term = "pair_consistency"

    def __init__(self, *, weight: float) -> None:
        self._weight = weight

    def extra_loss(self, passes: Passes, batch: Batch, *, step: int) -> torch.Tensor:
        """Return the weighted mean divergence times lambda."""
        del step
        partner = _partner_of(batch)
        own = passes(batch.scaled).log_softmax(dim=1)
        others = passes.with_nodes_of(batch.scaled, partner.scaled).log_softmax(dim=1)
        divergence = ((own.exp() - others.exp()) * (own - others)).sum(dim=1)
        mean: torch.Tensor = (batch.weights * divergence).sum() / batch.weights.sum()
        return 0.5 * self._weight * mean


def _partner_of(batch: Batch) -> Partner:
    if batch.partner is None:
        raise ValueError("the jets have no partners: load them with with_partners=True")
    return batch.partner
