import math

import numpy as np
import pytest
import uproot

from models.features import FEATURES, JET_FIELDS, default_mask, feature_matrix, index_of
from simulation import SampleRequest, simulate_sample
from simulation.jets import cluster
from simulation.tagging_inputs import NO_VERTEX, PSEUDO_VERTEX, RECO_VERTEX, tagging_inputs


def column(inputs, name):
    return inputs[:, index_of(f"Jet_DeepCSV_{name}")]


def inputs_of(seen, event, detector):
    detected = seen([event], detector)
    jets = cluster(detected)
    return detected, jets, tagging_inputs(detected, jets, detector)


PROMPT = [{"px": 20.0, "py": 0.5}, {"px": 10.0, "py": -1.0, "pz": 0.3}, {"px": 5.0, "pz": -0.4, "pdg": -211}]
DECAY = [  # from a point 5 mm ahead of the vertex
    {"px": 9.0, "py": 1.2, "x": 5.0},
    {"px": 7.0, "py": -1.5, "pz": 0.4, "x": 5.0, "pdg": -211},
    {"px": 6.0, "pz": -1.3, "x": 5.0},
]


def test_a_jet_with_a_displaced_decay_has_a_vertex(seen, perfect):
    detector = perfect._replace(d0_constant=0.001, dz_constant=0.002, vertex_xy=0.001, vertex_z=0.001)
    _, _, inputs = inputs_of(seen, PROMPT + DECAY, detector)
    assert column(inputs, "vertexCategory") == RECO_VERTEX
    assert column(inputs, "jetNSecondaryVertices") == 1
    assert column(inputs, "vertexNTracks") == 3
    assert column(inputs, "jetNTracksEtaRel") == 3
    assert column(inputs, "flightDistance2dVal") == pytest.approx(0.5, abs=0.03)
    assert column(inputs, "jetNSelectedTracks") == 6


def test_energies_and_momenta_are_those_of_the_tracks(seen, perfect):
    detector = perfect._replace(d0_constant=0.001, dz_constant=0.002)
    detected, jets, inputs = inputs_of(seen, PROMPT + DECAY, detector)
    tracks = detected.particles
    energy = np.sqrt(tracks["px"] ** 2 + tracks["py"] ** 2 + tracks["pz"] ** 2 + 0.13957**2)
    assert column(inputs, "trackJetPt") == pytest.approx(math.hypot(tracks["px"].sum(), tracks["py"].sum()))
    assert column(inputs, "vertexEnergyRatio") == pytest.approx(energy[3:].sum() / energy.sum())
    assert inputs[0, index_of("Jet_pt")] == jets.jets["pt"][0]
    # The track of the six with the largest significance; its momentum across the axis by a cross product.
    axis = np.array([jets.jets[name][0] for name in ("px", "py", "pz")])
    axis /= np.linalg.norm(axis)
    momenta = np.stack([tracks[name] for name in ("px", "py", "pz")], axis=1)
    across = np.linalg.norm(np.cross(momenta, axis), axis=1)
    pt_rel = inputs[0, index_of("Jet_DeepCSV_trackPtRel_0") : index_of("Jet_DeepCSV_trackPtRel_0") + 6]
    np.testing.assert_allclose(np.sort(pt_rel), np.sort(across), rtol=1e-9)


def test_impact_parameters_ahead_are_positive_and_behind_negative(seen, perfect):
    detector = perfect._replace(d0_constant=0.001, dz_constant=0.002)
    ahead = [{"px": 30.0, "py": 3.0, "x": 2.0}, {"px": 30.0, "py": -3.0}]
    behind = [{"px": 30.0, "py": 3.0, "x": -2.0}, {"px": 30.0, "py": -3.0}]
    _, _, first = inputs_of(seen, ahead, detector)
    _, _, second = inputs_of(seen, behind, detector)
    # 2 mm along x at an angle of 0.0997: 0.199 mm beside the vertex, 19.9 sigmas of 10 um.
    assert column(first, "trackSip2dSig_0") == pytest.approx(19.9, abs=4)
    assert column(second, "trackSip2dSig_1") == pytest.approx(-19.9, abs=4)


