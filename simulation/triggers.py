"""The triggers of 2017 that the analyses ask for, with flat efficiencies."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from simulation.leptons import Leptons
from simulation.randomness import RandomStreams

_SINGLE_MUON, _DOUBLE_MUON, _SINGLE_ELECTRON = 0.92, 0.93, 0.90
"""Efficiencies for events with the leptons a trigger asks for."""

_DOUBLE_MUON_PATHS = (
    "HLT_Mu17_TrkIsoVVL_Mu8_TrkIsoVVL_DZ",
    "HLT_Mu17_TrkIsoVVL_Mu8_TrkIsoVVL_DZ_Mass3p8",
    "HLT_Mu17_TrkIsoVVL_Mu8_TrkIsoVVL_DZ_Mass8",
)


def _counts(leptons: Leptons, passes: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return how many leptons of each event pass."""
    event = np.repeat(np.arange(len(leptons.offsets) - 1), np.diff(leptons.offsets))
    return np.bincount(event[passes], minlength=len(leptons.offsets) - 1)


def trigger_decisions(
    muons: Leptons,
    muon_fields: Mapping[str, NDArray[np.generic]],
    electrons: Leptons,
    electron_fields: Mapping[str, NDArray[np.generic]],
    streams: RandomStreams,
) -> dict[str, NDArray[np.bool_]]:
    """Return the decision of each trigger, shape ``(n_events,)``."""
    n_events = len(muons.offsets) - 1
    pt, tight = muons.leptons["pt"], muon_fields["tightId"].astype(bool)
    isolated = (muons.leptons["isolation_04"] < 0.15) & tight
    loose = muons.leptons["isolation_03"] < 0.4
    # One muon leg fires both single-muon paths: they share the random number.
    single = streams.uniform("single muon trigger", n_events) < _SINGLE_MUON
    double = streams.uniform("double muon trigger", n_events) < _DOUBLE_MUON
    double &= (_counts(muons, loose & (pt > 17)) > 0) & (_counts(muons, loose & (pt > 8)) > 1)
    good_electron = electron_fields["mvaFall17V2Iso_WP80"].astype(bool) & (electrons.leptons["pt"] > 32)
    electron = streams.uniform("electron trigger", n_events) < _SINGLE_ELECTRON
    decisions = {
        "HLT_IsoMu24": single & (_counts(muons, isolated & (pt > 24)) > 0),
        "HLT_IsoMu27": single & (_counts(muons, isolated & (pt > 27)) > 0),
        "HLT_Ele32_WPTight_Gsf_L1DoubleEG": electron & (_counts(electrons, good_electron) > 0),
    }
    return decisions | {path: double.copy() for path in _DOUBLE_MUON_PATHS}
