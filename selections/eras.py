"""What a year of data taking decides: triggers, primary datasets, jets, missing energy and filters."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from selections.cuts import JetCuts, MetKind, TriggerGroups

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
"""Source: recommendation of the CMS group on missing energy for Run 2, 2017 and 2018."""

MET_FILTERS_2016: tuple[str, ...] = tuple(flag for flag in MET_FILTERS if flag != "Flag_ecalBadCalibFilter")
"""Source: recommendation of the CMS group on missing energy for Run 2; the filter against badly calibrated
crystals is for 2017 and later, and its branch in files of 2016 has no meaning."""

MET_FILTERS_RUN_3: tuple[str, ...] = (
    "Flag_goodVertices",
    "Flag_globalSuperTightHalo2016Filter",
    "Flag_EcalDeadCellTriggerPrimitiveFilter",
    "Flag_BadPFMuonFilter",
    "Flag_BadPFMuonDzFilter",
    "Flag_hfNoisyHitsFilter",
    "Flag_eeBadScFilter",
    "Flag_ecalBadCalibFilter",
)
"""Source: recommendation of the CMS group on missing energy for Run 3."""

_DIMUON = "HLT_Mu17_TrkIsoVVL_Mu8_TrkIsoVVL"
_DIMUON_TRACKER = "HLT_Mu17_TrkIsoVVL_TkMu8_TrkIsoVVL"
_DIELECTRON = "HLT_Ele23_Ele12_CaloIdL_TrackIdL_IsoVL"
_ELECTRON_MUON = tuple(
    f"HLT_{legs}_CaloIdL_TrackIdL_IsoVL{dz}"
    for legs in ("Mu12_TrkIsoVVL_Ele23", "Mu23_TrkIsoVVL_Ele12")
    for dz in ("", "_DZ")
)


_JETS = JetCuts()

PrimaryDatasets = tuple[str, ...]
"""Names under which the data of one kind of trigger are found; the first one stands for all."""


@dataclass(frozen=True, kw_only=True)
class Era:
    """What a year of data taking decides: triggers, primary datasets, and what jets and filters there are."""

    single_muon: TriggerGroups
    dimuon: TriggerGroups
    single_electron: TriggerGroups
    dielectron: TriggerGroups = ((_DIELECTRON,),)
    electron_muon: TriggerGroups = (_ELECTRON_MUON,)
    single_muon_data: PrimaryDatasets = ("SingleMuon",)
    dimuon_data: PrimaryDatasets = ("DoubleMuon",)
    single_electron_data: PrimaryDatasets = ("SingleElectron",)
    dielectron_data: PrimaryDatasets = ("DoubleEG",)
    electron_muon_data: PrimaryDatasets = ("MuonEG",)
    jet: JetCuts = _JETS
    met: MetKind = "PF"
    met_filters: tuple[str, ...] = MET_FILTERS
    energy_tev: float = 13.0
    """Of the collisions, in the centre of mass. Source: LHC, Run 2 and Run 3."""

    def primary_datasets(self) -> tuple[PrimaryDatasets, ...]:
        """Return the names of the data of each kind of trigger."""
        return (
            self.single_muon_data,
            self.dimuon_data,
            self.single_electron_data,
            self.dielectron_data,
            self.electron_muon_data,
        )


_MUON_PARTS = ("Muon", "Muon0", "Muon1")
_EGAMMA_PARTS = ("EGamma", "EGamma0", "EGamma1")

_RUN_3 = Era(
    single_muon=(("HLT_IsoMu24",),),
    dimuon=((f"{_DIMUON}_DZ_Mass3p8",),),
    single_electron=(("HLT_Ele32_WPTight_Gsf",),),
    single_muon_data=_MUON_PARTS,
    dimuon_data=_MUON_PARTS,
    single_electron_data=_EGAMMA_PARTS,
    dielectron_data=_EGAMMA_PARTS,
    # PUPPI jets need no identification against pileup.
    jet=JetCuts(jet_id=4, pu_id=None),
    met="PUPPI",
    met_filters=MET_FILTERS_RUN_3,
    energy_tev=13.6,
)

# Muon and EGamma are whole in 2022. Until the middle of Run2022C single muons and pairs of them are apart.
_2022 = replace(
    _RUN_3,
    single_muon_data=("Muon", "SingleMuon"),
    dimuon_data=("Muon", "DoubleMuon"),
    single_electron_data=("EGamma",),
    dielectron_data=("EGamma",),
)

_RUN_2: Mapping[str, Era] = {
    "2016": Era(
        single_muon=(("HLT_IsoMu24", "HLT_IsoTkMu24"),),
        dimuon=((_DIMUON, f"{_DIMUON}_DZ", _DIMUON_TRACKER, f"{_DIMUON_TRACKER}_DZ"),),
        single_electron=(("HLT_Ele27_WPTight_Gsf",),),
        dielectron=((f"{_DIELECTRON}_DZ",),),
        # The pixel detector of 2016 reached less far.
        jet=JetCuts(abs_eta=2.4),
        met_filters=MET_FILTERS_2016,
    ),
    "2017": Era(
        # Never IsoMu24 in 2017: it is prescaled in a part of the data, and always on in simulation.
        single_muon=(("HLT_IsoMu27",),),
        # Run2017B has neither of the paths with a mass cut.
        dimuon=((f"{_DIMUON}_DZ_Mass8", f"{_DIMUON}_DZ_Mass3p8"), (f"{_DIMUON}_DZ",)),
        single_electron=(("HLT_Ele32_WPTight_Gsf_L1DoubleEG",),),
    ),
    "2018": Era(
        single_muon=(("HLT_IsoMu24",),),
        dimuon=((f"{_DIMUON}_DZ_Mass3p8",),),
        single_electron=(("HLT_Ele32_WPTight_Gsf",),),
        single_electron_data=("EGamma",),
        dielectron_data=("EGamma",),
    ),
}


_JET_ID_ULTRA_LEGACY = 4
"""Tight with lepton veto."""
_PU_ID_LOOSE = {"2016": 1}
"""Loose is the lowest bit in 2016, and the highest in other years (4), tight all three (7) in all of them.

Source: NanoAOD documentation of `Jet_puId` for the ultra-legacy reconstruction of 2016, PileupJetIDUL."""


def _ultra_legacy(year: str, era: Era) -> Era:
    pu_id = _PU_ID_LOOSE.get(year, 4)
    return replace(era, jet=replace(era.jet, jet_id=_JET_ID_ULTRA_LEGACY, pu_id=pu_id))


ERAS: Mapping[str, Era] = {
    **_RUN_2,
    **{f"{year}UL": _ultra_legacy(year, era) for year, era in _RUN_2.items()},
    "2022": _2022,
    "2023": _RUN_3,
}
"""By year. A suffix UL means the ultra-legacy reconstruction. Source of triggers: CMS high-level trigger
menus, and BTVNanoCommissioning; of primary datasets: CMS Data Aggregation Service."""
