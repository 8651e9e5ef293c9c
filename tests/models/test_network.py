import numpy as np
import pytest
import torch

from models.features import N_FEATURES
from models.network import Dropout, TaggerNetwork, dense_layers


def test_it_has_the_size_of_the_thesis():
    # 67*100+100 + 4*(100*100+100) + 100*4+4 = 6800 + 40400 + 404
    assert sum(parameter.numel() for parameter in TaggerNetwork().parameters()) == 47_604


def test_no_jets_give_no_logits():
    assert TaggerNetwork()(torch.empty(0, 67)).shape == (0, 4)


def test_the_dense_layers_are_the_network(make_network):
    network = make_network()
    x = np.random.default_rng(0).normal(size=(10, 67)).astype(np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(x)).numpy()
    *hidden, (weight, bias) = dense_layers(network)
    activation = x
    for w, b in hidden:
        activation = np.maximum(activation @ w.T + b, 0)
    np.testing.assert_allclose(activation @ weight.T + bias, expected, rtol=1e-4, atol=1e-5)


def test_the_dense_layers_are_copies():
    network = TaggerNetwork()
    weight, _ = dense_layers(network)[0]
    weight[:] = 0
    assert network.trunk[0].weight.abs().max() > 0


def test_dropout_acts_in_train_mode_only(make_network):
    network = make_network()
    x = torch.ones(100, 67)
    with torch.no_grad():
        assert torch.equal(network(x), network(x))
        network.train()
        assert not torch.equal(network(x), network(x))
        network.eval()


def test_dropout_drops_its_share_and_keeps_the_expectation():
    torch.manual_seed(1)
    values = torch.ones(1000, 1003, requires_grad=True)  # not a multiple of the four draws from a word
    dropped = Dropout(0.1)(values)
    # 0.1 * 65536 = 6553.6, so 6554 of 65536 draws drop, and 65536 / (65536 - 6554) = 1.111120 scales up
    assert dropped.unique().tolist() == pytest.approx([0, 65536 / 58982])
    # A million nodes: the share is known to sqrt(0.1 * 0.9 / 1e6) = 0.0003, the mean to 0.00033.
    assert (dropped == 0).float().mean().item() == pytest.approx(0.1, abs=0.0012)
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.0014)
    dropped.sum().backward()
    assert torch.equal(values.grad, dropped)


def test_dropout_draws_each_node_on_its_own():
    torch.manual_seed(1)
    is_kept = Dropout(0.5)(torch.ones(100_000)).numpy() > 0
    # The four draws of one word, and of neighbouring words: no correlation beyond 1 / sqrt(1e5) = 0.003
    for distance in (1, 2, 3, 4, 8):
        assert abs(np.corrcoef(is_kept[distance:], is_kept[:-distance])[0, 1]) < 0.013


def test_dropout_follows_the_seed():
    values = torch.ones(100, 100)
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(Dropout(0.1)(values))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


@pytest.mark.parametrize("probability", [0.0, 1e-9, 1 - 1e-9, 1.0])
def test_dropout_is_finite_at_its_limits(probability):
    dropped = Dropout(probability)(torch.ones(10, 10))
    assert dropped.isfinite().all()
    assert (dropped == (1 if probability < 0.5 else 0)).all()
    assert Dropout(probability)(torch.empty(0, 100)).shape == (0, 100)


@pytest.mark.parametrize("bf16", [False, True])
def test_the_reverse_pass_written_out_is_that_of_autograd(bf16: bool) -> None:
    torch.manual_seed(2)
    network = TaggerNetwork(bf16=bf16).train()
    scaled = torch.randn(500, N_FEATURES)
    with torch.no_grad():
        network.trunk[0].bias.fill_(-0.3)  # many nodes off
    found = network.input_gradient(scaled, lambda logits: logits.tanh())
    network.eval()
    inputs = scaled.clone().requires_grad_(True)
    logits = network(inputs)
    (expected,) = torch.autograd.grad(logits, inputs, grad_outputs=logits.detach().tanh())
    assert found.dtype == torch.float32
    if bf16:
        torch.testing.assert_close(found, expected, atol=0.02 * expected.abs().max().item(), rtol=0.1)
    else:
        assert torch.equal(found, expected)
    assert all(parameter.grad is None for parameter in network.parameters())


def test_bf16_gives_logits_of_the_precision_of_its_inputs() -> None:
    torch.manual_seed(2)
    plain = TaggerNetwork(dropout=0.0)
    reduced = TaggerNetwork(dropout=0.0, bf16=True)
    reduced.load_state_dict(plain.state_dict())
    scaled = torch.randn(100, N_FEATURES)
    logits = reduced(scaled)
    assert logits.dtype == torch.float32
    assert not torch.equal(logits, plain(scaled))
    torch.testing.assert_close(logits, plain(scaled), atol=0.02, rtol=0.1)
    logits.sum().backward()
    assert reduced.trunk[0].weight.grad is not None


def test_the_network_can_be_compiled_as_one_graph() -> None:
    # Traced as for a GPU, but run by torch itself: no compiler is needed. On a processor dropout is our own.
    torch.manual_seed(2)
    network = TaggerNetwork(dropout=0.0)
    scaled = torch.randn(20, N_FEATURES)
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(scaled), network(scaled))
