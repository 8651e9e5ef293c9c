import math
from collections.abc import Callable

import pytest

from training.config import TrainConfig
from training.history import EpochRecord
from training.schedules import is_exhausted, learning_rate

MakeConfig = Callable[..., TrainConfig]


def records(areas: list[float]) -> list[EpochRecord]:
    return [EpochRecord(n, 1e-3, 1.0, 1.0 - area, 1.0, area, 0.5, 1.0) for n, area in enumerate(areas, 1)]


def test_the_inverse_schedule_is_that_of_the_thesis(train_config: MakeConfig) -> None:
    config = train_config(learning_rate=1e-4)
    # Eq. 2.9 counts epochs from 0: lr / (1 + e / 30)
    assert [learning_rate(config, epoch) for epoch in (1, 31, 61)] == pytest.approx([1e-4, 5e-5, 1e-4 / 3])
    assert learning_rate(config, 31, 0.9) == learning_rate(config, 31)


def test_the_constant_schedule_is_constant(train_config: MakeConfig) -> None:
    config = train_config(schedule="constant", learning_rate=0.01)
    assert {learning_rate(config, epoch, 0.3) for epoch in (1, 2, 50)} == {0.01}


def test_the_cosine_schedule_after_a_warm_up(train_config: MakeConfig) -> None:
    config = train_config(schedule="cosine", learning_rate=0.01, epochs=10, warmup_epochs=2)
    # rises in 2 epochs, then half a period of 8 epochs: after 4 of them cos(pi / 2) = 0
    assert learning_rate(config, 1, 0.5) == pytest.approx(0.0025)
    assert learning_rate(config, 3) == pytest.approx(0.01)
    assert learning_rate(config, 7) == pytest.approx(0.005)
    assert learning_rate(config, 5) == pytest.approx(0.005 * (1 + math.cos(math.pi / 4)))
    assert learning_rate(config, 10, 1.0) == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("areas", "is_over"),
    [
        ([], False),
        ([0.7, 0.6], False),
        ([0.7, 0.6, 0.6], True),
        ([0.7, 0.6, 0.8], False),
        ([0.7, 0.7, 0.7], True),  # as good is not better
        ([0.7, math.nan, math.nan], True),
        ([math.nan, math.nan], False),
        ([math.nan, math.nan, math.nan], True),
        ([0.5, 0.6, 0.7, 0.6], False),
    ],
)
@pytest.mark.parametrize("monitor", ["auc_raw", "validation_loss"])
def test_patience_counts_epochs_since_the_best(
    train_config: MakeConfig, areas: list[float], is_over: bool, monitor: str
) -> None:
    assert is_exhausted(train_config(patience=2, monitor=monitor), records(areas)) is is_over
    assert not is_exhausted(train_config(monitor=monitor), records(areas))
