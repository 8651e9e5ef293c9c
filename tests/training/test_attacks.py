import pytest
import torch

from models.features import IS_INTEGER, N_FEATURES
from models.network import TaggerNetwork
from models.variants import Variant, parse_variant
from training.attacks import Perturbation, evaluation_mode, frozen_cells
from training.config import LossInput

N_JETS = 64


def fgsm(
    network: torch.nn.Module,
    scaled: torch.Tensor,
    labels: torch.Tensor,
    frozen: torch.Tensor,
    *,
    epsilon: float,
    loss_input: LossInput = "logits",
) -> torch.Tensor:
    return Perturbation(Variant("fgsm", epsilon), loss_input=loss_input)(network, scaled, labels, frozen)


@pytest.fixture
def network() -> TaggerNetwork:
    torch.manual_seed(3)
    return TaggerNetwork()


@pytest.fixture
def scaled() -> torch.Tensor:
    return torch.randn(N_JETS, N_FEATURES, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def labels() -> torch.Tensor:
    return torch.arange(N_JETS) % 4


@pytest.fixture
def frozen() -> torch.Tensor:
    mask = torch.rand(N_JETS, N_FEATURES, generator=torch.Generator().manual_seed(2)) < 0.3
    return frozen_cells(mask)


def test_defaults_and_integers_are_frozen() -> None:
    mask = torch.zeros(2, N_FEATURES, dtype=torch.bool)
    mask[0, 5] = True
    frozen = frozen_cells(mask).numpy()
    assert (frozen[1] == IS_INTEGER).all()
    assert frozen[0, 5]


def test_fgsm_by_hand() -> None:
    # Logits w_k x_0 with w = (1, 0, 0, 0): the cross entropy of label 0 falls with x_0, of label 1 it rises.
    network = torch.nn.Linear(N_FEATURES, 4, bias=False)
    with torch.no_grad():
        network.weight.zero_()
        network.weight[0, 0] = 1.0
    scaled = torch.zeros(2, N_FEATURES)
    attacked = fgsm(
        network, scaled, torch.tensor([0, 1]), torch.zeros_like(scaled, dtype=torch.bool), epsilon=0.1
    )
    expected = torch.zeros(2, N_FEATURES)
    expected[:, 0] = torch.tensor([-0.1, 0.1])
    assert torch.equal(attacked, expected)


@pytest.mark.parametrize("loss_input", ["logits", "softmax"])
def test_fgsm_steps_along_the_sign_of_numerical_derivatives(
    network: TaggerNetwork, scaled: torch.Tensor, labels: torch.Tensor, frozen: torch.Tensor, loss_input: str
) -> None:
    moved = fgsm(network, scaled, labels, frozen, epsilon=1.0, loss_input=loss_input) - scaled
    precise = network.double().eval()
    outputs = []
    for step in (-1e-6, 1e-6):
        inputs = scaled[0].double() + step * torch.eye(N_FEATURES, dtype=torch.float64)
        logits = precise(inputs)
        outer = torch.softmax(logits, 1) if loss_input == "softmax" else logits
        outputs.append(
            torch.nn.functional.cross_entropy(outer, labels[:1].expand(N_FEATURES), reduction="none")
        )
    slope = (outputs[1] - outputs[0]).detach()
    movable = ~frozen[0]
    assert torch.equal(moved[0].round()[movable], slope.sign().float()[movable])


@pytest.mark.parametrize("loss_input", ["logits", "softmax"])
@pytest.mark.parametrize("gap", [2.0, 12.0, 20.0, 25.0])
def test_fgsm_on_saturated_jets_has_the_signs_of_double_precision(
    network: TaggerNetwork, scaled: torch.Tensor, frozen: torch.Tensor, loss_input: str, gap: float
) -> None:
    with torch.no_grad():
        network.head.bias.copy_(torch.tensor([gap, 0.0, -1.0, 0.5]))
    labels = torch.zeros(N_JETS, dtype=torch.int64)  # correctly classified, by a margin of about `gap`
    moved = fgsm(network, scaled, labels, frozen, epsilon=1.0, loss_input=loss_input) - scaled
    precise = network.double().eval()
    inputs = scaled.double().requires_grad_(True)
    logits = precise(inputs)
    others = torch.logsumexp(logits[:, 1:], dim=1)
    if loss_input == "logits":
        loss = torch.nn.functional.softplus(others - logits[:, 0])
    else:
        loss = torch.nn.functional.cross_entropy(torch.softmax(logits, 1), labels, reduction="none")
    (slope,) = torch.autograd.grad(loss.sum(), inputs)
    agree = moved.round() == slope.sign()
    assert agree[~frozen].float().mean() > 0.999


def test_frozen_cells_stay_bit_by_bit(
    network: TaggerNetwork, scaled: torch.Tensor, labels: torch.Tensor, frozen: torch.Tensor
) -> None:
    moved = fgsm(network, scaled, labels, frozen, epsilon=0.1)
    assert torch.equal(moved[frozen], scaled[frozen])
    assert (moved[~frozen] != scaled[~frozen]).all()


def test_fgsm_raises_the_loss(
    network: TaggerNetwork, scaled: torch.Tensor, labels: torch.Tensor, frozen: torch.Tensor
) -> None:
    attacked = fgsm(network, scaled, labels, frozen, epsilon=0.01)
    network.eval()
    before, after = (
        torch.nn.functional.cross_entropy(network(inputs), labels, reduction="none")
        for inputs in (scaled, attacked)
    )
    assert (after > before).all()


def test_size_zero_is_the_identity(
    network: TaggerNetwork, scaled: torch.Tensor, labels: torch.Tensor, frozen: torch.Tensor
) -> None:
    assert torch.equal(fgsm(network, scaled, labels, frozen, epsilon=0.0), scaled)


def test_fgsm_leaves_modes_gradients_and_inputs_as_they_were(
    network: TaggerNetwork, scaled: torch.Tensor, labels: torch.Tensor, frozen: torch.Tensor
) -> None:
    network.train()
    network.trunk[2].eval()
    modes = [module.training for module in network.modules()]
    network(scaled).sum().backward()
    gradients = [parameter.grad.clone() for parameter in network.parameters()]
    before = scaled.clone()
    attacked = fgsm(network, scaled, labels, frozen, epsilon=0.1)
    assert [module.training for module in network.modules()] == modes
    for parameter, gradient in zip(network.parameters(), gradients, strict=True):
        assert torch.equal(parameter.grad, gradient)
    assert torch.equal(scaled, before)
    assert not scaled.requires_grad
    assert not attacked.requires_grad


def test_fgsm_is_crafted_without_dropout(
    network: TaggerNetwork, scaled: torch.Tensor, labels: torch.Tensor, frozen: torch.Tensor
) -> None:
    network.train()
    state = torch.get_rng_state()
    in_train_mode = fgsm(network, scaled, labels, frozen, epsilon=0.1)
    assert torch.equal(torch.get_rng_state(), state)
    network.eval()
    assert torch.equal(in_train_mode, fgsm(network, scaled, labels, frozen, epsilon=0.1))


def test_fgsm_works_where_gradients_are_switched_off(
    network: TaggerNetwork, scaled: torch.Tensor, labels: torch.Tensor, frozen: torch.Tensor
) -> None:
    expected = fgsm(network, scaled, labels, frozen, epsilon=0.1)
    with torch.no_grad():
        assert torch.equal(fgsm(network, scaled, labels, frozen, epsilon=0.1), expected)


def test_fgsm_leaves_a_jet_without_a_gradient_where_it_is(
    network: TaggerNetwork, scaled: torch.Tensor, labels: torch.Tensor, frozen: torch.Tensor
) -> None:
    scaled[3] = torch.inf
    attacked = fgsm(network, scaled, labels, frozen, epsilon=0.1)
    assert torch.equal(attacked[3], scaled[3])
    assert (attacked[4] != scaled[4]).any()


def test_modes_come_back_after_an_error(network: TaggerNetwork) -> None:
    network.train()
    with pytest.raises(RuntimeError, match="broken"), evaluation_mode(network):
        raise RuntimeError("broken")
    assert network.training


ALL = [
    "noise:0.1",
    "sign_noise:0.1",
    "fgsm:0.1",
    "noise_fgsm:0.05:0.1",
    "pgd:0.1:steps=3",
    "pgd:0.1:steps=3:start=1",
]


def bits(values: torch.Tensor) -> torch.Tensor:
    return values.contiguous().view(torch.int32)


@pytest.mark.parametrize("text", ALL)
def test_every_variant_leaves_the_network_and_frozen_cells_alone(
    network: TaggerNetwork, scaled: torch.Tensor, labels: torch.Tensor, frozen: torch.Tensor, text: str
) -> None:
    network.train()
    network(scaled).sum().backward()
    gradients = [parameter.grad.clone() for parameter in network.parameters()]
    before = scaled.clone()
    moved = Perturbation(parse_variant(text))(network, scaled, labels, frozen)
    assert network.training
    for parameter, gradient in zip(network.parameters(), gradients, strict=True):
        assert torch.equal(parameter.grad, gradient)
    assert torch.equal(bits(scaled), bits(before))
    assert torch.equal(bits(moved)[frozen], bits(scaled)[frozen])
    assert (moved != scaled)[~frozen].all()
    assert not moved.requires_grad


@pytest.mark.parametrize(
    "text", ["raw", "noise:0", "sign_noise:0", "fgsm:0", "noise_fgsm:0:0", "pgd:0:start=1"]
)
def test_every_variant_of_size_zero_is_the_identity(
    network: TaggerNetwork, scaled: torch.Tensor, labels: torch.Tensor, frozen: torch.Tensor, text: str
) -> None:
    scaled[:, 0] = -0.0
    moved = Perturbation(parse_variant(text))(network, scaled, labels, frozen)
    assert torch.equal(bits(moved), bits(scaled))


@pytest.mark.parametrize("step", ["0.1", "0.25"])
def test_one_step_of_pgd_is_fgsm_bit_by_bit(
    network: TaggerNetwork, scaled: torch.Tensor, labels: torch.Tensor, frozen: torch.Tensor, step: str
) -> None:
    pgd, fgsm_ = (
        Perturbation(parse_variant(text))(network, scaled, labels, frozen)
        for text in (f"pgd:0.1:steps=1:step={step}", "fgsm:0.1")
    )
    assert torch.equal(bits(pgd), bits(fgsm_))


def test_pgd_stays_in_the_box_and_starts_anywhere_in_it(
    network: TaggerNetwork, scaled: torch.Tensor, labels: torch.Tensor, frozen: torch.Tensor
) -> None:
    torch.manual_seed(1)
    for text in ("pgd:0.1:steps=8:start=1", "pgd:0.1:steps=1:step=0.000000001:start=1"):
        moved = Perturbation(parse_variant(text))(network, scaled, labels, frozen)
        assert (moved - scaled).abs().max() < 0.1 + 1e-6
    start = (moved - scaled)[~frozen]
    # Uniform in +-0.1: variance 0.2^2/12 = 0.00333, mean 0 +- 0.0577/sqrt(2800)
    assert start.var().item() == pytest.approx(0.00333, rel=0.1)
    assert abs(start.mean().item()) < 0.005


def test_train_mode_crafts_with_dropout(
    network: TaggerNetwork, scaled: torch.Tensor, labels: torch.Tensor, frozen: torch.Tensor
) -> None:
    network.train()
    torch.manual_seed(1)
    moved = [
        Perturbation(Variant("fgsm", 0.1), mode=mode)(network, scaled, labels, frozen)
        for mode in ("train", "train", "eval")
    ]
    assert not torch.equal(moved[0], moved[1])
    agree = (moved[0] == moved[2])[~frozen].float().mean()
    assert 0.5 < agree < 0.99  # the thesis's attack: correlated with the true gradient, but another


def test_a_restricted_impact_needs_the_scaler() -> None:
    with pytest.raises(ValueError, match="restrict_impact needs the scaler"):
        Perturbation(parse_variant("fgsm:0.1:restrict=0.1"))
