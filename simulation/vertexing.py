"""Secondary vertices by an adaptive fit, so that light jets get the fakes and the V0s that real jets get.

Tracks are straight lines here: over the few centimetres inside a jet their curvature does not matter.

Source:
    Inclusive vertex finding and adaptive vertex fit of CMS (CMS-BTV-16-002, JINST 13 P05011, section 5.1.1;
    W. Waltenberger, R. Fruehwirth, P. Vanlaer, J. Phys. G 34 (2007) N343), in a simple form.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulation.compiled import kernel
from simulation.geometry import closest_approach, delta_r, solve_symmetric
from simulation.records import Records
from simulation.tracks import MAX_VERTEX_DZ

MAX_VERTICES = 16
KAON_MASS, _KAON_WINDOW = 0.497611, 0.05

_CONE = 0.4
_FREE, _USED, _TRIED, _LATE = 0, 1, 2, 3
"""A track that was tried as a seed may still join a later vertex; a late one only a vertex already found."""
_MIN_FINDER_PT = 0.8
"""Of tracks that vertices are made of; softer ones may join them."""
_MAX_DISTANCE, _MAX_SHARE, _MAX_SIGNIFICANCE = 0.04, 0.333, 5.0
"""Of a track that joins a vertex: its distance to it in cm, as a share of the flight, and in sigmas."""
_MIN_FLIGHT_SIGNIFICANCE, _MAX_DELTA_R = 2.5, 0.3
"""Of a vertex: of its distance in the transverse plane, and from the axis of the jet that it is given to."""
_FROM_PRIMARY, _MAX_FROM_PRIMARY = 3.0, 0.79
"""Significance below which a track fits the primary vertex too, and how large a share of them is allowed."""


@kernel
def residuals(track: Any, x: float, y: float, z: float) -> tuple[float, float]:
    """Return how many sigmas a point lies beside a track, in the transverse plane and out of it."""
    length = math.hypot(track.ux, track.uy)
    dx, dy, dz = x - track.x, y - track.y, z - track.z
    transverse = (-track.uy * dx + track.ux * dy) / length
    longitudinal = -(track.ux * dx + track.uy * dy) * track.uz / length + dz * length
    return transverse / track.sigma_1, longitudinal / track.sigma_2


@kernel
def next_seed(tracks: Records, n_tracks: int, use: NDArray[Any]) -> int:
    """Return the free track least compatible with the primary vertex, -1 if all are compatible."""
    best, largest = -1, 1.2
    for i in range(n_tracks):
        track = tracks[i]
        significance = abs(track.sip3d_significance)
        if use[i] == _FREE and significance > largest and abs(track.sip3d) > 0.005:
            best, largest = i, significance
    return best


@kernel
def gather(
    tracks: Records, n_tracks: int, seed: int, use: NDArray[Any], axis: NDArray[Any],
    members: NDArray[Any], point: NDArray[Any],
) -> int:  # fmt: skip
    """Collect the tracks near a seed and guess the vertex; return how many there are, seed included."""
    a = tracks[seed]
    members[0] = seed
    n_members = 1
    sum_weights = 0.0
    point[:] = 0.0
    for i in range(n_tracks):
        b = tracks[i]
        if i == seed or use[i] == _USED or use[i] == _LATE:
            continue
        s, _, distance = closest_approach(
            a.x, a.y, a.z, a.ux, a.uy, a.uz, b.x, b.y, b.z, b.ux, b.uy, b.uz
        )  # fmt: skip
        variance = 0.5 * (a.sigma_1**2 + b.sigma_1**2 + a.sigma_2**2 + b.sigma_2**2)
        if distance > 0.05 or distance > 4.5 * math.sqrt(variance):
            continue
        x, y, z = a.x + s * a.ux, a.y + s * a.uy, a.z + s * a.uz
        flight = math.sqrt(x * x + y * y + z * z)
        along = x * axis[0] + y * axis[1] + z * axis[2]
        if distance * 20.0 > flight or flight > 5.0 or along < 0.5 * flight:
            continue
        members[n_members] = i
        n_members += 1
        weight = (min(abs(b.sip3d_significance), 10.0) + 0.1) / (variance + distance * distance)
        sum_weights += weight
        point[0] += weight * x
        point[1] += weight * y
        point[2] += weight * z
    if n_members > 1:
        point /= sum_weights
    return n_members


@kernel
def add_track(track: Any, weight: float, matrix: NDArray[Any], vector: NDArray[Any]) -> None:
    """Add a track's two constraints, each across its direction, to the normal equations of the vertex."""
    length = math.hypot(track.ux, track.uy)
    for plane in range(2):
        if plane == 0:
            nx, ny, nz, sigma = -track.uy / length, track.ux / length, 0.0, track.sigma_1
        else:
            nx, ny, nz = -track.ux * track.uz / length, -track.uy * track.uz / length, length
            sigma = track.sigma_2
        information = weight / (sigma * sigma)
        value = track.x * nx + track.y * ny + track.z * nz
        vector[0] += information * value * nx
        vector[1] += information * value * ny
        vector[2] += information * value * nz
        matrix[0, 0] += information * nx * nx
        matrix[0, 1] += information * nx * ny
        matrix[0, 2] += information * nx * nz
        matrix[1, 1] += information * ny * ny
        matrix[1, 2] += information * ny * nz
        matrix[2, 2] += information * nz * nz


