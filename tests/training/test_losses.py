import math

import pytest
import torch

from training.losses import focal_loss


@pytest.fixture
def logits() -> torch.Tensor:
    return torch.randn(200, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 3


@pytest.fixture
def labels() -> torch.Tensor:
    return torch.arange(200) % 4


def test_by_hand() -> None:
    # Softmax of (ln 2, 0, 0, 0) is (.4, .2, .2, .2): p_t = .4, so L = -(.6)^2 ln .4.
    logits = torch.tensor([[math.log(2.0), 0.0, 0.0, 0.0]])
    loss = focal_loss(logits, torch.tensor([0]), gamma=2)
    assert loss.item() == pytest.approx(-(0.6**2) * math.log(0.4))


def test_gamma_0_is_torchs_cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> None:
    expected = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    torch.testing.assert_close(focal_loss(logits, labels, gamma=0), expected)
    torch.testing.assert_close(focal_loss(logits, labels, gamma=1e-12), expected)


@pytest.mark.parametrize("gamma", [2.0, 25.0])
def test_is_the_textbook_formula(logits: torch.Tensor, labels: torch.Tensor, gamma: float) -> None:
    p = torch.softmax(logits, dim=1).gather(1, labels[:, None])[:, 0]
    torch.testing.assert_close(focal_loss(logits, labels, gamma=gamma), -((1 - p) ** gamma) * p.log())


def test_softmax_input_applies_the_softmax_twice(logits: torch.Tensor, labels: torch.Tensor) -> None:
    twice = focal_loss(logits, labels, gamma=25, loss_input="softmax")
    torch.testing.assert_close(twice, focal_loss(torch.softmax(logits, dim=1), labels, gamma=25))


def test_softmax_input_bounds_the_probability_between_a_sixth_and_a_half() -> None:
    sure = torch.tensor([[100.0, 0.0, 0.0, 0.0]])
    right, wrong = (
        focal_loss(sure, torch.tensor([label]), gamma=0, loss_input="softmax").item() for label in (0, 1)
    )
    assert math.exp(-right) == pytest.approx(0.4754, abs=1e-4)  # e / (3 + e)
    assert math.exp(-wrong) == pytest.approx(0.1749, abs=1e-4)  # 1 / (3 + e)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 25.0])
@pytest.mark.parametrize("loss_input", ["logits", "softmax"])
def test_loss_and_gradient_are_finite_for_saturated_logits(gamma: float, loss_input: str) -> None:
    logits = torch.tensor([[1e4, 0.0, 0.0, 0.0], [0.0, 1e4, 0.0, 0.0]], requires_grad=True)
    loss = focal_loss(logits, torch.tensor([0, 0]), gamma=gamma, loss_input=loss_input)
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    assert torch.isfinite(loss).all()
    assert torch.isfinite(gradient).all()


def test_its_derivative_is_right(logits: torch.Tensor, labels: torch.Tensor) -> None:
    torch.autograd.gradcheck(
        lambda values: focal_loss(values, labels[:8], gamma=2.0), logits[:8].clone().requires_grad_(True)
    )


@pytest.mark.parametrize("loss_input", ["logits", "softmax"])
def test_its_gradient_has_the_sign_of_the_cross_entropys_for_any_gamma(
    logits: torch.Tensor, labels: torch.Tensor, loss_input: str
) -> None:
    signs = []
    for gamma in (0.0, 2.0, 25.0):
        inputs = logits.clone().requires_grad_(True)
        loss = focal_loss(inputs, labels, gamma=gamma, loss_input=loss_input)
        signs.append(torch.autograd.grad(loss.sum(), inputs)[0].sign())
    assert (signs[0] == signs[1]).all()
    assert (signs[0] == signs[2]).all()


def test_no_jets_give_no_losses() -> None:
    assert focal_loss(torch.empty(0, 4), torch.empty(0, dtype=torch.int64), gamma=2).shape == (0,)
