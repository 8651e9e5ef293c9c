"""What the rows of the table consist of: the cuts on each kind of object, and one class for each region.

Units: GeV, cm, radians. The numbers of the rows are in `selections.parameters`; a default here is one that
all rows share.
"""

from dataclasses import dataclass
from typing import Literal

LeptonKind = Literal["muon", "electron", "both"]
MetKind = Literal["PF", "PUPPI"]
ProbeKind = Literal["soft_muon_jet", "other_jet"]
"""The jet under study: the one with the soft muon, or the hardest other one, which no soft muon biases."""

Signs = Literal["none", "added", "subtracted"]
"""What the charges of the lepton and of the soft muon in the probe say about a jet: nothing, as there is no
such pair (all jets count as opposite sign); something that does not matter; or that same sign is background,
and is subtracted from opposite sign."""

TriggerGroups = tuple[tuple[str, ...], ...]
"""Paths of which one must have fired; a later group counts only where a file has none of an earlier one."""


@dataclass(frozen=True, kw_only=True)
class JetCuts:
    """A good jet; a `None` switches a cut off.

    In both identifications a tighter one means a higher number, so a lower bound on it asks for one of them.

    Source:
        NanoAOD documentation of `Jet_jetId` (4: tight with lepton veto) and `Jet_puId` (4 loose, 6 medium,
        7 tight; in the ultra-legacy reconstruction of 2016 the bits are the other way round: 1, 3, 7).
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
    """The muon inside a jet that marks a heavy flavour; a `None` switches a cut off."""

    min_pt: float = 0.0
    max_pt: float = 25.0
    abs_eta: float = 2.4
    min_isolation: float = 0.5
    max_delta_r: float = 0.4
    max_pt_ratio: float | None = 0.4
    min_dxy_significance: float = 0.0


@dataclass(frozen=True, kw_only=True)
class QcdSuppression:
    """How prompt and isolated the hard lepton has to be."""

    isolation: str = "pfRelIso04_all"
    max_isolation: float = 0.05
    max_abs_dz: float = 0.01
    max_abs_dxy: float = 0.002
    max_sip3d: float = 2.0
    min_jet_pt_ratio: float = 0.75


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What all selections have: a name, the events they start from, and what a good jet is.

    `other_primary_datasets` are further names of the data of `primary_dataset`: its parts (Muon0 and Muon1 of
    Muon), or what it was called in some periods of the year. `year` is set as soon as a year filled it in.
    """

    name: str
    calibrates: Literal["light", "c", "b", "none"]
    signs: Signs = "none"
    year: str | None = None
    primary_dataset: str | None = None
    other_primary_datasets: tuple[str, ...] = ()
    triggers: TriggerGroups = ()
    met_filters: tuple[str, ...] = ()
    jet: JetCuts = JetCuts()


@dataclass(frozen=True, kw_only=True)
class InclusiveSelection(Selection):
    """Every good jet of every event."""


@dataclass(frozen=True, kw_only=True)
class LeptonSelection(Selection):
    """What all selections with leptons have: which leptons they rest on, and what is a good one of each kind.

    Leptons of the kind that is not chosen are vetoed.
    """

    lepton: LeptonKind = "muon"
    muon: MuonCuts
    electron: ElectronCuts


@dataclass(frozen=True, kw_only=True)
class DYSelection(LeptonSelection):
    """Z to two leptons and a jet."""

    muon: MuonCuts = MuonCuts(pt=12.0)
    electron: ElectronCuts = ElectronCuts(pt=15.0)
    leading_pt: float = 20.0
    mass_window: tuple[float, float] = (81.0, 101.0)
    min_dilepton_pt: float = 15.0
    min_jets: int = 1
    min_delta_r: float = 0.4


@dataclass(frozen=True, kw_only=True)
class SingleLeptonSelection(LeptonSelection):
    """A W to a lepton, and a jet that holds a soft muon (W+c and semileptonic top pairs)."""

    muon: MuonCuts = MuonCuts(pt=30.0)
    electron: ElectronCuts = ElectronCuts(pt=34.0)
    loose_muon: MuonCuts = MuonCuts(pt=12.0)
    loose_electron: ElectronCuts = ElectronCuts(pt=15.0)
    met: MetKind = "PF"
    z_mass: float = 91.0
    z_veto: tuple[float, float] | None
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
    probe: ProbeKind = "soft_muon_jet"


@dataclass(frozen=True, kw_only=True)
class DileptonSelection(LeptonSelection):
    """Top pairs with two leptons, and a jet that holds a soft muon.

    Of an electron and a muon (`lepton` is `both`), or of two muons. One of the two has to be as hard as the
    trigger's harder leg, `leading_muon_pt` or `leading_electron_pt`.
    """

    leading_muon_pt: float
    leading_electron_pt: float = 27.0
    met: MetKind = "PF"
    min_met: float = 40.0
    z_veto: tuple[float, float] = (75.0, 105.0)
    min_dilepton_mass: float = 12.0
    min_jets: int = 2
    min_delta_r: float = 0.4
    soft_muon: SoftMuonCuts
    probe: ProbeKind = "soft_muon_jet"
