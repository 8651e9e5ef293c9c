from collections.abc import Callable

import awkward as ak
import numpy as np
import pytest

from selections.objects import (
    delta_phi,
    massless_met_mass,
    opposite_sign_pairs,
    pair_mass_and_pt,
    transverse_mass,
)
from selections.selected import pick, position_of_largest

Events = Callable[..., ak.Array]


def test_azimuths_wrap() -> None:
    # 3 - (-3) = 6 is 6 - 2 pi = -0.283 the short way round.
    assert delta_phi(np.array([3.0]), np.array([-3.0]))[0] == pytest.approx(6 - 2 * np.pi)


def test_transverse_mass_by_hand() -> None:
    # Back to back, 40 and 50 GeV: sqrt(2 * 40 * 50 * 2) = 89.4; parallel: 0.
    pt, met, zero = np.full(2, 40.0), np.full(2, 50.0), np.zeros(2)
    assert transverse_mass(pt, zero, met, np.array([np.pi, 0.0])).tolist() == pytest.approx([89.4427, 0.0])
    # At eta 0 the massless vector gives the same, at eta 1 more: 2 * 40 * 50 * (cosh 1 + 1) = 10172.
    eta = np.array([0.0, 1.0])
    mass = massless_met_mass(pt, eta, zero, met, np.full(2, np.pi))
    assert mass.tolist() == pytest.approx([89.4427, 100.857], abs=1e-3)


def test_pairs_are_ordered_by_their_leading_muons(events: Events) -> None:
    muons = events(
        {"Muon": [{"pt": 10.0, "charge": 1}, {"pt": 30.0, "charge": -1}, {"pt": 20.0, "charge": 1}]}
    ).Muon
    pairs = opposite_sign_pairs(muons, muons.pt > 0)
    assert pairs.to_list() == [[{"plus": 2, "minus": 1}, {"plus": 0, "minus": 1}]]
    # m^2 of 20 and 30 GeV at the same place: 0 but for the masses, 2 * 0.106 = 0.212 and a little more.
    mass, pt = pair_mass_and_pt(muons, pairs)
    assert mass[0, 0] == pytest.approx(0.216, abs=0.005)
    assert pt[0, 0] == pytest.approx(50.0)


def test_the_largest_allowed_value_is_found_by_its_position() -> None:
    values = ak.Array([[5.0, 9.0, 7.0], [], [4.0]])
    allowed = ak.Array([[True, False, True], [], [False]])
    assert position_of_largest(values, allowed).tolist() == [2, -1, -1]


def test_a_mask_of_other_lengths_is_refused() -> None:
    with pytest.raises(ValueError, match="same number of objects"):
        position_of_largest(ak.Array([[1.0, 2.0], [3.0]]), ak.Array([[True], [True, False]]))


def test_picking_leaves_gaps_where_nothing_is_chosen() -> None:
    values = pick(ak.Array([[5.0, 9.0], [], [4.0]]), np.array([1, -1, 0]))
    np.testing.assert_array_equal(values, [9.0, np.nan, 4.0])
