"""The 67 inputs of the tagger, for each jet of a batch."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.features import BRANCHES, MISSING, N_FEATURES
from simulation.compiled import kernel
from simulation.detector import DetectedEvents
from simulation.geometry import delta_r
from simulation.hashing import hashed_uniform
from simulation.jets import Jets
from simulation.records import TRACK, VERTEX, Records
from simulation.scenarios import Detector
from simulation.tracks import (
    CONE,
    MIN_PT,
    TRACKER_ETA,
    collect_tracks,
    is_near_axis,
    is_selected,
    order_by_significance,
)
from simulation.vertexing import KAON_MASS, MAX_VERTICES, find_vertices

MAX_TRACKS = 256
N_TRACK_SLOTS, N_ETA_REL_SLOTS = 6, 4
RECO_VERTEX, PSEUDO_VERTEX, NO_VERTEX = 0, 1, 2
"""Values of `vertexCategory`."""

_ALL, _PSEUDO, _KEPT, _SCRATCH = 0, 1, 2, 3
"""Rows of sums of momenta."""
_CHARM_MASS = 1.5
_PSEUDO_SIGNIFICANCE = 2.0


def _column(branch: str) -> int:
    return BRANCHES.index(f"Jet_{branch}")


_ETA, _PT = _column("eta"), _column("pt")
_FLIGHT_2D, _FLIGHT_2D_SIG = _column("DeepCSV_flightDistance2dVal"), _column("DeepCSV_flightDistance2dSig")
_FLIGHT_3D, _FLIGHT_3D_SIG = _column("DeepCSV_flightDistance3dVal"), _column("DeepCSV_flightDistance3dSig")
_DECAY_LENGTH, _DELTA_R = _column("DeepCSV_trackDecayLenVal_0"), _column("DeepCSV_trackDeltaR_0")
_ETA_REL, _JET_DISTANCE = _column("DeepCSV_trackEtaRel_0"), _column("DeepCSV_trackJetDistVal_0")
_PT_RATIO, _PT_REL = _column("DeepCSV_trackPtRatio_0"), _column("DeepCSV_trackPtRel_0")
_SIP2D_SIG, _SIP3D_SIG = _column("DeepCSV_trackSip2dSig_0"), _column("DeepCSV_trackSip3dSig_0")
_ABOVE_2D, _ABOVE_2D_SIG = (
    _column("DeepCSV_trackSip2dValAboveCharm"), _column("DeepCSV_trackSip2dSigAboveCharm")
)  # fmt: skip
_ABOVE_3D, _ABOVE_3D_SIG = (
    _column("DeepCSV_trackSip3dValAboveCharm"), _column("DeepCSV_trackSip3dSigAboveCharm")
)  # fmt: skip
_TRACKS_PT, _TRACKS_DELTA_R = _column("DeepCSV_trackJetPt"), _column("DeepCSV_trackSumJetDeltaR")
_TRACKS_ET_RATIO = _column("DeepCSV_trackSumJetEtRatio")
_CATEGORY, _N_VERTICES = _column("DeepCSV_vertexCategory"), _column("DeepCSV_jetNSecondaryVertices")
_ENERGY_RATIO, _VERTEX_DELTA_R = _column("DeepCSV_vertexEnergyRatio"), _column("DeepCSV_vertexJetDeltaR")
_VERTEX_MASS, _VERTEX_TRACKS = _column("DeepCSV_vertexMass"), _column("DeepCSV_vertexNTracks")
_N_TRACKS, _N_ETA_REL = _column("DeepCSV_jetNSelectedTracks"), _column("DeepCSV_jetNTracksEtaRel")


@kernel
def add_momentum(total: NDArray[Any], track: Any) -> None:
    """Add a track to a four-momentum (px, py, pz, E)."""
    total[0] += track.px
    total[1] += track.py
    total[2] += track.pz
    total[3] += track.energy


@kernel
def mass_of(total: NDArray[Any]) -> float:
    """Return the invariant mass of a four-momentum, 0 if rounding makes it imaginary."""
    return math.sqrt(max(total[3] ** 2 - total[0] ** 2 - total[1] ** 2 - total[2] ** 2, 0.0))


@kernel
def delta_r_of(total: NDArray[Any], jet: Any) -> float:
    """Return the distance of a four-momentum to a jet."""
    pt = math.hypot(total[0], total[1])
    return delta_r(math.asinh(total[2] / pt), math.atan2(total[1], total[0]), jet.eta, jet.phi)


@kernel
def corrected_mass(total: NDArray[Any], flight: Any) -> float:
    """Return the mass of a four-momentum with what the direction of flight says is missing across it."""
    across_x = total[1] * flight.uz - total[2] * flight.uy
    across_y = total[2] * flight.ux - total[0] * flight.uz
    across_z = total[0] * flight.uy - total[1] * flight.ux
    missing = math.sqrt(across_x**2 + across_y**2 + across_z**2)
    return math.hypot(mass_of(total), missing) + missing


@kernel
def is_from_kaon(tracks: Records, n_tracks: int, i: int, pair: NDArray[Any]) -> bool:
    """Return whether a track makes a K0S with another of opposite charge; `pair` is room for a momentum."""
    for k in range(n_tracks):
        if k == i or tracks[k].charge * tracks[i].charge > 0 or not is_selected(tracks[k]):
            continue
        pair[:] = 0.0
        add_momentum(pair, tracks[i])
        add_momentum(pair, tracks[k])
        if abs(mass_of(pair) - KAON_MASS) < 0.03:
            return True
    return False


@kernel
def fill_slot(inputs: NDArray[Any], slot: int, track: Any) -> None:
    """Fill the inputs of one of the six leading tracks."""
    inputs[_DECAY_LENGTH + slot] = track.decay_length
    inputs[_DELTA_R + slot] = track.delta_r
    inputs[_JET_DISTANCE + slot] = track.jet_distance
    inputs[_PT_RATIO + slot] = track.pt_ratio
    inputs[_PT_REL + slot] = track.pt_rel
    inputs[_SIP2D_SIG + slot] = track.sip2d_significance
    inputs[_SIP3D_SIG + slot] = track.sip3d_significance


@kernel
def above_charm(tracks: Records, order: NDArray[Any], total: NDArray[Any]) -> int:
    """Return the row of the track that lifts the mass of the tracks above that of charm, -1 for none.

    Args:
        tracks: Of the jet; those near its axis count.
        order: Their rows in the order in which their momenta are added.
        total: Room for a momentum.
    """
    total[:] = 0.0
    for row in order:
        if is_near_axis(tracks[row]):
            add_momentum(total, tracks[row])
            if mass_of(total) > _CHARM_MASS:
                return int(row)
    return -1


@kernel
def fill_above_charm(
    inputs: NDArray[Any], tracks: Records, n_tracks: int, order: NDArray[Any], total: NDArray[Any]
) -> None:
    """Fill the impact parameters of the tracks above charm, in the plane and in space: two different tracks.

    `order` holds rows by falling significance in the plane, and afterwards in space.
    """
    inputs[_ABOVE_2D] = inputs[_ABOVE_2D_SIG] = inputs[_ABOVE_3D] = inputs[_ABOVE_3D_SIG] = -1.0
    row = above_charm(tracks, order[:n_tracks], total)
    if row >= 0:
        inputs[_ABOVE_2D], inputs[_ABOVE_2D_SIG] = tracks[row].sip2d, tracks[row].sip2d_significance
    order_by_significance(tracks, n_tracks, order, True)
    row = above_charm(tracks, order[:n_tracks], total)
    if row >= 0:
        inputs[_ABOVE_3D], inputs[_ABOVE_3D_SIG] = tracks[row].sip3d, tracks[row].sip3d_significance


@kernel
def fill_tracks(
    inputs: NDArray[Any], tracks: Records, n_tracks: int, order: NDArray[Any], jet: Any, momenta: NDArray[Any]
) -> int:
    """Fill what the selected tracks say; return how many of them could make a pseudo vertex.

    Args:
        inputs: Of the jet, shape ``(67,)``.
        tracks: Of the jet.
        n_tracks: How many of them count.
        order: Their rows in order of falling significance.
        jet: The jet.
        momenta: Zeros; receives the sum of the selected tracks, of those of a pseudo vertex, and of those
            that are of no K0S; row 3 is scratch.
    """
    n_kept = n_pseudo = 0
    for row in order[:n_tracks]:
        track = tracks[row]
        if not is_selected(track):
            continue
        add_momentum(momenta[_ALL], track)
        if track.sip2d_significance > _PSEUDO_SIGNIFICANCE:
            n_pseudo += 1
            add_momentum(momenta[_PSEUDO], track)
        if is_from_kaon(tracks, n_tracks, row, momenta[_SCRATCH]):
            continue
        add_momentum(momenta[_KEPT], track)
        if n_kept < N_TRACK_SLOTS:
            fill_slot(inputs, n_kept, track)
        n_kept += 1
    inputs[_N_TRACKS] = n_kept
    total = momenta[_ALL]
    pt = math.hypot(total[0], total[1])
    inputs[_TRACKS_PT] = math.hypot(momenta[_KEPT, 0], momenta[_KEPT, 1])
    # CMS takes the direction of no tracks for one along x, and so does this.
    inputs[_TRACKS_DELTA_R] = delta_r_of(total, jet) if pt > 0.0 else delta_r(0.0, 0.0, jet.eta, jet.phi)
    if pt > 0.0:
        transverse_energy = total[3] * pt / math.hypot(pt, total[2])
        inputs[_TRACKS_ET_RATIO] = transverse_energy / (jet.energy * jet.pt / math.hypot(jet.pt, jet.pz))
    else:
        inputs[_TRACKS_ET_RATIO] = 0.0
    return n_pseudo


@kernel
def order_by_error(vertices: Records, n_vertices: int, order: NDArray[Any]) -> None:
    """Fill the rows of the vertices, those whose flight distance is known best first."""
    for i in range(n_vertices):
        k = i
        while k > 0 and vertices[order[k - 1]].flight_3d_error > vertices[i].flight_3d_error:
            order[k] = order[k - 1]
            k -= 1
        order[k] = i


@kernel
def fill_vertices(
    inputs: NDArray[Any], vertices: Records, order: NDArray[Any], energy: float, total: NDArray[Any]
) -> None:
    """Fill what the secondary vertices say: the first one where they are, all of them what they sum up to.

    Args:
        inputs: Of the jet.
        vertices: Of the jet.
        order: Their rows.
        energy: Of the selected tracks.
        total: Room for a momentum.
    """
    first = vertices[order[0]]
    total[:] = 0.0
    for row in order:
        add_momentum(total, vertices[row])
        inputs[_VERTEX_TRACKS] += vertices[row].n_tracks
    inputs[_CATEGORY] = RECO_VERTEX
    inputs[_FLIGHT_2D], inputs[_FLIGHT_2D_SIG] = first.flight_2d, first.flight_2d_significance
    inputs[_FLIGHT_3D], inputs[_FLIGHT_3D_SIG] = first.flight_3d, first.flight_3d_significance
    inputs[_VERTEX_DELTA_R] = first.delta_r
    inputs[_VERTEX_MASS] = corrected_mass(total, first)
    inputs[_ENERGY_RATIO] = total[3] / energy if energy > 0.0 else 1.0


@kernel
def fill_pseudo_vertex(
    inputs: NDArray[Any], momentum: NDArray[Any], n_tracks: int, jet: Any, energy: float
) -> None:
    """Fill what displaced tracks say that make no vertex; `energy` is that of the selected tracks."""
    inputs[_CATEGORY] = PSEUDO_VERTEX
    inputs[_VERTEX_MASS], inputs[_VERTEX_TRACKS] = mass_of(momentum), n_tracks
    inputs[_VERTEX_DELTA_R] = delta_r_of(momentum, jet)
    inputs[_ENERGY_RATIO] = momentum[3] / energy


@kernel
def has_two_tracks(tracks: Records, n_tracks: int, jet: Any, pileup: float) -> bool:
    """Return whether there are two tracks or more around a jet, of whichever interaction.

    Tracks of other interactions are not simulated for this; whether there are enough is drawn, as a function
    of the jet. Nearly none of them would pass the cuts on a track.

    Args:
        tracks: Around the jet.
        n_tracks: How many of them count.
        jet: The jet.
        pileup: Mean number of tracks of other interactions around a jet inside the tracker.
    """
    n_own = 0
    for i in range(n_tracks):
        n_own += tracks[i].pt > MIN_PT
    if n_own >= 2:
        return True
    inside = min(max((TRACKER_ETA + CONE - abs(jet.eta)) / (2.0 * CONE), 0.0), 1.0)
    mean = pileup * inside
    too_few = math.exp(-mean) * (1.0 if n_own == 1 else 1.0 + mean)
    return hashed_uniform(1, jet.phi) > too_few


@kernel
def add_eta_rel(inputs: NDArray[Any], track: Any) -> None:
    """Fill the next rapidity along the jet of a track of a (pseudo) vertex."""
    filled = int(inputs[_N_ETA_REL])
    if filled < N_ETA_REL_SLOTS:
        inputs[_ETA_REL + filled] = track.eta_rel
    inputs[_N_ETA_REL] = filled + 1


@kernel
def fill_inputs(
    inputs: NDArray[Any], jet: Any, tracks: Records, n_tracks: int, order: NDArray[Any], axis: NDArray[Any],
    resolution: NDArray[Any], vertices: Records, membership: NDArray[Any], pileup: float,
) -> None:  # fmt: skip
    """Fill all inputs of a jet from its tracks, whose `order` is that of falling significance in the plane.

    Source:
        What each input is made of: CMS's CombinedSVComputer (CMSSW, RecoBTag/SecondaryVertex) with the
        settings of DeepCSV. The tracks of all vertices of a jet count; above charm and for the number of
        tracks, those up to a distance of 0.4 do. A jet with fewer than two tracks around it has no input.
    """
    inputs[:] = MISSING
    inputs[_ETA], inputs[_PT] = jet.eta, jet.pt
    inputs[_N_VERTICES] = inputs[_N_TRACKS] = inputs[_VERTEX_TRACKS] = inputs[_N_ETA_REL] = 0.0
    if not has_two_tracks(tracks, n_tracks, jet, pileup):
        return
    momenta = np.zeros((4, 4))
    n_pseudo = fill_tracks(inputs, tracks, n_tracks, order, jet, momenta)
    n_vertices = find_vertices(tracks, n_tracks, jet, axis, resolution, vertices, membership)
    inputs[_N_VERTICES] = n_vertices
    energy = momenta[_ALL, 3]
    if n_vertices > 0:
        ranks = np.empty(n_vertices, np.int64)
        order_by_error(vertices, n_vertices, ranks)
        fill_vertices(inputs, vertices, ranks, energy, momenta[_SCRATCH])
        for rank in ranks:
            for row in order[:n_tracks]:
                if membership[rank, row] == 1:
                    add_eta_rel(inputs, tracks[row])
    elif n_pseudo >= 2 and not (n_pseudo == 2 and abs(mass_of(momenta[_PSEUDO]) - KAON_MASS) < 0.05):
        fill_pseudo_vertex(inputs, momenta[_PSEUDO], n_pseudo, jet, energy)
        for row in order[:n_tracks]:
            if is_selected(tracks[row]) and tracks[row].sip2d_significance > _PSEUDO_SIGNIFICANCE:
                add_eta_rel(inputs, tracks[row])
    else:
        inputs[_CATEGORY] = NO_VERTEX
    fill_above_charm(inputs, tracks, n_tracks, order, momenta[_SCRATCH])


@kernel
def fill_all(
    detected: DetectedEvents, jets: Jets, resolution: NDArray[Any], pileup: float, inputs: NDArray[Any]
) -> None:
    """Fill the inputs of all jets of a batch, shape ``(n_jets, 67)``; pileup as of `has_two_tracks`."""
    tracks, vertices = np.zeros(MAX_TRACKS, TRACK), np.zeros(MAX_VERTICES, VERTEX)
    membership = np.zeros((MAX_VERTICES, MAX_TRACKS), np.int8)
    order, axis = np.empty(MAX_TRACKS, np.int64), np.empty(3)
    for event in range(len(jets.offsets) - 1):
        particles = detected.particles[detected.offsets[event] : detected.offsets[event + 1]]
        for j in range(jets.offsets[event], jets.offsets[event + 1]):
            jet = jets.jets[j]
            p = math.hypot(jet.pt, jet.pz)
            axis[0], axis[1], axis[2] = jet.px / p, jet.py / p, jet.pz / p
            n_tracks = collect_tracks(tracks, particles, jet, axis, detected.vertices[event], resolution)
            order_by_significance(tracks, n_tracks, order, False)
            fill_inputs(
                inputs[j], jet, tracks, n_tracks, order, axis, resolution, vertices, membership, pileup
            )


def tagging_inputs(detected: DetectedEvents, jets: Jets, detector: Detector) -> NDArray[np.float64]:
    """Return the tagger's inputs in the order of `models.features`, shape ``(n_jets, 67)``.

    A value that does not exist is -999; an above-charm variable -1; counts are 0: as in CMS files.
    """
    inputs = np.empty((len(jets.jets), N_FEATURES))
    resolution = np.array([detector.vertex_xy, detector.vertex_xy, detector.vertex_z])
    fill_all(detected, jets, resolution, detector.pileup_tracks_at_jet, inputs)
    return inputs
