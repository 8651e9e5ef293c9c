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


def test_a_jet_without_tracks_has_no_values(seen, perfect):
    _, _, inputs = inputs_of(seen, [{"px": 50.0, "pdg": 22}, {"py": 30.0}], perfect)
    photon, pion = inputs
    assert np.count_nonzero(photon == -999) == 65 - 4 - 4  # four counts are 0, four above-charm variables -1
    assert pion[index_of("Jet_DeepCSV_vertexCategory")] == NO_VERTEX
    assert pion[index_of("Jet_DeepCSV_jetNSelectedTracks")] == 1


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