def test_displaced_tracks_without_a_vertex_are_a_pseudo_vertex(seen, perfect):
    detector = perfect._replace(d0_constant=0.001, dz_constant=0.002, vertex_xy=0.001, vertex_z=0.001)
    # Two tracks of the same charge from points 0.6 mm apart in z: neither meets the other.
    apart = [{"px": 20.0, "py": 3.0, "x": 3.0, "z": 0.3}, {"px": 20.0, "py": -3.0, "x": 3.0, "z": -0.3}]
    _, _, inputs = inputs_of(seen, apart, detector)
    assert column(inputs, "vertexCategory") == PSEUDO_VERTEX
    assert column(inputs, "vertexNTracks") == 2
    assert column(inputs, "flightDistance2dVal") == -999


def test_two_vertices_are_summed_up_and_the_better_one_gives_the_distance(seen, perfect):
    detector = perfect._replace(d0_constant=0.001, dz_constant=0.002, vertex_xy=0.001, vertex_z=0.001)
    far = [
        {"px": 12.0, "py": 1.2, "x": 12.0, "y": 0.3},
        {"px": 8.0, "py": -0.6, "pz": 1.5, "x": 12.0, "y": 0.3},
    ]
    detected, _, inputs = inputs_of(seen, DECAY + far, detector)
    assert column(inputs, "jetNSecondaryVertices") == 2
    assert column(inputs, "vertexNTracks") == column(inputs, "jetNTracksEtaRel") == 5
    assert column(inputs, "flightDistance2dVal") == pytest.approx(0.5, abs=0.05)
    tracks = detected.particles
    momentum = np.array([tracks[name].sum() for name in ("px", "py", "pz")])
    energy = np.sqrt(tracks["px"] ** 2 + tracks["py"] ** 2 + tracks["pz"] ** 2 + 0.13957**2).sum()
    across = np.linalg.norm(momentum[1:])  # of the flight, which is along x
    mass = math.sqrt(energy**2 - momentum @ momentum + across**2) + across
    assert column(inputs, "vertexMass") == pytest.approx(mass, rel=0.02)


def test_above_charm_is_the_track_that_lifts_the_mass_above_charm(seen, perfect):
    detector = perfect._replace(d0_constant=0.001, dz_constant=0.002)
    detected, _, inputs = inputs_of(seen, PROMPT + DECAY, detector)
    tracks = detected.particles
    significance = np.hypot(tracks["ip_x"], tracks["ip_y"]) / tracks["sigma_d0"]
    momenta = np.stack([tracks[name] for name in ("px", "py", "pz")], axis=1)
    along = (tracks["ip_x"] * momenta.sum(axis=0)[0] + tracks["ip_y"] * momenta.sum(axis=0)[1]) >= 0
    signed = np.where(along, significance, -significance)
    order = np.argsort(-signed)
    energies = np.sqrt((momenta**2).sum(axis=1) + 0.13957**2)[order].cumsum()
    masses = np.sqrt(energies**2 - (momenta[order].cumsum(axis=0) ** 2).sum(axis=1))
    first = order[np.argmax(masses > 1.5)]
    assert column(inputs, "trackSip2dSigAboveCharm") == pytest.approx(signed[first])


def test_a_track_beyond_the_selection_counts_above_charm(seen, perfect):
    # At 0.35 from the axis: too far for a selected track (0.3). m = 2.5 GeV by 2 x 30 x 1.5 (1 - cos 0.37).
    pair = [{"px": 30.0}, {"px": 1.5 * math.cos(0.37), "py": 1.5 * math.sin(0.37)}]
    _, _, inputs = inputs_of(seen, pair, perfect)
    assert column(inputs, "jetNSelectedTracks") == 1
    assert column(inputs, "trackSip2dSigAboveCharm") != -1
    _, _, inputs = inputs_of(seen, [{"px": 20.0, "py": 1.0}, {"px": 3.0}], perfect)
    assert column(inputs, "trackSip2dSigAboveCharm") == -1


def test_a_jet_with_fewer_than_two_tracks_around_has_no_values(seen, perfect):
    alone = perfect._replace(pileup_tracks_at_jet=0.0)
    _, _, inputs = inputs_of(seen, [{"px": 50.0, "pdg": 22}, {"py": 30.0}], alone)
    assert np.all(np.count_nonzero(inputs == -999, axis=1) == 65 - 4)  # four counts are 0
    assert np.all(column(inputs, "jetNSelectedTracks") == 0)


