"""Every cut of every selection, as rows of one table: selection, profile and year.

No number of a selection stands anywhere else. Units: GeV, cm, radians.

Source:
    Where a class or a row says nothing else: the public analysis code behind CMS-BTV-20-001 (JINST 17 P03014)
    and appendix A.5 of the thesis. Profile `btvnano`: BTVNanoCommissioning, its later coffea descendant.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

TriggerGroups = tuple[tuple[str, ...], ...]
"""Paths of which one must have fired; a later group counts only where a file has none of an earlier one."""


@dataclass(frozen=True, kw_only=True)
class JetCuts:
    """A good jet; a `None` switches a cut off.

    In both identifications a tighter one sets a higher bit: a lower bound on the number asks for one of them.

    Source:
        NanoAOD documentation of `Jet_jetId` (4: tight with lepton veto) and `Jet_puId` (7: tight, 4: loose).
    """

    pt: float = 20.0
    abs_eta: float = 2.5
    jet_id: int | None = 5  # tightLepVeto
    pu_id: int | None = 7
    pu_id_below_pt: float = 50.0


@dataclass(frozen=True, kw_only=True)
class MuonCuts:
    """A good muon: tightId and `pfRelIso04_all` not above `max_isolation`."""

    pt: float
    abs_eta: float = 2.4
    max_isolation: float = 0.15


@dataclass(frozen=True, kw_only=True)
class ElectronCuts:
    """A good electron: WP80 of the identification with isolation; eta of the supercluster.

    The gap is that between barrel and endcaps of the calorimeter.
    """

    pt: float
    abs_eta: float = 2.5
    gap: tuple[float, float] = (1.442, 1.566)


@dataclass(frozen=True, kw_only=True)
class SoftMuonCuts:
    """The muon inside a jet that marks a heavy flavour."""

    min_pt: float = 0.0
    max_pt: float = 25.0
    abs_eta: float = 2.4
    min_isolation: float = 0.5
    max_delta_r: float = 0.4
    max_pt_ratio: float = 0.4
    min_dxy_significance: float = 0.0


@dataclass(frozen=True, kw_only=True)
class QcdSuppression:
    """How prompt and isolated the hard muon has to be."""

    max_isolation: float = 0.05
    max_abs_dz: float = 0.01
    max_abs_dxy: float = 0.002
    max_sip3d: float = 2.0
    min_jet_pt_ratio: float = 0.75


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What all selections have: a name, the events they start from, and what a good jet is."""

    name: str
    calibrates: Literal["light", "c", "b", "none"]
    primary_dataset: str | None = None
    triggers: TriggerGroups = ()
    met_filters: tuple[str, ...] = ()
    jet: JetCuts = JetCuts()


@dataclass(frozen=True, kw_only=True)
class InclusiveSelection(Selection):
    """Every good jet of every event."""


@dataclass(frozen=True, kw_only=True)
class DYSelection(Selection):
    """Z to two muons and a jet."""

    muon: MuonCuts = MuonCuts(pt=12.0)
    leading_muon_pt: float = 20.0
    veto_electron: ElectronCuts = ElectronCuts(pt=15.0)
    mass_window: tuple[float, float] = (81.0, 101.0)
    min_dimuon_pt: float = 15.0
    min_jets: int = 1
    min_delta_r: float = 0.4


@dataclass(frozen=True, kw_only=True)
class SingleMuonSelection(Selection):
    """A W to a muon, and a jet that holds a soft muon (W+c and semileptonic top pairs)."""

    muon: MuonCuts = MuonCuts(pt=30.0)
    electron: ElectronCuts = ElectronCuts(pt=34.0)
    loose_muon: MuonCuts = MuonCuts(pt=12.0)
    loose_electron: ElectronCuts = ElectronCuts(pt=15.0)
    z_mass: float = 91.0
    z_veto: tuple[float, float]
    min_dimuon_mass: float = 12.0
    w_mass: Literal["transverse", "massless_met"] = "transverse"
    min_w_mass: float = 55.0
    min_jets: int
    max_jets: int | None
    min_delta_r: float = 0.4
    min_probe_delta_r: float = 0.5
    soft_muon: SoftMuonCuts
    max_lepton_fraction: float | None = None
    qcd_suppression: QcdSuppression | None = QcdSuppression()


