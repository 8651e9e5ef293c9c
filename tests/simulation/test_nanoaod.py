import awkward as ak
import numpy as np
import pytest
import uproot

from models.features import BRANCHES, FEATURES, feature_matrix
from simulation import SampleRequest, simulate_sample
from simulation.nanoaod import FLAGS, rounded
from simulation.simulate import truth_path

GENERATOR_BRANCHES = {
    "genWeight",
    "Pileup_nTrueInt",
    "Jet_hadronFlavour",
    "Jet_partonFlavour",
    "Jet_nBHadrons",
    "Jet_nCHadrons",
    "Muon_genPartFlav",
}

MUON_FIELDS = ("pt", "eta", "phi", "mass", "charge", "tightId", "pfRelIso04_all", "jetIdx")
MUON_IMPACT = ("dxy", "dxyErr", "dz", "ip3d", "sip3d")
ELECTRON_FIELDS = ("pt", "eta", "phi", "mass", "charge", "deltaEtaSC", "mvaFall17V2Iso_WP80")
JET_LINKS = ("jetId", "puId", "muonIdx1", "muonIdx2", "nMuons", "phi", "mass")
JET_FRACTIONS = ("muEF", "neEmEF", "chEmEF", "chHEF", "neHEF")

EXPECTED_BRANCHES = {
    *("run", "luminosityBlock", "event", "PV_npvsGood", "fixedGridRhoFastjetAll", "MET_pt", "MET_phi"),
    *(f"Flag_{name}" for name in FLAGS),
    *("HLT_IsoMu24", "HLT_IsoMu27", "HLT_Mu17_TrkIsoVVL_Mu8_TrkIsoVVL_DZ"),
    *(f"HLT_Mu17_TrkIsoVVL_Mu8_TrkIsoVVL_DZ_Mass{mass}" for mass in ("3p8", "8")),
    *(f"Muon_{name}" for name in MUON_FIELDS + MUON_IMPACT),
    *(f"Electron_{name}" for name in ELECTRON_FIELDS),
    *(f"Jet_{name}" for name in JET_LINKS + JET_FRACTIONS),
    *BRANCHES,
}


GENERATOR_COLLECTIONS = (
    *("GenPart_", "GenJet_", "Jet_genJetIdx", "nGen"),
    *("Generator_", "LHE", "nLHE", "PSWeight", "nPSWeight"),
)


def events_of(info):
    return uproot.open(info.path)["Events"]


def collection(info, name):
    arrays = events_of(info).arrays(filter_name=f"{name}_*")
    return ak.zip({field.removeprefix(f"{name}_"): arrays[field] for field in arrays.fields})


@pytest.fixture
def top(sample):
    return sample("ttsl", "mc")


def test_rounding_keeps_ten_bits_of_mantissa():
    # 1 + 2^-10 is kept; 1 + 2^-11 is half way and goes up; 1 + 2^-12 goes down.
    values = np.array([1 + 2**-10, 1 + 2**-11, 1 + 2**-12, -999.0, 0.0, np.inf, -1.0])
    expected = [1 + 2**-10, 1 + 2**-10, 1.0, -999.0, 0.0, np.inf, -1.0]
    np.testing.assert_array_equal(rounded(values), np.array(expected, np.float32))
    assert np.isnan(rounded(np.array([np.nan]))[0])
    numbers = np.random.default_rng(1).normal(size=1000)
    np.testing.assert_allclose(rounded(numbers), numbers, rtol=2**-11 * 1.001)


def test_simulation_has_all_branches_and_data_none_of_the_generator(sample, top):
    simulation, data = set(events_of(top).keys()), set(events_of(sample("wc", "data")).keys())
    assert simulation >= EXPECTED_BRANCHES | GENERATOR_BRANCHES
    generated = {name for name in simulation if name.startswith(GENERATOR_COLLECTIONS)}
    assert data == simulation - GENERATOR_BRANCHES - generated


def test_types_are_those_of_cms(top):
    types = {name: branch.typename for name, branch in events_of(top).items()}
    assert types["run"] == types["luminosityBlock"] == "uint32_t"
    assert types["event"] == "uint64_t"
    assert types["Jet_DeepCSV_vertexCategory"] == "float[]"
    for name in ("jetNSecondaryVertices", "jetNSelectedTracks", "jetNTracksEtaRel", "vertexNTracks"):
        assert types[f"Jet_DeepCSV_{name}"] == "int32_t[]"
    assert types["Jet_jetId"] == types["Jet_hadronFlavour"] == types["Jet_muonIdx1"] == "int32_t[]"
    assert types["Muon_tightId"] == types["Electron_mvaFall17V2Iso_WP80"] == "bool[]"
    assert types["Muon_genPartFlav"] == "uint8_t[]"
    assert types["HLT_IsoMu27"] == types["Flag_goodVertices"] == "bool"


def test_jets_and_muons_are_in_order_of_momentum(top):
    for name in ("Jet", "Muon", "Electron"):
        pt = collection(top, name).pt
        assert ak.all(pt[:, :-1] >= pt[:, 1:])


