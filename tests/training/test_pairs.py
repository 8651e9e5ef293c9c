import math

import awkward as ak
import numpy as np
import pytest

from training.pairs import (
    PairStatistics,
    is_matched,
    nominal_index_by_direction,
    partners_by_index,
)


def test_partners_are_found_by_their_index() -> None:
    # Three events: varied jets 2, 0, 3 and nominal jets 2, 1, 2. In the last event two name the first jet.
    index = np.array([1, -1, 0, 0, 1])
    partners = partners_by_index(index, np.array([2, 0, 3]), np.array([2, 1, 2]))
    assert partners.tolist() == [-1, 0, -1, 2, 4]


def test_an_index_beyond_the_event_is_refused() -> None:
    with pytest.raises(ValueError, match="Jet_nominalIdx names a jet that the nominal file does not hold"):
        partners_by_index(np.array([0, 2]), np.array([1, 1]), np.array([1, 2]))


def test_no_jets_have_no_partners() -> None:
    none = np.zeros(0, dtype=np.int64)
    assert partners_by_index(none, none, none).shape == (0,)
    empty = ak.Array([[]])
    assert nominal_index_by_direction([empty] * 3, [empty] * 3).shape == (0,)
    assert nominal_index_by_direction([ak.Array([[50.0]])] * 3, [empty] * 3).tolist() == [-1]


def test_the_hardest_jet_chooses_first() -> None:
    # Both varied jets are nearest to nominal jet 0; the second is harder and has it, the first takes jet 1.
    varied = [ak.Array([[30.0, 50.0]]), ak.Array([[0.05, 0.0]]), ak.Array([[0.0, 0.0]])]
    nominal = [ak.Array([[40.0, 40.0]]), ak.Array([[0.04, 0.20]]), ak.Array([[0.0, 0.0]])]
    assert nominal_index_by_direction(varied, nominal).tolist() == [1, 0]
    # 0.15 away it would be, if 0.1 were not the limit.
    assert nominal_index_by_direction(varied, nominal, radius=0.1).tolist() == [-1, 0]


def test_directions_close_around_pi() -> None:
    varied = [ak.Array([[30.0]]), ak.Array([[1.0]]), ak.Array([[math.pi - 0.05]])]
    nominal = [ak.Array([[30.0]]), ak.Array([[1.0]]), ak.Array([[-math.pi + 0.05]])]
    assert nominal_index_by_direction(varied, nominal).tolist() == [0]


def test_matching_by_direction_is_that_of_two_loops() -> None:
    rng = np.random.default_rng(3)

    def drawn(counts: np.ndarray) -> list[ak.Array]:
        n_jets = counts.sum()
        columns = rng.exponential(40, n_jets), rng.normal(0, 0.2, n_jets), rng.normal(3, 0.2, n_jets)
        return [ak.unflatten(column, counts) for column in columns]

    varied, nominal = drawn(rng.integers(0, 6, 200)), drawn(rng.integers(0, 6, 200))
    expected = []
    for pt, eta, phi, other_eta, other_phi in zip(*varied, *nominal[1:], strict=True):
        index, left = [-1] * len(pt), set(range(len(other_eta)))
        for jet in sorted(range(len(pt)), key=lambda jet: -pt[jet]):
            distances = {
                k: math.hypot(eta[jet] - other_eta[k], math.remainder(phi[jet] - other_phi[k], 2 * math.pi))
                for k in left
            }
            nearest = min(distances, key=distances.__getitem__, default=None)
            if nearest is not None and distances[nearest] < 0.2:
                index[jet] = nearest
                left.remove(nearest)
        expected += index
    found = nominal_index_by_direction(varied, nominal)
    assert found.tolist() == expected
    assert 100 < (found >= 0).sum() < len(found)


def test_shifts_are_root_mean_squares_of_pairs_that_hold_a_value() -> None:
    statistics = PairStatistics.empty(2)
    nominal, varied = np.zeros((2, 67), np.float32), np.zeros((2, 67), np.float32)
    varied[:, 0], varied[:, 1], varied[:, 2] = [3, 4], [2, 100], [np.inf, 1]
    both_hold = np.ones((2, 67), dtype=bool)
    both_hold[1, 1] = False
    statistics.n_jets = 4
    statistics.add(1, nominal, varied, both_hold)
    entry = statistics.entry()
    assert entry.matched_shares == (0.0, 0.5)
    # sqrt((9 + 16) / 2); of the second feature one pair counts, of the third the one that is finite.
    assert entry.shifts[:4] == pytest.approx((math.sqrt(12.5), 2.0, 1.0, 0.0))
    restored = PairStatistics.from_dict(statistics.to_dict())
    assert restored.entry() == entry


def test_a_jet_that_a_variation_does_not_hold_is_all_nan() -> None:
    variation = np.full((3, 67), np.nan, np.float32)
    variation[0] = 1.0
    variation[1, 5] = 1.0  # other features may be missing in a file, too
    assert is_matched(variation).tolist() == [True, True, False]
