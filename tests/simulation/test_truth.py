import numpy as np
import pytest

from simulation.records import GHOST, PARTON
from simulation.truth import collect_ghosts, collect_partons, heavy_flavour, trace_origins


@pytest.mark.parametrize(
    ("pdg", "flavour"),
    [
        (511, 5),  # B0
        (5122, 5),  # Lambda_b
        (541, 5),  # B_c counts as bottom
        (411, 4),  # D+
        (4122, 4),  # Lambda_c
        (443, 4),  # J/psi
        (211, 0),  # pion
        (310, 0),  # K0S
        (2212, 0),  # proton
        (5, 0),  # a quark is no hadron
        (4203, 0),  # nor is a diquark
        (13, 0),
    ],
)
def test_flavour_is_that_of_the_heaviest_quark(pdg, flavour):
    assert heavy_flavour(pdg) == flavour


CASCADE = [
    {"pdg": 90, "status": -11},  # the system
    {"pdg": 5, "status": -71, "px": 30.0},
    {
        "pdg": 511,
        "status": -83,
        "mother": 1,
        "px": 29.0,
        "first_daughter": 3,
        "last_daughter": 4,
    },  # B0 -> D- mu+
    {
        "pdg": -411,
        "status": -91,
        "mother": 2,
        "px": 15.0,
        "first_daughter": 5,
        "last_daughter": 6,
    },  # D- -> K0 mu-
    {"pdg": -13, "mother": 2, "px": 8.0},
    {"pdg": 13, "mother": 3, "px": 5.0},
    {"pdg": 310, "status": -91, "mother": 3, "px": 6.0},  # K0S -> pi pi
    {"pdg": 211, "mother": 6, "px": 3.0},
    {"pdg": 24, "status": -22},
    {"pdg": -15, "status": -23, "mother": 8, "px": 40.0},
    {"pdg": -13, "mother": 9, "px": 20.0},  # W -> tau -> mu
    {"pdg": 4, "status": -71, "px": 20.0},
    {"pdg": 421, "status": -83, "mother": 11, "px": 19.0},
    {"pdg": -13, "mother": 12, "px": 9.0},
    {"pdg": 113, "status": -83, "mother": 11, "px": 2.0},  # rho -> pi
    {"pdg": -211, "mother": 14, "px": 1.0},
]


def test_origin_is_the_heaviest_flavour_up_the_line(generated):
    origins = np.zeros(len(CASCADE), np.int64)
    trace_origins(generated([CASCADE]), 0, len(CASCADE), origins)
    assert origins[4] == 5  # muon of the B
    assert origins[5] == 5  # muon of a D of a B
    assert origins[7] == 5
    assert origins[10] == 15  # of a tau
    assert origins[13] == 4
    assert origins[15] == 3
    assert origins[2] == origins[9] == 1  # what hadronisation or a W makes is prompt


def test_ghosts_are_the_last_heavy_hadrons_of_a_line(generated):
    ghosts = np.zeros(len(CASCADE), GHOST)
    n_ghosts = collect_ghosts(generated([CASCADE]), 0, len(CASCADE), ghosts, 0)
    assert ghosts["flavour"][:n_ghosts].tolist() == [5, 4, 4]
    np.testing.assert_allclose(ghosts["px"][:n_ghosts], [29e-18, 15e-18, 19e-18])


def test_an_excited_hadron_leaves_the_ghost_to_its_ground_state(generated):
    excited = [
        {"pdg": 90, "status": -11},
        {"pdg": 413, "status": -83, "px": 10.0, "first_daughter": 2, "last_daughter": 3},  # D*+ -> D0 pi+
        {"pdg": 421, "status": -91, "mother": 1, "px": 9.0},
        {"pdg": 211, "mother": 1, "px": 1.0},
    ]
    ghosts = np.zeros(4, GHOST)
    assert collect_ghosts(generated([excited]), 0, 4, ghosts, 0) == 1
    assert ghosts["px"][0] == pytest.approx(9e-18)


def test_partons_are_those_that_become_hadrons(generated):
    partons = np.zeros(len(CASCADE), PARTON)
    n_partons = collect_partons(generated([CASCADE]), 0, len(CASCADE), partons, 0)
    assert partons["pdg"][:n_partons].tolist() == [5, 4]
    assert partons["pt"][:n_partons].tolist() == [30.0, 20.0]
