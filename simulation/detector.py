"""A parameterised detector: which particles are seen, how well, and where tracks pass the primary vertex."""
# ruff: noqa: NPY002 (inside kernels `np.random` is numba's own generator, seeded for each event)

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulation.compiled import kernel
from simulation.measurement import draw, measure_track, set_momentum
from simulation.pileup import PIECES, add_pileup_jet, add_stray_track
from simulation.pythia import GeneratedParticles
from simulation.records import (
    FAKE_MUON,
    GHOST,
    NOT_A_MUON,
    PARTICLE,
    PARTON,
    TRUE_MUON,
    Records,
)
from simulation.scenarios import Detector
from simulation.truth import collect_ghosts, collect_partons, trace_origins

_ELECTRON, _MUON, _PHOTON, _PION, _KAON, _PROTON = 11, 13, 22, 211, 321, 2212
NEUTRINOS = (12, 14, 16)
MM = 0.1
"""PYTHIA's millimetres in cm."""
_MIN_TRACK_PT = 0.25
_TRACKER_ETA, _CALORIMETER_ETA, _MUON_ETA = 2.5, 5.0, 2.4


class DetectedEvents(NamedTuple):
    """What the detector saw of a batch. Rows of event k are ``offsets[k]`` to ``offsets[k + 1]``.

    Attributes:
        vertices: Primary vertex as measured, in cm, shape ``(n_events, 3)``; the true one is at 0.
        met: Missing transverse momentum, x and y, in GeV, shape ``(n_events, 2)``.
    """

    particles: Records
    offsets: NDArray[Any]
    ghosts: Records
    ghost_offsets: NDArray[Any]
    partons: Records
    parton_offsets: NDArray[Any]
    vertices: NDArray[np.float64]
    met: NDArray[np.float64]


@kernel
def charge_of(pdg: int) -> int:
    """Return the charge of a particle that reaches the tracker, 0 for all others."""
    kind = abs(pdg)
    sign = 1 if pdg > 0 else -1
    if kind in (_PION, _KAON, _PROTON, 3222):  # Sigma+
        return sign
    if kind in (_ELECTRON, _MUON, 3112, 3312, 3334):  # Sigma-, Xi-, Omega-
        return -sign
    return 0


@kernel
def tracking_efficiency(kind: int, pt: float, eta: float, radius: float, detector: Detector) -> float:
    """Return the probability to find the track of a particle produced at a radius (cm) from the beam."""
    if pt <= _MIN_TRACK_PT or abs(eta) >= _TRACKER_ETA or radius > 40.0:
        return 0.0
    if kind == _MUON:
        efficiency = 0.995
    elif kind == _ELECTRON:
        efficiency = 0.93
    else:
        efficiency = detector.efficiency_barrel if abs(eta) < 1.5 else detector.efficiency_endcap
    if pt < 1.0:
        efficiency *= 0.93
    # Each layer of pixels and strips that a late decay leaves out costs.
    if radius > 2.9:
        efficiency *= 0.92
    if radius > 6.8:
        efficiency *= 0.80
    if radius > 10.9:
        efficiency *= 0.70
    if radius > 16.0:
        efficiency *= 0.60
    return efficiency * detector.efficiency_scale


@kernel
def energy_response(kind: int, charge: int, pt: float, energy: float, tracked: bool, normal: float) -> float:
    """Return measured over true momentum, 0 for a particle that leaves no trace."""
    if tracked:
        sigma = math.hypot(0.008, 0.00015 * pt)
    elif kind in (_PHOTON, _ELECTRON):
        if energy < 0.3:
            return 0.0
        sigma = math.hypot(0.03 / math.sqrt(energy), 0.01)
    elif kind == _MUON or (charge != 0 and pt <= _MIN_TRACK_PT) or energy < 0.8:
        return 0.0
    else:
        sigma = math.hypot(0.9 / math.sqrt(energy), 0.05)
    return max(1.0 + sigma * normal, 0.05)


@kernel
def muon_identity(kind: int, pt: float, eta: float, detector: Detector, uniform: float) -> int:
    """Return whether a track is taken for a muon, rightly or wrongly."""
    if abs(eta) > _MUON_ETA:
        return NOT_A_MUON
    if kind == _MUON:
        found = pt > 3.0 and uniform < detector.muon_efficiency
        return TRUE_MUON if found else NOT_A_MUON
    if pt < 4.0 or kind not in (_PION, _KAON, _PROTON):
        return NOT_A_MUON
    rate = detector.kaon_to_muon if kind == _KAON else detector.pion_to_muon
    if kind == _PROTON:
        rate *= 0.3
    return FAKE_MUON if uniform < rate else NOT_A_MUON


@kernel
def see_particle(
    particle: Any, pdg: int, px: float, py: float, pz: float, energy: float,
    x: float, y: float, z: float, vertex: NDArray[Any], detector: Detector,
) -> bool:  # fmt: skip
    """Fill what is seen of a stable particle produced at (x, y, z); return False where nothing is."""
    kind, charge = abs(pdg), charge_of(pdg)
    pt, radius = math.sqrt(px * px + py * py), math.sqrt(x * x + y * y)
    if not pt > 1e-3:
        return False
    eta = math.asinh(pz / pt)
    if abs(eta) > _CALORIMETER_ETA:
        return False
    draws = draw(charge != 0 and pt > _MIN_TRACK_PT and abs(eta) < _TRACKER_ETA)
    tracked = charge != 0 and draws.efficiency < tracking_efficiency(kind, pt, eta, radius, detector)
    response = energy_response(kind, charge, pt, energy, tracked, draws.response)
    if response == 0.0:
        return False
    mass = math.sqrt(max(energy * energy - pt * pt - pz * pz, 0.0))
    set_momentum(particle, px * response, py * response, pz * response, mass)
    particle.eta, particle.phi = eta, math.atan2(py, px)
    particle.pdg, particle.charge, particle.tracked = pdg, charge, 1 if tracked else 0
    particle.x, particle.y, particle.z = x, y, z
    if tracked:
        measure_track(particle, kind not in (_ELECTRON, _MUON), vertex, detector, draws)
        particle.muon = muon_identity(kind, particle.pt, eta, detector, draws.muon)
    return True


