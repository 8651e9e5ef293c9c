"""The 67 inputs of the tagger, for each jet of a batch."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.features import BRANCHES, MISSING, N_FEATURES
from simulation.compiled import kernel
from simulation.detector import DetectedEvents
from simulation.geometry import delta_r
from simulation.jets import Jets
from simulation.records import TRACK, VERTEX, Records
from simulation.scenarios import Detector
from simulation.tracks import collect_tracks, is_selected, order_by_significance
from simulation.vertexing import KAON_MASS, MAX_VERTICES, find_vertices

MAX_TRACKS = 256
N_TRACK_SLOTS, N_ETA_REL_SLOTS = 6, 4
RECO_VERTEX, PSEUDO_VERTEX, NO_VERTEX = 0, 1, 2
"""Values of `vertexCategory`."""

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
def is_from_kaon(tracks: Records, n_tracks: int, i: int, pair: NDArray[Any]) -> bool:
    """Return whether a track makes a K0S with another of opposite charge; `pair` is room for a momentum."""
    for k in range(n_tracks):
        if k == i or tracks[k].charge * tracks[i].charge > 0 or tracks[k].delta_r > 0.3:
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
def fill_above_charm(inputs: NDArray[Any], track: Any) -> None:
    """Fill the impact parameters of the track that lifts the mass of the tracks above that of charm."""
    inputs[_ABOVE_2D], inputs[_ABOVE_2D_SIG] = track.sip2d, track.sip2d_significance
    inputs[_ABOVE_3D], inputs[_ABOVE_3D_SIG] = track.sip3d, track.sip3d_significance


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
        momenta: Receives the sum of the selected tracks and of those of a pseudo vertex; row 2 is scratch.
    """
    n_selected = n_kept = n_pseudo = 0
    above = False
    for row in order[:n_tracks]:
        track = tracks[row]
        if not is_selected(track):
            continue
        n_selected += 1
        add_momentum(momenta[0], track)
        if not above and mass_of(momenta[0]) > _CHARM_MASS:
            above = True
            fill_above_charm(inputs, track)
        if is_from_kaon(tracks, n_tracks, row, momenta[2]):
            continue
        if track.sip2d_significance > _PSEUDO_SIGNIFICANCE:
            n_pseudo += 1
            add_momentum(momenta[1], track)
        if n_kept < N_TRACK_SLOTS:
            fill_slot(inputs, n_kept, track)
        n_kept += 1
    inputs[_N_TRACKS] = n_kept
    if not above:
        inputs[_ABOVE_2D] = inputs[_ABOVE_2D_SIG] = inputs[_ABOVE_3D] = inputs[_ABOVE_3D_SIG] = -1.0
    if n_selected > 0:
        total = momenta[0]
        pt = math.hypot(total[0], total[1])
        transverse_energy = total[3] * pt / math.hypot(pt, total[2])
        inputs[_TRACKS_PT] = pt
        inputs[_TRACKS_DELTA_R] = delta_r_of(total, jet)
        inputs[_TRACKS_ET_RATIO] = transverse_energy / (jet.energy * jet.pt / math.hypot(jet.pt, jet.pz))
    return n_pseudo


@kernel
def best_vertex(vertices: Records, n_vertices: int) -> int:
    """Return the vertex whose flight distance is known best, -1 if there is none."""
    best = -1
    for i in range(n_vertices):
        if best < 0 or vertices[i].flight_2d_error < vertices[best].flight_2d_error:
            best = i
    return best