def test_tracks_of_other_interactions_make_a_jet_one_with_no_vertex(seen, perfect):
    crowded = perfect._replace(pileup_tracks_at_jet=1000.0)
    _, _, inputs = inputs_of(seen, [{"px": 50.0, "py": 5.0, "pdg": 22}, {"py": 30.0}], crowded)
    photon, pion = inputs
    assert np.all(column(inputs, "vertexCategory") == NO_VERTEX)
    assert column(inputs, "jetNSelectedTracks").tolist() == [0, 1]
    # The sum of no tracks has no direction: in CMS files it is (eta, phi) = (0, 0).
    assert photon[index_of("Jet_DeepCSV_trackSumJetDeltaR")] == pytest.approx(math.atan2(5, 50))
    assert photon[index_of("Jet_DeepCSV_trackJetPt")] == 0
    assert pion[index_of("Jet_DeepCSV_trackJetPt")] == pytest.approx(30.0, rel=0.05)


def test_too_few_tracks_are_as_frequent_as_poisson_says(seen, perfect):
    detector = perfect._replace(pileup_tracks_at_jet=2.0)
    photons = [[{"px": 50.0 * math.cos(k), "py": 50.0 * math.sin(k), "pdg": 22}] for k in range(2000)]
    jets = cluster(seen(photons, detector))
    inputs = tagging_inputs(seen(photons, detector), jets, detector)
    # exp(-2) (1 + 2) = 0.406 of the jets have none or one.
    assert np.mean(column(inputs, "vertexCategory") == -999) == pytest.approx(0.406, abs=0.033)


@pytest.fixture(scope="module")
def top_jets(tmp_path_factory):
    path = tmp_path_factory.mktemp("tt") / "ttsl.root"
    simulate_sample(SampleRequest("ttsl", "mc", 500), path)
    names = ["jetId", "hadronFlavour", *JET_FIELDS]
    arrays = uproot.open(path)["Events"].arrays([f"Jet_{name}" for name in names], library="ak")
    flat = {name: np.concatenate([np.asarray(event) for event in arrays[f"Jet_{name}"]]) for name in names}
    good = (flat["jetId"] >= 5) & (flat["pt"] > 20) & (np.abs(flat["eta"]) < 2.5)
    return {name: values[good] for name, values in flat.items()}


@pytest.mark.parametrize(("flavour", "low", "high"), [(5, 0.70, 0.85), (4, 0.28, 0.50), (0, 0.02, 0.10)])
def test_vertices_are_found_as_often_as_cms_finds_them(top_jets, flavour, low, high):
    jets = top_jets["hadronFlavour"] == flavour
    assert np.count_nonzero(jets) > 100
    assert low < np.mean(top_jets["DeepCSV_vertexCategory"][jets] == RECO_VERTEX) < high


def test_defaults_are_exactly_what_the_schema_calls_so(top_jets):
    raw = feature_matrix(top_jets)
    mask = default_mask(raw)
    above_charm = np.array([feature.rule == "above_charm" for feature in FEATURES])
    np.testing.assert_array_equal(mask, (raw == -999) | (above_charm & (raw == -1)))
    assert mask.mean() > 0.1
    b_jets = top_jets["hadronFlavour"] == 5
    # Few b jets have no track at all, and most have four.
    first, fourth = (mask[b_jets, index_of(f"Jet_DeepCSV_trackSip2dSig_{i}")].mean() for i in (0, 3))
    assert first < 0.05
    assert 0.1 < fourth < 0.5


def test_tracks_come_in_order_of_significance(top_jets):
    raw = feature_matrix(top_jets)
    first = index_of("Jet_DeepCSV_trackSip2dSig_0")
    significance = np.where(default_mask(raw)[:, first : first + 6], -np.inf, raw[:, first : first + 6])
    assert np.all(significance[:, :-1] >= significance[:, 1:])


def test_b_jets_are_more_displaced_than_light_jets(top_jets):
    significance = top_jets["DeepCSV_trackSip3dSig_0"]
    flavour, has_track = top_jets["hadronFlavour"], significance > -999
    medians = [np.median(significance[has_track & (flavour == wanted)]) for wanted in (5, 4, 0)]
    assert medians[0] > 2 * medians[1] > 2 * medians[2] > 0
