"""What the generator knows, as NanoAOD has it: the particles that matter, and jets of all stable ones."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulation.clustering import RADIUS, anti_kt_jets
from simulation.compiled import kernel, lean_kernel
from simulation.detector import MM, NEUTRINOS, DetectedEvents
from simulation.geometry import delta_r
from simulation.jets import Jets, count_hadron, hadron_flavour, jet_records, match_partons, momenta_of
from simulation.pythia import GeneratedParticles
from simulation.records import GENERATED, MOMENTUM, ORIGIN_PROMPT, ORIGIN_TAU, Records
from simulation.truth import heavy_flavour, is_hadron, is_last_of_its_flavour, trace_origins

MIN_JET_PT = 10.0
"""In GeV, of generated jets."""
MAX_JET_ETA = 3.0
"""Of generated jets: what tracks reach, and more; beyond, their parts are not looked at."""
MIN_LEPTON_PT = 3.0
MIN_STRANGE_PT, MAX_STRANGE_ETA = 1.0, 2.5
"""Of the K0S and Lambdas that are kept."""

IS_PROMPT, IS_DECAYED, IS_TAU_PRODUCT, IS_PROMPT_TAU_PRODUCT, IS_HADRON_PRODUCT = 0, 1, 2, 3, 6
IS_HARD_PROCESS, FROM_HARD_PROCESS, IS_FIRST_COPY, IS_LAST_COPY = 7, 8, 12, 13
"""The bits of `GenPart_statusFlags` that are filled, numbered as in NanoAOD. Products of taus are those of
prompt taus alone; the other bits are 0."""

_ELECTRON, _MUON, _TAU, _TOP, _GLUON, _PHOTON, _Z, _W = 11, 13, 15, 6, 21, 22, 23, 24
_KAON_SHORT, _LAMBDA = 310, 3122
_FIRST_HARD, _LAST_HARD = 21, 29
"""PYTHIA's status codes (absolute) of the hard process."""
_FIRST_PRIMARY, _LAST_PRIMARY = 81, 89
"""Of hadrons that strings made."""
_FORWARD = 20_000.0
"""Pseudorapidity of what has no transverse momentum."""


class GeneratorTruth(NamedTuple):
    """Particles and jets of the generator. Rows of event k are ``offsets[k]`` to ``offsets[k + 1]``."""

    particles: Records
    offsets: NDArray[np.int64]
    jets: Records
    jet_offsets: NDArray[np.int64]


@lean_kernel
def _is_last_copy(generated: GeneratedParticles, begin: int, row: int) -> bool:
    first = generated.first_daughter[row]
    for daughter in range(first, max(generated.last_daughter[row], first) + 1):
        if daughter > 0 and generated.pdg[begin + daughter] == generated.pdg[row]:
            return False
    return True


@lean_kernel
def _may_be_kept(kind: int, status: int) -> bool:
    """Return False for most particles, soon."""
    if _FIRST_HARD <= abs(status) <= _LAST_HARD:
        return True
    if kind in (_ELECTRON, _MUON):
        return status > 0
    return kind in (_TOP, _Z, _W, _TAU, _KAON_SHORT, _LAMBDA) or heavy_flavour(kind) > 0


@lean_kernel
def is_kept(generated: GeneratedParticles, begin: int, row: int) -> bool:
    """Return whether a particle of the event that starts at `begin` is written.

    Kept are the hard process, the last copies of W, Z, top and tau, stable electrons and muons, the heavy
    hadrons that decay weakly, K0S and Lambda.
    """
    kind, status = abs(generated.pdg[row]), generated.status[row]
    if _FIRST_HARD <= abs(status) <= _LAST_HARD:
        return True
    if kind in (_TOP, _Z, _W, _TAU):
        return _is_last_copy(generated, begin, row)
    pt = math.hypot(generated.px[row], generated.py[row])
    if kind in (_ELECTRON, _MUON):
        return bool(status > 0 and pt > MIN_LEPTON_PT)
    if kind in (_KAON_SHORT, _LAMBDA):
        return bool(pt > MIN_STRANGE_PT and abs(math.asinh(generated.pz[row] / pt)) < MAX_STRANGE_ETA)
    flavour = heavy_flavour(kind)
    return flavour > 0 and is_last_of_its_flavour(generated, begin, row, flavour)


@lean_kernel
def mother_of(generated: GeneratedParticles, begin: int, row: int) -> int:
    """Return the mother, counted in the event: of a heavy hadron of a string, the quark of its flavour."""
    mother = generated.mother[row]
    if not _FIRST_PRIMARY <= abs(generated.status[row]) <= _LAST_PRIMARY:
        return int(mother)
    flavour = heavy_flavour(abs(generated.pdg[row]))
    eta = math.asinh(generated.pz[row] / math.hypot(generated.px[row], generated.py[row]))
    phi = math.atan2(generated.py[row], generated.px[row])
    nearest = np.inf
    for candidate in range(generated.mother[row], generated.last_mother[row] + 1):
        quark = begin + candidate
        if flavour == 0 or abs(generated.pdg[quark]) != flavour:
            continue
        pt = math.hypot(generated.px[quark], generated.py[quark]) + 1e-9
        distance = delta_r(
            math.asinh(generated.pz[quark] / pt),
            math.atan2(generated.py[quark], generated.px[quark]),
            eta,
            phi,
        )
        if distance < nearest:
            mother, nearest = candidate, distance
    return int(mother)


