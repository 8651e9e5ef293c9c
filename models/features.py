"""The 67 inputs of the tagger: their order, their branches, and which values are missing.

Nothing else in the project knows a feature's index. Source: thesis, chapter 2 (table of input variables)
and the PFNano branch names; the default rules are the thesis's cleaning steps.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

DefaultRule = Literal["sentinel", "selected_tracks", "eta_rel_tracks", "above_charm"]
"""When a value is a default: `sentinel` -999 or non-finite; `selected_tracks` also when the jet has no such
track; `eta_rel_tracks` likewise with the tracks of the secondary vertex; `above_charm` also when it is -1."""

MISSING = -999.0
"""How a missing value is written in a file and in a cleaned feature matrix."""


class Feature(NamedTuple):
    """One input: where it is read, what it belongs to, and when it holds no value."""

    branch: str
    group: str
    integer: bool = False
    rule: DefaultRule = "sentinel"
    track: int = 0


def _tracks(
    quantity: str, count: int, *, group: str = "track", rule: DefaultRule = "selected_tracks"
) -> list[Feature]:
    return [Feature(f"Jet_DeepCSV_{quantity}_{i}", group, rule=rule, track=i) for i in range(count)]


def _above_charm(quantity: str) -> Feature:
    return Feature(f"Jet_DeepCSV_{quantity}AboveCharm", "jet_above_charm", rule="above_charm")


FEATURES: tuple[Feature, ...] = (
    Feature("Jet_eta", "jet_kin"),
    Feature("Jet_pt", "jet_kin"),
    Feature("Jet_DeepCSV_flightDistance2dSig", "SV"),
    Feature("Jet_DeepCSV_flightDistance2dVal", "SV"),
    Feature("Jet_DeepCSV_flightDistance3dSig", "SV"),
    Feature("Jet_DeepCSV_flightDistance3dVal", "SV"),
    *_tracks("trackDecayLenVal", 6),
    *_tracks("trackDeltaR", 6),
    *_tracks("trackEtaRel", 4, rule="eta_rel_tracks"),
    *_tracks("trackJetDistVal", 6),
    Feature("Jet_DeepCSV_trackJetPt", "jet"),
    *_tracks("trackPtRatio", 6),
    *_tracks("trackPtRel", 6),
    _above_charm("trackSip2dSig"),
    *_tracks("trackSip2dSig", 6),
    _above_charm("trackSip2dVal"),
    _above_charm("trackSip3dSig"),
    *_tracks("trackSip3dSig", 6),
    _above_charm("trackSip3dVal"),
    Feature("Jet_DeepCSV_trackSumJetDeltaR", "jet"),
    Feature("Jet_DeepCSV_trackSumJetEtRatio", "jet"),
    Feature("Jet_DeepCSV_vertexCategory", "jet", integer=True),
    Feature("Jet_DeepCSV_vertexEnergyRatio", "SV"),
    Feature("Jet_DeepCSV_vertexJetDeltaR", "SV"),
    Feature("Jet_DeepCSV_vertexMass", "SV"),
    Feature("Jet_DeepCSV_jetNSecondaryVertices", "jet_count", integer=True),
    Feature("Jet_DeepCSV_jetNSelectedTracks", "jet_count", integer=True),
    Feature("Jet_DeepCSV_jetNTracksEtaRel", "jet_count", integer=True),
    Feature("Jet_DeepCSV_vertexNTracks", "SV_count", integer=True),
)

N_FEATURES = len(FEATURES)
BRANCHES: tuple[str, ...] = tuple(feature.branch for feature in FEATURES)
JET_FIELDS: tuple[str, ...] = tuple(branch.removeprefix("Jet_") for branch in BRANCHES)
"""The same as fields of a NanoEvents `Jet` collection."""

IS_INTEGER: NDArray[np.bool_] = np.array([feature.integer for feature in FEATURES])
"""Counts and categories, shape ``(67,)``: no perturbation ever moves them."""

FLAVOURS: tuple[str, ...] = ("b", "bb", "c", "udsg")
"""The tagger's outputs, in the order of its scores and labels 0 to 3."""


def index_of(branch: str) -> int:
    """Return the column of a branch in the feature matrix."""
    return BRANCHES.index(branch)


def _tracks_of(rule: DefaultRule) -> NDArray[np.float32]:
    """Return the track of each feature with this rule; no count is below the minus infinity of others."""
    tracks = [feature.track if feature.rule == rule else -np.inf for feature in FEATURES]
    return np.array(tracks, dtype=np.float32)


_TRACKS_BY_COUNT = {
    index_of("Jet_DeepCSV_jetNSelectedTracks"): _tracks_of("selected_tracks"),
    index_of("Jet_DeepCSV_jetNTracksEtaRel"): _tracks_of("eta_rel_tracks"),
}
_NO_CHARM = np.array(
    [-1.0 if feature.rule == "above_charm" else MISSING for feature in FEATURES], dtype=np.float32
)


def feature_matrix(columns: Mapping[str, ArrayLike]) -> NDArray[np.float32]:
    """Return the features as read, one row a jet, shape ``(n_jets, 67)``.

    Args:
        columns: For each of `JET_FIELDS` the flat values of all jets, shape ``(n_jets,)``.

    Raises:
        ValueError: If columns are missing; all of them are named.
    """
    missing = [field for field in JET_FIELDS if field not in columns]
    if missing:
        raise ValueError(
            f"{len(missing)} of the {N_FEATURES} tagger inputs are missing: {', '.join(missing)}"
        )
    first = np.asarray(columns[JET_FIELDS[0]])
    matrix = np.empty((len(first), N_FEATURES), dtype=np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for column, field in enumerate(JET_FIELDS):
            matrix[:, column] = np.asarray(columns[field])
    return matrix


def default_mask(raw: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return where a feature holds no value, shape ``(n_jets, 67)``.

    True where the value is not finite or -999; where a track's slot lies beyond the jet's track count (files
    hold uninitialised memory there); and where an above-charm variable is -1. This is the one place that
    decides it.

    Source:
        Thesis, section 2 (cleaning of the input variables).
    """
    mask: NDArray[np.bool_] = ~np.isfinite(raw)
    mask |= raw == MISSING
    mask |= raw == _NO_CHARM
    for column, tracks in _TRACKS_BY_COUNT.items():
        # A count that is itself missing owns no tracks.
        count = np.where(mask[:, [column]], 0.0, raw[:, [column]])
        mask |= count <= tracks
    return mask


def clean(raw: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a copy of the features in which every default is `MISSING`, shape ``(n_jets, 67)``."""
    return np.where(default_mask(raw), np.float32(MISSING), raw)
