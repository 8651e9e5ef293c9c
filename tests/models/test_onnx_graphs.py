import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from models.features import IS_INTEGER, MISSING, N_FEATURES, default_mask, index_of
from models.metadata import read_metadata
from models.network import TaggerNetwork, dense_layers
from models.onnx_graphs import OPSET, attack_graph, save_onnx, tagger_graph


def run(model, **inputs):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, inputs)


def attack(network, metadata, raw, labels):
    (sign,) = run(attack_graph(dense_layers(network), metadata), features=raw, labels=labels)
    return sign


def torch_logits(network, scaler, raw):
    with torch.no_grad():
        return network(torch.from_numpy(scaler.scale(raw)[0])).numpy()


def torch_gradient(network, scaler, raw, labels, *, loss_input, gamma=0):
    """The gradient of the focal loss by autograd, in float64."""
    x = torch.from_numpy(scaler.scale(raw)[0]).double().requires_grad_()
    logits = network.double()(x)
    network.float()
    log_p = torch.log_softmax(logits.softmax(1) if loss_input == "softmax" else logits, 1)
    log_pt = log_p.gather(1, torch.from_numpy(labels)[:, None])[:, 0]
    loss = -((1 - log_pt.exp()) ** gamma * log_pt).sum()
    return torch.autograd.grad(loss, x)[0].numpy()


def assert_same_signs(sign, gradient, active, rounding=1e-6):
    """All active cells agree, but for gradients that are rounding next to the jet's largest."""
    size = np.abs(gradient)
    clear = active & (size > rounding * size.max(axis=1, keepdims=True)) & (size > 0)
    assert clear.sum() > 0.99 * active.sum()
    assert np.array_equal(sign[clear], np.sign(gradient)[clear])


def test_torch_and_onnx_give_the_same_logits(make_jets, make_network, make_metadata, scaler):
    raw = make_jets(3000)
    network = make_network()
    logits, probabilities = run(tagger_graph(dense_layers(network), make_metadata()), features=raw)
    expected = torch_logits(network, scaler, raw)
    assert expected.std() > 1  # else the comparison would say little
    np.testing.assert_allclose(logits, expected, atol=1e-5, rtol=1e-5)
    np.testing.assert_allclose(probabilities, torch.from_numpy(expected).softmax(1).numpy(), atol=1e-5)


@pytest.mark.parametrize("garbage", [np.nan, np.inf, -np.inf, MISSING, 3.4e38, -7e31, 0.0])
def test_what_lies_beyond_the_track_count_changes_no_logit(garbage, make_jets, make_network, make_metadata):
    raw = make_jets(200)
    raw[:, index_of("Jet_DeepCSV_jetNSelectedTracks")] = 2
    raw[:, index_of("Jet_DeepCSV_jetNTracksEtaRel")] = 0
    mask = default_mask(raw)
    spoilt = raw.copy()
    for quantity in ("trackPtRel", "trackSip3dSig", "trackDeltaR"):
        spoilt[:, [index_of(f"Jet_DeepCSV_{quantity}_{i}") for i in range(2, 6)]] = garbage
    spoilt[:, index_of("Jet_DeepCSV_trackEtaRel_0")] = garbage
    assert np.array_equal(default_mask(spoilt), mask)
    model = tagger_graph(dense_layers(make_network()), make_metadata())
    logits, _ = run(model, features=spoilt)
    assert np.isfinite(logits).all()
    assert np.array_equal(logits, run(model, features=raw)[0])


def test_the_mask_in_the_graph_is_the_default_mask_cell_by_cell(make_jets, make_network, make_metadata):
    model = tagger_graph(dense_layers(make_network()), make_metadata())
    scaled_where = next(
        node for node in model.graph.node if node.op_type == "Where" and "default" in node.input
    )
    name = scaled_where.input[0]
    model.graph.output.append(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.BOOL, ["n", N_FEATURES])
    )
    raw = make_jets(3000)
    counts = [index_of("Jet_DeepCSV_jetNSelectedTracks"), index_of("Jet_DeepCSV_jetNTracksEtaRel")]
    strange = [np.nan, np.inf, -np.inf, MISSING, -1.0, -5.0, 0.0, 0.5, 1e34, -1e34, 3.4e38]
    raw[:, counts] = np.random.default_rng(0).choice(np.float32(strange), size=(3000, 2))
    assert np.array_equal(run(model, features=raw)[2], default_mask(raw))


def test_scaling_in_the_graph_is_the_scalers_bit_by_bit(make_jets, make_network, make_metadata, scaler):
    model = tagger_graph(dense_layers(make_network()), make_metadata())
    model.graph.output.append(
        onnx.helper.make_tensor_value_info("scaled", onnx.TensorProto.FLOAT, ["n", N_FEATURES])
    )
    raw = make_jets(1000)
    assert np.array_equal(run(model, features=raw)[2], scaler.scale(raw)[0])


@pytest.mark.parametrize("loss_input", ["logits", "softmax"])
@pytest.mark.parametrize("gamma", [0, 2, 25])
def test_signs_are_those_of_autograd_for_every_gamma(
    loss_input, gamma, make_jets, make_network, make_metadata, scaler
):
    raw, labels = make_jets(1000), np.random.default_rng(2).integers(0, 4, 1000)
    network = make_network()
    sign = attack(network, make_metadata(loss_input=loss_input, gamma=gamma), raw, labels)
    gradient = torch_gradient(network, scaler, raw, labels, loss_input=loss_input, gamma=gamma)
    assert_same_signs(sign, gradient, ~(default_mask(raw) | IS_INTEGER))


