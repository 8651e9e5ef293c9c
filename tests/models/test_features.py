import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.features import (
    BRANCHES,
    FEATURES,
    FLAVOURS,
    IS_INTEGER,
    JET_FIELDS,
    MISSING,
    N_FEATURES,
    clean,
    default_mask,
    feature_matrix,
    index_of,
)


def column(name: str) -> int:
    return index_of(f"Jet_DeepCSV_{name}")


def complete_jet() -> NDArray[np.float32]:
    """One jet with six tracks, four of them at a secondary vertex, and no default."""
    raw = np.full((1, N_FEATURES), 0.5, dtype=np.float32)
    raw[:, column("jetNSelectedTracks")] = 6
    raw[:, column("jetNTracksEtaRel")] = 4
    return raw


def test_the_order_is_that_of_the_published_table() -> None:
    assert N_FEATURES == len(set(BRANCHES)) == 67
    # Landmarks of the table of inputs.
    for index, branch in {
        0: "Jet_eta",
        1: "Jet_pt",
        2: "Jet_DeepCSV_flightDistance2dSig",
        6: "Jet_DeepCSV_trackDecayLenVal_0",
        17: "Jet_DeepCSV_trackDeltaR_5",
        18: "Jet_DeepCSV_trackEtaRel_0",
        28: "Jet_DeepCSV_trackJetPt",
        41: "Jet_DeepCSV_trackSip2dSigAboveCharm",
        47: "Jet_DeepCSV_trackSip2dSig_5",
        48: "Jet_DeepCSV_trackSip2dValAboveCharm",
        49: "Jet_DeepCSV_trackSip3dSigAboveCharm",
        56: "Jet_DeepCSV_trackSip3dValAboveCharm",
        59: "Jet_DeepCSV_vertexCategory",
        66: "Jet_DeepCSV_vertexNTracks",
    }.items():
        assert BRANCHES[index] == branch


def test_the_integers_are_the_five_counts_and_categories() -> None:
    assert {BRANCHES[index].removeprefix("Jet_DeepCSV_") for index in np.flatnonzero(IS_INTEGER)} == {
        "vertexCategory",
        "jetNSecondaryVertices",
        "jetNSelectedTracks",
        "jetNTracksEtaRel",
        "vertexNTracks",
    }


def test_every_rule_has_as_many_features_as_the_table() -> None:
    rules = [feature.rule for feature in FEATURES]
    # 7 quantities of 6 tracks; 4 tracks of the vertex; 4 above-charm; 67 - 42 - 4 - 4 = 17 others
    assert [
        rules.count(rule) for rule in ("selected_tracks", "eta_rel_tracks", "above_charm", "sentinel")
    ] == [
        42,
        4,
        4,
        17,
    ]


def test_the_flavours_are_in_the_order_of_the_outputs() -> None:
    assert FLAVOURS == ("b", "bb", "c", "udsg")


def test_a_complete_jet_has_no_default() -> None:
    assert not default_mask(complete_jet()).any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, MISSING])
def test_a_non_finite_or_missing_value_is_a_default_in_every_column(value: float) -> None:
    for index in range(N_FEATURES):
        raw = complete_jet()
        raw[0, index] = value
        mask = default_mask(raw)[0]
        assert mask[index]
        # only a missing count takes others with it: its tracks
        if BRANCHES[index] not in ("Jet_DeepCSV_jetNSelectedTracks", "Jet_DeepCSV_jetNTracksEtaRel"):
            assert mask.sum() == 1


@pytest.mark.parametrize("garbage", [1e34, -7e31, 0.0, 3.0])
def test_slots_beyond_the_track_count_are_defaults_whatever_they_hold(garbage: float) -> None:
    raw = complete_jet()
    raw[0, column("jetNSelectedTracks")] = 2
    raw[0, column("jetNTracksEtaRel")] = 1
    beyond = [i for i, name in enumerate(BRANCHES) if name[-2:] in ("_2", "_3", "_4", "_5")]
    beyond.append(column("trackEtaRel_1"))
    raw[0, beyond] = garbage
    # 7 quantities lose tracks 2 to 5: 28 slots; trackEtaRel loses 1 to 3: 3 slots
    assert default_mask(raw).sum() == 28 + 3
    assert default_mask(raw)[0, beyond].all()


def test_a_missing_count_owns_no_tracks() -> None:
    raw = complete_jet()
    raw[0, column("jetNSelectedTracks")] = np.nan
    raw[0, column("jetNTracksEtaRel")] = MISSING
    # 42 slots of selected tracks, 4 of the vertex, and the two counts
    assert default_mask(raw).sum() == 42 + 4 + 2


def test_minus_one_is_a_default_above_charm_and_nowhere_else() -> None:
    raw = complete_jet()
    continuous = ~IS_INTEGER
    raw[:, continuous] = -1.0
    found = {BRANCHES[index].removeprefix("Jet_DeepCSV_") for index in np.flatnonzero(default_mask(raw)[0])}
    assert found == {
        "trackSip2dSigAboveCharm",
        "trackSip2dValAboveCharm",
        "trackSip3dSigAboveCharm",
        "trackSip3dValAboveCharm",
    }


def test_clean_writes_missing_and_leaves_the_rest_and_its_input() -> None:
    raw = complete_jet()
    raw[0, 3] = np.nan
    cleaned = clean(raw)
    assert cleaned.dtype == np.float32
    assert cleaned[0, 3] == MISSING
    assert np.isnan(raw[0, 3])
    assert np.array_equal(np.delete(cleaned, 3, axis=1), np.delete(raw, 3, axis=1))


def test_no_jets_give_an_empty_mask() -> None:
    assert default_mask(np.empty((0, N_FEATURES), dtype=np.float32)).shape == (0, N_FEATURES)


def test_the_matrix_follows_the_names_and_not_the_order_of_the_columns() -> None:
    columns = {field: np.full(2, index) for index, field in enumerate(JET_FIELDS)}
    backwards = dict(reversed(columns.items()))
    matrix = feature_matrix(backwards)
    assert matrix.dtype == np.float32
    assert np.array_equal(matrix, np.tile(np.arange(67), (2, 1)))


def test_every_missing_column_is_named() -> None:
    columns = {field: np.zeros(2) for field in JET_FIELDS[:-2]}
    with pytest.raises(ValueError, match=r"2 of the 67.*DeepCSV_jetNTracksEtaRel, DeepCSV_vertexNTracks"):
        feature_matrix(columns)


def test_a_number_too_large_for_float32_becomes_a_default_without_a_warning() -> None:
    columns = {field: np.full(1, 1.0) for field in JET_FIELDS}
    columns["eta"] = np.array([1e300])
    assert default_mask(feature_matrix(columns))[0, 0]


@pytest.mark.skipif(
    "ADVTAG_REAL_DATA" not in os.environ, reason="ADVTAG_REAL_DATA: no folder of CMS files given"
)
def test_real_jets_hold_garbage_and_cleaning_removes_it() -> None:
    import awkward as ak
    import uproot

    with uproot.open(Path(os.environ["ADVTAG_REAL_DATA"]) / "pfnano.root") as file:
        events = file["Events"].arrays(list(BRANCHES))
    raw = feature_matrix(
        {branch.removeprefix("Jet_"): ak.to_numpy(ak.flatten(events[branch])) for branch in BRANCHES}
    )
    assert raw.shape == (64, 67)
    with np.errstate(invalid="ignore"):
        assert ((~np.isfinite(raw)) | (np.abs(raw) > 1e6)).any()
    assert np.abs(clean(raw)).max() < 1e5
