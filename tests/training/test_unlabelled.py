import logging
from collections.abc import Callable

import numpy as np
import pytest
import torch

from models.features import N_FEATURES
from models.scaler import FeatureScaler
from models.unlabelled import UnlabelledJets
from training.unlabelled import UnlabelledLoader, UnlabelledPool

CPU = torch.device("cpu")
ONES = np.ones(N_FEATURES, dtype=np.float32)
SCALER = FeatureScaler(0 * ONES, ONES, -5 * ONES)
MakeJets = Callable[..., UnlabelledJets]


def pool_of(jets: UnlabelledJets) -> UnlabelledPool:
    return UnlabelledPool(jets, SCALER, device=CPU, name="there")


def numbered(weights: list[float]) -> UnlabelledJets:
    """Four jets of simulation and four of data whose values of all features are their number."""
    features = np.repeat(np.arange(8, dtype=np.float32)[:, None], N_FEATURES, axis=1)
    return UnlabelledJets(
        features,
        np.arange(8) >= 4,
        np.array(weights * 2, np.float32),
        np.zeros((8, 4), np.uint64),
        "dy",
        (0.5, 1),
    )


@pytest.mark.filterwarnings("ignore")
def test_jets_are_drawn_as_often_as_their_weights_say() -> None:
    draw = pool_of(numbered([1.0, 4.0, -2.0, 0.0])).draw(70_000, seed=5)
    for is_data in (0, 1):
        part, weights = draw.scaled[:, 0].chunk(2)[is_data], draw.weights.chunk(2)[is_data]
        # Sizes 1, 4, 2, 0 of 7; 5 - 2 = 3 is left. So 50 000 jets stand for 5/3, 20 000 for -2/3.
        for number, expected in enumerate([10_000, 40_000, 20_000, 0]):
            is_this = part == number + 4 * is_data
            assert int(is_this.sum()) == pytest.approx(expected, abs=5 * np.sqrt(10_000))
            of_each = -2 / 3 / 20_000 if number == 2 else 5 / 3 / 50_000
            assert weights[is_this].numpy() == pytest.approx(of_each)


def test_draws_are_a_function_of_seed_step_method_and_pool(unlabelled_jets: MakeJets) -> None:
    pools = [pool_of(unlabelled_jets())] * 2
    loader = UnlabelledLoader(pools, n_jets=30, seed=1)
    first, second = loader.draws(7)
    torch.rand(3)
    assert torch.equal(UnlabelledLoader(pools, n_jets=30, seed=1).draws(7)[0].scaled, first.scaled)
    others = [
        second,
        loader.draws(8)[0],
        UnlabelledLoader(pools, n_jets=30, seed=2).draws(7)[0],
        UnlabelledLoader(pools, n_jets=30, seed=1, number=1).draws(7)[0],
    ]
    assert not any(torch.equal(other.scaled, first.scaled) for other in others)


def test_jets_are_scaled_with_defaults_and_bounded(unlabelled_jets: MakeJets) -> None:
    jets = unlabelled_jets()
    draw = pool_of(jets).draw(2000, seed=1)
    scaled = np.clip(SCALER.scale(jets.features)[0], -65504, 65504)
    assert torch.isfinite(draw.scaled).all()
    known = {row.tobytes() for row in scaled}
    assert all(row.tobytes() in known for row in draw.scaled.numpy())


def test_few_effective_jets_and_much_subtraction_are_warned_of(
    unlabelled_jets: MakeJets, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        pool = pool_of(unlabelled_jets(n_jets=2000))
        UnlabelledLoader([pool], n_jets=100, seed=1)
        assert not caplog.records
        pool = pool_of(unlabelled_jets(n_jets=900, subtracted=0.3))
        UnlabelledLoader([pool], n_jets=256, seed=1)
    messages = [record.getMessage() for record in caplog.records]
    # (1 - 2 * 0.3)^2 = 0.16 of 900 jets, and of 256
    assert any("900 jets of data in there count for 1" in message for message in messages)
    assert any("of 256 jets a draw, subtraction leaves what" in message for message in messages)


@pytest.mark.filterwarnings("ignore")
def test_weights_that_add_up_to_nothing_are_an_error() -> None:
    with pytest.raises(ValueError, match="weights of simulation in there add up to -1: collect more"):
        pool_of(numbered([1.0, -2.0, 0.0, 0.0]))
