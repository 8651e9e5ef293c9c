"""Anti-kT jets, what they are made of, and their true flavour by ghosts."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulation.clustering import RADIUS, ClusteredJets, anti_kt_jets, in_order_of_pt
from simulation.compiled import kernel
from simulation.detector import DetectedEvents
from simulation.geometry import delta_r
from simulation.hashing import hashed_normal
from simulation.records import JET, NOT_A_MUON, ORIGIN_BOTTOM, ORIGIN_CHARM, ORIGIN_PILEUP, Records
from simulation.scenarios import Detector

MIN_PT = 15.0
"""In GeV; below it no jet is kept, as in CMS files."""

_MIN_PT_BEFORE = 8.0
"""Of jets before they are smeared."""
_ELECTRON, _PHOTON = 11, 22


class Jets(NamedTuple):
    """Jets of a batch in order of falling pT. Rows of event k are ``offsets[k]`` to ``offsets[k + 1]``.

    Attributes:
        constituents: Rows of `DetectedEvents.particles`, jet after jet; ghosts are left out.
        constituent_offsets: Where the constituents of each jet begin and end, shape ``(n_jets + 1,)``.
        jet_of_particle: Each particle's jet, counted within the event, -1 for none, shape ``(n_particles,)``.
        added: Momentum, x and y, that the jets of an event have beyond their particles, from errors of the
            calorimeters, shape ``(n_events, 2)``.
    """

    jets: Records
    offsets: NDArray[np.int64]
    constituents: NDArray[np.int64]
    constituent_offsets: NDArray[np.int64]
    jet_of_particle: NDArray[np.int32]
    added: NDArray[np.float64]


class Clustering(NamedTuple):
    """Jets before they are smeared, and what they were made of: the same momenta make the same jets.

    Attributes:
        momenta: See `momenta_of`.
        offsets: Of the momenta per event, shape ``(n_events + 1,)``.
    """

    momenta: NDArray[np.float64]
    offsets: NDArray[np.int64]
    jets: ClusteredJets


def momenta_of(
    particles: Records, offsets: NDArray[np.int64], ghosts: Records, ghost_offsets: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return four-momenta event by event, particles first, then ghosts, shape ``(n_both, 4)``."""
    event_of_particle = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    event_of_ghost = np.repeat(np.arange(len(offsets) - 1), np.diff(ghost_offsets))
    particle_rows = np.arange(len(particles)) + ghost_offsets[event_of_particle]
    ghost_rows = np.arange(len(ghosts)) + offsets[event_of_ghost + 1]
    momenta = np.empty((len(particles) + len(ghosts), 4))
    for column, name in enumerate(("px", "py", "pz", "energy")):
        momenta[particle_rows, column] = particles[name]
        momenta[ghost_rows, column] = ghosts[name]
    return momenta


def jet_records(clustered: ClusteredJets) -> Records:
    """Return records of jets with the momenta filled, all else zero."""
    jets = np.zeros(len(clustered.momenta), JET)
    for column, name in enumerate(("px", "py", "pz", "energy")):
        jets[name] = clustered.momenta[:, column]
    jets["pt"] = np.hypot(jets["px"], jets["py"])
    jets["eta"] = np.arcsinh(jets["pz"] / jets["pt"])
    jets["phi"] = np.arctan2(jets["py"], jets["px"])
    jets["mass"] = np.sqrt(np.maximum(jets["energy"] ** 2 - jets["pt"] ** 2 - jets["pz"] ** 2, 0.0))
    return jets


@kernel
def smear_jets(
    clustered: ClusteredJets, detected: DetectedEvents, seeds: NDArray[Any], detector: Detector,
    added: NDArray[Any],
) -> None:  # fmt: skip
    """Measure all of a jet but its muons as badly as calorimeters do; add up what momentum this adds.

    The random number of a jet depends on its event and leading particle, so that different detectors, which
    see the same event, make the same error.
    """
    for event in range(len(clustered.offsets) - 1):
        first, end = detected.offsets[event], detected.offsets[event + 1]
        for j in range(clustered.offsets[event], clustered.offsets[event + 1]):
            momentum = clustered.momenta[j]
            pt = math.hypot(momentum[0], momentum[1])
            muons, leading, direction = 0.0, 0.0, 0.0
            for member in clustered.members[clustered.member_offsets[j] : clustered.member_offsets[j + 1]]:
                if first + member >= end:
                    continue
                particle = detected.particles[first + member]
                if particle.muon != NOT_A_MUON:
                    muons += particle.energy
                if particle.pt > leading:
                    leading, direction = particle.pt, particle.phi
            variance = detector.jet_stochastic**2 / pt + detector.jet_constant**2
            sigma = math.sqrt(variance + (detector.jet_noise / pt) ** 2)
            shift = (
                detector.jet_energy_scale * max(1.0 + sigma * hashed_normal(seeds[event], direction), 0.2)
                - 1.0
            )
            shift *= max(1.0 - muons / momentum[3], 0.0)
            added[event, 0] += momentum[0] * shift
            added[event, 1] += momentum[1] * shift
            for component in range(4):
                momentum[component] *= 1.0 + shift