@lean_kernel
def status_flags(generated: GeneratedParticles, begin: int, row: int, origin: int) -> int:
    """Return the bits that say what kind of particle this is."""
    pdg, mother = generated.pdg[row], generated.mother[row]
    mother_pdg = generated.pdg[begin + mother] if mother > 0 else 0
    flags = 0
    if origin == ORIGIN_PROMPT:
        flags |= 1 << IS_PROMPT
    if generated.status[row] < 0 and (is_hadron(abs(pdg)) or abs(pdg) == _TAU):
        flags |= 1 << IS_DECAYED
    if origin == ORIGIN_TAU:
        flags |= (1 << IS_TAU_PRODUCT) | (1 << IS_PROMPT_TAU_PRODUCT)
    if is_hadron(abs(mother_pdg)):
        flags |= 1 << IS_HADRON_PRODUCT
    if mother_pdg != pdg:
        flags |= 1 << IS_FIRST_COPY
    if _is_last_copy(generated, begin, row):
        flags |= 1 << IS_LAST_COPY
    copy = row
    while generated.mother[copy] > 0 and generated.pdg[begin + generated.mother[copy]] == pdg:
        if _FIRST_HARD <= abs(generated.status[copy]) <= _LAST_HARD:
            break
        copy = begin + generated.mother[copy]
    if _FIRST_HARD <= abs(generated.status[copy]) <= _LAST_HARD:
        flags |= 1 << FROM_HARD_PROCESS
        if copy == row:
            flags |= 1 << IS_HARD_PROCESS
    return flags


@lean_kernel
def _fill_vertices(particle: Any, generated: GeneratedParticles, begin: int, row: int) -> None:
    """Fill where a particle came to be, and how far from there it decayed (-1 if it did not), in cm."""
    place = generated.vertex[row]
    if place >= 0:
        particle.vx, particle.vy = generated.x[place] * MM, generated.y[place] * MM
        particle.vz = generated.z[place] * MM
    particle.decay_length = -1.0
    daughter, kind = generated.first_daughter[row], abs(particle.pdg)
    if generated.status[row] < 0 and daughter > 0 and (is_hadron(kind) or kind == _TAU):
        dx, dy, dz = -particle.vx, -particle.vy, -particle.vz
        place = generated.vertex[begin + daughter]
        if place >= 0:
            dx += generated.x[place] * MM
            dy += generated.y[place] * MM
            dz += generated.z[place] * MM
        particle.decay_length = math.sqrt(dx * dx + dy * dy + dz * dz)


@lean_kernel
def _fill_generated(particle: Any, generated: GeneratedParticles, begin: int, row: int, origin: int) -> None:
    px, py, pz = generated.px[row], generated.py[row], generated.pz[row]
    particle.pdg = generated.pdg[row]
    kind, status = abs(particle.pdg), generated.status[row]
    particle.pt, particle.phi = math.hypot(px, py), math.atan2(py, px)
    particle.eta = math.asinh(pz / particle.pt) if particle.pt > 1e-6 else math.copysign(_FORWARD, pz)
    if kind > 3 and kind not in (*NEUTRINOS, _GLUON, _PHOTON):  # the others have no mass
        particle.mass = math.sqrt(max(generated.energy[row] ** 2 - px * px - py * py - pz * pz, 0.0))
    decayed = status < 0 and (is_hadron(kind) or kind == _TAU)
    particle.status = 1 if status > 0 else (2 if decayed else -status)
    particle.flags = status_flags(generated, begin, row, origin)
    _fill_vertices(particle, generated, begin, row)


@kernel
def collect_generated(
    generated: GeneratedParticles, events: NDArray[Any], particles: Records, offsets: NDArray[Any]
) -> None:
    """Fill the kept particles of the wanted events; a mother is the nearest one up the line that is kept."""
    n_kept = 0
    for k in range(len(events)):
        begin, end = generated.offsets[events[k]], generated.offsets[events[k] + 1]
        origins, place = np.empty(end - begin, np.int64), np.full(end - begin, -1, np.int64)
        trace_origins(generated, begin, end, origins)
        for row in range(begin, end):
            if not _may_be_kept(abs(generated.pdg[row]), generated.status[row]):
                continue
            if not is_kept(generated, begin, row):
                continue
            _fill_generated(particles[n_kept], generated, begin, row, origins[row - begin])
            above = mother_of(generated, begin, row)
            while above > 0 and place[above] < 0:
                above = mother_of(generated, begin, begin + above)
            particles[n_kept].mother = place[above] if above > 0 else -1
            place[row - begin] = n_kept - offsets[k]
            n_kept += 1
        offsets[k + 1] = n_kept


