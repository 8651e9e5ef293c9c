import math

import numpy as np
import pytest

from simulation.records import JET, TRACK, VERTEX
from simulation.vertexing import MAX_VERTICES, find_vertices, fit_adaptively, is_accepted, share_from_primary

SIGMA_1, SIGMA_2 = 0.0015, 0.0030
RESOLUTION = np.array([0.0012, 0.0012, 0.0018])


def jet_along(axis):
    jet = np.zeros(1, JET)
    jet["px"], jet["py"], jet["energy"], jet["pt"] = 50.0 * axis[0], 50.0 * axis[1], 50.0, 50.0
    jet["phi"] = math.atan2(axis[1], axis[0])
    return jet


def normals(track):
    """The two directions across a track: in the transverse plane, and out of it."""
    direction = np.array([track["ux"], track["uy"], track["uz"]])
    first = np.array([-direction[1], direction[0], 0.0]) / math.hypot(direction[0], direction[1])
    return first, np.cross(direction, first)


def tracks_from(point, momenta, *, rng=None, charges=None):
    """Tracks through a point (cm), smeared across their direction if a generator is given."""
    tracks = np.zeros(len(momenta), TRACK)
    for i, momentum in enumerate(momenta):
        track = tracks[i]
        p = float(np.linalg.norm(momentum))
        track["px"], track["py"], track["pz"] = momentum
        track["p"], track["energy"] = p, math.hypot(p, 0.13957)
        track["pt"] = math.hypot(momentum[0], momentum[1])
        track["ux"], track["uy"], track["uz"] = np.array(momentum) / p
        track["sigma_1"], track["sigma_2"] = SIGMA_1, SIGMA_2
        first, second = normals(track)
        place = np.array(point, float)
        if rng is not None:
            place = place + rng.normal(0, SIGMA_1) * first + rng.normal(0, SIGMA_2) * second
        track["x"], track["y"], track["z"] = place
        pulls = place @ first / SIGMA_1, place @ second / SIGMA_2
        track["sip3d_significance"] = math.hypot(*pulls)
        track["sip3d"] = math.hypot(place @ first, place @ second)
        track["charge"] = 1 if charges is None else charges[i]
    return tracks


def find(tracks, axis=(1.0, 0.0, 0.0)):
    vertices, membership = np.zeros(MAX_VERTICES, VERTEX), np.zeros((MAX_VERTICES, len(tracks)), np.int8)
    jet = jet_along(axis)[0]
    n = find_vertices(tracks, len(tracks), jet, np.array(axis), RESOLUTION, vertices, membership)
    return vertices[:n], membership[:n]


MOMENTA = [(8.0, 1.0, 0.5), (6.0, -1.2, 0.3), (5.0, 0.2, -1.1)]


def test_a_vertex_is_found_where_its_tracks_cross():
    vertices, membership = find(tracks_from((0.5, 0.0, 0.0), MOMENTA))
    assert len(vertices) == 1
    assert membership[0].tolist() == [1, 1, 1]
    assert vertices["flight_2d"][0] == pytest.approx(0.5, abs=1e-6)
    assert vertices["flight_3d"][0] == pytest.approx(0.5, abs=1e-6)
    assert vertices["n_tracks"][0] == 3


def test_momentum_and_direction_are_those_of_the_tracks_and_the_flight():
    vertices, _ = find(tracks_from((0.4, 0.3, 0.0), [(8.0, 6.1, 0.5), (6.0, 4.2, -0.4)]), (0.8, 0.6, 0.0))
    vertex = vertices[0]
    assert [vertex[name] for name in ("px", "py", "pz")] == pytest.approx([14.0, 10.3, 0.1])
    assert [vertex[name] for name in ("ux", "uy", "uz")] == pytest.approx([0.8, 0.6, 0.0])
    assert vertex["flight_3d_significance"] == pytest.approx(0.5 / vertex["flight_3d_error"])


def test_a_soft_track_joins_a_vertex_but_makes_none():
    soft = [(0.6, 0.1, 0.05), (0.6, -0.1, 0.1)]
    assert len(find(tracks_from((0.5, 0.0, 0.0), soft))[0]) == 0
    vertices, _ = find(tracks_from((0.5, 0.0, 0.0), [*MOMENTA, *soft]))
    assert vertices["n_tracks"].tolist() == [5]


def test_a_track_from_elsewhere_along_the_beam_joins_no_vertex():
    tracks = tracks_from((0.5, 0.0, 0.0), MOMENTA)
    tracks["dz"][2] = 0.31  # cm
    assert find(tracks)[1].tolist() == [[1, 1, 0]]


