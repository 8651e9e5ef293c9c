"""Simulated files read back for their validation: jets, muons and decays of one process in one scenario."""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from events.files import open_root
from models.features import BRANCHES, JET_FIELDS, feature_matrix, index_of
from simulation.provenance import read_provenance
from simulation.simulate import truth_path
from simulation.validation.lifetimes import BRANCHES as DECAYS
from simulation.validation.lifetimes import LifetimeSums, sum_lifetimes

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Progress = Callable[[int, int], None]

MIN_JET_PT, MAX_JET_ETA, MAX_SUM_DELTA_R = 20.0, 2.5, 0.3
"""The jets a tagger is trained on: momentum, pseudorapidity, and how far the sum of the tracks is from the
jet (that of no tracks has no direction and is left out; no value passes). Source: thesis, section 2.2."""

MIN_GENERATED_PT = 30.0
"""Of the generated jets whose response is measured, in GeV."""

MAX_LEPTON_SHARE = 0.5
"""Of the energy of these jets, in muons or in electrons."""

UNKNOWN = -1

_PT, _ETA = index_of("Jet_pt"), index_of("Jet_eta")
_SUM_DELTA_R = index_of("Jet_DeepCSV_trackSumJetDeltaR")
_JET_TRUTH = ("Jet_hadronFlavour", "Jet_nBHadrons")
_MUON = ("Muon_pt", "Muon_eta", "Muon_phi", "Muon_charge", "Muon_dxy", "Muon_dxyErr")
_ELECTRON = ("Electron_pt",)
_EVENT = ("run", "luminosityBlock", "event", "PV_x", "PV_y", "MET_pt")
_RESPONSE = ("Jet_genJetIdx", "GenJet_pt", "Jet_muEF", "Jet_chEmEF")
_VERTEX = ("GenVtx_x", "GenVtx_y")


class Jets(NamedTuple):
    """All jets of a sample, `(n_jets,)` each but `raw`, which is the feature matrix `(n_jets, 67)`."""

    raw: NDArray[np.float32]
    flavour: NDArray[np.int8]
    """0 b, 1 bb, 2 c, 3 light; -1 unknown."""
    event: Integers
    """Position of the jet's event in the sample."""

    @property
    def pt(self) -> NDArray[np.float32]:
        """Transverse momentum in GeV."""
        return self.raw[:, _PT]

    @property
    def eta(self) -> NDArray[np.float32]:
        """Pseudorapidity."""
        return self.raw[:, _ETA]

    def accepted(self) -> "Jets":
        """Return the jets in the acceptance of the tagger's training."""
        inside = (self.pt > MIN_JET_PT) & (np.abs(self.eta) < MAX_JET_ETA)
        inside &= ~(self.raw[:, _SUM_DELTA_R] > MAX_SUM_DELTA_R)
        return Jets(self.raw[inside], self.flavour[inside], self.event[inside])


class Muons(NamedTuple):
    """All muons of a sample, `(n_muons,)` each."""

    pt: Floats
    eta: Floats
    phi: Floats
    charge: Integers
    origin: Integers
    """As `Muon_genPartFlav`: 1 prompt, 5 and 4 from b and c, 0 no muon; -1 unknown."""
    d0: Floats
    """Transverse impact parameter to the generated vertex, in cm."""
    d0_error: Floats
    """As reported: that of the track alone, in cm."""
    event: Integers


class Electrons(NamedTuple):
    """All electrons of a sample, `(n_electrons,)` each."""

    pt: Floats
    event: Integers


class Sample(NamedTuple):
    """What was read of one process in one scenario."""

    process: str
    scenario: str
    is_data: bool
    detector: Mapping[str, float]
    """The settings of the detector that the files were made with."""
    weight: Floats
    """Of each event; 1 in data."""
    jets: Jets
    muons: Muons
    electrons: Electrons
    met: Floats
    """Missing transverse momentum of each event, in GeV."""
    lifetimes: LifetimeSums | None
    """Of hadrons; None where the files do not hold them, as data do not."""
    response: Floats
    """Measured over generated momentum of jets generated above 30 GeV, `(n_matched,)`; empty in data."""
    notes: tuple[str, ...]
    """What the files lack."""

    @property
    def name(self) -> str:
        """Process and scenario in words."""
        return f"{self.process} ({self.scenario})"


