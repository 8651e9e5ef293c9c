"""Branches by their name in the file: which are needed, which may be absent, and who stands in for whom."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import awkward as ak

from selections.cuts import DileptonSelection, LeptonSelection, MetKind, Selection, SingleLeptonSelection

ALIASES: dict[str, tuple[str, ...]] = {
    "MET_pt": ("PFMET_pt", "PuppiMET_pt"),
    "MET_phi": ("PFMET_phi", "PuppiMET_phi"),
    "PuppiMET_pt": ("MET_pt", "PFMET_pt"),
    "PuppiMET_phi": ("MET_phi", "PFMET_phi"),
    "fixedGridRhoFastjetAll": ("Rho_fixedGridRhoFastjetAll",),
    "Electron_mvaFall17V2Iso_WP80": ("Electron_mvaIso_WP80", "Electron_mvaFall17V1Iso_WP80"),
}
"""Other names of the same quantity, in the order in which they are tried; productions differ."""

MET_OF_KIND: Mapping[MetKind, str] = {"PF": "MET", "PUPPI": "PuppiMET"}
"""Where each kind of missing energy is."""

UNCLUSTERED: tuple[tuple[str, ...], ...] = (
    ("MetUnclustEnUpDeltaX", "MetUnclustEnUpDeltaY"),
    tuple(f"{name}Unclustered{way}" for name in ("pt", "phi") for way in ("Up", "Down")),
)
"""The ways in which files tell how its unclustered part moves it. Source: NanoAOD documentation."""

_EVENT = ("run", "luminosityBlock", "event")
_JET = ("nJet", "Jet_pt", "Jet_eta", "Jet_phi", "Jet_mass")
_MUON = (
    "nMuon",
    *(f"Muon_{field}" for field in ("pt", "eta", "phi", "mass", "charge", "tightId", "pfRelIso04_all")),
)
_ELECTRON = (
    "nElectron",
    *(f"Electron_{field}" for field in ("pt", "eta", "phi", "mass", "charge")),
)
_PROMPT_MUON = ("Muon_dxy", "Muon_dz", "Muon_sip3d", "Muon_jetIdx")
_PROMPT_ELECTRON = ("Electron_dxy", "Electron_dz", "Electron_sip3d", "Electron_jetIdx")
_SOFT_MUON = ("Jet_muonIdx1", "Jet_muonIdx2")
_LEPTON_FRACTIONS = ("Jet_muEF", "Jet_neEmEF")
_IDENTIFICATION = ("Electron_mvaFall17V2Iso_WP80", "Electron_deltaEtaSC")

GENERATOR = ("genWeight", "Jet_hadronFlavour")
"""Only simulation has these; one of them is enough to make a file simulation."""


@dataclass(frozen=True)
class Branches:
    """What a selection reads.

    Attributes:
        needed: Without one of them a file cannot be processed.
        optional: Without one of them a cut is left out.
        triggers: Paths in groups, see `selections.cuts.TriggerGroups`.
        simulation: Needed of simulation, by its corrections.
        optional_simulation: Of simulation; without one of them less is varied.
        moved_met: The missing energy whose unclustered part is varied; None where none is.
    """

    needed: tuple[str, ...]
    optional: tuple[str, ...]
    triggers: tuple[tuple[str, ...], ...] = ()
    simulation: tuple[str, ...] = ()
    optional_simulation: tuple[str, ...] = ()
    moved_met: str | None = None

    def names(self) -> frozenset[str]:
        """Return every branch that may be read, other names of the same quantity and counters included."""
        own = {*self.needed, *self.optional, *(path for group in self.triggers for path in group)}
        own.update(self.simulation, self.optional_simulation)
        return with_counters(own.union(*(ALIASES.get(branch, ()) for branch in own)))

    def missing(self, available: Collection[str]) -> tuple[str, ...]:
        """Return the needed branches for which a file has no name at all."""
        return missing(self.needed, available)

    def unvaried(self, available: Collection[str]) -> tuple[str, ...]:
        """Return the branches of simulation for which a file has no name, and without which less is varied.

        Files tell the unclustered part of missing energy in one way of several, and that of the kind which
        the selection reads is enough.
        """
        ways = [name for names in UNCLUSTERED for name in names]
        absent = missing(
            [name for name in self.optional_simulation if not name.endswith(tuple(ways))], available
        )
        pt = None if self.moved_met is None else resolve(f"{self.moved_met}_pt", available)
        if pt is None:
            return absent
        met = pt.removesuffix("_pt")
        if any(all(f"{met}_{name}" in available for name in names) for names in UNCLUSTERED):
            return absent
        return (*absent, f"{met}_{UNCLUSTERED[0][0]}")

    def dropped(self, available: Collection[str]) -> tuple[str, ...]:
        """Return the optional branches a file does not have: the cuts on them are not applied there.

        A trigger of a later group is named only if the file has none of an earlier one, too.
        """
        absent = [branch for branch in self.optional if resolve(branch, available) is None]
        for group in self.triggers:
            absent += [path for path in group if path not in available]
            if any(path in available for path in group):
                break
        return tuple(absent)

    def replaced(self, available: Collection[str]) -> tuple[tuple[str, str], ...]:
        """Return the pairs (branch, other branch that is read in its place)."""
        used = ((branch, resolve(branch, available)) for branch in (*self.needed, *self.optional))
        return tuple((branch, name) for branch, name in used if name is not None and name != branch)


def branches_of(parameters: Selection) -> Branches:
    """Return what a selection reads, without the tagger's inputs."""
    needed = [*_EVENT, *_JET]
    optional = [*parameters.met_filters]
    if parameters.jet.jet_id is not None:
        optional.append("Jet_jetId")
    if parameters.jet.pu_id is not None:
        optional.append("Jet_puId")
    if isinstance(parameters, LeptonSelection):
        needed += [*_MUON, *_ELECTRON]
        optional += _IDENTIFICATION
    if isinstance(parameters, SingleLeptonSelection | DileptonSelection):
        needed += [*_SOFT_MUON, *(f"{MET_OF_KIND[parameters.met]}_{field}" for field in ("pt", "phi"))]
        needed += ["Muon_dxy", "Muon_dxyErr"] if parameters.soft_muon.min_dxy_significance > 0 else ()
    if isinstance(parameters, SingleLeptonSelection):
        needed += _LEPTON_FRACTIONS if parameters.max_lepton_fraction is not None else ()
    if isinstance(parameters, SingleLeptonSelection) and parameters.qcd_suppression is not None:
        if parameters.lepton == "muon":
            needed += _PROMPT_MUON
        else:
            optional += [*_PROMPT_ELECTRON, f"Electron_{parameters.qcd_suppression.isolation}"]
    return Branches(tuple(dict.fromkeys(needed)), tuple(optional), parameters.triggers)


