"""The files of taggers, from anywhere: read with the weights beside them, and looked at before they are run.

A tagger is a feed-forward network. What such a network has no use for, and what could run without end, fill
the memory or reach for other files, is refused by name, before ONNX Runtime sees the model.
"""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from storage.documents import read_bytes
from storage.names import printable
from storage.wording import few

if TYPE_CHECKING:  # whoever only uses taggers needs no onnx
    import onnx

_log = logging.getLogger(__name__)

MAX_BYTES: Final = 256 * 2**20
"""Of a model and the weights beside it: some sixty million parameters, a thousand times those of DeepCSV."""
MAX_NODES: Final = 20_000
DOMAINS: Final = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
"""Whose operators ONNX Runtime brings along."""

_FLOATS: Final = frozenset({1, 10, 11})
"""FLOAT, FLOAT16 and DOUBLE. Source: onnx.TensorProto.DataType."""


class Model(NamedTuple):
    """A model as bytes, all its weights inside, and its metadata."""

    content: bytes
    properties: dict[str, str]


def read_model(path: Path) -> Model:
    """Return a model with all its weights inside.

    A file that holds its weights itself comes back byte by byte.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no ONNX model, its weights are not in its own folder or no numbers, or it is
            larger, or holds other things, than a feed-forward network needs.
    """
    source = printable(str(path))
    content, model = _parsed(path, source)
    _check_graph(model, source)
    if external := list(_external(model.graph)):
        names = list(dict.fromkeys(_place(tensor, path).name for tensor in external))
        _log.warning("%s: its weights lie beside it in %s: keep them together", source, few(names))
        budget = MAX_BYTES - len(content)
        for tensor in external:
            tensor.raw_data = _weights_beside(tensor, path, budget)
            budget -= len(tensor.raw_data)
            tensor.ClearField("external_data")
            tensor.ClearField("data_location")
        content = model.SerializeToString(deterministic=True)
    _check_weights(model.graph, source)
    return Model(content, {entry.key: entry.value for entry in model.metadata_props})


def weight_files(path: Path) -> list[Path]:
    """Return the files beside a model in which it keeps weights; none if they are inside.

    Raises:
        FileNotFoundError: If there is no such model.
        ValueError: If it is no ONNX model, or a file is not in its folder.
    """
    _, model = _parsed(path, printable(str(path)))
    return list(dict.fromkeys(_place(tensor, path) for tensor in _external(model.graph)))


def _parsed(path: Path, source: str) -> "tuple[bytes, onnx.ModelProto]":
    content = read_bytes(path, kind="tagger file", most_bytes=MAX_BYTES)
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        model = onnx.load_from_string(content)
    except DecodeError as error:
        raise ValueError(f"{source}: ONNX Runtime cannot read it as a model: is it damaged?") from error
    if not _is_text(model):
        raise ValueError(
            f"{source}: ONNX Runtime cannot read it as a model, a name is no text: is it damaged?"
        )
    if not model.graph.node:
        raise ValueError(
            f"{source}: ONNX Runtime cannot read it as a model, no operator is inside: is it one?"
        )
    return content, model


def _is_text(message: Any) -> bool:
    """Tell whether all that should be text is: what is no UTF-8 comes back as bytes."""
    for field, value in message.ListFields():
        each = value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else [value]
        if field.type == field.TYPE_STRING and any(isinstance(one, bytes) for one in each):
            return False
        if field.type == field.TYPE_MESSAGE and not all(_is_text(one) for one in each):
            return False
    return True


def _check_graph(model: "onnx.ModelProto", source: str) -> None:
    graph = model.graph
    if len(graph.node) > MAX_NODES:
        raise ValueError(f"{source}: {len(graph.node)} operators, at most {MAX_NODES} are read: simplify it")
    if len(model.functions):
        raise ValueError(f"{source}: holds functions of its own: export it with these written out")
    if len(graph.sparse_initializer):
        raise ValueError(f"{source}: {_SPARSE}")
    for node in graph.node:
        _check_node(node, source)


_SPARSE: Final = "holds sparse weights: export it with dense ones"


def _check_node(node: "onnx.NodeProto", source: str) -> None:
    name, domain = printable(node.op_type), printable(node.domain)
    if node.domain not in DOMAINS:
        raise ValueError(f"{source}: needs the operator {name} of {domain}: export it with those of ONNX")
    for attribute in node.attribute:
        if attribute.HasField("g") or len(attribute.graphs):
            raise ValueError(
                f"{source}: holds the operator {name}, which runs a graph inside, as loops and branches do: "
                "export it as a plain feed-forward network"
            )
        if attribute.HasField("sparse_tensor") or len(attribute.sparse_tensors):
            raise ValueError(f"{source}: {_SPARSE}")


def _tensors(graph: "onnx.GraphProto") -> "Iterator[onnx.TensorProto]":
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def _external(graph: "onnx.GraphProto") -> "Iterator[onnx.TensorProto]":
    return (tensor for tensor in _tensors(graph) if tensor.data_location == tensor.EXTERNAL)


def _place(tensor: "onnx.TensorProto", path: Path) -> Path:
    """Return the file of a tensor's weights.

    Raises:
        ValueError: If it is not in the model's folder, or no file.
    """
    location = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
    parts = PurePosixPath(location)
    said = f"{printable(str(path))}: its weights lie in {printable(location)!r}"
    if not location or "\0" in location or parts.is_absolute() or ".." in parts.parts:
        raise ValueError(f"{said}, which is not in its own folder: export it with the weights inside")
    file = path.parent / parts
    if not file.is_file():
        raise ValueError(f"{said}, which is not there: copy that file, too, or export it with weights inside")
    if not file.resolve().is_relative_to(path.parent.resolve()):
        raise ValueError(f"{said}, a link out of its own folder: copy that file there")
    return file


def _weights_beside(tensor: "onnx.TensorProto", path: Path, budget: int) -> bytes:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    file, source = _place(tensor, path), printable(str(path))
    size = file.stat().st_size
    try:
        offset = int(entries.get("offset", "0"))
        length = int(entries.get("length", size - offset))
    except ValueError:
        offset = length = -1
    if offset < 0 or length < 0 or offset + length > size:
        raise ValueError(
            f"{source}: {file.name} does not hold the weights {printable(tensor.name)!r}: are both whole and "
            "of one export?"
        )
    if length > budget:
        raise ValueError(
            f"{source}: larger than {MAX_BYTES / 1e6:.0f} MB with its weights: use a smaller one"
        )
    with file.open("rb") as opened:
        opened.seek(offset)
        return opened.read(length)


def _check_weights(graph: "onnx.GraphProto", source: str) -> None:
    """Raise if a weight is NaN; single constants may be, and infinities have their uses."""
    from onnx import numpy_helper

    for tensor in _tensors(graph):
        if tensor.data_type not in _FLOATS:
            continue
        name = printable(tensor.name)
        try:
            values = numpy_helper.to_array(tensor)
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"{source}: the weights {name!r} are not of their shape: is it whole?"
            ) from error
        if values.ndim and (n_bad := int(np.count_nonzero(np.isnan(values)))):
            raise ValueError(
                f"{source}: {n_bad} of {values.size} weights {name!r} are NaN: "
                "export the checkpoint of an earlier epoch"
            )
