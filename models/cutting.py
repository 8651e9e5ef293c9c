"""Cuts the networks out of the files of a tagger, where those begin with the project's own cleaning."""

from collections.abc import Sequence
from typing import NamedTuple

import onnx
from onnx import TensorProto, helper

from models.features import FLAVOURS, N_FEATURES
from models.metadata import TaggerMetadata
from models.networks import Network
from models.onnx_graphs import cleaning

_TYPES = {
    "scaled": (TensorProto.FLOAT, N_FEATURES),
    "is_default": (TensorProto.BOOL, N_FEATURES),
    "labels": (TensorProto.INT64, None),
    "logits": (TensorProto.FLOAT, len(FLAVOURS)),
    "gradient_sign": (TensorProto.FLOAT, N_FEATURES),
}


class _Ends(NamedTuple):
    """Where a part of a graph begins and ends."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


_TAGGER = _Ends(("scaled",), ("logits",))
_ATTACK = _Ends(("scaled", "is_default", "labels"), ("logits", "gradient_sign"))


class _Part(NamedTuple):
    """What a graph does behind the scaling."""

    ends: _Ends
    nodes: list[onnx.NodeProto]
    constants: dict[str, onnx.TensorProto]
    versions: Sequence[onnx.OperatorSetIdProto]
    ir_version: int


def cut_network(tagger_bytes: bytes, attack_bytes: bytes | None, metadata: TaggerMetadata) -> Network | None:
    """Return the networks of a tagger and its attack, or None if the files do not allow it.

    They do if they begin with the nodes that `models.onnx_graphs` writes for this scaler, use nothing else of
    these, and have the same way to the logits: then the cut changes no number.

    Args:
        tagger_bytes: The content of the tagger's ONNX file.
        attack_bytes: That of its attack, or None.
        metadata: What both say of themselves.
    """
    tagger = _behind_scaling(tagger_bytes, metadata, _TAGGER)
    if tagger is None:
        return None
    if attack_bytes is None:
        return Network(_model_of(tagger))
    attack = _behind_scaling(attack_bytes, metadata, _ATTACK)
    if attack is None or not _begins_with(attack, tagger):
        return None
    return Network(_model_of(tagger), _model_of(attack))


def _behind_scaling(content: bytes, metadata: TaggerMetadata, ends: _Ends) -> _Part | None:
    """Return what leads from the scaled features to the outputs; None if the file does it otherwise."""
    model = onnx.load_from_string(content)
    graph, head = model.graph, cleaning(metadata)
    if any(value.type.tensor_type.elem_type != TensorProto.FLOAT for value in graph.output):
        return None
    constants = {tensor.name: tensor for tensor in graph.initializer}
    nodes = list(graph.node)
    own = nodes[: len(head.nodes)]
    if own != head.nodes or any(constants.get(name) != value for name, value in head.constants.items()):
        return None
    rest = _needed(nodes[len(own) :], ends.outputs)
    for node in rest:
        node.input[:] = ["is_default" if name == head.mask else name for name in node.input]
    used = {name for node in rest for name in node.input}
    made = {name for node in rest for name in node.output}
    inputs = used - made - set(constants)
    if not set(ends.outputs) <= made or not inputs <= set(ends.inputs) or made & set(ends.inputs):
        return None
    kept = {name: tensor for name, tensor in constants.items() if name in used}
    return _Part(ends, rest, kept, model.opset_import, model.ir_version)


def _needed(nodes: Sequence[onnx.NodeProto], outputs: Sequence[str]) -> list[onnx.NodeProto]:
    """Return the nodes that outputs depend on, in their order."""
    wanted, found = set(outputs), []
    for node in reversed(nodes):
        if wanted & set(node.output):
            wanted |= set(node.input)
            found.append(node)
    return found[::-1]


def _begins_with(attack: _Part, tagger: _Part) -> bool:
    return attack.nodes[: len(tagger.nodes)] == tagger.nodes and all(
        attack.constants.get(name) == value for name, value in tagger.constants.items()
    )


def _model_of(part: _Part) -> bytes:
    graph = helper.make_graph(
        part.nodes,
        "network",
        [_value(name) for name in part.ends.inputs],
        [_value(name) for name in part.ends.outputs],
        initializer=list(part.constants.values()),
    )
    model = helper.make_model(graph, opset_imports=part.versions, ir_version=part.ir_version)
    content: bytes = model.SerializeToString()
    return content


def _value(name: str) -> onnx.ValueInfoProto:
    kind, width = _TYPES[name]
    return helper.make_tensor_value_info(name, kind, ["n"] if width is None else ["n", width])
