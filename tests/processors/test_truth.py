import awkward as ak
import numpy as np
import pytest
from coffea.analysis_tools import PackedSelection

from processors.truth import flavour_of, labels_of
from selections.selected import Selected

JETS = {
    "hadronFlavour": [[0, 5, 5], [], [4, 0, 0]],
    "partonFlavour": [[21, 5, 5], [], [4, 0, 1]],
    "nBHadrons": [[0, 1, 2], [], [0, 0, 0]],
}
ALL = Selected(
    PackedSelection(),
    np.array([0, 0, 0, 2, 2, 2]),
    np.array([0, 1, 2, 0, 1, 2]),
    np.ones(6, np.int8),
    {},
)


def events(*fields: str) -> ak.Array:
    return ak.zip({"Jet": ak.zip({name: ak.Array(JETS[name]) for name in fields})}, depth_limit=1)


def test_flavours_are_those_of_the_axis() -> None:
    assert flavour_of(events(*JETS), ALL, is_data=False).tolist() == [0, 5, 6, 4, 1, 0]


def test_two_b_hadrons_and_pileup_need_their_branches() -> None:
    assert flavour_of(events("hadronFlavour"), ALL, is_data=False).tolist() == [0, 5, 5, 4, 0, 0]


def test_data_have_no_flavour() -> None:
    assert flavour_of(events(*JETS), ALL, is_data=True).tolist() == [-1] * 6


def test_simulation_without_flavour_is_an_error() -> None:
    with pytest.raises(ValueError, match="Jet_hadronFlavour"):
        flavour_of(events("partonFlavour"), ALL, is_data=False)


def test_labels_are_the_outputs_of_the_tagger() -> None:
    assert labels_of(np.array([0, 1, 4, 5, 6, -1])).tolist() == [3, 3, 2, 0, 1, -1]
