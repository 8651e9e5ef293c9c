import numpy as np
import pytest

from models.event_split import EventSplit

N_EVENTS = 100_000


def adapted(split: EventSplit, *, run: int = 1) -> np.ndarray:
    event = np.arange(N_EVENTS, dtype=np.uint64)
    return split.is_adapted(np.full(N_EVENTS, run, np.uint32), (1 + event // 100).astype(np.uint32), event)


@pytest.mark.parametrize("share", [0.333, 0.05, 0.9])
def test_the_share_is_as_asked(share: float) -> None:
    """Binomial: for 0.333 of 1e5 sqrt(0.333 * 0.667 / 1e5) = 0.0015; five of them."""
    error = np.sqrt(share * (1 - share) / N_EVENTS)
    assert abs(adapted(EventSplit(share)).mean() - share) < 5 * error


def test_an_event_keeps_its_side_in_any_company_and_number_format() -> None:
    split = EventSplit(0.333)
    alone = split.is_adapted(np.array([1], np.int64), np.array([8], np.int32), np.array([777], np.int64))
    assert alone.tolist() == [adapted(split)[777:778].item()] == split.is_adapted([1], [8], [777]).tolist()


def test_smaller_shares_are_parts_of_larger_ones_and_other_seeds_are_independent() -> None:
    small, large = adapted(EventSplit(0.2)), adapted(EventSplit(0.5))
    assert not (small & ~large).any()
    other = adapted(EventSplit(0.5, seed=2))
    # Of independent halves a quarter is in both: 0.25 +- 0.0014.
    assert abs((large & other).mean() - 0.25) < 0.007
    assert abs((large & adapted(EventSplit(0.5), run=2)).mean() - 0.25) < 0.007


def test_covers() -> None:
    assert EventSplit(0.5, 1).covers(EventSplit(0.5, 1))
    assert EventSplit(0.5, 1).covers(EventSplit(0.2, 1))
    assert not EventSplit(0.2, 1).covers(EventSplit(0.5, 1))
    assert not EventSplit(0.5, 2).covers(EventSplit(0.2, 1))


@pytest.mark.parametrize("split", [EventSplit(0.333), EventSplit(1 / 3, 7), EventSplit(1e-9, 0)])
def test_the_text_of_a_split_gives_it_back(split: EventSplit) -> None:
    assert EventSplit.parse(split.name) == split


def test_text() -> None:
    assert EventSplit(0.333).name == "0.333:1"
    assert EventSplit.parse("0.5") == EventSplit(0.5, 1)


@pytest.mark.parametrize("text", ["", "a", "0.3:b", "0", "1", "1.5", "-0.1", "nan", "0.3:-1", "0.3:1:2"])
def test_what_is_no_split_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no split of events"):
        EventSplit.parse(text)
