"""The network in torch. Training needs it; a tagger at work (`models.tagger`) does not."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from models.features import FLAVOURS, N_FEATURES

WIDTH = 100
"""Nodes of a hidden layer of the tagger."""
_N_DRAWS = 2**16


class Dropout(torch.nn.Dropout):
    """Dropout that draws 16 random bits a node, on the processor several times faster than torch's.

    The probability is rounded to a multiple of 1/65536, and what is kept is scaled up by exactly that
    probability, so the expectation is the input. Drawn from torch's global generator.

    Source:
        N. Srivastava et al., Dropout, JMLR 15 (2014) 1929.
    """

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return the values, in train mode with some of them 0 and the others scaled up; same shape."""
        if not self.training or self.p == 0 or values.device.type != "cpu":
            return super().forward(values)
        n_dropped = min(round(self.p * _N_DRAWS), _N_DRAWS - 1)
        # Four numbers of 16 bits from each of 64: (n_words,) -> (4 n_words,) -> shape of the values.
        words = torch.empty(-(-values.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        draws = words.view(torch.int16)[: values.numel()].view(values.shape)
        is_kept = draws >= n_dropped - _N_DRAWS // 2
        return values * is_kept.to(values.dtype).mul_(_N_DRAWS / (_N_DRAWS - n_dropped))


class TaggerNetwork(torch.nn.Module):
    """A DeepCSV-like multilayer perceptron: 67 features, five hidden layers of 100, four logits.

    It has 47 604 parameters. ReLU and dropout follow each hidden layer.

    Args:
        width: Nodes of each hidden layer.
        depth: Number of hidden layers.
        dropout: Probability that a hidden node is dropped, in train mode only.
        bf16: Whether its matrix products are in bfloat16 (autocast); the logits are as precise as the inputs.

    Attributes:
        trunk: From scaled features to the last hidden layer, ``(n_jets, 67)`` to ``(n_jets, width)``.
        head: From there to the logits.

    Source:
        Thesis, section 3 (model and dropout); CMS, "Identification of heavy-flavour jets with the CMS
        detector in pp collisions at 13 TeV", JINST 13 (2018) P05011 (DeepCSV).
    """

    def __init__(
        self, *, width: int = WIDTH, depth: int = 5, dropout: float = 0.1, bf16: bool = False
    ) -> None:
        super().__init__()
        self.bf16 = bf16
        layers: list[torch.nn.Module] = []
        for n_inputs in [N_FEATURES] + [width] * (depth - 1):
            layers += [torch.nn.Linear(n_inputs, width), torch.nn.ReLU(), Dropout(dropout)]
        self.trunk = torch.nn.Sequential(*layers)
        self.head = torch.nn.Linear(width, len(FLAVOURS))

    def forward(self, scaled: torch.Tensor) -> torch.Tensor:
        """Return the logits, shape ``(n_jets, 4)``.

        Args:
            scaled: Scaled features (`models.scaler`), shape ``(n_jets, 67)``.
        """
        if self.bf16:
            with torch.autocast(scaled.device.type, torch.bfloat16):
                reduced: torch.Tensor = self.head(self.trunk(scaled))
            return reduced.to(scaled.dtype)
        logits: torch.Tensor = self.head(self.trunk(scaled))
        return logits

    def input_gradient(
        self, scaled: torch.Tensor, uphill: Callable[[torch.Tensor], torch.Tensor]
    ) -> torch.Tensor:
        """Return a gradient in the inputs, shape ``(n_jets, 67)``, without dropout.

        The reverse pass written out, as in the attack's ONNX graph: bit by bit what torch's own gives in
        evaluation mode, in less time, and without a trace in the network.

        Args:
            scaled: Scaled features, shape ``(n_jets, 67)``.
            uphill: Gives the gradient in the logits from the logits, both ``(n_jets, 4)``.
        """
        layers = _linear_layers(self)
        with torch.no_grad(), torch.autocast(scaled.device.type, torch.bfloat16, enabled=self.bf16):
            hidden = [scaled]
            for layer in layers[:-1]:
                hidden.append(torch.relu_(layer(hidden[-1])))
            gradient = uphill(layers[-1](hidden[-1]).to(scaled.dtype))
            for layer, activation in zip(reversed(layers[1:]), reversed(hidden[1:]), strict=True):
                # After a ReLU the sign is 1 where it was on, and 0 where it passes nothing.
                gradient = torch.mm(gradient, layer.weight).mul_(activation.sign_())
            return torch.mm(gradient, layers[0].weight).to(scaled.dtype)


def _linear_layers(network: TaggerNetwork) -> list[torch.nn.Linear]:
    return [module for module in network.trunk if isinstance(module, torch.nn.Linear)] + [network.head]


def dense_layers(network: TaggerNetwork) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Return weight ``(n_outputs, n_inputs)`` and bias ``(n_outputs,)`` of each dense layer, inputs first.

    This is what the ONNX graphs are built from; the arrays are copies.
    """
    return [(_to_numpy(layer.weight), _to_numpy(layer.bias)) for layer in _linear_layers(network)]


def _to_numpy(parameter: torch.Tensor) -> NDArray[np.float32]:
    return parameter.detach().cpu().to(torch.float32).numpy().copy()
