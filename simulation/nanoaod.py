"""Reconstructed events as columns with the names, types and precision of CMS's PFNano files."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.features import FEATURES, index_of
from simulation.events import ReconstructedEvents
from simulation.genparticles import GeneratorTruth, generated_jet_of
from simulation.jets import Jets
from simulation.leptons import Leptons
from simulation.randomness import RandomStreams
from simulation.reference_tagger import btag_scores, load_reference_tagger
from simulation.triggers import trigger_decisions

if TYPE_CHECKING:
    from simulation.theory import TheoryWeights

Column = NDArray[np.generic]

EVENTS_PER_LUMI_BLOCK = 1000
MUON_MASS, ELECTRON_MASS = 0.105658, 0.000511

FLAGS = (
    "goodVertices",
    "globalSuperTightHalo2016Filter",
    "HBHENoiseFilter",
    "HBHENoiseIsoFilter",
    "EcalDeadCellTriggerPrimitiveFilter",
    "BadPFMuonFilter",
    "BadPFMuonDzFilter",
    "eeBadScFilter",
    "ecalBadCalibFilter",
    "METFilters",
)
"""Filters of detector noise; here there is none, and all events pass."""

_CATEGORY = index_of("Jet_DeepCSV_vertexCategory")
_N_TRACKS = index_of("Jet_DeepCSV_jetNSelectedTracks")
_N_ETA_REL = index_of("Jet_DeepCSV_jetNTracksEtaRel")


@dataclass(frozen=True)
class Collection:
    """A collection: how many objects each event has, and the values of all objects behind one another."""

    counts: NDArray[np.int64]
    fields: dict[str, Column]


@dataclass(frozen=True)
class Columns:
    """Events as columns: values per event, and collections of objects."""

    events: dict[str, Column]
    collections: dict[str, Collection]


def rounded(values: NDArray[np.generic], bits: int = 10) -> NDArray[np.float32]:
    """Return values as float32 with so many bits of mantissa: as NanoAOD stores them, to compress well."""
    single = np.ascontiguousarray(values, dtype=np.float32)
    dropped = 23 - bits
    half, mask = np.uint32(1 << (dropped - 1)), np.uint32(0xFFFFFFFF << dropped & 0xFFFFFFFF)
    kept = ((single.view(np.uint32) + half) & mask).view(np.float32)
    return np.where(np.isfinite(single), kept, single)


def _kinematics(rows: NDArray[np.void]) -> dict[str, Column]:
    return {"pt": rounded(rows["pt"]), "eta": rounded(rows["eta"], 12), "phi": rounded(rows["phi"], 12)}


def _leptons(leptons: NDArray[np.void], mass: float) -> dict[str, Column]:
    return _kinematics(leptons) | {
        "mass": np.full(len(leptons), mass, np.float32),
        "charge": leptons["charge"].astype(np.int32),
        "pdgId": leptons["pdg"].astype(np.int32),
        "jetIdx": leptons["jet"].astype(np.int32),
        "pfRelIso03_all": rounded(leptons["isolation_03"]),
        "dxy": rounded(leptons["dxy"]),
        "dxyErr": rounded(leptons["dxy_error"]),
        "dz": rounded(leptons["dz"]),
        "dzErr": rounded(leptons["dz_error"]),
        "ip3d": rounded(leptons["ip3d"]),
        "sip3d": rounded(leptons["sip3d"]),
    }


def _muons(muons: Leptons, streams: RandomStreams, *, with_truth: bool) -> Collection:
    rows = muons.leptons
    is_fake = rows["fake"].astype(bool)
    # The rate of fakes is already that of tight muons.
    tight = is_fake | (streams.uniform("muon identification", len(rows)) < 0.985)
    every = np.ones(len(rows), bool)
    fields = _leptons(rows, MUON_MASS) | {
        "pfRelIso04_all": rounded(rows["isolation_04"]),
        "tightId": tight,
        "mediumId": every,
        "looseId": every,
        "isGlobal": every,
        "isPFcand": every,
    }
    if with_truth:
        # A muon that no generated muon stands behind is unmatched.
        fields["genPartFlav"] = np.where(is_fake, 0, rows["origin"]).astype(np.uint8)
    return Collection(np.diff(muons.offsets), fields)


def _electrons(electrons: Leptons, streams: RandomStreams) -> Collection:
    rows = electrons.leptons
    quality = np.where(rows["isolation_03"] < 0.1, streams.uniform("electron identification", len(rows)), 1.0)
    fields = _leptons(rows, ELECTRON_MASS) | {
        "deltaEtaSC": np.zeros(len(rows), np.float32),
        "cutBased": np.where(quality < 0.85, 4, 0).astype(np.int32),
        "mvaFall17V2Iso_WP80": quality < 0.82,
        "mvaFall17V2Iso_WP90": quality < 0.92,
    }
    return Collection(np.diff(electrons.offsets), fields)


def _lepton_indices(leptons: Leptons, jets: Jets) -> tuple[Column, Column, Column]:
    """Return for each jet the first and the second lepton in it (-1 for none), and how many there are."""
    event = np.repeat(np.arange(len(leptons.offsets) - 1), np.diff(leptons.offsets))
    within_event = np.arange(len(event)) - leptons.offsets[event]
    in_jet = leptons.leptons["jet"] >= 0
    jet = (jets.offsets[event] + leptons.leptons["jet"])[in_jet]
    order = np.argsort(jet, kind="stable")
    jet, index = jet[order], within_event[in_jet][order]
    n_jets = len(jets.jets)
    counts = np.bincount(jet, minlength=n_jets)
    begin = np.cumsum(counts) - counts
    padded = np.append(index, [-1, -1])
    first = np.where(counts > 0, padded[begin], -1)
    second = np.where(counts > 1, padded[np.minimum(begin + 1, len(index))], -1)
    return first.astype(np.int32), second.astype(np.int32), counts.astype(np.int32)


def _jet_id(jets: NDArray[np.void]) -> NDArray[np.int32]:
    """Return the bits of the jet identification: 2 for tight, 6 for tight that is no lepton either.

    Source:
        Jet identification of CMS for 2017 (CMS-PAS-JME-16-003, updated).
    """
    tight = (jets["neutral_hadron"] < 0.9) & (jets["neutral_em"] < 0.9) & (jets["n_constituents"] > 1)
    tight &= (jets["charged_hadron"] > 0) | (np.abs(jets["eta"]) > 2.4)
    no_lepton = (jets["muon"] < 0.8) & (jets["charged_em"] < 0.8)
    return np.where(tight, np.where(no_lepton, 6, 2), 0).astype(np.int32)


def _tagging_inputs(inputs: NDArray[np.float64]) -> dict[str, Column]:
    """Return the `Jet_DeepCSV_*` columns: counts as integers; the category as a float, as CMS has it."""
    fields: dict[str, Column] = {}
    for column, feature in enumerate(FEATURES):
        if feature.branch.startswith("Jet_DeepCSV_"):
            as_integer = feature.integer and column != _CATEGORY
            values = inputs[:, column]
            fields[feature.branch.removeprefix("Jet_")] = (
                values.astype(np.int32) if as_integer else rounded(values)
            )
    return fields


def with_garbage(inputs: NDArray[np.float64], streams: RandomStreams) -> NDArray[np.float64]:
    """Return the inputs with wild numbers in the slots of tracks that do not exist, shape ``(n_jets, 67)``.

    CMS files hold uninitialised memory there; whoever reads files must not rely on -999.
    """
    garbled = inputs.copy()
    for column, feature in enumerate(FEATURES):
        counts = {"selected_tracks": _N_TRACKS, "eta_rel_tracks": _N_ETA_REL}.get(feature.rule)
        if counts is None:
            continue
        sign_and_size = streams[f"garbage {column}"].uniform(-38.0, 38.0, len(inputs))
        beyond = inputs[:, counts] <= feature.track
        garbled[beyond, column] = (np.sign(sign_and_size) * 10.0 ** np.abs(sign_and_size))[beyond]
    return garbled


def _jets(
    events: ReconstructedEvents, streams: RandomStreams, *, with_truth: bool, uninitialised_tracks: bool
) -> Collection:
    jets = events.jets.jets
    muon1, muon2, n_muons = _lepton_indices(events.muons, events.jets)
    electron1, electron2, n_electrons = _lepton_indices(events.electrons, events.jets)
    # Of the jets of CMS that match no generated one, 0.31 have the tight identification.
    efficiency = np.where(jets["pileup"] > 0.5, 0.31, 0.97)
    passes_pileup_id = (jets["pt"] > 50) | (streams.uniform("pileup identification", len(jets)) < efficiency)
    fields = _kinematics(jets) | {
        "mass": rounded(jets["mass"]),
        # The energy scale is right without a correction, see the test of the response.
        "rawFactor": np.zeros(len(jets), np.float32),
        "chHEF": rounded(jets["charged_hadron"]),
        "neHEF": rounded(jets["neutral_hadron"]),
        "chEmEF": rounded(jets["charged_em"]),
        "neEmEF": rounded(jets["neutral_em"]),
        "muEF": rounded(jets["muon"]),
        "nConstituents": jets["n_constituents"].astype(np.int32),
        "jetId": _jet_id(jets),
        "puId": np.where(passes_pileup_id, 7, 0).astype(np.int32),
        "muonIdx1": muon1,
        "muonIdx2": muon2,
        "nMuons": n_muons,
        "electronIdx1": electron1,
        "electronIdx2": electron2,
        "nElectrons": n_electrons,
    }
    inputs = with_garbage(events.inputs, streams) if uninitialised_tracks else events.inputs
    fields |= _tagging_inputs(inputs)
    if (reference := load_reference_tagger()) is not None:
        scores = btag_scores(fields, reference)
        fields |= {name: rounded(column) for name, column in scores.items()}
    if with_truth:
        fields |= _jet_truth(events)
    return Collection(np.diff(events.jets.offsets), fields)


def _jet_truth(events: ReconstructedEvents) -> dict[str, Column]:
    names = {
        "hadronFlavour": "hadron_flavour",
        "partonFlavour": "parton_flavour",
        "nBHadrons": "n_b_hadrons",
        "nCHadrons": "n_c_hadrons",
    }
    truth: dict[str, Column] = {
        branch: events.jets.jets[name].astype(np.int32) for branch, name in names.items()
    }
    return truth | {"genJetIdx": generated_jet_of(events.jets, events.truth)}


def _generated(truth: GeneratorTruth) -> dict[str, Collection]:
    """Return the collections of the generator: particles, with places in cm, and jets."""
    particles, jets = truth.particles, truth.jets
    names = {"pdgId": "pdg", "status": "status", "statusFlags": "flags", "genPartIdxMother": "mother"}
    of_particles = _kinematics(particles) | {
        "mass": rounded(particles["mass"]),
        **{branch: particles[name].astype(np.int32) for branch, name in names.items()},
        **{name: rounded(particles[name]) for name in ("vx", "vy", "vz")},
        "decayLength": rounded(particles["decay_length"]),
    }
    of_jets = _kinematics(jets) | {
        "mass": rounded(jets["mass"]),
        "hadronFlavour": jets["hadron_flavour"].astype(np.uint8),
        "partonFlavour": jets["parton_flavour"].astype(np.int16),
    }
    return {
        "GenPart": Collection(np.diff(truth.offsets), of_particles),
        "GenJet": Collection(np.diff(truth.jet_offsets), of_jets),
    }


def _event_numbers(events: ReconstructedEvents, run: int) -> dict[str, Column]:
    return {
        "run": np.full(len(events), run, np.uint32),
        "luminosityBlock": (1 + events.number // EVENTS_PER_LUMI_BLOCK).astype(np.uint32),
        "event": (1 + events.number).astype(np.uint64),
    }


def _theory(theory: "TheoryWeights") -> dict[str, Column]:
    """Return weights, shape ``(n_events, n_variations)``, and what is known of the hard process."""
    return theory.hard_process | {name: rounded(weights) for name, weights in theory.branches().items()}


def nano_columns(
    events: ReconstructedEvents,
    *,
    run: int,
    streams: RandomStreams,
    is_data: bool,
    uninitialised_tracks: bool = False,
    theory: "TheoryWeights | None" = None,
) -> Columns:
    """Return the columns of the Events tree; data hold nothing that only the generator knows."""
    n_events = len(events)
    detected, vertices = events.detected, events.detected.vertices
    muons = _muons(events.muons, streams, with_truth=not is_data)
    electrons = _electrons(events.electrons, streams)
    jets = _jets(events, streams, with_truth=not is_data, uninitialised_tracks=uninitialised_tracks)
    other_vertices = streams["other vertices"].poisson(0.7 * events.n_pileup)
    columns: dict[str, Column] = {
        **_event_numbers(events, run),
        "PV_x": rounded(vertices[:, 0]),
        "PV_y": rounded(vertices[:, 1]),
        "PV_z": rounded(vertices[:, 2]),
        "PV_npvs": (1 + other_vertices).astype(np.int32),
        "PV_npvsGood": (1 + other_vertices).astype(np.int32),
        # Neither pileup nor the underlying event leaves energy: the median density is zero.
        "fixedGridRhoFastjetAll": np.zeros(n_events, np.float32),
        "MET_pt": rounded(np.hypot(detected.met[:, 0], detected.met[:, 1])),
        "MET_phi": rounded(np.arctan2(detected.met[:, 1], detected.met[:, 0]), 12),
    }
    columns |= {f"Flag_{name}": np.ones(n_events, bool) for name in FLAGS}
    columns |= trigger_decisions(events.muons, muons.fields, events.electrons, electrons.fields, streams)
    if not is_data:
        columns["genWeight"] = events.weights.astype(np.float32)
        columns["Pileup_nTrueInt"] = events.n_pileup.astype(np.float32)
        columns |= _theory(theory) if theory is not None else {}
    collections = {"Jet": jets, "Muon": muons, "Electron": electrons}
    return Columns(columns, collections if is_data else collections | _generated(events.truth))


def truth_columns(events: ReconstructedEvents, *, run: int) -> Columns:
    """Return what a data file hides: the flavour of jets and the origin of muons, for closure tests."""
    origin = np.where(events.muons.leptons["fake"] == 1, 0, events.muons.leptons["origin"])
    jets = Collection(np.diff(events.jets.offsets), _jet_truth(events))
    muons = Collection(np.diff(events.muons.offsets), {"genPartFlav": origin.astype(np.uint8)})
    return Columns(_event_numbers(events, run), {"Jet": jets, "Muon": muons} | _generated(events.truth))