def saturated_jets(network, scaler, make_jets, *, gap_below):
    """Jets whose true class has a probability that float32 rounds to 1: p - onehot would be 0 there."""
    raw = make_jets(2000)
    logits = torch_logits(network, scaler, raw)
    gap = np.diff(np.sort(logits, axis=1)[:, -2:], axis=1)[:, 0]
    chosen = (gap > 17) & (gap < gap_below)  # exp(-17) = 4e-8
    assert chosen.sum() > 50
    return raw[chosen], logits.argmax(axis=1)[chosen]


def test_signs_are_right_for_saturated_logits(make_jets, make_network, make_metadata, scaler):
    network = make_network(gain=4.0)
    raw, labels = saturated_jets(network, scaler, make_jets, gap_below=60)
    # The loss ln(1 + exp(m)) grows with m = logsumexp(wrong logits) - true logit, whose gradient is exact.
    x = torch.from_numpy(scaler.scale(raw)[0]).double().requires_grad_()
    logits = network.double()(x)
    is_true = torch.nn.functional.one_hot(torch.from_numpy(labels), 4).bool()
    margin = logits.masked_fill(is_true, -torch.inf).logsumexp(1).sum() - logits[is_true].sum()
    gradient = torch.autograd.grad(margin, x)[0].numpy()
    sign = attack(network.float(), make_metadata(), raw, labels)
    assert_same_signs(sign, gradient, ~(default_mask(raw) | IS_INTEGER))


def test_signs_are_right_for_saturated_probabilities(make_jets, make_network, make_metadata, scaler):
    network = make_network(gain=4.0)
    # float64 autograd cancels to 1e-16 / (1 - p_t): at a gap of 23 that is 1e-6 of the gradient
    raw, labels = saturated_jets(network, scaler, make_jets, gap_below=23)
    gradient = torch_gradient(network, scaler, raw, labels, loss_input="softmax")
    sign = attack(network, make_metadata(loss_input="softmax"), raw, labels)
    assert_same_signs(sign, gradient, ~(default_mask(raw) | IS_INTEGER), rounding=1e-5)


@pytest.mark.parametrize("loss_input", ["logits", "softmax"])
def test_defaults_and_integers_have_no_sign(loss_input, make_jets, make_network, make_metadata):
    raw, labels = make_jets(500), np.arange(500) % 4
    sign = attack(make_network(), make_metadata(loss_input=loss_input), raw, labels)
    frozen = default_mask(raw) | IS_INTEGER
    assert (sign[frozen] == 0).all()
    assert set(np.unique(sign[~frozen])) == {-1.0, 1.0}


def test_no_jets_give_empty_outputs(make_network, make_metadata):
    layers = dense_layers(make_network())
    nothing, no_labels = np.empty((0, 67), dtype=np.float32), np.empty(0, dtype=np.int64)
    assert [output.shape for output in run(tagger_graph(layers, make_metadata()), features=nothing)] == [
        (0, 4)
    ] * 2
    for loss_input in ("logits", "softmax"):
        model = attack_graph(layers, make_metadata(loss_input=loss_input))
        assert run(model, features=nothing, labels=no_labels)[0].shape == (0, 67)


def test_a_network_of_another_depth_serves_too(make_jets, make_metadata, scaler):
    torch.manual_seed(3)
    network = TaggerNetwork(width=20, depth=2).eval()
    raw = make_jets(50)
    logits, _ = run(tagger_graph(dense_layers(network), make_metadata()), features=raw)
    np.testing.assert_allclose(logits, torch_logits(network, scaler, raw), atol=1e-5)


def test_the_file_says_what_it_is(make_network, make_metadata, tmp_path):
    metadata = make_metadata(name="adversarial", method="fgsm", attack="fgsm:0.01")
    save_onnx(tagger_graph(dense_layers(make_network()), metadata), tmp_path / "a.onnx")
    model = onnx.load(tmp_path / "a.onnx")
    assert model.opset_import[0].version == OPSET == 13
    assert read_metadata({p.key: p.value for p in model.metadata_props}, source="a.onnx") == metadata
    assert [path.name for path in tmp_path.iterdir()] == ["a.onnx"]
    assert json.loads(model.metadata_props[0].value)["attack"] == "fgsm:0.01"


def test_a_file_that_cannot_be_written_leaves_nothing(make_network, make_metadata, tmp_path, monkeypatch):
    model = tagger_graph(dense_layers(make_network()), make_metadata())
    (tmp_path / "a.onnx").write_bytes(b"what was there")

    def fail(self, target):
        raise OSError("disk full")

    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        save_onnx(model, tmp_path / "a.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["a.onnx"]
    assert (tmp_path / "a.onnx").read_bytes() == b"what was there"


def test_layers_that_do_not_fit_are_named(make_network, make_metadata):
    layers = dense_layers(make_network())
    with pytest.raises(ValueError, match=r"layer 1: weight has shape \(4, 100\).*|layer 0"):
        tagger_graph(layers[1:], make_metadata())
    with pytest.raises(ValueError, match="5 layers end in 100 outputs, expected 4"):
        tagger_graph(layers[:-1], make_metadata())
    with pytest.raises(ValueError, match="0 layers end in 67 outputs"):
        attack_graph([], make_metadata())