@kernel
def fit_adaptively(
    tracks: Records,
    members: NDArray[Any],
    weights: NDArray[Any],
    point: NDArray[Any],
    covariance: NDArray[Any],
) -> bool:
    """Move a point to the vertex of some tracks, each weighted by how well it fits; return False on failure.

    The weight is 1 / (1 + exp((chi2 - 9) / 2T)); the temperature T falls from 8 to 0.5.
    """
    matrix, vector = np.zeros((3, 3)), np.zeros(3)
    temperature = 8.0
    for _ in range(6):
        matrix[:] = 0.0
        vector[:] = 0.0
        sum_weights = 0.0
        for k in range(len(members)):
            track = tracks[members[k]]
            transverse, longitudinal = residuals(track, point[0], point[1], point[2])
            chi2 = transverse**2 + longitudinal**2
            weights[k] = 1.0 / (1.0 + math.exp(min((chi2 - 9.0) / (2.0 * temperature), 50.0)))
            sum_weights += weights[k]
            add_track(track, weights[k], matrix, vector)
        if sum_weights < 0.5 or not solve_symmetric(matrix, vector, point, covariance):
            return False
        temperature = max(0.5 * temperature, 0.5)
    return True


@kernel
def keep_members(
    tracks: Records,
    members: NDArray[Any],
    weights: NDArray[Any],
    point: NDArray[Any],
    membership: NDArray[Any],
) -> int:
    """Mark the tracks that fit the vertex well, and better than the primary vertex; return how many."""
    membership[:] = 0
    n_members = 0
    for k in range(len(members)):
        track = tracks[members[k]]
        transverse, longitudinal = residuals(track, point[0], point[1], point[2])
        nearer = transverse**2 + longitudinal**2 <= track.sip3d_significance**2
        if weights[k] >= 0.5 and nearer:
            membership[members[k]] = 1
            n_members += 1
    return n_members


@kernel
def fit_and_keep(
    tracks: Records, members: NDArray[Any], weights: NDArray[Any], point: NDArray[Any],
    covariance: NDArray[Any], membership: NDArray[Any],
) -> bool:  # fmt: skip
    """Fit a vertex and mark the tracks that belong to it; return whether two or more do."""
    if len(members) < 2 or not fit_adaptively(tracks, members, weights, point, covariance):
        return False
    return keep_members(tracks, members, weights, point, membership) >= 2