Group = tuple[str, str]
"""Process and scenario."""


def group_files(files: Iterable[Path]) -> dict[Group, list[Path]]:
    """Return the files of each process and scenario, as their own metadata name them.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a file was not made by this simulation.
    """
    groups: dict[Group, list[Path]] = {}
    for path in files:
        request = read_provenance(path)["request"]
        groups.setdefault((request["process"], request["scenario"]), []).append(path)
    return groups


def read_sample(files: Sequence[Path], *, progress: Callable[[], None] | None = None) -> Sample:
    """Read the files of one process and scenario; the truth of data comes from the files beside them.

    Raises:
        ValueError: If a file lacks a branch, or a truth file does not belong to its data.
    """
    parts, first = [], 0
    for path in files:
        parts.append(_read_file(path, first))
        first += len(parts[-1].weight)
        if progress is not None:
            progress()
    head = parts[0]
    return head._replace(
        weight=np.concatenate([part.weight for part in parts]),
        jets=Jets(*(np.concatenate(column) for column in zip(*(part.jets for part in parts), strict=True))),
        muons=Muons(
            *(np.concatenate(column) for column in zip(*(part.muons for part in parts), strict=True))
        ),
        electrons=Electrons(
            *(np.concatenate(column) for column in zip(*(part.electrons for part in parts), strict=True))
        ),
        met=np.concatenate([part.met for part in parts]),
        lifetimes=_added([part.lifetimes for part in parts]),
        response=np.concatenate([part.response for part in parts]),
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
    )


def _read_file(path: Path, first_event: int) -> Sample:
    metadata = read_provenance(path)
    scenario = metadata["scenario"]
    with open_root(path) as file:
        tree = file.tree("Events")
        needed = [*_EVENT, *_MUON, *_ELECTRON, *BRANCHES]
        if missing := tree.missing(needed):
            raise ValueError(f"{path}: no branch {', '.join(missing)}: simulate this file again")
        optional = ["genWeight", "Muon_genPartFlav", *_JET_TRUTH, *_VERTEX, *_RESPONSE, *DECAYS]
        columns = tree.read([*needed, *(name for name in optional if name in tree)])
    truth, notes = _truth_of(path, columns)
    return Sample(
        process=metadata["request"]["process"],
        scenario=scenario["name"],
        is_data=scenario["is_data"],
        detector=scenario["detector"],
        weight=_weights(columns),
        jets=_jets(columns, truth, first_event),
        muons=_muons(columns, truth, first_event),
        electrons=Electrons(
            _flat(columns, "Electron_pt"), _event_of_each(columns, "Electron_pt", first_event)
        ),
        met=np.asarray(columns["MET_pt"], dtype=np.float64),
        lifetimes=sum_lifetimes(columns),
        response=_response(columns),
        notes=notes,
    )


def _truth_of(path: Path, columns: ak.Array) -> tuple[ak.Array | None, tuple[str, ...]]:
    """Return the columns that hold flavours and origins: of simulation itself, of data in another file."""
    if set(_JET_TRUTH) <= set(columns.fields):
        return columns, ()
    beside = truth_path(path)
    if not beside.is_file():
        return None, ("no truth file beside the data: no number by flavour",)
    with open_root(beside) as file:
        tree = file.tree("Events")
        names = [*_JET_TRUTH, "Muon_genPartFlav", "run", "luminosityBlock", "event"]
        if missing := tree.missing(names):
            raise ValueError(f"{beside}: no branch {', '.join(missing)}: simulate the data again")
        truth = tree.read(names)
    require_same_events(columns, truth, f"{beside}: not the truth of {path.name}")
    return truth, ()