def with_simulation(
    branches: Branches,
    simulation: Collection[str],
    optional_simulation: Collection[str],
    *,
    moved_met: str | None = None,
) -> Branches:
    """Return the branches and what is read of simulation besides.

    Args:
        branches: What is read of data, too.
        simulation: Needed ones.
        optional_simulation: Ones it may lack.
        moved_met: The missing energy whose unclustered part is varied; None where none is.
    """
    return replace(
        branches,
        simulation=tuple(sorted(simulation)),
        optional_simulation=tuple(sorted(optional_simulation)),
        moved_met=moved_met,
    )


def met_of(parameters: Selection) -> str | None:
    """Return the missing energy that a selection cuts on; None where it does not."""
    if isinstance(parameters, SingleLeptonSelection | DileptonSelection):
        return MET_OF_KIND[parameters.met]
    return None


def with_counters(branches: Collection[str]) -> frozenset[str]:
    """Return the branches, and what their number in each event would be called."""
    return frozenset([*branches, *(f"n{branch.partition('_')[0]}" for branch in branches)])


def missing(needed: Collection[str], available: Collection[str]) -> tuple[str, ...]:
    """Return the branches for which a file has no name at all."""
    return tuple(branch for branch in needed if resolve(branch, available) is None)


def resolve(branch: str, available: Collection[str]) -> str | None:
    """Return the name under which a branch is available, or None."""
    return next((name for name in (branch, *ALIASES.get(branch, ())) if name in available), None)


def column(events: ak.Array, branch: str) -> ak.Array | None:
    """Return a branch of the events by its name in the file, or None where no name of it is there.

    The number of objects (`nJet`) is that of their collection, which coffea shows in its place.
    """
    for name in (branch, *ALIASES.get(branch, ())):
        collection, _, field = name.partition("_")
        if collection in events.fields and (not field or field in events[collection].fields):
            return events[collection][field] if field else events[collection]
    counted = branch.removeprefix("n")
    if counted != branch and counted in events.fields and events[counted].ndim > 1:
        return ak.num(events[counted], axis=1)
    return None
