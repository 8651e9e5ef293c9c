"""A parameterised detector: which particles are seen, how well, and where tracks pass the primary vertex."""
# ruff: noqa: NPY002 (inside kernels `np.random` is numba's own generator, seeded for each event)

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulation.compiled import kernel
from simulation.pythia import GeneratedParticles
from simulation.records import (
    FAKE_MUON,
    GHOST,
    NOT_A_MUON,
    ORIGIN_UNKNOWN,
    PARTICLE,
    PARTON,
    TRUE_MUON,
    Records,
)
from simulation.scenarios import Detector
from simulation.truth import collect_ghosts, collect_partons, trace_origins

_ELECTRON, _MUON, _PHOTON, _PION, _KAON, _PROTON = 11, 13, 22, 211, 321, 2212
NEUTRINOS = (12, 14, 16)
_PION_MASS = 0.13957
MM = 0.1
"""PYTHIA's millimetres in cm."""
_MIN_TRACK_PT = 0.25
_CURVATURE = 0.003
"""Radius of a track in cm = pT / (0.003 B), for GeV and tesla."""
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


class Draws(NamedTuple):
    """The random numbers of one particle: the same whatever the detector then does with them."""

    efficiency: float
    response: float
    tail: float
    transverse: float
    longitudinal: float
    kink: float
    kink_angle: float
    muon: float


@kernel
def draw(may_be_tracked: bool) -> Draws:
    """Draw all that a particle may need; the response and the two offsets are normal, the others uniform."""
    response = np.random.normal()
    if not may_be_tracked:
        return Draws(1.0, response, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0)
    return Draws(
        np.random.random(), response, np.random.random(), np.random.normal(), np.random.normal(),
        np.random.random(), np.random.random(), np.random.random(),
    )  # fmt: skip


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
def impact_resolution(pt: float, sin_theta: float, detector: Detector) -> tuple[float, float]:
    """Return the reported errors of d0 and dz of a track, in cm."""
    d0 = math.hypot(detector.d0_constant, detector.d0_scattering / (pt * math.sqrt(sin_theta)))
    dz = math.hypot(detector.dz_constant, detector.dz_scattering / (pt * sin_theta**1.5))
    return d0, dz


@kernel
def impact_offsets(
    particle: Any, sin_theta: float, is_hadron: bool, detector: Detector, draws: Draws
) -> tuple[float, float]:
    """Return how far (cm) a track is measured beside its place: in the transverse plane, and out of it."""
    scale = detector.resolution_scale
    if draws.tail < detector.tail_fraction:
        scale *= detector.tail_scale
    transverse = draws.transverse * particle.sigma_d0 * scale
    longitudinal = draws.longitudinal * particle.sigma_dz * sin_theta * scale
    if is_hadron and draws.kink < detector.kink_fraction:
        radius = -math.log((draws.kink + 1e-12) / detector.kink_fraction) * detector.kink_radius
        angle = draws.kink_angle * 2.0 * math.pi
        transverse += radius * math.cos(angle)
        longitudinal += radius * math.sin(angle)
    transverse += detector.misalignment_d0 * math.sin(2.0 * particle.phi + particle.eta)
    longitudinal += detector.misalignment_z * sin_theta * math.cos(3.0 * particle.phi)
    return transverse, longitudinal


@kernel
def follow_helix(particle: Any, vertex: NDArray[Any], detector: Detector) -> None:
    """Fill where a track passes the primary vertex, from a point (x, y, z) of it and its momentum there."""
    ux, uy = particle.px / particle.pt, particle.py / particle.pt
    charge = float(particle.charge)
    radius = particle.pt / (_CURVATURE * detector.magnetic_field)
    centre_x, centre_y = particle.x + charge * radius * uy, particle.y - charge * radius * ux
    to_centre = math.hypot(centre_x - vertex[0], centre_y - vertex[1])
    nx, ny = (centre_x - vertex[0]) / to_centre, (centre_y - vertex[1]) / to_centre
    # The point nearest to the vertex in the transverse plane, and the direction there.
    near_x, near_y = centre_x - radius * nx, centre_y - radius * ny
    hx, hy = -charge * ny, charge * nx
    # The arc between the two points, by its chord on the mean direction.
    arc = (particle.x - near_x) * (ux + hx) * 0.5 + (particle.y - near_y) * (uy + hy) * 0.5
    particle.ip_x = near_x - vertex[0]
    particle.ip_y = near_y - vertex[1]
    particle.ip_z = particle.z - arc * particle.pz / particle.pt - vertex[2]
    particle.d0 = particle.ip_y * hx - particle.ip_x * hy
    particle.dz = particle.ip_z
    particle.phi0 = math.atan2(hy, hx)


