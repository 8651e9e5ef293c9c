"""Shapes, types and outputs of models of any maker are looked at when they are loaded."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import models.trial
from models.discriminators import scores
from models.features import N_FEATURES
from models.metadata import TaggerMetadata
from models.tagger import load_tagger

NAME = "epoch_001_tagger.onnx"
Write = Callable[..., Path]
NUMPY = {TensorProto.FLOAT16: np.float16, TensorProto.FLOAT: np.float32, TensorProto.DOUBLE: np.float64}


@pytest.fixture
def write(make_metadata: Callable[..., TaggerMetadata], tmp_path: Path) -> Write:
    """Write a tagger with these nodes between features and logits."""

    def make(
        nodes: list[onnx.NodeProto],
        *constants: onnx.TensorProto,
        kind: int = TensorProto.FLOAT,
        out_kind: int = TensorProto.FLOAT,
        shape: Any = ("n", N_FEATURES),
        out_shape: Any = ("n", 4),
        more: Any = (),
        name: str = NAME,
        inputs: Any = None,
        output: str = "logits",
    ) -> Path:
        graph = helper.make_graph(
            nodes,
            "g",
            inputs or [helper.make_tensor_value_info("features", kind, shape), *more],
            [helper.make_tensor_value_info(output, out_kind, out_shape)],
            initializer=list(constants),
        )
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
        helper.set_model_props(made, make_metadata(name="own").to_properties())
        (tmp_path / name).write_bytes(made.SerializeToString())
        return tmp_path / name

    return make


def weights(n_in: int = N_FEATURES, n_out: int = 4, dtype: Any = np.float32) -> onnx.TensorProto:
    values = np.random.default_rng(0).normal(0, 0.01, (n_in, n_out)).astype(dtype)
    return numpy_helper.from_array(values, "w")


MATMUL = helper.make_node("MatMul", ["features", "w"], ["logits"])


@pytest.mark.parametrize("kind", NUMPY)
def test_a_network_of_any_precision_is_used_as_it_is(write: Write, kind: int) -> None:
    """Against numpy: the features are cast, the logits come back as float32."""
    dtype = NUMPY[kind]
    tagger = load_tagger(write([MATMUL], weights(dtype=dtype), kind=kind, out_kind=kind))
    jets = np.random.default_rng(1).normal(size=(2000, N_FEATURES)).astype(np.float32)
    expected = jets.astype(dtype).astype(float) @ numpy_helper.to_array(weights(dtype=dtype)).astype(float)
    found = tagger.logits(jets)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=5e-3 if dtype is np.float16 else 1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"constants": [weights(n_out=1)], "out_shape": ("n", 1)}, r"logits has shape \('n', 1\)"),
        ({"constants": [weights(n_out=5)], "out_shape": ("n", 5)}, r"logits has shape \('n', 5\)"),
        ({"constants": [weights(n_out=1)], "out_shape": None}, r"logits has shape \('n', 1\)"),
        ({"constants": [weights(n_out=5)], "out_shape": ("n", "m")}, r"logits has shape \('n', 5\)"),
        ({"constants": [weights(n_in=66)], "shape": ("n", 66)}, r"features has shape \('n', 66\)"),
        ({"constants": [weights(n_in=66)], "shape": ("n", "m")}, "ONNX Runtime cannot run it"),
        ({"shape": (1, N_FEATURES), "out_shape": (1, 4)}, "takes 1 jets at a time"),
        ({"shape": (1024, N_FEATURES), "out_shape": (1024, 4)}, "takes 1024 jets at a time"),
        ({"shape": ("n", "one", N_FEATURES), "out_shape": ("n", "one", 4)}, "features has shape"),
    ],
)
def test_other_shapes_are_refused_at_loading(write: Write, options: dict[str, Any], message: str) -> None:
    constants = options.pop("constants", [weights()])
    path = write([MATMUL], *constants, **options)
    with pytest.raises(ValueError, match=message) as caught:
        load_tagger(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "kind", [TensorProto.INT32, TensorProto.INT64, TensorProto.BFLOAT16, TensorProto.BOOL]
)
def test_features_that_are_no_floats_are_refused(write: Write, kind: int) -> None:
    cast = helper.make_node("Cast", ["features"], ["numbers"], to=TensorProto.FLOAT)
    product = helper.make_node("MatMul", ["numbers", "w"], ["logits"])
    with pytest.raises(ValueError, match=r"features is a tensor.*, expected tensor"):
        load_tagger(write([cast, product], weights(), kind=kind))


@pytest.mark.parametrize("kind", [TensorProto.INT64, TensorProto.BOOL, TensorProto.STRING])
def test_logits_that_are_no_floats_are_refused(write: Write, kind: int) -> None:
    product = helper.make_node("MatMul", ["features", "w"], ["numbers"])
    cast = helper.make_node("Cast", ["numbers"], ["logits"], to=kind)
    with pytest.raises(ValueError, match="logits is a tensor"):
        load_tagger(write([product, cast], weights(), out_kind=kind))


def test_other_names_and_further_inputs_are_refused(write: Write) -> None:
    product = helper.make_node("MatMul", ["x", "w"], ["logits"])
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", N_FEATURES])]
    with pytest.raises(ValueError, match="no input named features, only x"):
        load_tagger(write([product], weights(), inputs=inputs))
    renamed = helper.make_node("MatMul", ["features", "w"], ["out"])
    with pytest.raises(ValueError, match="no output named logits, only out"):
        load_tagger(write([renamed], weights(), output="out"))
    more = [helper.make_tensor_value_info("event", TensorProto.FLOAT, ["n", 4])]
    added = [
        helper.make_node("MatMul", ["features", "w"], ["p"]),
        helper.make_node("Add", ["p", "event"], ["logits"]),
    ]
    with pytest.raises(ValueError, match="needs an input named event"):
        load_tagger(write(added, weights(), more=more))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_tagger_without_finite_logits_is_refused(write: Write, value: float) -> None:
    nodes = [
        helper.make_node("MatMul", ["features", "w"], ["p"]),
        helper.make_node("Add", ["p", "shift"], ["logits"]),
    ]
    shift = numpy_helper.from_array(np.float32(value), "shift")
    with pytest.raises(ValueError, match="logits are not finite"):
        load_tagger(write(nodes, weights(), shift))


def test_a_class_of_probability_zero_is_none_that_is_broken(write: Write) -> None:
    """Three equal outputs and one of exactly 0: as of a random forest, or a network that saturates."""
    nodes = [
        helper.make_node("MatMul", ["features", "w"], ["p"]),
        helper.make_node("Add", ["p", "shift"], ["logits"]),
    ]
    shift = numpy_helper.from_array(np.array([0, 0, 0, -np.inf], np.float32), "shift")
    zero = numpy_helper.from_array(np.zeros((N_FEATURES, 4), np.float32), "w")
    found = scores(load_tagger(write(nodes, zero, shift)).logits(np.ones((5, N_FEATURES), np.float32)))
    assert found["b"] == pytest.approx(1 / 3)
    assert found["CvsL"] == pytest.approx(1.0)
    assert found["BvsC"] == pytest.approx(2 / 3)


def test_logits_that_depend_on_other_jets_are_refused(write: Write) -> None:
    """They would depend on how jets are cut into chunks: here all jets share one softmax."""
    nodes = [
        helper.make_node("MatMul", ["features", "w"], ["p"]),
        helper.make_node("Softmax", ["p"], ["logits"], axis=0),
    ]
    with pytest.raises(ValueError, match="depend on the jets beside it"):
        load_tagger(write(nodes, weights()))


def test_numbers_drawn_at_random_are_refused(write: Write) -> None:
    nodes = [
        helper.make_node("MatMul", ["features", "w"], ["p"]),
        helper.make_node("RandomNormalLike", ["p"], ["logits"]),
    ]
    with pytest.raises(ValueError, match="depend on the jets beside it"):
        load_tagger(write(nodes, weights()))


def huge(*, of_jets: bool) -> list[onnx.NodeProto]:
    """The sum of a tensor of 4 TB, or of (number of jets)^4 numbers: 1024^4 of 4 bytes."""
    shape = [
        helper.make_node("Shape", ["features"], ["s"]),
        helper.make_node("Gather", ["s", "first"], ["size"]),
    ]
    return [
        *(shape if of_jets else [helper.make_node("Identity", ["large"], ["size"])]),
        helper.make_node("ConstantOfShape", ["size"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros"], ["sum"], keepdims=0),
        helper.make_node("MatMul", ["features", "w"], ["p"]),
        helper.make_node("Add", ["p", "sum"], ["logits"]),
    ]


@pytest.mark.parametrize("of_jets", [False, True])
def test_what_fills_the_memory_is_refused(write: Write, of_jets: bool) -> None:
    first = numpy_helper.from_array(np.zeros(4, np.int64), "first")
    large = numpy_helper.from_array(np.array([10**6, 10**6], np.int64), "large")
    with pytest.raises(ValueError, match="needs more than 2 GB of memory"):
        load_tagger(write(huge(of_jets=of_jets), weights(), first if of_jets else large))


def test_what_takes_too_long_is_refused(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models.trial, "MAX_SECONDS", 0.05)
    square = numpy_helper.from_array(np.eye(N_FEATURES, dtype=np.float32), "m")
    large = numpy_helper.from_array(np.array([4_000_000, 8], np.int64), "large")
    nodes = [helper.make_node("ConstantOfShape", ["large"], ["x0"])]
    nodes += [helper.make_node("Cos", [f"x{i}"], [f"x{i + 1}"]) for i in range(40)]
    nodes += [
        helper.make_node("ReduceSum", ["x40"], ["sum"], keepdims=0),
        helper.make_node("MatMul", ["features", "w"], ["p"]),
        helper.make_node("Add", ["p", "sum"], ["logits"]),
    ]
    with pytest.raises(ValueError, match=r"needs more than 0\.05 s"):
        load_tagger(write(nodes, weights(), square, large))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda model: setattr(model, "ir_version", 99), "IR version: 99"),
        (lambda model: setattr(model.opset_import[0], "version", 99), "Opset 99"),
        (lambda model: setattr(model.graph.node[0], "op_type", "Magic"), "Magic"),
        (lambda model: model.graph.node[0].input.__setitem__(0, "nothing"), "'nothing'"),
    ],
)
def test_the_reason_of_the_runtime_is_passed_on(
    write: Write, change: Callable[[Any], Any], reason: str
) -> None:
    path = write([MATMUL], weights())
    made = onnx.load(path)
    change(made)
    path.write_bytes(made.SerializeToString())
    with pytest.raises(ValueError, match="ONNX Runtime cannot read it as a model") as caught:
        load_tagger(path)
    assert reason in str(caught.value)
    assert "onnxruntime_src" not in str(caught.value)


def attack_inputs(kind: int = TensorProto.INT64) -> list[onnx.ValueInfoProto]:
    return [
        helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", N_FEATURES]),
        helper.make_tensor_value_info("labels", kind, ["n"]),
    ]


def test_an_attack_is_looked_at_likewise(write: Write) -> None:
    path = write([MATMUL], weights())
    attack = {"name": "epoch_001_attack.onnx", "output": "gradient_sign", "out_shape": ("n", N_FEATURES)}
    sign = [helper.make_node("Sign", ["features"], ["gradient_sign"])]
    write(sign, inputs=attack_inputs(TensorProto.INT32), **attack)
    tagger = load_tagger(path)
    jets = np.random.default_rng(2).normal(size=(10, N_FEATURES)).astype(np.float32)
    np.testing.assert_array_equal(tagger.gradient_sign(jets, np.arange(10) % 4), np.sign(jets))
    write(sign, inputs=attack_inputs(TensorProto.FLOAT), **attack)
    with pytest.raises(ValueError, match=r"epoch_001_attack.onnx: labels is a tensor\(float\)"):
        load_tagger(path)
    ten = numpy_helper.from_array(np.float32(10), "ten")
    large = [
        helper.make_node("Sign", ["features"], ["s"]),
        helper.make_node("Mul", ["s", "ten"], ["gradient_sign"]),
    ]
    write(large, ten, inputs=attack_inputs(), **attack)
    with pytest.raises(ValueError, match=r"epoch_001_attack.onnx: its gradient_sign is not in -1, 0 and 1"):
        load_tagger(path)
