"""From the file of a checkpoint to a network: what does not fit is said with its reason."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch

from storage.names import printable
from storage.wording import few

WRAPPERS: Final = frozenset({"module", "_orig_mod"})
"""What stands in the names of weights that a wrapped network saved. Source: torch's DistributedDataParallel
and DataParallel (module), and torch.compile (_orig_mod)."""

_LONGEST_REASON: Final = 150


def read_state(path: Path, device: torch.device | None = None) -> dict[str, Any]:
    """Return the content of a file of torch; nothing in it is executed.

    Raises:
        ValueError: If it is none, is cut off, or holds other things than numbers and texts by name.
    """
    try:
        state = torch.load(path, weights_only=True, map_location=device or "cpu")
    except Exception as error:  # torch raises errors of zip, pickle and its own on a broken file
        reason = printable(" ".join(str(error).split())[:_LONGEST_REASON])
        raise ValueError(
            f"{path}: not a checkpoint of this version, it cannot be read ({reason}): remove it or train anew"
        ) from error
    if not isinstance(state, dict):
        raise ValueError(
            f"{path}: not a checkpoint of this version, it holds no names: remove it or train anew"
        )
    return state


def set_weights(module: torch.nn.Module, stored: Any, path: Path) -> None:
    """Set a network, or the modules of methods, to stored weights.

    Names may have what `WRAPPERS` add to them.

    Raises:
        ValueError: If names or shapes are not those of the network, or weights are not finite.
    """
    expected = module.state_dict()
    found = _unwrapped(stored) if isinstance(stored, Mapping) else {}
    missing, surplus = expected.keys() - found.keys(), found.keys() - expected.keys()
    if missing or surplus:
        lacks = f"lacks the weights {few(sorted(missing), joint=', ')}" if missing else ""
        holds = f"holds the unknown weights {printable(few(sorted(surplus), joint=', '))}" if surplus else ""
        raise ValueError(
            f"{path}: {' and '.join(filter(None, (lacks, holds)))}, it is of another network: "
            "remove it or train anew"
        )
    for name, weights in found.items():
        if not isinstance(weights, torch.Tensor) or weights.shape != expected[name].shape:
            shape = tuple(weights.shape) if isinstance(weights, torch.Tensor) else type(weights).__name__
            raise ValueError(
                f"{path}: {name} is {shape}, the network has {tuple(expected[name].shape)}, "
                "it is of another network: remove it or train anew"
            )
    require_finite(found, path)
    module.load_state_dict(found)


def require_finite(weights: Any, path: Path) -> None:
    """Check all tensors inside of dicts and lists.

    Raises:
        ValueError: If one holds NaN or infinity.
    """
    if not is_finite(weights):
        raise ValueError(f"{path}: holds weights that are not finite: remove it to go on before that epoch")


def is_finite(weights: Any) -> bool:
    """Tell whether all tensors inside of dicts and lists hold finite numbers alone."""
    if isinstance(weights, torch.Tensor):
        return bool(torch.isfinite(weights).all())
    if isinstance(weights, Mapping):
        return all(is_finite(each) for each in weights.values())
    return all(is_finite(each) for each in weights) if isinstance(weights, list | tuple) else True


def _unwrapped(stored: Mapping[Any, Any]) -> dict[str, Any]:
    names = {name: ".".join(part for part in str(name).split(".") if part not in WRAPPERS) for name in stored}
    if len(set(names.values())) < len(names):
        return {str(name): weights for name, weights in stored.items()}
    return {names[name]: weights for name, weights in stored.items()}
