"""A tagger is run once when its file is read: what does not fit is said then, not after hours of work."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.discriminators import has_outputs
from models.features import FLAVOURS, IS_INTEGER, MISSING, N_FEATURES
from models.scaler import FeatureScaler
from models.sessions import (
    NUMBER_TYPES,
    SUB_BATCH,
    ModelError,
    Session,
    hash_of,
    run_session,
    session_as_written,
    session_of,
)
from storage.memory import memory_limit_beyond_now
from storage.names import printable

MAX_SECONDS: Final = 60.0
"""For a thousand jets: a network of a thousand times DeepCSV's parameters needs some seconds."""
MAX_MEMORY: Final = 2 * 2**30
"""Bytes beyond what the process has: such a network has a quarter of it in parameters."""

_FLOATS: Final = frozenset({"tensor(float16)", "tensor(float)", "tensor(double)"})
_ROUNDING: Final = 1e-2
"""How far the outputs of a jet alone may be from those of the same jet among others: rounding of float16."""


class Interface(NamedTuple):
    """What goes in and out of a model.

    Attributes:
        inputs: Names and types that may be given to the model, with the columns of each; None for a vector.
        output: The name of what comes out.
        width: Its columns.
    """

    inputs: Mapping[str, tuple[frozenset[str], int | None]]
    output: str
    width: int


_FEATURES: Final = {"features": (_FLOATS, N_FEATURES)}
TAGGER: Final = Interface(_FEATURES, "logits", len(FLAVOURS))
ATTACK: Final = Interface(
    {**_FEATURES, "labels": (frozenset({"tensor(int32)", "tensor(int64)"}), None)},
    "gradient_sign",
    N_FEATURES,
)


_passed: set[tuple[str, str, FeatureScaler]] = set()
"""What this process has tried: some commands load the taggers of a run several times."""


def require_usable(content: bytes, interface: Interface, scaler: FeatureScaler, *, source: str) -> None:
    """Check a model's inputs and outputs, and run it on jets near the mean of what it was trained on.

    On no jet, one, a few, and as many as are ever given to it at once. Nothing of it is computed before time
    and memory are limited.

    Raises:
        ValueError: If names, types or shapes are others; if the outputs are not finite, depend on the jets
            beside, or take longer or more memory than a tagger may.
    """
    key = hash_of(content), interface.output, scaler
    if key in _passed:
        return
    with _named(source):
        session = session_as_written(content)
        _check_interface(session, interface)
        jets, labels = _jets(scaler)
        few = _run(session, interface, jets, labels)
        _check_outputs(few, interface)
        for row in range(len(jets)):
            alone = _run(session, interface, jets[[row]], labels[[row]])
            if not np.allclose(alone, few[[row]], rtol=_ROUNDING, atol=_ROUNDING, equal_nan=True):
                raise ModelError(f"its {interface.output} of a jet depend on the jets beside it")
        final = session_of(key[0], content)
        _run(final, interface, np.resize(jets, (SUB_BATCH, N_FEATURES)), np.resize(labels, SUB_BATCH))
    _passed.add(key)


@contextmanager
def _named(source: str) -> Iterator[None]:
    """Limit the memory, and make one sentence of what the runtime or a check says."""
    try:
        with memory_limit_beyond_now(MAX_MEMORY):
            yield
    except MemoryError as error:
        raise ValueError(
            f"{source}: needs more than {MAX_MEMORY / 2**30:.0f} GB of memory: use a smaller network"
        ) from error
    except ModelError as error:
        raise ValueError(f"{source}: {error}: export it again") from error


def _check_interface(session: Session, interface: Interface) -> None:
    inputs = {node.name: node for node in session.get_inputs()}
    outputs = {node.name: node for node in session.get_outputs()}
    _check_names("input", inputs, [*interface.inputs])
    _check_names("output", outputs, [interface.output])
    if surplus := inputs.keys() - interface.inputs.keys():
        raise ModelError(f"the model needs an input named {_listed(surplus)}, too")
    for name, (types, width) in interface.inputs.items():
        _check_node(inputs[name], types, width)
        n_jets = (inputs[name].shape or [None])[0]
        if isinstance(n_jets, int):
            raise ModelError(f"it takes {n_jets} jets at a time, not any number of them")
    _check_node(outputs[interface.output], _FLOATS, interface.width)


def _check_names(what: str, found: Mapping[str, Any], expected: list[str]) -> None:
    if missing := set(expected) - found.keys():
        raise ModelError(f"the model has no {what} named {_listed(missing)}, only {_listed(found)}")


def _listed(names: Any) -> str:
    return printable(", ".join(sorted(names)))


def _check_node(node: Any, types: frozenset[str], width: int | None) -> None:
    """Raise if a type or a declared shape is another; what is not declared is seen when it is run."""
    if node.type not in types:
        raise ModelError(f"{node.name} is a {node.type}, expected {' or '.join(sorted(types))}")
    shape = node.shape
    expected = f"(n, {width})" if width is not None else "(n,)"
    n_axes = 1 if width is None else 2
    is_other = width is not None and len(shape) == 2 and isinstance(shape[1], int) and shape[1] != width
    if shape and (len(shape) != n_axes or is_other):
        raise ModelError(f"{node.name} has shape {tuple(shape)}, expected {expected}")


def _jets(scaler: FeatureScaler) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return jets at the mean of the training sample, a width from it, and without any value, and labels.

    Of shapes ``(4, 67)`` and ``(4,)``.
    """
    jets = np.stack([scaler.mean, scaler.mean + scaler.std, scaler.mean - scaler.std, scaler.mean])
    jets[:, IS_INTEGER] = np.round(jets[:, IS_INTEGER])
    jets[3] = MISSING
    return jets, np.arange(len(jets))


def _run(
    session: Session,
    interface: Interface,
    jets: NDArray[np.float32],
    labels: NDArray[np.int64],
) -> NDArray[np.float64]:
    types = {node.name: NUMBER_TYPES[node.type] for node in session.get_inputs()}
    values: dict[str, NDArray[Any]] = {"features": jets, "labels": labels}
    with np.errstate(over="ignore"):
        feeds = {name: values[name].astype(types[name]) for name in interface.inputs}
    (found,) = run_session(session, [interface.output], feeds, seconds=MAX_SECONDS)
    if found.shape != (len(jets), interface.width):
        raise ModelError(
            f"its {interface.output} of {len(jets)} jets have shape {found.shape}, expected "
            f"({len(jets)}, {interface.width})"
        )
    return found.astype(np.float64)


def _check_outputs(found: NDArray[np.float64], interface: Interface) -> None:
    if interface is TAGGER and not has_outputs(found).any():
        raise ModelError("its logits are not finite even for a jet at the mean of its training sample")
    if interface is ATTACK and not (np.abs(found) <= 1).all():
        raise ModelError("its gradient_sign is not in -1, 0 and 1")
