"""Anti-kT jets, what they are made of, and their true flavour by ghosts."""

import contextlib
import ctypes
import functools
import os
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import awkward as ak
import fastjet
import numpy as np
from numpy.typing import NDArray

from simulation.compiled import kernel
from simulation.detector import DetectedEvents
from simulation.geometry import delta_r
from simulation.records import JET, NOT_A_MUON, ORIGIN_BOTTOM, ORIGIN_CHARM, Records

RADIUS = 0.4
MIN_PT = 15.0
"""In GeV; below it no jet is kept, as in CMS files."""

_ELECTRON, _PHOTON = 11, 22


class Jets(NamedTuple):
    """Jets of a batch in order of falling pT. Rows of event k are ``offsets[k]`` to ``offsets[k + 1]``.

    Attributes:
        constituents: Rows of `DetectedEvents.particles`, jet after jet; ghosts are left out.
        constituent_offsets: Where the constituents of each jet begin and end, shape ``(n_jets + 1,)``.
        jet_of_particle: Each particle's jet, counted within the event, -1 for none, shape ``(n_particles,)``.
    """

    jets: Records
    offsets: NDArray[np.int64]
    constituents: NDArray[np.int64]
    constituent_offsets: NDArray[np.int64]
    jet_of_particle: NDArray[np.int32]


@contextlib.contextmanager
def _standard_output_closed() -> Iterator[None]:
    """Send what C++ prints meanwhile to nowhere."""
    flush_c = ctypes.CDLL(None).fflush
    sys.stdout.flush()
    flush_c(None)
    kept = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
        flush_c(None)
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


@functools.cache
def _definition() -> Any:
    """Return the jet definition; FastJet's banner, printed at the first clustering, is left out."""
    definition = fastjet.JetDefinition(fastjet.antikt_algorithm, RADIUS)
    one = ak.Array([[{"px": 1.0, "py": 0.0, "pz": 0.0, "E": 1.0}]], with_name="Momentum4D")
    with _standard_output_closed():
        fastjet.ClusterSequence(one, definition).inclusive_jets()
    return definition


def _joined(
    first: NDArray[Any], first_rows: NDArray[Any], second: NDArray[Any], second_rows: NDArray[Any]
) -> Any:
    column = np.empty(len(first) + len(second))
    column[first_rows] = first
    column[second_rows] = second
    return ak.contents.NumpyArray(column)


def _particles_and_ghosts(detected: DetectedEvents) -> ak.Array:
    """Return four-momenta per event: particles first, then ghosts."""
    offsets = detected.offsets + detected.ghost_offsets
    event_of_particle = np.repeat(np.arange(len(offsets) - 1), np.diff(detected.offsets))
    event_of_ghost = np.repeat(np.arange(len(offsets) - 1), np.diff(detected.ghost_offsets))
    particle_rows = np.arange(len(detected.particles)) + detected.ghost_offsets[event_of_particle]
    ghost_rows = np.arange(len(detected.ghosts)) + detected.offsets[event_of_ghost + 1]
    columns = [
        _joined(detected.particles[name], particle_rows, detected.ghosts[name], ghost_rows)
        for name in ("px", "py", "pz", "energy")
    ]
    record = ak.contents.RecordArray(
        columns, ["px", "py", "pz", "E"], parameters={"__record__": "Momentum4D"}
    )
    return ak.Array(ak.contents.ListOffsetArray(ak.index.Index64(offsets), record))


def cluster(detected: DetectedEvents) -> Jets:
    """Return the jets of a batch, everything but neutrinos included (isolated leptons too, as in CMS)."""
    sequence = fastjet.ClusterSequence(_particles_and_ghosts(detected), _definition())
    found = sequence.inclusive_jets(min_pt=MIN_PT)
    members = sequence.constituent_index(min_pt=MIN_PT)
    order = ak.argsort(found.px**2 + found.py**2, axis=1, ascending=False)
    found, members = found[order], members[order]
    offsets = _offsets(ak.num(found))
    jets = np.zeros(offsets[-1], JET)
    for name, field in (("px", "px"), ("py", "py"), ("pz", "pz"), ("energy", "E")):
        jets[name] = ak.to_numpy(ak.flatten(found[field]))
    jets["pt"] = np.hypot(jets["px"], jets["py"])
    jets["eta"] = np.arcsinh(jets["pz"] / jets["pt"])
    jets["phi"] = np.arctan2(jets["py"], jets["px"])
    jets["mass"] = np.sqrt(np.maximum(jets["energy"] ** 2 - jets["pt"] ** 2 - jets["pz"] ** 2, 0.0))
    per_jet = ak.flatten(members, axis=1)
    member_offsets = _offsets(ak.num(per_jet))
    flat = ak.to_numpy(ak.flatten(per_jet)).astype(np.int64)
    constituents = np.empty(len(flat), np.int64)
    constituent_offsets = np.zeros(len(jets) + 1, np.int64)
    jet_of_particle = np.full(len(detected.particles), -1, np.int32)
    fill_jets(
        detected, jets, offsets, flat, member_offsets, constituents, constituent_offsets, jet_of_particle
    )
    match_partons(detected, jets, offsets)
    return Jets(jets, offsets, constituents[: constituent_offsets[-1]], constituent_offsets, jet_of_particle)