def require_same_events(columns: ak.Array, truth: ak.Array, complaint: str) -> None:
    """Raise unless truth has the same events in the same order, with as many jets each.

    Raises:
        ValueError: If not; the message begins with `complaint`.
    """
    same = len(columns) == len(truth) and all(
        np.array_equal(np.asarray(columns[name]), np.asarray(truth[name]))
        for name in ("run", "luminosityBlock", "event")
    )
    if not same:
        raise ValueError(f"{complaint}: the events differ: simulate both again")
    counts, true_counts = (ak.num(part[name]) for part, name in ((columns, "Jet_pt"), (truth, _JET_TRUTH[0])))
    if not ak.all(counts == true_counts):
        raise ValueError(f"{complaint}: the numbers of jets differ: simulate both again")


def _weights(columns: ak.Array) -> Floats:
    if "genWeight" in columns.fields:
        return np.asarray(columns["genWeight"], dtype=np.float64)
    return np.ones(len(columns))


def _flat(columns: ak.Array, branch: str, kind: Any = np.float64) -> NDArray[Any]:
    return np.asarray(ak.flatten(columns[branch]), dtype=kind)


def _event_of_each(columns: ak.Array, branch: str, first_event: int) -> Integers:
    counts = np.asarray(ak.num(columns[branch]), dtype=np.int64)
    return first_event + np.repeat(np.arange(len(counts)), counts)


def _jets(columns: ak.Array, truth: ak.Array | None, first_event: int) -> Jets:
    raw = feature_matrix({field: np.asarray(ak.flatten(columns[f"Jet_{field}"])) for field in JET_FIELDS})
    flavour = np.full(len(raw), UNKNOWN, np.int8)
    if truth is not None:
        flavour = _labels(*(_flat(truth, branch, np.int64) for branch in _JET_TRUTH))
    return Jets(raw, flavour, _event_of_each(columns, "Jet_pt", first_event))


def _response(columns: ak.Array) -> Floats:
    if not set(_RESPONSE) <= set(columns.fields):
        return np.empty(0)
    index = columns["Jet_genJetIdx"]
    # A jet that is a lepton is measured far better than any other.
    chosen = (
        (index >= 0) & (columns["Jet_muEF"] < MAX_LEPTON_SHARE) & (columns["Jet_chEmEF"] < MAX_LEPTON_SHARE)
    )
    generated = columns["GenJet_pt"][index[chosen]]
    ratio = columns["Jet_pt"][chosen] / generated
    return np.asarray(ak.flatten(ratio[generated > MIN_GENERATED_PT]), dtype=np.float64)


def _added(sums: Sequence[LifetimeSums | None]) -> LifetimeSums | None:
    known = [part for part in sums if part is not None]
    return functools.reduce(LifetimeSums.plus, known) if known else None


def _labels(hadron_flavour: Integers, n_b_hadrons: Integers) -> NDArray[np.int8]:
    is_bb = (hadron_flavour == 5) & (n_b_hadrons >= 2)
    chosen = [is_bb, hadron_flavour == 5, hadron_flavour == 4, hadron_flavour == 0]
    return np.select(chosen, [1, 0, 2, 3], default=UNKNOWN).astype(np.int8)


def _muons(columns: ak.Array, truth: ak.Array | None, first_event: int) -> Muons:
    pt, phi = _flat(columns, "Muon_pt"), _flat(columns, "Muon_phi")
    origin = np.full(len(pt), UNKNOWN)
    if truth is not None and "Muon_genPartFlav" in truth.fields:
        origin = _flat(truth, "Muon_genPartFlav", np.int64)
    event = _event_of_each(columns, "Muon_pt", 0)
    # The interaction takes place at the origin where the files do not say otherwise.
    shift = [np.asarray(columns[f"PV_{axis}"], dtype=np.float64) for axis in "xy"]
    if set(_VERTEX) <= set(columns.fields):
        shift = [part - np.asarray(columns[name]) for part, name in zip(shift, _VERTEX, strict=True)]
    x, y = (part[event] for part in shift)
    return Muons(
        pt=pt,
        eta=_flat(columns, "Muon_eta"),
        phi=phi,
        charge=_flat(columns, "Muon_charge", np.int64),
        origin=origin,
        d0=_flat(columns, "Muon_dxy") + y * np.cos(phi) - x * np.sin(phi),
        d0_error=_flat(columns, "Muon_dxyErr"),
        event=first_event + event,
    )
