"""The network in torch. Training needs it; a tagger at work (`models.tagger`) does not."""

import numpy as np
import torch
from numpy.typing import NDArray

from models.features import FLAVOURS, N_FEATURES


class TaggerNetwork(torch.nn.Module):
    """A DeepCSV-like multilayer perceptron: 67 features, five hidden layers of 100, four logits.

    It has 47 604 parameters. ReLU and dropout follow each hidden layer.

    Args:
        width: Nodes of each hidden layer.
        depth: Number of hidden layers.
        dropout: Probability that a hidden node is dropped, in train mode only.

    Source:
        Thesis, section 3 (model and dropout); CMS, "Identification of heavy-flavour jets with the CMS
        detector in pp collisions at 13 TeV", JINST 13 (2018) P05011 (DeepCSV).
    """

    def __init__(self, *, width: int = 100, depth: int = 5, dropout: float = 0.1) -> None:
        super().__init__()
        layers: list[torch.nn.Module] = []
        for n_inputs in [N_FEATURES] + [width] * (depth - 1):
            layers += [torch.nn.Linear(n_inputs, width), torch.nn.ReLU(), torch.nn.Dropout(dropout)]
        self.trunk = torch.nn.Sequential(*layers)
        self.head = torch.nn.Linear(width, len(FLAVOURS))

    def forward(self, scaled: torch.Tensor) -> torch.Tensor:
        """Return the logits, shape ``(n_jets, 4)``.

        Args:
            scaled: Scaled features (`models.scaler`), shape ``(n_jets, 67)``.
        """
        logits: torch.Tensor = self.head(self.trunk(scaled))
        return logits


def dense_layers(network: TaggerNetwork) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Return weight ``(n_outputs, n_inputs)`` and bias ``(n_outputs,)`` of each dense layer, inputs first.

    This is what the ONNX graphs are built from; the arrays are copies.
    """
    linear = [module for module in network.trunk if isinstance(module, torch.nn.Linear)] + [network.head]
    return [(_to_numpy(layer.weight), _to_numpy(layer.bias)) for layer in linear]


def _to_numpy(parameter: torch.Tensor) -> NDArray[np.float32]:
    return parameter.detach().cpu().to(torch.float32).numpy().copy()