def _offsets(counts: ak.Array) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(ak.to_numpy(counts))]).astype(np.int64)


@kernel
def add_energy(jet: Any, particle: Any) -> None:
    """Count a constituent and add its energy to the sum of its kind."""
    kind = abs(particle.pdg)
    jet.n_constituents += 1
    if particle.muon != NOT_A_MUON:
        jet.muon += particle.energy
    elif particle.tracked and kind == _ELECTRON:
        jet.charged_em += particle.energy
    elif particle.tracked:
        jet.charged_hadron += particle.energy
    elif kind in (_PHOTON, _ELECTRON):
        jet.neutral_em += particle.energy
    else:
        jet.neutral_hadron += particle.energy


@kernel
def fill_jets(
    detected: DetectedEvents,
    jets: Records,
    offsets: NDArray[Any],
    members: NDArray[Any],
    member_offsets: NDArray[Any],
    constituents: NDArray[Any],
    constituent_offsets: NDArray[Any],
    jet_of_particle: NDArray[Any],
) -> None:
    """Tell constituents from ghosts; fill energy fractions, hadron counts and hadron flavour.

    Args:
        detected: Particles and ghosts.
        jets: With momenta filled, all else zero.
        offsets: Of the jets per event.
        members: Per jet, positions among the event's particles and ghosts.
        member_offsets: Of the members per jet.
        constituents: See `Jets`; filled, as are the last two.
        constituent_offsets: See `Jets`.
        jet_of_particle: See `Jets`.
    """
    n_constituents = 0
    for event in range(len(offsets) - 1):
        first, first_ghost = detected.offsets[event], detected.ghost_offsets[event]
        n_particles = detected.offsets[event + 1] - first
        for j in range(offsets[event], offsets[event + 1]):
            jet = jets[j]
            for member in members[member_offsets[j] : member_offsets[j + 1]]:
                if member >= n_particles:
                    if detected.ghosts[first_ghost + member - n_particles].flavour == ORIGIN_BOTTOM:
                        jet.n_b_hadrons += 1
                    else:
                        jet.n_c_hadrons += 1
                    continue
                add_energy(jet, detected.particles[first + member])
                constituents[n_constituents] = first + member
                jet_of_particle[first + member] = j - offsets[event]
                n_constituents += 1
            constituent_offsets[j + 1] = n_constituents
            jet.charged_hadron /= jet.energy
            jet.neutral_hadron /= jet.energy
            jet.charged_em /= jet.energy
            jet.neutral_em /= jet.energy
            jet.muon /= jet.energy
            if jet.n_b_hadrons > 0:
                jet.hadron_flavour = ORIGIN_BOTTOM
            elif jet.n_c_hadrons > 0:
                jet.hadron_flavour = ORIGIN_CHARM


@kernel
def match_partons(detected: DetectedEvents, jets: Records, offsets: NDArray[Any]) -> None:
    """Fill the parton flavour: of a b, else of a c, else of the hardest parton nearby; 0 without any."""
    for event in range(len(offsets) - 1):
        for j in range(offsets[event], offsets[event + 1]):
            jet = jets[j]
            best_rank = best_pt = 0.0
            for row in range(detected.parton_offsets[event], detected.parton_offsets[event + 1]):
                parton = detected.partons[row]
                kind = abs(parton.pdg)
                rank = float(kind) if kind in (ORIGIN_CHARM, ORIGIN_BOTTOM) else 1.0
                if rank < best_rank or (rank == best_rank and parton.pt < best_pt):
                    continue
                if delta_r(parton.eta, parton.phi, jet.eta, jet.phi) < RADIUS:
                    best_rank, best_pt = rank, parton.pt
                    jet.parton_flavour = parton.pdg