@kernel
def see_event(
    generated: GeneratedParticles,
    begin: int,
    end: int,
    vertex: NDArray[Any],
    detector: Detector,
    particles: Records,
    n_particles: int,
) -> int:
    """Append what is seen of an event, rows `begin` to `end`; return the new number of particles."""
    origins = np.empty(end - begin, np.int64)
    trace_origins(generated, begin, end, origins)
    for row in range(begin, end):
        pdg = generated.pdg[row]
        if generated.status[row] <= 0 or abs(pdg) in NEUTRINOS:  # a positive status: it did not decay
            continue
        x = y = z = 0.0
        place = generated.vertex[row]
        if place >= 0:
            x, y, z = generated.x[place] * MM, generated.y[place] * MM, generated.z[place] * MM
        particle = particles[n_particles]
        if see_particle(
            particle, pdg, generated.px[row], generated.py[row], generated.pz[row], generated.energy[row],
            x, y, z, vertex, detector,
        ):  # fmt: skip
            particle.origin = origins[row - begin]
            n_particles += 1
    return n_particles


@kernel
def detect(
    generated: GeneratedParticles,
    events: NDArray[Any],
    seeds: NDArray[Any],
    n_stray: NDArray[Any],
    detector: Detector,
    particles: Records,
    ghosts: Records,
    partons: Records,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Fill particles, ghosts and partons of the wanted events; return their offsets, and the vertices.

    Args:
        generated: The whole batch.
        events: Rows of the wanted events, shape ``(n_events,)``.
        seeds: One seed an event, so that an event does not depend on those before it.
        n_stray: Tracks of other interactions, fake tracks, and jets of other interactions, shape
            ``(n_events, 3)``.
        detector: The knobs.
        particles: Zeroed and large enough, as are the next two.
        ghosts: See `truth.collect_ghosts`.
        partons: See `truth.collect_partons`.
    """
    offsets = np.zeros((3, len(events) + 1), np.int64)
    vertices = np.empty((len(events), 3))
    # Zeros, and not constants, which would be compiled on their own.
    n_particles, n_ghosts, n_partons = offsets[0, 0], offsets[1, 0], offsets[2, 0]
    for k in range(len(events)):
        np.random.seed(seeds[k])
        begin, end = generated.offsets[events[k]], generated.offsets[events[k] + 1]
        n_ghosts = collect_ghosts(generated, begin, end, ghosts, n_ghosts)
        n_partons = collect_partons(generated, begin, end, partons, n_partons)
        vertices[k, 0] = np.random.normal(0.0, detector.vertex_xy)
        vertices[k, 1] = np.random.normal(0.0, detector.vertex_xy)
        vertices[k, 2] = np.random.normal(0.0, detector.vertex_z)
        n_particles = see_event(generated, begin, end, vertices[k], detector, particles, n_particles)
        for i in range(n_stray[k, 0] + n_stray[k, 1]):
            add_stray_track(particles[n_particles], i >= n_stray[k, 0], vertices[k], detector)
            n_particles += 1
        for _ in range(n_stray[k, 2]):
            n_particles += add_pileup_jet(particles[n_particles:], vertices[k], detector)
        offsets[0, k + 1], offsets[1, k + 1], offsets[2, k + 1] = n_particles, n_ghosts, n_partons
    return offsets, vertices


def _missing_momentum(particles: Records, offsets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return minus the sum of all momenta of each event, x and y, shape ``(n_events, 2)``."""
    n_events = len(offsets) - 1
    event = np.repeat(np.arange(n_events), np.diff(offsets))
    missing = np.empty((n_events, 2))
    for column, name in enumerate(("px", "py")):
        missing[:, column] = -np.bincount(event, weights=particles[name], minlength=n_events)
    return missing


def detect_events(
    generated: GeneratedParticles,
    events: NDArray[np.int64],
    *,
    seeds: NDArray[np.uint32],
    n_stray: NDArray[np.int64],
    detector: Detector,
) -> DetectedEvents:
    """Return what the detector sees of some events of a batch; arguments as of `detect`."""
    n_generated = int(np.sum(np.diff(generated.offsets)[events]))
    # Pages of zeros that are never written cost nothing.
    n_added = int(n_stray[:, :2].sum() + n_stray[:, 2].sum() * PIECES)
    particles = np.zeros(n_generated + n_added + 1, PARTICLE)
    ghosts, partons = np.zeros(n_generated, GHOST), np.zeros(n_generated, PARTON)
    offsets, vertices = detect(generated, events, seeds, n_stray, detector, particles, ghosts, partons)
    n_particles, n_ghosts, n_partons = offsets[:, -1]
    particles = particles[:n_particles]
    return DetectedEvents(
        particles, offsets[0], ghosts[:n_ghosts], offsets[1], partons[:n_partons], offsets[2],
        vertices, _missing_momentum(particles, offsets[0]),
    )  # fmt: skip