@kernel
def measure_track(
    particle: Any, is_hadron: bool, vertex: NDArray[Any], detector: Detector, draws: Draws
) -> None:
    """Displace a track (momentum and production point are set) by its errors and follow it to the vertex."""
    p = math.hypot(particle.pt, particle.pz)
    sin_theta, cos_theta = particle.pt / p, particle.pz / p
    ux, uy = particle.px / particle.pt, particle.py / particle.pt
    particle.sigma_d0, particle.sigma_dz = impact_resolution(particle.pt, sin_theta, detector)
    transverse, longitudinal = impact_offsets(particle, sin_theta, is_hadron, detector, draws)
    particle.x += -uy * transverse - ux * cos_theta * longitudinal
    particle.y += ux * transverse - uy * cos_theta * longitudinal
    particle.z += sin_theta * longitudinal
    follow_helix(particle, vertex, detector)


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
def set_momentum(particle: Any, px: float, py: float, pz: float, mass: float) -> None:
    """Fill momentum and energy of a particle."""
    particle.px, particle.py, particle.pz = px, py, pz
    particle.pt = math.hypot(px, py)
    particle.energy = math.sqrt(px * px + py * py + pz * pz + mass * mass)


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
def add_stray_track(particle: Any, is_fake: bool, vertex: NDArray[Any], detector: Detector) -> None:
    """Fill a track that does not belong to the event: of another interaction, or of stray hits."""
    pt = 0.5 + np.random.exponential(0.6)
    if np.random.random() < 0.03:
        pt += np.random.exponential(2.0)
    eta = (2.0 * np.random.random() - 1.0) * _TRACKER_ETA
    phi = (2.0 * np.random.random() - 1.0) * math.pi
    set_momentum(particle, pt * math.cos(phi), pt * math.sin(phi), pt * math.sinh(eta), _PION_MASS)
    particle.eta, particle.phi = eta, phi
    particle.charge = 1 if np.random.random() < 0.5 else -1
    particle.pdg, particle.tracked, particle.origin = _PION * particle.charge, 1, ORIGIN_UNKNOWN
    particle.sigma_d0, particle.sigma_dz = impact_resolution(pt, 1.0 / math.cosh(eta), detector)
    if is_fake:
        transverse = (2.0 * np.random.random() - 1.0) * 0.3
        particle.z = np.random.normal(0.0, 0.5)
    else:
        transverse = np.random.normal(0.0, particle.sigma_d0 * detector.resolution_scale)
        particle.z = np.random.normal(0.0, detector.pileup_sigma_z)
    particle.x, particle.y = -math.sin(phi) * transverse, math.cos(phi) * transverse
    follow_helix(particle, vertex, detector)


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
        n_stray: Tracks of other interactions, and fake tracks, shape ``(n_events, 2)``.
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
    particles = np.zeros(n_generated + int(n_stray.sum()) + 1, PARTICLE)
    ghosts, partons = np.zeros(n_generated, GHOST), np.zeros(n_generated, PARTON)
    offsets, vertices = detect(generated, events, seeds, n_stray, detector, particles, ghosts, partons)
    n_particles, n_ghosts, n_partons = offsets[:, -1]
    particles = particles[:n_particles]
    return DetectedEvents(
        particles, offsets[0], ghosts[:n_ghosts], offsets[1], partons[:n_partons], offsets[2],
        vertices, _missing_momentum(particles, offsets[0]),
    )  # fmt: skip
