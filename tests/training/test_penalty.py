from collections.abc import Callable

import numpy as np
import pytest
import torch

from models.discriminators import scores
from models.network import TaggerNetwork
from models.scaler import FeatureScaler
from models.unlabelled import UnlabelledJets
from training.penalty import ScaleFactorPenalty, log_odds, population_edges, ratio_penalty, soft_histogram
from training.unlabelled import Draw, UnlabelledLoader, UnlabelledPool

EDGES = torch.tensor([0.0, 2.0, 6.0])


def test_a_jet_is_shared_between_two_bins_by_hand() -> None:
    # Bins [0, 2) and [2, 6) with centres 1 and 4. In units of bins, from the first centre: 0.5 -> below, 0;
    # 1 -> 0; 1.5 -> 0.25; 2 -> 0.5; 3 -> 0.75; 5 -> beyond the last centre, 1.
    values = torch.tensor([0.5, 1.0, 1.5, 2.0, 3.0, 5.0], requires_grad=True)
    weights = torch.tensor([1.0, 1.0, 2.0, 2.0, -1.0, 3.0])
    # second bin: 0 + 0 + 2 * 0.25 + 2 * 0.5 - 0.75 + 3 = 3.75 of 8
    found = soft_histogram(values, weights / 8, EDGES)
    assert found.tolist() == pytest.approx([1 - 3.75 / 8, 3.75 / 8])
    found[1].backward()
    assert values.grad is not None
    # beyond the centres 0, in between weight / width / 8; at a centre and at an edge it jumps
    assert values.grad[[0, 2, 4, 5]].tolist() == pytest.approx([0, 2 / 2 / 8, -1 / 4 / 8, 0])


def test_the_penalty_of_two_bins_by_hand() -> None:
    # ratios 0.4 / 0.8 = 0.5 and 0.6 / 0.2 = 3: 0.8 * 0.25 + 0.2 * 4 = 1
    found = ratio_penalty(torch.tensor([0.4, 0.6]), torch.tensor([0.8, 0.2]))
    assert found.item() == pytest.approx(1.0)
    # a bin that subtraction left negative is taken to hold a tenth of the mean: 0.1^2 / 0.05 + 0.1^2 / 1.1
    found = ratio_penalty(torch.tensor([0.0, 1.0]), torch.tensor([-0.1, 1.1]))
    assert found.item() == pytest.approx(0.01 / 0.05 + 0.01 / 1.1)


def test_bins_hold_equally_many_jets_of_simulation_and_all_of_data() -> None:
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(2000, generator=generator)
    values[1000:] *= 3
    edges = population_edges(values, 8)
    counts = torch.histogram(values[:1000], edges).hist
    assert counts.tolist() == pytest.approx([125] * 8, abs=1)
    assert torch.histogram(values[1000:], edges).hist.sum() == 1000


def test_log_odds_are_those_of_the_discriminators() -> None:
    logits = torch.randn(50, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = scores(logits.numpy())
    for name in ("BvsL", "BvsC", "CvsB", "CvsL"):
        np.testing.assert_allclose(torch.sigmoid(log_odds(logits, name)).numpy(), expected[name], rtol=1e-12)


class _Fixed(UnlabelledLoader):
    """Always the same draw."""

    def __init__(self, draw: Draw) -> None:
        self._draw = draw

    def draws(self, step: int) -> list[Draw]:
        return [self._draw]


@pytest.fixture
def network() -> TaggerNetwork:
    torch.manual_seed(3)
    return TaggerNetwork(dropout=0.0)


def penalty_of(draw: Draw, network: TaggerNetwork) -> torch.Tensor:
    method = ScaleFactorPenalty(
        _Fixed(draw), weight=2.0, ramp_steps=0, discriminators=("BvsL", "CvsL"), n_bins=5
    )
    return method.step_loss(network, step=0)


def test_it_is_zero_where_data_are_simulation_with_the_same_signs(network: TaggerNetwork) -> None:
    generator = torch.Generator().manual_seed(4)
    scaled = torch.randn(300, 67, generator=generator)
    signs = torch.where(torch.rand(300, generator=generator) < 0.2, -1.0, 1.0)
    signs /= signs.sum()
    same = penalty_of(Draw(scaled.repeat(2, 1), signs.repeat(2)), network)
    assert same.item() == pytest.approx(0.0, abs=1e-9)
    moved = torch.cat([scaled, scaled + 0.5])
    far = torch.cat([scaled, scaled + 2.0])
    assert (
        0
        < penalty_of(Draw(moved, signs.repeat(2)), network)
        < penalty_of(Draw(far, signs.repeat(2)), network)
    )


def test_squeezing_the_scores_changes_nothing(network: TaggerNetwork) -> None:
    scaled = torch.randn(600, 67, generator=torch.Generator().manual_seed(4))
    scaled[300:] += 1.0
    draw = Draw(scaled, torch.full((600,), 1 / 300))
    before = penalty_of(draw, network).item()
    with torch.no_grad():
        network.head.weight *= 0.1
        network.head.bias *= 0.1
    # BvsL mixes b and bb in another way then, CvsL only scales
    assert penalty_of(draw, network).item() == pytest.approx(before, rel=0.2)


def test_its_gradient_makes_the_shapes_agree(
    network: TaggerNetwork, unlabelled_jets: Callable[..., UnlabelledJets]
) -> None:
    ones = np.ones(67, dtype=np.float32)
    jets = unlabelled_jets(shift=1.5)
    pool = UnlabelledPool(
        jets, FeatureScaler(0 * ones, ones, 0 * ones), device=torch.device("cpu"), name="dy"
    )
    loader = UnlabelledLoader([pool], n_jets=1000, seed=1)
    method = ScaleFactorPenalty(loader, weight=1.0, ramp_steps=0, discriminators=("BvsL", "CvsB"), n_bins=5)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    values = []
    for _ in range(15):
        optimizer.zero_grad()
        loss = method.step_loss(network, step=0)
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    assert values[-1] < 0.5 * values[0]
