import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from models.network import TaggerNetwork
from models.scaler import FeatureScaler
from models.unlabelled import UnlabelledJets
from training.adaptation import BANDWIDTHS, GradientReversal, MmdHidden, MmdOutputs, mmd, reversed_gradient
from training.unlabelled import UnlabelledLoader, UnlabelledPool

CPU = torch.device("cpu")
ONES = torch.full((40,), 1 / 20)
SIGNED = torch.where(torch.arange(40) % 5 == 0, -0.5 / 4, 1.5 / 16)
"""In each half four jets are subtracted and sixteen added, 1 in sum."""


def numpy_mmd(x: np.ndarray, y: np.ndarray, w: np.ndarray, v: np.ndarray) -> float:
    """Eq. 3 of Gretton et al. in float64, pair by pair; each sample a difference of two."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    both = np.concatenate([x, y])
    squares = sorted(float(((a - b) ** 2).sum()) for i, a in enumerate(both) for b in both[:i])
    median = squares[(len(squares) - 1) // 2]  # torch's median is the lower one of the two in the middle

    def mean(a: np.ndarray, b: np.ndarray) -> float:
        """Over pairs of different jets."""
        found = [
            sum(math.exp(-float(((one - other) ** 2).sum()) / (width * median)) for width in BANDWIDTHS)
            for i, one in enumerate(a)
            for j, other in enumerate(b)
            if a is not b or i != j
        ]
        return sum(found) / len(found)

    parts = [
        (values[c * weights > 0], c, float(weights[c * weights > 0].sum()) * sample)
        for values, weights, sample in ((x, w, 1), (y, v, -1))
        for c in (1, -1)
        if (c * weights > 0).any()
    ]
    return sum(s * t * mean(a, b) for a, _, s in parts for b, _, t in parts)


def samples(n_jets: int, shift: float, seed: int = 1) -> torch.Tensor:
    values = torch.randn(2 * n_jets, 4, generator=torch.Generator().manual_seed(seed))
    values[n_jets:, 0] += shift
    return values


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_mmd_is_that_of_plain_loops(signed: bool, offset: float) -> None:
    values = samples(20, 0.7) + offset
    weights = SIGNED if signed else ONES
    x, y = values.numpy()[:20], values.numpy()[20:]
    expected = numpy_mmd(x, y, weights.numpy()[:20], weights.numpy()[20:])
    assert mmd(values, weights).item() == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_mmd_of_two_jets_by_hand() -> None:
    # x = 0, 1 and y = 1, 2: squared distances 1, 1, 4, 0, 1, 1, lower median 1. One pair within each sample,
    # at distance 1; across 1, 4, 0, 1. So 2 k(1) - 2 (2 k(1) + k(4) + k(0)) / 4 = k(1) - k(4) / 2 - k(0) / 2.
    def kernel(distance: float) -> float:
        return math.exp(-4 * distance) + math.exp(-distance) + math.exp(-distance / 4)

    found = mmd(torch.tensor([[0.0], [1.0], [1.0], [2.0]]), torch.full((4,), 0.5))
    assert found.item() == pytest.approx(kernel(1) - 0.5 * kernel(4) - 1.5, rel=1e-5)


def test_mmd_is_zero_on_average_where_the_samples_agree() -> None:
    found = torch.stack([mmd(samples(20, 0.0, seed), ONES) for seed in range(400)])
    assert abs(found.mean()) < 3 * found.std() / math.sqrt(400)
    assert found.min() < 0 < found.max()


def test_a_subtracted_sample_leaves_the_rest() -> None:
    """Of two peaks the one is subtracted: what is left agrees with the other."""
    generator = torch.Generator().manual_seed(2)
    weights = torch.cat(
        [torch.full((150,), 2 / 150), torch.full((50,), -1 / 50), torch.full((200,), 1 / 200)]
    )
    found = []
    for _ in range(100):
        values = torch.randn(400, 1, generator=generator)
        values[75:200] += 3.0  # half of what is added, and all that is subtracted
        found.append(mmd(values, weights))
    estimates = torch.stack(found)
    assert abs(estimates.mean()) < 3 * estimates.std() / math.sqrt(100)
    assert mmd(values, torch.full((400,), 1 / 200)) > 10 * estimates.std() / math.sqrt(100)


def test_mmd_grows_with_the_shift_and_does_not_know_the_scale() -> None:
    found = [mmd(samples(20, shift), ONES).item() for shift in (0.0, 0.5, 1.0, 2.0)]
    assert found == sorted(found)
    assert mmd(1e-3 * samples(20, 1.0), ONES).item() == pytest.approx(found[2], rel=1e-3)


def test_the_gradient_of_mmd_is_that_of_autograd() -> None:
    values = samples(20, 0.7).requires_grad_(True)
    (found,) = torch.autograd.grad(2.0 * mmd(values, SIGNED), values)
    distances = (values[:, None] - values[None]).square().sum(dim=2)
    rows, columns = torch.triu_indices(40, 40, offset=1)
    median = distances[rows, columns].median().detach()
    kernel = sum(torch.exp(-distances / (width * median)) for width in BANDWIDTHS)
    signed = torch.cat([SIGNED[:20], -SIGNED[20:]])
    numbers = torch.where(SIGNED > 0, 16.0, 4.0)
    same = (SIGNED[:, None] == SIGNED) & (torch.arange(40)[:, None] // 20 == torch.arange(40) // 20)
    more = torch.where(same, numbers / (numbers - 1.0), 1.0) * (1.0 - torch.eye(40))
    (expected,) = torch.autograd.grad(2.0 * (signed[:, None] * signed * more * kernel).sum(), values)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-3)


def test_mmd_of_equal_values_is_zero() -> None:
    values = torch.zeros(8, 3, requires_grad=True)
    found = mmd(values, torch.full((8,), 1 / 4))
    assert found.item() == pytest.approx(0.0, abs=1e-5)
    assert torch.autograd.grad(found, values)[0].tolist() == values.tolist()


def test_a_reversed_gradient_is_minus_lambda_times_it() -> None:
    values = torch.tensor([1.0, -2.0], requires_grad=True)
    (3.0 * reversed_gradient(values, 0.25)).sum().backward()
    assert torch.equal(reversed_gradient(values, 0.25), values)
    assert values.grad is not None
    assert values.grad.tolist() == [-0.75, -0.75]


@pytest.fixture
def pool(unlabelled_jets: Callable[..., UnlabelledJets]) -> UnlabelledPool:
    ones = np.ones(67, dtype=np.float32)
    return UnlabelledPool(unlabelled_jets(), FeatureScaler(0 * ones, ones, 0 * ones), device=CPU, name="dy")


@pytest.fixture
def network() -> TaggerNetwork:
    torch.manual_seed(3)
    return TaggerNetwork(dropout=0.0)


def test_the_classifier_learns_while_the_trunk_unlearns(network: TaggerNetwork, pool: UnlabelledPool) -> None:
    loader = UnlabelledLoader([pool], n_jets=64, seed=1)
    method = GradientReversal(loader, weight=0.4, ramp_steps=10, width=8, device=CPU)
    method.step_loss(network, step=5).backward()  # half way up the ramp: lambda is 0.2
    (draw,) = loader.draws(5)
    is_data = torch.cat([torch.zeros(64), torch.ones(64)])
    plain = torch.nn.functional.binary_cross_entropy_with_logits(
        method.module[0](network.trunk(draw.scaled)).squeeze(1), is_data
    )
    of_trunk = torch.autograd.grad(plain, list(network.trunk.parameters()), retain_graph=True)
    of_classifier = torch.autograd.grad(plain, list(method.module.parameters()))
    for parameter, expected in zip(network.trunk.parameters(), of_trunk, strict=True):
        torch.testing.assert_close(parameter.grad, -0.2 * expected, atol=1e-7, rtol=1e-4)
    for parameter, expected in zip(method.module.parameters(), of_classifier, strict=True):
        torch.testing.assert_close(parameter.grad, expected, atol=1e-7, rtol=1e-4)
    assert network.head.weight.grad is None


@pytest.mark.parametrize("method", [MmdOutputs, MmdHidden])
def test_pools_are_averaged_and_the_weight_ramps(
    network: TaggerNetwork,
    pool: UnlabelledPool,
    unlabelled_jets: Callable[..., UnlabelledJets],
    method: type[MmdOutputs],
) -> None:
    ones = np.ones(67, dtype=np.float32)
    jets = unlabelled_jets(seed=31, shift=1.0)
    other = UnlabelledPool(jets, FeatureScaler(0 * ones, ones, 0 * ones), device=CPU, name="wc")
    loader = UnlabelledLoader([pool, other], n_jets=100, seed=1)
    terms = []
    for draw in loader.draws(3):
        values = network.trunk(draw.scaled)
        if method is MmdOutputs:
            values = network.head(values).log_softmax(dim=1).clamp(min=-10)
        terms.append(mmd(values, draw.weights).item())
    for ramp_steps, factor in ((0, 1.0), (2, 1.0), (6, 0.5), (12, 0.25)):
        found = method(loader, weight=2.0, ramp_steps=ramp_steps).step_loss(network, step=3)
        assert found.item() == pytest.approx(2.0 * factor * np.mean(terms), rel=1e-3)
    assert method(loader, weight=2.0, ramp_steps=5).step_loss(network, step=0).item() == 0
