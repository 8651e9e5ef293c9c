"""A tagger and its attack as ONNX graphs of plain operators, both from raw features in physical units.

Cleaning, defaults and scaling lie inside the graphs, so a user of the file cannot get them wrong, and a
worker needs ONNX Runtime alone. The attack is the reverse pass written out; dropout takes no part in either
graph.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import TensorProto, checker, helper, numpy_helper

from models.features import FEATURES, FLAVOURS, IS_INTEGER, MISSING, N_FEATURES, index_of
from models.metadata import TaggerMetadata
from storage.files import replaced_file

OPSET = 13
IR_VERSION = 7
"""The oldest operators and file format in which the graphs can be written, so that older runtimes read them,
such as those of CMSSW. Source: of the operators used, Softmax and Unsqueeze were last changed in opset 13."""

Layer = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Weight ``(n_outputs, n_inputs)`` and bias ``(n_outputs,)`` of a dense layer."""

N_FLAVOURS = len(FLAVOURS)


class _Graph:
    """Nodes and constants gathered one by one; each operator returns the name of its result."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def constant(self, name: str, value: ArrayLike, dtype: type[np.generic] = np.float32) -> str:
        self.constants[name] = numpy_helper.from_array(np.asarray(value, dtype=dtype), name)
        return name

    def add(self, operator: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        output = output or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output


class _Forward(NamedTuple):
    """Names of what the reverse pass needs of the forward pass."""

    mask: str
    activations: list[str]  # of each hidden layer, after the ReLU
    logits: str


def tagger_graph(layers: Sequence[Layer], metadata: TaggerMetadata) -> onnx.ModelProto:
    """Return the tagger as a checked ONNX model.

    Input ``features`` ``(n_jets, 67)`` float32, in physical units as read; outputs ``logits`` and
    ``probabilities``, both ``(n_jets, 4)`` float32. `n_jets` may be 0.

    Args:
        layers: The dense layers, inputs first; a ReLU follows each but the last.
        metadata: What is stored in the file; its scaler becomes part of the graph.

    Raises:
        ValueError: If the layers do not lead from 67 features to 4 logits.
    """
    graph = _Graph()
    forward = _forward(graph, layers, metadata)
    graph.add("Softmax", forward.logits, output="probabilities", axis=1)
    return _model(
        graph,
        "tagger",
        metadata,
        inputs=[_floats("features", N_FEATURES)],
        outputs=[_floats("logits", N_FLAVOURS), _floats("probabilities", N_FLAVOURS)],
    )


def attack_graph(layers: Sequence[Layer], metadata: TaggerMetadata) -> onnx.ModelProto:
    """Return the sign of d(loss)/d(scaled feature) as a checked ONNX model.

    Inputs ``features`` ``(n_jets, 67)`` float32, in physical units as read, and ``labels`` ``(n_jets,)``
    int64 in 0 to 3; output ``gradient_sign`` ``(n_jets, 67)`` float32 in -1, 0, 1. It is 0 for defaults and
    integers, which no attack moves. The sign is the same for every exponent of the focal loss, since that is
    monotone in the true class's probability.

    Args:
        layers: The dense layers, inputs first; a ReLU follows each but the last.
        metadata: What is stored in the file; its scaler and `loss_input` become part of the graph.

    Raises:
        ValueError: If the layers do not lead from 67 features to 4 logits.

    Source:
        Goodfellow, Shlens, Szegedy, "Explaining and harnessing adversarial examples", arXiv:1412.6572 (FGSM).
    """
    graph = _Graph()
    forward = _forward(graph, layers, metadata)
    label = graph.add("Unsqueeze", "labels", graph.constant("last_axis", [1], np.int64))
    is_true = graph.add("Equal", label, graph.constant("flavours", np.arange(N_FLAVOURS), np.int64))
    if metadata.loss_input == "logits":
        gradient = _gradient_on_logits(graph, forward.logits, is_true)
    else:
        gradient = _gradient_through_softmax(graph, forward.logits, is_true)
    gradient = _reverse(graph, gradient, forward.activations)
    _sign(graph, gradient, forward.mask)
    return _model(
        graph,
        "attack",
        metadata,
        inputs=[_floats("features", N_FEATURES), _values("labels", TensorProto.INT64, ["n"])],
        outputs=[_floats("gradient_sign", N_FEATURES)],
    )


class Cleaning(NamedTuple):
    """How a graph of this module begins: from ``features`` to `scaled` and `mask`, which names say."""

    nodes: list[onnx.NodeProto]
    constants: dict[str, onnx.TensorProto]
    scaled: str
    mask: str


def cleaning(metadata: TaggerMetadata) -> Cleaning:
    """Return the nodes with which `tagger_graph` and `attack_graph` begin, and the constants of these."""
    graph = _Graph()
    mask = _default_mask(graph)
    scaled = _scaled(graph, mask, metadata)
    return Cleaning(graph.nodes, graph.constants, scaled, mask)


def save_onnx(model: onnx.ModelProto, path: Path) -> None:
    """Write a model; the file appears whole or not at all, and its folder is made if it is missing."""
    with replaced_file(path) as temporary:
        temporary.write_bytes(model.SerializeToString())


def _forward(graph: _Graph, layers: Sequence[Layer], metadata: TaggerMetadata) -> _Forward:
    _check_layers(layers)
    mask = _default_mask(graph)
    activation = _scaled(graph, mask, metadata)
    activations = []
    for index in range(len(layers) - 1):
        activation = graph.add("Relu", _dense(graph, activation, layers, index))
        activations.append(activation)
    return _Forward(mask, activations, _dense(graph, activation, layers, len(layers) - 1, output="logits"))


def _dense(
    graph: _Graph, inputs: str, layers: Sequence[Layer], index: int, *, output: str | None = None
) -> str:
    weight, bias = layers[index]
    names = graph.constant(f"weight_{index}", weight), graph.constant(f"bias_{index}", bias)
    return graph.add("Gemm", inputs, *names, output=output, transB=1)


def _check_layers(layers: Sequence[Layer]) -> None:
    n_inputs = N_FEATURES
    for index, (weight, bias) in enumerate(layers):
        if weight.ndim != 2 or weight.shape[1] != n_inputs or bias.shape != weight.shape[:1]:
            raise ValueError(
                f"layer {index}: weight has shape {weight.shape} and bias {bias.shape}, "
                f"expected (n, {n_inputs}) and (n,)"
            )
        n_inputs = weight.shape[0]
    if not layers or n_inputs != N_FLAVOURS:
        raise ValueError(f"the {len(layers)} layers end in {n_inputs} outputs, expected {N_FLAVOURS}")


def _default_mask(graph: _Graph) -> str:
    """Add `models.features.default_mask`, cell by cell the same."""
    missing = graph.add("Equal", "features", graph.constant("missing", MISSING))
    # |NaN| <= x is false, so one comparison finds NaN and both infinities.
    largest = graph.constant("largest", np.finfo(np.float32).max)
    finite = graph.add("LessOrEqual", graph.add("Abs", "features"), largest)
    sentinel = graph.add("Or", missing, graph.add("Not", finite))
    above_charm = [-1.0 if feature.rule == "above_charm" else MISSING for feature in FEATURES]
    no_charm = graph.add("Equal", "features", graph.constant("above_charm", above_charm))
    mask = graph.add("Or", sentinel, no_charm)
    for rule, count in _TRACK_COUNTS.items():
        mask = graph.add("Or", mask, _beyond_tracks(graph, sentinel, rule, index_of(count)))
    return mask


_TRACK_COUNTS = {
    "selected_tracks": "Jet_DeepCSV_jetNSelectedTracks",
    "eta_rel_tracks": "Jet_DeepCSV_jetNTracksEtaRel",
}


def _beyond_tracks(graph: _Graph, sentinel: str, rule: str, column: int) -> str:
    """Add where the slot of a track lies beyond the jet's count, which is 0 if it is missing itself."""
    # No count is below minus infinity: features of other rules stay untouched.
    track = [feature.track if feature.rule == rule else -np.inf for feature in FEATURES]
    index = graph.constant(f"column_{rule}", [column], np.int64)
    count = graph.add("Gather", "features", index, axis=1)  # (n, 1)
    is_missing = graph.add("Gather", sentinel, index, axis=1)
    tracks = graph.add("Where", is_missing, graph.constant("no_tracks", 0.0), count)
    return graph.add("LessOrEqual", tracks, graph.constant(f"track_{rule}", track))