@lean_kernel
def collect_stable(
    generated: GeneratedParticles, events: NDArray[Any], momenta: Records, offsets: NDArray[Any]
) -> None:
    """Fill the momenta of what generated jets are made of: stable ones but neutrinos, not far forward."""
    slope = math.sinh(MAX_JET_ETA + RADIUS)
    n_stable = 0
    for k in range(len(events)):
        for row in range(generated.offsets[events[k]], generated.offsets[events[k] + 1]):
            if generated.status[row] <= 0 or abs(generated.pdg[row]) in NEUTRINOS:
                continue
            px, py, pz = generated.px[row], generated.py[row], generated.pz[row]
            if abs(pz) > math.hypot(px, py) * slope:
                continue
            momentum = momenta[n_stable]
            momentum.px, momentum.py, momentum.pz, momentum.energy = px, py, pz, generated.energy[row]
            n_stable += 1
        offsets[k + 1] = n_stable


@lean_kernel
def count_members(
    jets: Records, offsets: NDArray[Any], members: NDArray[Any], member_offsets: NDArray[Any],
    stable_offsets: NDArray[Any], ghosts: Records, ghost_offsets: NDArray[Any],
) -> None:  # fmt: skip
    """Fill the hadron flavour of generated jets from the ghosts among their members."""
    for event in range(len(offsets) - 1):
        n_stable = stable_offsets[event + 1] - stable_offsets[event]
        for j in range(offsets[event], offsets[event + 1]):
            for member in members[member_offsets[j] : member_offsets[j + 1]]:
                if member >= n_stable:
                    count_hadron(jets[j], ghosts[ghost_offsets[event] + member - n_stable])
            jets[j].hadron_flavour = hadron_flavour(jets[j])


class GeneratedJets(NamedTuple):
    """Jets of stable particles. Rows of event k are ``offsets[k]`` to ``offsets[k + 1]``."""

    jets: Records
    offsets: NDArray[np.int64]


def jets_of(stable: Records, stable_offsets: NDArray[np.int64], detected: DetectedEvents) -> GeneratedJets:
    """Return the jets of stable particles; `detected` holds the ghosts and partons of the events."""
    ghosts, ghost_offsets = detected.ghosts, detected.ghost_offsets
    momenta = momenta_of(stable, stable_offsets, ghosts, ghost_offsets)
    clustered = anti_kt_jets(momenta, stable_offsets + ghost_offsets, min_pt=MIN_JET_PT, max_eta=MAX_JET_ETA)
    jets = jet_records(clustered)
    count_members(
        jets, clustered.offsets, clustered.members, clustered.member_offsets, stable_offsets, ghosts,
        ghost_offsets,
    )  # fmt: skip
    match_partons(detected.partons, detected.parton_offsets, jets, clustered.offsets)
    return GeneratedJets(jets, clustered.offsets)


def generator_truth(
    generated: GeneratedParticles, events: NDArray[np.int64], detected: DetectedEvents
) -> GeneratorTruth:
    """Return the particles and jets of some events of a batch, whose ghosts and partons are given."""
    n_generated = int(np.sum(np.diff(generated.offsets)[events]))
    particles, offsets = np.zeros(n_generated, GENERATED), np.zeros(len(events) + 1, np.int64)
    collect_generated(generated, events, particles, offsets)
    stable, stable_offsets = np.empty(n_generated, MOMENTUM), np.zeros(len(events) + 1, np.int64)
    collect_stable(generated, events, stable, stable_offsets)
    found = jets_of(stable[: stable_offsets[-1]], stable_offsets, detected)
    return GeneratorTruth(particles[: offsets[-1]], offsets, found.jets, found.offsets)


@kernel
def _match(
    jets: Records, offsets: NDArray[Any], others: Records, other_offsets: NDArray[Any], radius: float,
    matched: NDArray[Any],
) -> None:  # fmt: skip
    taken = np.zeros(len(others), np.bool_)
    for event in range(len(offsets) - 1):
        for j in range(offsets[event], offsets[event + 1]):
            nearest, best = radius, -1
            for other in range(other_offsets[event], other_offsets[event + 1]):
                distance = delta_r(jets[j].eta, jets[j].phi, others[other].eta, others[other].phi)
                if distance < nearest and not taken[other]:
                    nearest, best = distance, other
            if best >= 0:
                taken[best] = True
                matched[j] = best - other_offsets[event]


def nearest_of(
    jets: Records,
    offsets: NDArray[np.int64],
    others: Records,
    other_offsets: NDArray[np.int64],
    radius: float,
) -> NDArray[np.int32]:
    """Return each jet's nearest other jet within `radius`, counted in its event, -1 for none.

    Each of the others is given away once; the first jet of an event chooses first. Shape ``(n_jets,)``.
    """
    matched = np.full(len(jets), -1, np.int32)
    _match(jets, offsets, others, other_offsets, radius, matched)
    return matched


def generated_jet_of(jets: Jets, truth: GeneratorTruth) -> NDArray[np.int32]:
    """Return each jet's nearest generated jet within 0.4, in its event, -1 for none, shape ``(n_jets,)``.

    Each generated jet is given away once; the hardest jet chooses first, as in CMS.
    """
    return nearest_of(jets.jets, jets.offsets, truth.jets, truth.jet_offsets, RADIUS)