@kernel
def gather_again(
    tracks: Records, n_tracks: int, use: NDArray[Any], membership: NDArray[Any], members: NDArray[Any],
    point: NDArray[Any],
) -> int:  # fmt: skip
    """Collect the tracks of a vertex and all others, soft ones too, that fit it; return how many there are.

    Those others must lie nearer to it than to the primary vertex.
    """
    flight = math.sqrt(point[0] ** 2 + point[1] ** 2 + point[2] ** 2)
    eta, phi = math.asinh(point[2] / math.hypot(point[0], point[1])), math.atan2(point[1], point[0])
    n_members = 0
    for i in range(n_tracks):
        track = tracks[i]
        is_member = membership[i] == 1
        if not is_member:
            if use[i] == _USED or abs(track.dz) > MAX_VERTEX_DZ:
                continue
            transverse, longitudinal = residuals(track, point[0], point[1], point[2])
            distance = math.hypot(transverse * track.sigma_1, longitudinal * track.sigma_2)
            if distance > min(_MAX_DISTANCE, flight * _MAX_SHARE, abs(track.sip3d)):
                continue
            if transverse**2 + longitudinal**2 > _MAX_SIGNIFICANCE**2:
                continue
            direction = math.asinh(track.uz / math.hypot(track.ux, track.uy)), math.atan2(track.uy, track.ux)
            if delta_r(eta, phi, direction[0], direction[1]) > _CONE:
                continue
        members[n_members] = i
        n_members += 1
    return n_members


@kernel
def flight_error(
    point: NDArray[Any], length: float, covariance: NDArray[Any], resolution: NDArray[Any], dimensions: int
) -> float:
    """Return the error of the flight length, from both vertices, in cm.

    Args:
        point: The secondary vertex from the primary one, shape ``(3,)``.
        length: Its distance in this many dimensions.
        covariance: Of the secondary vertex, shape ``(3, 3)``.
        resolution: Of the primary vertex in x, y and z, shape ``(3,)``.
        dimensions: 2 or 3.
    """
    variance = 0.0
    for row in range(dimensions):
        for column in range(dimensions):
            entry = covariance[row, column]
            if row == column:
                entry += resolution[row] ** 2
            variance += point[row] * point[column] / (length * length) * entry
    return math.sqrt(max(variance, 0.0))


@kernel
def describe(
    vertex: Any, tracks: Records, n_tracks: int, membership: NDArray[Any], point: NDArray[Any],
    covariance: NDArray[Any], resolution: NDArray[Any], jet: Any,
) -> tuple[float, int, float]:  # fmt: skip
    """Fill a vertex; return its mass, its charge, and the cosine between its momentum and its flight."""
    vertex.px = vertex.py = vertex.pz = vertex.energy = 0.0
    charge = n_members = 0
    for i in range(n_tracks):
        if membership[i] == 1:
            track = tracks[i]
            vertex.px += track.px
            vertex.py += track.py
            vertex.pz += track.pz
            vertex.energy += track.energy
            charge += track.charge
            n_members += 1
    vertex.n_tracks = n_members
    vertex.flight_2d = math.hypot(point[0], point[1])
    vertex.flight_3d = math.hypot(vertex.flight_2d, point[2])
    vertex.flight_2d_error = flight_error(point, vertex.flight_2d, covariance, resolution, 2)
    vertex.flight_3d_error = flight_error(point, vertex.flight_3d, covariance, resolution, 3)
    vertex.flight_2d_significance = vertex.flight_2d / vertex.flight_2d_error
    vertex.flight_3d_significance = vertex.flight_3d / vertex.flight_3d_error
    eta, phi = math.asinh(point[2] / vertex.flight_2d), math.atan2(point[1], point[0])
    vertex.delta_r = delta_r(eta, phi, jet.eta, jet.phi)
    vertex.ux, vertex.uy, vertex.uz = point / vertex.flight_3d
    p2 = vertex.px**2 + vertex.py**2 + vertex.pz**2
    cosine = (vertex.px * vertex.ux + vertex.py * vertex.uy + vertex.pz * vertex.uz) / math.sqrt(p2)
    return math.sqrt(max(vertex.energy**2 - p2, 0.0)), charge, cosine


