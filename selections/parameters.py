"""Every cut of every selection, as rows of one table: selection, profile and year.

No number of a selection stands anywhere else but in `selections.cuts` and `selections.eras`. Units: GeV, cm,
radians.

Source:
    Where a class or a row says nothing else: the public analysis code behind CMS-BTV-20-001 (JINST 17 P03014)
    and appendix A.5 of the thesis. Profile `btvnano`: BTVNanoCommissioning, its later coffea descendant.
"""

from collections.abc import Mapping
from dataclasses import replace

from selections.cuts import (
    DileptonSelection,
    DYSelection,
    ElectronCuts,
    InclusiveSelection,
    JetCuts,
    LeptonSelection,
    MuonCuts,
    QcdSuppression,
    Selection,
    SingleLeptonSelection,
    SoftMuonCuts,
    TriggerGroups,
)
from selections.eras import ERAS, Era, PrimaryDatasets

__all__ = [
    "PROFILES",
    "SELECTIONS",
    "YEARS",
    "DYSelection",
    "DileptonSelection",
    "InclusiveSelection",
    "LeptonSelection",
    "Selection",
    "SingleLeptonSelection",
    "parameters_of",
]

YEARS = tuple(ERAS)
PROFILES = ("btv20001", "legacy", "btvnano", "other_jet")

_SOFT_IN_TOP = SoftMuonCuts(min_pt=5.0, min_isolation=0.2)
_ELECTRON_QCD = QcdSuppression(isolation="pfRelIso03_all", max_abs_dz=0.02, max_abs_dxy=0.01, max_sip3d=2.5)

_DY = DYSelection(name="dy", calibrates="light")
_WC = SingleLeptonSelection(
    name="wc",
    calibrates="c",
    signs="subtracted",
    z_veto=(80.0, 100.0),
    min_jets=1,
    max_jets=3,
    soft_muon=SoftMuonCuts(),
    max_lepton_fraction=0.7,
)
_TTSEMILEP = SingleLeptonSelection(
    name="ttsemilep",
    calibrates="b",
    signs="added",
    z_veto=(85.0, 95.0),
    min_jets=4,
    max_jets=None,
    soft_muon=_SOFT_IN_TOP,
)
_INCLUSIVE = InclusiveSelection(name="inclusive", calibrates="none", jet=JetCuts(jet_id=None, pu_id=None))

# Electrons: the numbers of BTVNanoCommissioning, whose electron channels follow CMS-BTV-20-001. A hard
# electron and a soft muon come from no resonance, so no mass is vetoed. The leading electron of a pair is as
# hard as the 23 GeV leg of the trigger asks for in the electron-muon channel. A soft muon of isolation below
# 0.5 is vetoed in the muon channel of W+c alone, in the code behind CMS-BTV-20-001, too.
_DY_ELECTRON = replace(_DY, name="dy_electron", lepton="electron", leading_pt=27.0)
_WC_ELECTRON = replace(
    _WC,
    name="wc_electron",
    lepton="electron",
    z_veto=None,
    soft_muon=replace(_WC.soft_muon, min_isolation=0.2, max_pt_ratio=0.6),
    max_lepton_fraction=None,
    qcd_suppression=_ELECTRON_QCD,
)
_TTSEMILEP_ELECTRON = replace(
    _TTSEMILEP,
    name="ttsemilep_electron",
    lepton="electron",
    z_veto=None,
    soft_muon=replace(_TTSEMILEP.soft_muon, max_pt_ratio=0.6),
    qcd_suppression=_ELECTRON_QCD,
)
# Dileptonic top pairs: the numbers of BTVNanoCommissioning. Opposite charges as in CMS-BTV-16-002 (JINST 13
# P05011), selection of dileptonic top pairs.
_TTDILEP_EMU = DileptonSelection(
    name="ttdilep_emu",
    calibrates="b",
    lepton="both",
    muon=MuonCuts(pt=14.0),
    electron=ElectronCuts(pt=15.0),
    leading_muon_pt=24.0,
    soft_muon=replace(_SOFT_IN_TOP, max_pt_ratio=None),
)
_TTDILEP_MUMU = replace(
    _TTDILEP_EMU, name="ttdilep_mumu", lepton="muon", muon=MuonCuts(pt=12.0), leading_muon_pt=20.0
)

SELECTIONS: Mapping[str, Selection] = {
    row.name: row
    for row in (
        _DY,
        _WC,
        _TTSEMILEP,
        _INCLUSIVE,
        _DY_ELECTRON,
        _WC_ELECTRON,
        _TTSEMILEP_ELECTRON,
        _TTDILEP_EMU,
        _TTDILEP_MUMU,
    )
}
"""The profile `btv20001`, before a year fills in triggers, primary datasets, filters and jets."""


def parameters_of(selection: str, *, profile: str = "btv20001", year: str = "2017") -> Selection:
    """Return the row of the table for a selection, a profile and a data-taking year.

    Args:
        selection: One of `SELECTIONS`.
        profile: One of `PROFILES`.
        year: One of `YEARS`; a suffix UL means the ultra-legacy reconstruction.

    Raises:
        ValueError: If one of the three is unknown; the message lists the choices.
    """
    _known("selection", selection, tuple(SELECTIONS))
    _known("profile", profile, PROFILES)
    _known("year", year, YEARS)
    row = replace(_of_profile(SELECTIONS[selection], profile), year=year)
    return _of_year(row, ERAS[year])


def _known(what: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"unknown {what} '{value}': choose from {', '.join(choices)}")


def _of_profile(row: Selection, profile: str) -> Selection:
    """Return a row with what a profile changes; a profile says nothing of most rows."""
    match profile, row:
        case "legacy", SingleLeptonSelection():
            return replace(row, w_mass="massless_met")
        case "other_jet", SingleLeptonSelection() | DileptonSelection():
            return replace(row, probe="other_jet")
        case "btvnano", DYSelection():
            return replace(row, mass_window=(61.0, 121.0), min_delta_r=0.5)
        case "btvnano", SingleLeptonSelection():
            significance = 1.0 if row.lepton == "muon" else 0.0
            soft_muon = replace(row.soft_muon, min_isolation=0.2, min_dxy_significance=significance)
            return replace(row, soft_muon=soft_muon, qcd_suppression=None, min_delta_r=0.5)
    return row


def _of_year(row: Selection, era: Era) -> Selection:
    if isinstance(row, InclusiveSelection):
        return replace(row, jet=replace(row.jet, abs_eta=era.jet.abs_eta))
    triggers, (primary_dataset, *others) = _recorded_by(row, era)
    row = replace(
        row,
        triggers=triggers,
        primary_dataset=primary_dataset,
        other_primary_datasets=tuple(others),
        met_filters=era.met_filters,
        jet=era.jet,
    )
    return replace(row, met=era.met) if isinstance(row, SingleLeptonSelection | DileptonSelection) else row


def _recorded_by(row: Selection, era: Era) -> tuple[TriggerGroups, PrimaryDatasets]:
    """Return triggers and primary datasets of the leptons of a row."""
    match row:
        case SingleLeptonSelection(lepton="electron"):
            return era.single_electron, era.single_electron_data
        case SingleLeptonSelection():
            return era.single_muon, era.single_muon_data
        case DileptonSelection(lepton="both"):
            return era.electron_muon, era.electron_muon_data
        case DYSelection(lepton="electron"):
            return era.dielectron, era.dielectron_data
    return era.dimuon, era.dimuon_data
