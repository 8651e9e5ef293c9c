import numpy as np
import torch

from models.network import TaggerNetwork, dense_layers


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