@kernel
def mark_used(use: NDArray[Any], membership: NDArray[Any], n_tracks: int) -> None:
    """Take the tracks of a vertex out of the search."""
    for i in range(n_tracks):
        if membership[i] == 1:
            use[i] = _USED


@kernel
def mark_late(use: NDArray[Any], tracks: Records, n_tracks: int) -> None:
    """Keep soft tracks, and those far from the primary vertex along the beam, from making vertices."""
    for i in range(n_tracks):
        far = abs(tracks[i].dz) > MAX_VERTEX_DZ
        use[i] = _LATE if far or tracks[i].pt < _MIN_FINDER_PT else _FREE


@kernel
def share_from_primary(tracks: Records, n_tracks: int, membership: NDArray[Any]) -> float:
    """Return the share of a vertex' tracks that would fit the primary vertex as well."""
    n_members = n_compatible = 0
    for i in range(n_tracks):
        if membership[i] == 1:
            n_members += 1
            n_compatible += abs(tracks[i].sip3d_significance) < _FROM_PRIMARY
    return n_compatible / n_members


@kernel
def is_accepted(vertex: Any, mass: float, cosine: float, from_primary: float) -> bool:
    """Return whether a vertex is one, by what it holds and where it lies (lengths in cm).

    Source:
        The cuts of CMS on inclusive vertices, see above.
    """
    return bool(
        0.01 <= vertex.flight_2d <= 2.5
        and vertex.flight_2d_significance >= _MIN_FLIGHT_SIGNIFICANCE
        and vertex.delta_r <= _MAX_DELTA_R
        and cosine >= 0.95
        and mass <= 6.5
        and from_primary <= _MAX_FROM_PRIMARY
    )


@kernel
def find_vertices(
    tracks: Records, n_tracks: int, jet: Any, axis: NDArray[Any], resolution: NDArray[Any],
    vertices: Records, membership: NDArray[Any],
) -> int:  # fmt: skip
    """Fill the secondary vertices of a jet and which tracks they hold; return how many there are.

    Args:
        tracks: Of the jet, relative to the primary vertex; the first `n_tracks` count.
        n_tracks: See above.
        jet: The jet.
        axis: Its direction, of length one.
        resolution: Of the primary vertex in x, y and z, in cm.
        vertices: Room for `MAX_VERTICES`.
        membership: Room for their tracks, shape ``(MAX_VERTICES, n)`` with n at least `n_tracks`.
    """
    use, members = np.empty(n_tracks, np.int8), np.empty(n_tracks, np.int64)
    weights, point, covariance = np.empty(n_tracks), np.empty(3), np.empty((3, 3))
    mark_late(use, tracks, n_tracks)
    n_vertices = 0
    while n_vertices < MAX_VERTICES:
        seed = next_seed(tracks, n_tracks, use)
        if seed < 0:
            break
        use[seed] = _TRIED
        own = membership[n_vertices]
        n_members = gather(tracks, n_tracks, seed, use, axis, members, point)
        if not fit_and_keep(tracks, members[:n_members], weights, point, covariance, own):
            continue
        n_members = gather_again(tracks, n_tracks, use, own, members, point)
        if not fit_and_keep(tracks, members[:n_members], weights, point, covariance, own):
            continue
        vertex = vertices[n_vertices]
        mass, charge, cosine = describe(vertex, tracks, n_tracks, own, point, covariance, resolution, jet)
        if is_accepted(vertex, mass, cosine, share_from_primary(tracks, n_tracks, own)):
            is_kaon = vertex.n_tracks == 2 and charge == 0 and abs(mass - KAON_MASS) < _KAON_WINDOW
            mark_used(use, own, n_tracks)
            n_vertices += 0 if is_kaon else 1
    return n_vertices
