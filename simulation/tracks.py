"""The tracks of a jet: signed impact parameters, distances to the axis, momenta along and across it."""

import math
from typing import Any

from numpy.typing import NDArray

from simulation.compiled import kernel
from simulation.geometry import closest_approach, delta_r
from simulation.records import Records

_PION_MASS = 0.13957

TRACKER_ETA, CONE = 2.5, 0.4
"""Where there are tracks; and around a jet's axis, how far all are looked at that the jet may hold or not."""
MIN_PT, MAX_D0, MAX_DZ = 1.0, 0.2, 17.0
"""Of tracks whose impact parameters are looked at, in GeV and cm."""
MIN_VERTEX_PT, MAX_VERTEX_DZ = 0.4, 0.3
"""Of tracks that may belong to a secondary vertex only."""
MAX_DELTA_R, MAX_DECAY_LENGTH, MAX_JET_DISTANCE = 0.3, 5.0, 0.07
"""Of selected tracks: to the jet axis; along it, and beside it, where the track is nearest to it (cm)."""


@kernel
def fill_impact(
    track: Any, particle: Any, direction: tuple[float, float, float], jet: Any, resolution: NDArray[Any]
) -> None:
    """Fill impact parameters, positive where the track crosses the axis ahead of the vertex.

    Args:
        track: Receives them.
        particle: The track as measured.
        direction: Of the track at the primary vertex, of length one.
        jet: The jet.
        resolution: Of the primary vertex in x, y and z, in cm.
    """
    hx, hy = math.cos(particle.phi0), math.sin(particle.phi0)
    sin_theta, cos_theta = math.hypot(direction[0], direction[1]), direction[2]
    ahead = particle.ip_x * jet.px + particle.ip_y * jet.py >= 0
    track.sip2d = math.hypot(particle.ip_x, particle.ip_y) * (1.0 if ahead else -1.0)
    track.sip2d_significance = track.sip2d / math.hypot(particle.sigma_d0, resolution[0])
    along = particle.ip_x * direction[0] + particle.ip_y * direction[1] + particle.ip_z * direction[2]
    x = particle.ip_x - along * direction[0]
    y = particle.ip_y - along * direction[1]
    z = particle.ip_z - along * direction[2]
    distance = math.sqrt(x * x + y * y + z * z) + 1e-12
    # The error along the line from the vertex to the track.
    transverse = (-hy * x + hx * y) / distance * particle.sigma_d0
    longitudinal = (-(hx * x + hy * y) * cos_theta + z * sin_theta) / distance * particle.sigma_dz * sin_theta
    vertex_xy = math.hypot(x, y) / distance * resolution[0]
    vertex_z = z / distance * resolution[2]
    error = math.sqrt(transverse**2 + longitudinal**2 + vertex_xy**2 + vertex_z**2)
    track.sip3d = distance * (1.0 if x * jet.px + y * jet.py + z * jet.pz >= 0 else -1.0)
    track.sip3d_significance = track.sip3d / error


@kernel
def fill_track(
    track: Any, particle: Any, jet: Any, axis: NDArray[Any], vertex: NDArray[Any], resolution: NDArray[Any]
) -> None:
    """Fill a track of a jet from the particle as measured; `axis` is the jet's direction, of length one."""
    track.px, track.py, track.pz, track.pt = particle.px, particle.py, particle.pz, particle.pt
    track.charge, track.dz = particle.charge, particle.dz
    track.p = math.hypot(particle.pt, particle.pz)
    track.energy = math.hypot(track.p, _PION_MASS)
    sin_theta = particle.pt / track.p
    direction = (
        math.cos(particle.phi0) * sin_theta, math.sin(particle.phi0) * sin_theta, particle.pz / track.p
    )  # fmt: skip
    fill_impact(track, particle, direction, jet, resolution)
    _, along, distance = closest_approach(
        particle.ip_x, particle.ip_y, particle.ip_z, direction[0], direction[1], direction[2],
        0.0, 0.0, 0.0, axis[0], axis[1], axis[2],
    )  # fmt: skip
    track.decay_length = abs(along)
    track.jet_distance = -distance
    track.delta_r = delta_r(particle.eta, particle.phi, jet.eta, jet.phi)
    parallel = particle.px * axis[0] + particle.py * axis[1] + particle.pz * axis[2]
    track.pt_rel = math.sqrt(max(track.p**2 - parallel**2, 0.0))
    track.pt_ratio = track.pt_rel / track.p
    track.eta_rel = 0.5 * math.log((track.energy + parallel) / (track.energy - parallel))
    # The straight line through where it was produced, for vertices.
    track.x, track.y, track.z = particle.x - vertex[0], particle.y - vertex[1], particle.z - vertex[2]
    track.ux, track.uy, track.uz = particle.px / track.p, particle.py / track.p, particle.pz / track.p
    track.sigma_1, track.sigma_2 = particle.sigma_d0, particle.sigma_dz * sin_theta


@kernel
def collect_tracks(
    tracks: Records, particles: Records, jet: Any, axis: NDArray[Any], vertex: NDArray[Any],
    resolution: NDArray[Any],
) -> int:  # fmt: skip
    """Fill the tracks around a jet that pass the first cuts; return how many, at most ``len(tracks)``.

    Args:
        tracks: Receives them.
        particles: All of the event.
        jet: The jet.
        axis: Its direction, of length one.
        vertex: The primary vertex as measured.
        resolution: Of the primary vertex in x, y and z, in cm.
    """
    n_tracks = 0
    for i in range(len(particles)):
        particle = particles[i]
        if particle.tracked == 0 or particle.pt < MIN_VERTEX_PT or n_tracks == len(tracks):
            continue
        if abs(particle.eta - jet.eta) >= CONE or abs(particle.d0) > MAX_D0:
            continue
        if delta_r(particle.eta, particle.phi, jet.eta, jet.phi) >= CONE:
            continue
        if abs(particle.dz) > (MAX_DZ if particle.pt > MIN_PT else MAX_VERTEX_DZ):
            continue
        fill_track(tracks[n_tracks], particle, jet, axis, vertex, resolution)
        n_tracks += 1
    return n_tracks


@kernel
def is_near_axis(track: Any) -> bool:
    """Return whether a track passes the selection of the tagger, its distance to the axis aside.

    Source:
        Track selection of CSVv2 and DeepCSV (CMS-BTV-16-002, JINST 13 P05011, section 5.1).
    """
    return bool(
        track.pt > MIN_PT
        and track.decay_length <= MAX_DECAY_LENGTH
        and track.jet_distance >= -MAX_JET_DISTANCE
    )


@kernel
def is_selected(track: Any) -> bool:
    """Return whether a track passes the selection of the tagger."""
    return bool(track.delta_r <= MAX_DELTA_R and is_near_axis(track))


@kernel
def order_by_significance(tracks: Records, n_tracks: int, order: NDArray[Any], in_space: bool) -> None:
    """Fill the rows of the tracks in order of falling significance, in the transverse plane or in space."""
    for i in range(n_tracks):
        own = tracks[i].sip3d_significance if in_space else tracks[i].sip2d_significance
        k = i
        while k > 0:
            other = tracks[order[k - 1]]
            if (other.sip3d_significance if in_space else other.sip2d_significance) >= own:
                break
            order[k] = order[k - 1]
            k -= 1
        order[k] = i