def test_jets_and_muons_point_at_one_another(top):
    jets, muons = collection(top, "Jet"), collection(top, "Muon")
    assert ak.sum(jets.nMuons) > 100
    for event_jets, event_muons in zip(jets, muons, strict=True):
        held = {index: [] for index in range(len(event_jets))}
        for index, muon in enumerate(event_muons):
            if muon.jetIdx >= 0:
                held[muon.jetIdx].append(index)
                assert abs(muon.eta - event_jets[muon.jetIdx].eta) < 0.5
        for index, jet in enumerate(event_jets):
            assert jet.nMuons == len(held[index])
            assert [jet.muonIdx1, jet.muonIdx2] == (held[index] + [-1, -1])[:2]
            assert (jet.muEF > 0) == (len(held[index]) > 0)


def test_isolated_muons_are_jets_that_the_identification_refuses(sample):
    info = sample("dy", "mc")
    jets, muons = collection(info, "Jet"), collection(info, "Muon")
    hard = muons[(muons.pt > 25) & (muons.pfRelIso04_all < 0.05) & (muons.jetIdx >= 0)]
    assert ak.count(hard.pt) > 150
    assert ak.mean(jets[hard.jetIdx].jetId >= 5) < 0.05


def test_drell_yan_has_two_muons_of_the_mass_of_the_z(sample):
    muons = collection(sample("dy", "mc"), "Muon")
    muons = muons[(muons.pfRelIso04_all < 0.15) & muons.tightId]
    pairs = muons[ak.num(muons) == 2]
    assert len(pairs) > 90
    first, second = pairs[:, 0], pairs[:, 1]
    mass = np.sqrt(
        2 * first.pt * second.pt * (np.cosh(first.eta - second.eta) - np.cos(first.phi - second.phi))
    )
    assert ak.all(first.charge == -second.charge)
    # Muons that radiate make it a little less than 91.2 GeV.
    assert np.median(mass) == pytest.approx(90.7, abs=0.8)
    assert ak.mean(pairs.genPartFlav == 1) > 0.99


def test_triggers_fire_on_what_they_ask_for(sample):
    info = sample("dy", "mc")
    fired = events_of(info)["HLT_Mu17_TrkIsoVVL_Mu8_TrkIsoVVL_DZ_Mass8"].array()
    muons = collection(info, "Muon")
    loose = muons[muons.pfRelIso03_all < 0.4]
    could = (ak.sum(loose.pt > 17, axis=1) > 0) & (ak.sum(loose.pt > 8, axis=1) > 1)
    assert not ak.any(fired & ~could)
    assert 0.85 < ak.sum(fired) / ak.sum(could) < 1.0


def test_wc_muons_have_opposite_signs(sample):
    muons = collection(sample("wc", "mc"), "Muon")
    hard = ak.firsts(muons[(muons.pt > 27) & (muons.genPartFlav == 1)])
    soft = ak.firsts(muons[muons.genPartFlav == 4])
    product = ak.drop_none(hard.charge * soft.charge)
    assert len(product) > 40
    assert ak.mean(product == -1) > 0.9


def test_top_pairs_have_muons_of_both_charges(top):
    muons = collection(top, "Muon")
    hard = ak.firsts(muons[(muons.pt > 27) & (muons.genPartFlav == 1)]).charge
    assert 0.3 < ak.mean(hard == 1) < 0.7


def test_b_jets_have_a_b_hadron(top):
    jets = collection(top, "Jet")
    assert ak.all((jets.hadronFlavour == 5) == (jets.nBHadrons > 0))
    assert ak.all((jets.hadronFlavour == 4) == ((jets.nBHadrons == 0) & (jets.nCHadrons > 0)))
    assert 1.2 < ak.mean(ak.sum(jets.hadronFlavour == 5, axis=1)) < 2.2
    matched = abs(jets.partonFlavour[jets.hadronFlavour == 5])
    assert ak.mean(matched == 5) > 0.9


def test_the_truth_about_data_lies_beside_it(sample):
    info = sample("wc", "data")
    data, truth = events_of(info), uproot.open(truth_path(info.path))["Events"]
    np.testing.assert_array_equal(data["event"].array(), truth["event"].array())
    np.testing.assert_array_equal(data["nJet"].array(), truth["nJet"].array())
    assert ak.any(truth["Jet_hadronFlavour"].array() == 4)


def test_garbage_stands_only_where_no_track_is(tmp_path):
    request = SampleRequest("dy", "mc", 60, seed=4)
    clean = simulate_sample(request, tmp_path / "clean.root")
    wild = simulate_sample(request, tmp_path / "wild.root", uninitialised_tracks=True)
    raw = [
        feature_matrix(
            {field: ak.to_numpy(ak.flatten(jets[field])) for field in jets.fields if field in FIELDS}
        )
        for jets in (collection(clean, "Jet"), collection(wild, "Jet"))
    ]
    differs = raw[0] != raw[1]
    by_count = np.array([feature.rule in ("selected_tracks", "eta_rel_tracks") for feature in FEATURES])
    np.testing.assert_array_equal(differs, (raw[0] == -999) & by_count)


FIELDS = {branch.removeprefix("Jet_") for branch in BRANCHES}
