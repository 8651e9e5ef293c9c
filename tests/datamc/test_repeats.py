"""The same events in two ranges, found by their smallest hashes."""

import math

import numpy as np
import pytest

from datamc.repeats import KEPT, as_text, first_repeat, from_text, merged_samples, smallest


def hashes(*values: int) -> np.ndarray:
    return np.array(values, np.uint64)


@pytest.mark.parametrize(
    ("values", "n_kept", "kept"),
    [
        ((5, 3, 9, 1), 2, [1, 3]),
        ((5, 3, 9, 3, 1), 2, [1, 3, 3]),
        ((5, 3, 9, 3, 1), 1, [1, 3, 3]),
        ((7, 7, 7), 5, [7, 7]),
        ((), 5, []),
    ],
)
def test_the_smallest_are_kept_and_one_that_is_there_twice(
    values: tuple[int, ...], n_kept: int, kept: list[int]
) -> None:
    found = smallest(hashes(*values), n_kept)
    assert found.tolist() == kept
    assert smallest(found, n_kept).tolist() == kept
    assert from_text(as_text(found)).tolist() == kept


def test_ranges_that_share_events_are_named_with_how_many() -> None:
    parts = {"a": hashes(1, 4, 9), "b": hashes(2, 3), "c": hashes(4, 5, 9, 2**64 - 1)}
    samples = {key: as_text(part) for key, part in parts.items()}
    assert first_repeat(samples) == ("a", "c", 2)
    del samples["c"]
    assert first_repeat(samples) is None
    assert first_repeat({}) is None
    assert first_repeat({"a": as_text(hashes(1, 4, 4))}) == ("a", "a", 1)


def test_a_shared_part_is_missed_as_rarely_as_said() -> None:
    """Of 20 000 events 400 shared: exp(-400 x 512 / 20000) = 4e-5, so that 200 trials find them all."""
    assert math.isclose(math.exp(-400 * KEPT / 20_000), 3.6e-5, rel_tol=0.02)
    rng = np.random.default_rng(1)
    for _ in range(200):
        drawn = rng.integers(0, 2**64, 39_600, np.uint64)
        first, second = smallest(drawn[:20_000]), smallest(drawn[19_600:])
        assert np.intersect1d(first, second).size > 0


def test_samples_of_many_ranges_stay_small() -> None:
    rng = np.random.default_rng(2)
    parts = {n: as_text(smallest(rng.integers(0, 2**64, 600, np.uint64))) for n in range(4096)}
    merged = merged_samples(parts)
    assert sum(len(from_text(text)) for text in merged.values()) <= 2**20
    # Those that stay are still the smallest of each.
    assert from_text(merged[7]).tolist() == from_text(parts[7])[:256].tolist()
