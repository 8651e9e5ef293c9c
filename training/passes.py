"""What goes through the network in one step: the loss and the methods share it."""

from typing import NamedTuple

import torch

from models.network import TaggerNetwork


class _Pass(NamedTuple):
    """Jets, their logits, and torch's random numbers as they were before the dropout of this pass."""

    scaled: torch.Tensor
    logits: torch.Tensor
    randomness: torch.Tensor


class Passes:
    """The logits of the jets of a micro-batch: a tensor goes through the network once, whoever asks.

    A method that looks at the scores of jets as they are, and a loss on the same jets, so cost one pass and
    its gradient, not two. It is made anew for each micro-batch, since its logits belong to one state of the
    network.

    Args:
        network: In train mode.

    Attributes:
        network: The same, for its trunk, its head and its gradients.
    """

    def __init__(self, network: TaggerNetwork) -> None:
        self.network = network
        self._made: list[_Pass] = []

    def __call__(self, scaled: torch.Tensor) -> torch.Tensor:
        """Return the logits of scaled features, ``(n_jets, 67)`` to ``(n_jets, 4)``."""
        return self._pass_of(scaled).logits

    def with_nodes_of(self, others: torch.Tensor, scaled: torch.Tensor) -> torch.Tensor:
        """Return the logits of jets with the same nodes dropped as for as many others, jet by jet.

        Torch's random numbers are left as they were.
        """
        randomness = self._pass_of(others).randomness
        is_cuda = scaled.device.type == "cuda"
        with torch.random.fork_rng(devices=[scaled.device] if is_cuda else []):
            _set_randomness(scaled.device, randomness)
            logits: torch.Tensor = self.network(scaled)
        return logits

    def _pass_of(self, scaled: torch.Tensor) -> _Pass:
        for each in self._made:
            if each.scaled is scaled:
                return each
        randomness = _randomness(scaled.device)
        made = _Pass(scaled, self.network(scaled), randomness)
        self._made.append(made)
        return made


def _randomness(device: torch.device) -> torch.Tensor:
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def _set_randomness(device: torch.device, state: torch.Tensor) -> None:
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    else:
        torch.set_rng_state(state)