def _scaled(graph: _Graph, mask: str, metadata: TaggerMetadata) -> str:
    """Add `FeatureScaler.scale`, operation by operation, so that the results are the same bit by bit."""
    scaler = metadata.scaler
    # Garbage is replaced before anything is computed with it.
    filled = graph.add("Where", mask, graph.constant("default", scaler.default), "features")
    centred = graph.add("Sub", filled, graph.constant("mean", scaler.mean))
    return graph.add("Div", centred, graph.constant("std", scaler.std), output="scaled")


def _gradient_on_logits(graph: _Graph, logits: str, is_true: str) -> str:
    r"""Add the gradient of the cross entropy in the logits, divided by the positive :math:`1 - p_t`.

    That is :math:`q_j - \delta_{jt}`, where :math:`q` is the softmax over the wrong classes alone. Unlike
    :math:`p_j - \delta_{jt}` it loses no digit when the true class's probability rounds to 1.
    """
    wrong = graph.add("Where", is_true, graph.constant("never", -np.inf), logits)
    return graph.add("Sub", graph.add("Softmax", wrong, axis=1), _as_float(graph, is_true))


def _gradient_through_softmax(graph: _Graph, logits: str, is_true: str) -> str:
    r"""Add the gradient in the logits of the thesis's loss, which takes the softmax :math:`p` for logits.

    With :math:`g_j = \mathrm{softmax}(p)_j - \delta_{jt}` it is :math:`p_j \sum_i p_i (g_j - g_i)`. Written
    with differences, the term of a class with :math:`p_j = 1` is not lost to rounding.
    """
    p = graph.add("Softmax", logits, axis=1)
    g = graph.add("Sub", graph.add("Softmax", p, axis=1), _as_float(graph, is_true))
    # Column 4 j + i of (n, 16): as products with 0 and 1, which are exact, several times faster than with
    # three axes.
    of_j, of_i = np.repeat(np.eye(N_FLAVOURS), N_FLAVOURS, axis=1), np.tile(np.eye(N_FLAVOURS), N_FLAVOURS)
    differences = graph.add("MatMul", g, graph.constant("j_minus_i", of_j - of_i))
    weighted = graph.add("Mul", differences, graph.add("MatMul", p, graph.constant("of_i", of_i)))
    return graph.add("Mul", p, graph.add("MatMul", weighted, graph.constant("sum_over_i", of_j.T)))