MET_FILTERS: tuple[str, ...] = (
    "Flag_goodVertices",
    "Flag_globalSuperTightHalo2016Filter",
    "Flag_HBHENoiseFilter",
    "Flag_HBHENoiseIsoFilter",
    "Flag_EcalDeadCellTriggerPrimitiveFilter",
    "Flag_BadPFMuonFilter",
    "Flag_BadPFMuonDzFilter",
    "Flag_eeBadScFilter",
    "Flag_ecalBadCalibFilter",
)
"""Source: recommendation of the CMS group on missing energy for Run 2."""

_DIMUON = "HLT_Mu17_TrkIsoVVL_Mu8_TrkIsoVVL"
_DIMUON_TRACKER = "HLT_Mu17_TrkIsoVVL_TkMu8_TrkIsoVVL"

DIMUON_TRIGGERS: Mapping[str, TriggerGroups] = {
    "2016": ((_DIMUON, f"{_DIMUON}_DZ", _DIMUON_TRACKER, f"{_DIMUON_TRACKER}_DZ"),),
    # Run2017B has neither of the paths with a mass cut.
    "2017": ((f"{_DIMUON}_DZ_Mass8", f"{_DIMUON}_DZ_Mass3p8"), (f"{_DIMUON}_DZ",)),
    "2018": ((f"{_DIMUON}_DZ_Mass3p8",),),
}
SINGLE_MUON_TRIGGERS: Mapping[str, TriggerGroups] = {
    "2016": (("HLT_IsoMu24", "HLT_IsoTkMu24"),),
    # Never IsoMu24 in 2017: it is prescaled in a part of the data, and always on in simulation.
    "2017": (("HLT_IsoMu27",),),
    "2018": (("HLT_IsoMu24",),),
}
JETS: Mapping[str, JetCuts] = {
    # The pixel detector of 2016 reached less far.
    "2016": JetCuts(abs_eta=2.4),
    "2017": JetCuts(),
    "2018": JetCuts(),
}
_ULTRA_LEGACY = {"jet_id": 4, "pu_id": 4}  # tight with lepton veto; loose

YEARS = ("2016", "2017", "2018", "2016UL", "2017UL", "2018UL")
PROFILES = ("btv20001", "legacy", "btvnano")

_DY = DYSelection(name="dy", calibrates="light", primary_dataset="DoubleMuon", met_filters=MET_FILTERS)
_WC = SingleMuonSelection(
    name="wc",
    calibrates="c",
    primary_dataset="SingleMuon",
    met_filters=MET_FILTERS,
    z_veto=(80.0, 100.0),
    min_jets=1,
    max_jets=3,
    soft_muon=SoftMuonCuts(),
    max_lepton_fraction=0.7,
)
_TTSEMILEP = SingleMuonSelection(
    name="ttsemilep",
    calibrates="b",
    primary_dataset="SingleMuon",
    met_filters=MET_FILTERS,
    z_veto=(85.0, 95.0),
    min_jets=4,
    max_jets=None,
    soft_muon=SoftMuonCuts(min_pt=5.0, min_isolation=0.2),
)
_INCLUSIVE = InclusiveSelection(name="inclusive", calibrates="none", jet=JetCuts(jet_id=None, pu_id=None))

SELECTIONS: Mapping[str, Selection] = {row.name: row for row in (_DY, _WC, _TTSEMILEP, _INCLUSIVE)}
"""The profile `btv20001`, before a year fills in triggers and jets."""


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
    row = _of_profile(SELECTIONS[selection], profile)
    return _of_year(row, year)


def _known(what: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"unknown {what} '{value}': choose from {', '.join(choices)}")


def _of_profile(row: Selection, profile: str) -> Selection:
    if profile == "legacy" and isinstance(row, SingleMuonSelection):
        return replace(row, w_mass="massless_met")
    if profile == "btvnano" and isinstance(row, DYSelection):
        return replace(row, mass_window=(61.0, 121.0), min_delta_r=0.5)
    if profile == "btvnano" and isinstance(row, SingleMuonSelection):
        soft_muon = replace(row.soft_muon, min_isolation=0.2, min_dxy_significance=1.0)
        return replace(row, soft_muon=soft_muon, qcd_suppression=None, min_delta_r=0.5)
    return row


def _of_year(row: Selection, year: str) -> Selection:
    run = year.removesuffix("UL")
    if isinstance(row, InclusiveSelection):
        return replace(row, jet=replace(row.jet, abs_eta=JETS[run].abs_eta))
    jet = replace(JETS[run], **_ULTRA_LEGACY) if year.endswith("UL") else JETS[run]
    triggers = DIMUON_TRIGGERS if isinstance(row, DYSelection) else SINGLE_MUON_TRIGGERS
    return replace(row, triggers=triggers[run], jet=jet)
