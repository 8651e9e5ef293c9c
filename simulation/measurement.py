"""How a track is measured: its errors, and where its helix passes the primary vertex."""
# ruff: noqa: NPY002 (inside kernels `np.random` is numba's own generator, seeded for each event)

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulation.compiled import kernel
from simulation.scenarios import Detector

_CURVATURE = 0.003
"""Radius of a track in cm = pT / (0.003 B), for GeV and tesla."""


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
def set_momentum(particle: Any, px: float, py: float, pz: float, mass: float) -> None:
    """Fill momentum and energy of a particle."""
    particle.px, particle.py, particle.pz = px, py, pz
    particle.pt = math.hypot(px, py)
    particle.energy = math.sqrt(px * px + py * py + pz * pz + mass * mass)


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