def test_a_vertex_of_tracks_of_the_primary_one_is_none():
    # Five tracks through one point, of which four fit the primary vertex too: 0.8 > 0.79. Three of four may.
    momenta = [*MOMENTA, (7.0, -0.5, -0.6), (4.0, 0.6, 0.9)]
    tracks = tracks_from((0.5, 0.0, 0.0), momenta)
    share = np.array([1, 1, 1, 1, 1], np.int8)
    tracks["sip3d_significance"] = [2.9, 2.9, 2.9, 2.9, 10.0]
    assert share_from_primary(tracks, 5, share) == pytest.approx(0.8)
    assert not is_accepted(find(tracks_from((0.5, 0.0, 0.0), MOMENTA))[0][0], 2.0, 1.0, 0.8)
    assert is_accepted(find(tracks_from((0.5, 0.0, 0.0), MOMENTA))[0][0], 2.0, 1.0, 0.75)


def test_the_fit_is_weighted_least_squares():
    tracks = tracks_from((0.5, 0.01, -0.02), MOMENTA, rng=np.random.default_rng(3))
    point, weights, covariance = np.array([0.5, 0.011, -0.021]), np.empty(3), np.empty((3, 3))
    assert fit_adaptively(tracks, np.arange(3), weights, point, covariance)
    rows, values = [], []
    for track, weight in zip(tracks, weights, strict=True):
        place = np.array([track["x"], track["y"], track["z"]])
        for normal, sigma in zip(normals(track), (SIGMA_1, SIGMA_2), strict=True):
            rows.append(math.sqrt(weight) * normal / sigma)
            values.append(math.sqrt(weight) * (normal @ place) / sigma)
    expected = np.linalg.lstsq(np.array(rows), np.array(values))[0]
    np.testing.assert_allclose(point, expected, atol=1e-9)
    np.testing.assert_allclose(covariance, np.linalg.inv(np.array(rows).T @ np.array(rows)), rtol=1e-6)


def test_flight_distances_of_a_thousand_vertices_have_pulls_of_one():
    rng = np.random.default_rng(5)
    pulls = []
    for _ in range(1000):
        primary = rng.normal(0.0, RESOLUTION)
        vertices, _ = find(tracks_from(np.array([0.5, 0.0, 0.0]) - primary, MOMENTA, rng=rng))
        pulls += [
            (vertex["flight_2d"] - 0.5) / vertex["flight_2d_error"]
            for vertex in vertices
            if vertex["n_tracks"] == 3
        ]
    assert len(pulls) > 850
    low, high = np.quantile(pulls, [0.25, 0.75])
    assert (high - low) / 1.349 == pytest.approx(1.0, abs=0.1)


def test_an_outlier_is_left_out():
    tracks = tracks_from((0.5, 0.0, 0.0), [*MOMENTA, (4.0, 0.5, 0.5)])
    tracks[3]["z"] += 0.02  # 200 um, some 7 sigmas beside the vertex
    vertices, membership = find(tracks)
    assert vertices["flight_2d"][0] == pytest.approx(0.5, abs=1e-3)
    assert membership[0].tolist() == [1, 1, 1, 0]


def test_prompt_tracks_make_no_vertex():
    vertices, _ = find(tracks_from((0.0, 0.0, 0.0), MOMENTA, rng=np.random.default_rng(7)))
    assert len(vertices) == 0


def test_a_kaon_makes_no_vertex():
    # Two pions of 206 MeV in the rest frame, back to back across the flight: a mass of 497.6 MeV.
    pair = [(5.0, 0.206, 0.0), (5.0, -0.206, 0.0)]
    vertices, _ = find(tracks_from((1.0, 0.0, 0.0), pair, charges=[1, -1]))
    assert len(vertices) == 0
    vertices, _ = find(tracks_from((1.0, 0.0, 0.0), pair, charges=[1, 1]))
    assert len(vertices) == 1


def test_two_vertices_are_told_apart():
    near = tracks_from((0.3, 0.0, 0.0), MOMENTA)
    far = tracks_from((1.5, 0.1, 0.1), [(7.0, 1.5, 0.8), (6.0, -0.5, 1.5), (5.0, 0.8, -0.9)])
    vertices, membership = find(np.concatenate([near, far]))
    assert len(vertices) == 2
    assert sorted(membership.sum(axis=1).tolist()) == [3, 3]


def test_no_tracks_make_no_vertex():
    assert len(find(np.zeros(0, TRACK))[0]) == 0