def _reverse(graph: _Graph, gradient: str, activations: Sequence[str]) -> str:
    """Add the way back from the logits to the scaled features; a ReLU at 0 passes nothing, as in torch."""
    graph.constant("off", 0.0)
    for index in range(len(activations), 0, -1):
        gradient = graph.add("MatMul", gradient, f"weight_{index}")
        is_on = graph.add("Greater", activations[index - 1], "off")
        gradient = graph.add("Mul", gradient, _as_float(graph, is_on))
    return graph.add("MatMul", gradient, "weight_0")


def _sign(graph: _Graph, gradient: str, mask: str) -> None:
    """Add the output: 1, -1, or 0 where nothing may move and where an absurd jet has a gradient of NaN."""
    frozen = graph.add("Or", mask, graph.constant("is_integer", IS_INTEGER, np.bool_))
    movable = graph.add("Not", frozen)
    # The operator Sign would hand NaN on; comparisons with NaN are false.
    is_up = graph.add("And", movable, graph.add("Greater", gradient, "off"))
    is_down = graph.add("And", movable, graph.add("Less", gradient, "off"))
    graph.add("Sub", _as_float(graph, is_up), _as_float(graph, is_down), output="gradient_sign")


def _as_float(graph: _Graph, flag: str) -> str:
    return graph.add("Cast", flag, to=TensorProto.FLOAT)


def _floats(name: str, width: int) -> onnx.ValueInfoProto:
    return _values(name, TensorProto.FLOAT, ["n", width])


def _values(name: str, kind: int, shape: list[str | int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def _model(
    graph: _Graph,
    name: str,
    metadata: TaggerMetadata,
    *,
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
) -> onnx.ModelProto:
    model = helper.make_model(
        helper.make_graph(graph.nodes, name, inputs, outputs, initializer=list(graph.constants.values())),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="advtag",
        producer_version=metadata.advtag_version,
    )
    helper.set_model_props(model, metadata.to_properties())
    checker.check_model(model, full_check=True)
    return model