@kernel
def fill_vertex(inputs: NDArray[Any], vertex: Any, energy: float) -> None:
    """Fill what a secondary vertex says; `energy` is that of the selected tracks."""
    inputs[_CATEGORY] = RECO_VERTEX
    inputs[_FLIGHT_2D], inputs[_FLIGHT_2D_SIG] = vertex.flight_2d, vertex.flight_2d_significance
    inputs[_FLIGHT_3D], inputs[_FLIGHT_3D_SIG] = vertex.flight_3d, vertex.flight_3d_significance
    inputs[_VERTEX_MASS], inputs[_VERTEX_TRACKS] = vertex.mass, vertex.n_tracks
    inputs[_VERTEX_DELTA_R] = vertex.delta_r
    if energy > 0.0:
        inputs[_ENERGY_RATIO] = vertex.energy / energy


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
def fill_eta_rel(
    inputs: NDArray[Any], tracks: Records, order: NDArray[Any], membership: NDArray[Any], is_pseudo: bool
) -> None:
    """Fill the rapidities along the jet of the tracks of the (pseudo) vertex, in order of significance."""
    n_filled = 0
    for row in order:
        track = tracks[row]
        if is_pseudo:
            belongs = is_selected(track) and track.sip2d_significance > _PSEUDO_SIGNIFICANCE
        else:
            belongs = membership[row] == 1
        if not belongs:
            continue
        if n_filled < N_ETA_REL_SLOTS:
            inputs[_ETA_REL + n_filled] = track.eta_rel
        n_filled += 1
    inputs[_N_ETA_REL] = n_filled


@kernel
def fill_inputs(
    inputs: NDArray[Any], jet: Any, tracks: Records, n_tracks: int, order: NDArray[Any], axis: NDArray[Any],
    resolution: NDArray[Any], vertices: Records, membership: NDArray[Any],
) -> None:  # fmt: skip
    """Fill all inputs of a jet from its tracks."""
    inputs[:] = MISSING
    inputs[_ETA], inputs[_PT] = jet.eta, jet.pt
    momenta = np.zeros((3, 4))
    n_pseudo = fill_tracks(inputs, tracks, n_tracks, order, jet, momenta)
    n_vertices = find_vertices(tracks, n_tracks, jet, axis, resolution, vertices, membership)
    inputs[_N_VERTICES] = n_vertices
    inputs[_VERTEX_TRACKS] = inputs[_N_ETA_REL] = 0.0
    energy = momenta[0, 3]
    if n_vertices > 0:
        best = best_vertex(vertices, n_vertices)
        fill_vertex(inputs, vertices[best], energy)
        fill_eta_rel(inputs, tracks, order[:n_tracks], membership[best], False)
    elif n_pseudo >= 2 and abs(mass_of(momenta[1]) - KAON_MASS) > 0.05:
        fill_pseudo_vertex(inputs, momenta[1], n_pseudo, jet, energy)
        fill_eta_rel(inputs, tracks, order[:n_tracks], membership[0], True)
    elif energy > 0.0:
        inputs[_CATEGORY] = NO_VERTEX


@kernel
def fill_all(detected: DetectedEvents, jets: Jets, resolution: NDArray[Any], inputs: NDArray[Any]) -> None:
    """Fill the inputs of all jets of a batch, shape ``(n_jets, 67)``."""
    tracks, vertices = np.zeros(MAX_TRACKS, TRACK), np.zeros(MAX_VERTICES, VERTEX)
    membership = np.zeros((MAX_VERTICES, MAX_TRACKS), np.int8)
    order, axis = np.empty(MAX_TRACKS, np.int64), np.empty(3)
    for event in range(len(jets.offsets) - 1):
        for j in range(jets.offsets[event], jets.offsets[event + 1]):
            jet = jets.jets[j]
            p = math.hypot(jet.pt, jet.pz)
            axis[0], axis[1], axis[2] = jet.px / p, jet.py / p, jet.pz / p
            begin, end = jets.constituent_offsets[j], jets.constituent_offsets[j + 1]
            n_tracks = collect_tracks(
                tracks, detected.particles, jets.constituents[begin:end], jet, axis,
                detected.vertices[event], resolution,
            )  # fmt: skip
            order_by_significance(tracks, n_tracks, order)
            fill_inputs(inputs[j], jet, tracks, n_tracks, order, axis, resolution, vertices, membership)


def tagging_inputs(detected: DetectedEvents, jets: Jets, detector: Detector) -> NDArray[np.float64]:
    """Return the tagger's inputs in the order of `models.features`, shape ``(n_jets, 67)``.

    A value that does not exist is -999; an above-charm variable -1; counts are 0: as in CMS files.
    """
    inputs = np.empty((len(jets.jets), N_FEATURES))
    resolution = np.array([detector.vertex_xy, detector.vertex_xy, detector.vertex_z])
    fill_all(detected, jets, resolution, inputs)
    return inputs