def cluster_particles(
    detected: DetectedEvents, *, min_pt: float = _MIN_PT_BEFORE, known: Clustering | None = None
) -> Clustering:
    """Return the jets of a batch above a pT, everything but neutrinos included (isolated leptons too).

    Those that are `known` are returned if they were made of the same momenta, as where two detectors differ
    in how they measure impact parameters only.
    """
    momenta = momenta_of(detected.particles, detected.offsets, detected.ghosts, detected.ghost_offsets)
    offsets = detected.offsets + detected.ghost_offsets
    if (
        known is not None
        and np.array_equal(offsets, known.offsets)
        and np.array_equal(momenta, known.momenta)
    ):
        return known
    return Clustering(momenta, offsets, anti_kt_jets(momenta, offsets, min_pt=min_pt))


def cluster(detected: DetectedEvents) -> Jets:
    """Return the jets of a batch as the sums of their parts."""
    added = np.zeros((len(detected.offsets) - 1, 2))
    return _described(detected, cluster_particles(detected, min_pt=MIN_PT).jets, added)


def measure_jets(
    detected: DetectedEvents, clustering: Clustering, *, seeds: NDArray[np.uint32], detector: Detector
) -> Jets:
    """Return the jets of a batch, smeared; `seeds` are one for each event."""
    clustered = clustering.jets._replace(momenta=clustering.jets.momenta.copy())
    added = np.zeros((len(detected.offsets) - 1, 2))
    smear_jets(clustered, detected, seeds, detector, added)
    return _described(detected, in_order_of_pt(clustered, min_pt=MIN_PT), added)


def _described(detected: DetectedEvents, clustered: ClusteredJets, added: NDArray[np.float64]) -> Jets:
    """Return jets with all that is known of them."""
    jets = jet_records(clustered)
    constituents = np.empty(len(clustered.members), np.int64)
    constituent_offsets = np.zeros(len(jets) + 1, np.int64)
    jet_of_particle = np.full(len(detected.particles), -1, np.int32)
    fill_jets(
        detected, jets, clustered.offsets, clustered.members, clustered.member_offsets, constituents,
        constituent_offsets, jet_of_particle,
    )  # fmt: skip
    match_partons(detected.partons, detected.parton_offsets, jets, clustered.offsets)
    constituents = constituents[: constituent_offsets[-1]]
    return Jets(jets, clustered.offsets, constituents, constituent_offsets, jet_of_particle, added)


@kernel
def add_energy(jet: Any, particle: Any) -> None:
    """Count a constituent and add its energy to the sum of its kind."""
    kind = abs(particle.pdg)
    jet.n_constituents += 1
    if particle.origin == ORIGIN_PILEUP:
        jet.pileup += particle.energy
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
def count_hadron(jet: Any, ghost: Any) -> None:
    """Count a ghost among the heavy hadrons of a jet."""
    if ghost.flavour == ORIGIN_BOTTOM:
        jet.n_b_hadrons += 1
    else:
        jet.n_c_hadrons += 1


@kernel
def hadron_flavour(jet: Any) -> int:
    """Return 5 or 4 for a jet with a bottom or else a charm hadron, 0 for one with none."""
    if jet.n_b_hadrons > 0:
        return ORIGIN_BOTTOM
    return ORIGIN_CHARM if jet.n_c_hadrons > 0 else 0


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
                    count_hadron(jet, detected.ghosts[first_ghost + member - n_particles])
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
            jet.pileup /= jet.energy
            jet.hadron_flavour = hadron_flavour(jet)


@kernel
def match_partons(
    partons: Records, parton_offsets: NDArray[Any], jets: Records, offsets: NDArray[Any]
) -> None:
    """Fill the parton flavour: of a b, else of a c, else of the hardest parton nearby; 0 without any."""
    for event in range(len(offsets) - 1):
        for j in range(offsets[event], offsets[event + 1]):
            jet = jets[j]
            best_rank = best_pt = 0.0
            for row in range(parton_offsets[event], parton_offsets[event + 1]):
                parton = partons[row]
                kind = abs(parton.pdg)
                rank = float(kind) if kind in (ORIGIN_CHARM, ORIGIN_BOTTOM) else 1.0
                if rank < best_rank or (rank == best_rank and parton.pt < best_pt):
                    continue
                if delta_r(parton.eta, parton.phi, jet.eta, jet.phi) < RADIUS:
                    best_rank, best_pt = rank, parton.pt
                    jet.parton_flavour = parton.pdg
