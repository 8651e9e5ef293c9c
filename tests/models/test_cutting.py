import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from models.cutting import cut_network
from models.features import N_FEATURES
from models.network import TaggerNetwork, dense_layers
from models.networks import scaled_inputs
from models.onnx_graphs import attack_graph, tagger_graph
from models.scaler import FeatureScaler
from models.tagger import Tagger


@pytest.fixture
def files(make_network, make_metadata):
    """The bytes of a tagger and of its attack, and their metadata."""

    def make(seed=0, **changes):
        layers, metadata = dense_layers(make_network(seed=seed)), make_metadata(**changes)
        graphs = tagger_graph(layers, metadata), attack_graph(layers, metadata)
        return *(graph.SerializeToString() for graph in graphs), metadata

    return make


@pytest.mark.parametrize("loss_input", ["logits", "softmax"])
def test_the_numbers_are_those_of_the_files_bit_by_bit(files, make_jets, loss_input):
    raw, labels = make_jets(2500), np.arange(2500) % 4
    raw[::50] = 3.3e38  # absurd, their logits are none
    tagger, attack, metadata = files(loss_input=loss_input)
    network = cut_network(tagger, attack, metadata)
    inputs = scaled_inputs(raw, metadata.scaler)
    whole = Tagger(metadata, tagger, attack)
    logits, sign = network.logits_and_sign(inputs, labels)
    np.testing.assert_array_equal(logits, whole.logits(raw))
    np.testing.assert_array_equal(network.logits(inputs), logits)
    np.testing.assert_array_equal(sign, whole.gradient_sign(raw, labels))
    assert np.isnan(logits[::50]).any()
    assert set(np.unique(sign)) == {-1.0, 0.0, 1.0}


def test_other_depths_and_taggers_without_attack_are_cut_too(make_jets, make_metadata):
    metadata, raw = make_metadata(), make_jets(30)
    content = tagger_graph(dense_layers(TaggerNetwork(width=20, depth=2)), metadata).SerializeToString()
    network = cut_network(content, None, metadata)
    logits = network.logits(scaled_inputs(raw, metadata.scaler))
    np.testing.assert_array_equal(logits, Tagger(metadata, content).logits(raw))
    with pytest.raises(ValueError, match="no attack"):
        network.logits_and_sign(scaled_inputs(raw, metadata.scaler), np.zeros(30, np.int64))


def test_a_file_with_another_scaling_than_it_says_is_left_whole(files, make_metadata, scaler):
    tagger, attack, _ = files()
    other = FeatureScaler(scaler.mean, 2 * scaler.std, scaler.default)
    assert cut_network(tagger, attack, make_metadata(scaler=other)) is None


def test_the_attack_of_another_tagger_is_left_whole(files):
    tagger, _, metadata = files()
    assert cut_network(tagger, files(seed=1)[1], metadata) is None


def test_a_file_that_uses_its_features_twice_is_left_whole(files):
    content, _, metadata = files()
    model = onnx.load_from_string(content)
    last = next(node for node in model.graph.node if "logits" in node.output)
    last.output[0] = "before"
    pt = helper.make_node("ReduceMax", ["features"], ["highest"], axes=[1], keepdims=1)
    position = list(model.graph.node).index(last) + 1
    model.graph.node.insert(position, pt)
    model.graph.node.insert(position + 1, helper.make_node("Mul", ["before", "highest"], ["logits"]))
    onnx.checker.check_model(model, full_check=True)
    assert cut_network(model.SerializeToString(), None, metadata) is None


def test_a_file_made_elsewhere_is_left_whole(make_jets, make_metadata):
    weight = np.random.default_rng(0).normal(size=(N_FEATURES, 4)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["features", "w"], ["logits"])],
        "linear",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", N_FEATURES])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 4])],
        initializer=[numpy_helper.from_array(weight, "w")],
    )
    content = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    ).SerializeToString()
    tagger = Tagger(make_metadata(), content)
    assert tagger.network is None
    assert tagger.logits(make_jets(3)).shape == (3, 4)


def test_a_network_of_half_precision_is_left_whole(files, make_jets):
    """Cut out, it would be said to give float32, and fail at the first jets."""
    content, _, metadata = files()
    model = onnx.load_from_string(content)
    last = next(node for node in model.graph.node if "logits" in node.output)
    last.output[0] = "before"
    cast = helper.make_node("Cast", ["before"], ["logits"], to=TensorProto.FLOAT16)
    nodes = [node for node in model.graph.node if "probabilities" not in node.output]
    del model.graph.node[:]
    model.graph.node.extend([*nodes, cast])
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("logits", TensorProto.FLOAT16, ["n", 4]))
    halved = Tagger(metadata, model.SerializeToString())
    assert halved.network is None
    raw = make_jets(20)
    np.testing.assert_allclose(
        halved.logits(raw), Tagger(metadata, content).logits(raw), rtol=1e-2, atol=1e-2
    )
