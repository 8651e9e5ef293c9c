import awkward as ak
import numpy as np
import pytest
import uproot

from simulation import SampleRequest, simulate_sample
from simulation.genparticles import collect_generated, mother_of
from simulation.records import GENERATED
from simulation.simulate import truth_path

MESON = {"pdg": -511, "status": -83, "px": -30.0, "x": 0.5}
# The hard process 3 4 -> W b, the W to a muon and a neutrino, the b to a B0 that decays to a D- and a muon.
EVENT = [
    {"pdg": 90, "status": -11},
    {"pdg": 2212, "status": -12, "pz": 6500.0, "first_daughter": 3},
    {"pdg": 2212, "status": -12, "pz": -6500.0},
    {"pdg": 21, "status": -21, "mother": 0, "pz": 50.0, "first_daughter": 4, "last_daughter": 5},
    {"pdg": 24, "status": -22, "mother": 3, "px": 40.0, "first_daughter": 6, "last_daughter": 7},
    {"pdg": 5, "status": -23, "mother": 3, "px": -40.0, "first_daughter": 8, "last_daughter": 8},
    {"pdg": -13, "status": -23, "mother": 4, "px": 30.0, "first_daughter": 9, "last_daughter": 9},
    {"pdg": 14, "status": 23, "mother": 4, "px": 10.0},
    {"pdg": 5, "status": -71, "mother": 5, "px": -39.0, "first_daughter": 11, "last_daughter": 11},
    {"pdg": -13, "status": 51, "mother": 6, "px": 29.0},
    {"pdg": -2, "status": -71, "mother": 3, "py": 5.0, "first_daughter": 11, "last_daughter": 11},
    MESON | {"mother": 8, "last_mother": 10, "first_daughter": 12, "last_daughter": 13},
    {"pdg": 411, "status": -91, "mother": 11, "px": -20.0, "x": 0.5 - 3.0, "y": 4.0, "first_daughter": 14},
    {"pdg": 13, "status": 91, "mother": 11, "px": -5.0, "x": 0.5 - 3.0, "y": 4.0},
    {"pdg": 211, "status": 91, "mother": 12, "px": -9.0, "x": 0.5 - 3.0, "y": 4.0, "z": 1.5},
]


@pytest.fixture
def kept(generated):
    particles, offsets = np.zeros(len(EVENT), GENERATED), np.zeros(2, np.int64)
    collect_generated(generated([EVENT]), np.arange(1), particles, offsets)
    return particles[: offsets[1]]


def bits(flags):
    return {bit for bit in range(15) if flags >> bit & 1}


def test_what_matters_is_kept_with_its_mother(kept):
    assert kept["pdg"].tolist() == [21, 24, 5, -13, 14, -13, -511, 411, 13]
    # The quark that became a hadron is not kept: the B0's mother is the b of the hard process.
    assert kept["mother"].tolist() == [-1, 0, 0, 1, 1, 3, 2, 6, 6]


def test_status_and_flags_are_those_of_nanoaod(kept):
    by_row = dict(enumerate(kept["flags"].tolist()))
    assert kept["status"].tolist() == [21, 22, 23, 23, 1, 1, 2, 2, 1]
    assert [7 in bits(flags) for flags in by_row.values()] == [True] * 5 + [False] * 4  # isHardProcess
    assert bits(by_row[5]) == {0, 8, 13}  # the last muon: prompt, from the hard process, no first copy
    assert bits(by_row[3]) == {0, 7, 8, 12}
    assert bits(by_row[8]) == {6, 12, 13}  # the muon of the B0: of a hadron
    assert bits(by_row[6]) == {0, 1, 12, 13}


def test_places_and_decay_lengths_are_in_centimetres(kept):
    meson, charm = kept[6], kept[7]
    assert [meson["vx"], meson["vy"], meson["vz"]] == pytest.approx([0.05, 0.0, 0.0])
    assert meson["decay_length"] == pytest.approx(0.5)  # 3 and 4 mm make 5
    assert charm["decay_length"] == pytest.approx(0.15)
    assert kept["decay_length"][8] == kept["decay_length"][1] == -1.0


def test_the_mother_of_a_heavy_hadron_is_the_quark_of_its_flavour(generated):
    string = [
        {"pdg": 90, "status": -11},
        {"pdg": 2, "status": -71, "px": 10.0},
        {"pdg": 21, "status": -71, "px": 5.0},
        {"pdg": -5, "status": -71, "px": -20.0},
        {"pdg": 521, "status": -83, "px": -18.0, "mother": 1, "last_mother": 3},
        {"pdg": 211, "status": 83, "px": 8.0, "mother": 1, "last_mother": 3},
    ]
    assert [mother_of(generated([string]), 0, row) for row in (4, 5)] == [3, 1]


def arrays(path, collection):
    tree = uproot.open(path)["Events"]
    branches = tree.arrays(filter_name=f"{collection}_*")
    return ak.zip({name.removeprefix(f"{collection}_"): branches[name] for name in branches.fields})


# c tau in cm, Review of Particle Physics 2022
LIFETIMES = {521: 0.0491, 511: 0.0455, 531: 0.0456, 421: 0.01230, 411: 0.0309, 310: 2.684}


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Top pairs, enough to know lifetimes to a few per cent."""
    return simulate_sample(
        SampleRequest("tt", "mc", 1000, seed=8), tmp_path_factory.mktemp("many") / "tt.root"
    )


@pytest.mark.parametrize(("pdg", "expected"), LIFETIMES.items())
def test_lifetimes_come_out_of_the_files(many, pdg, expected):
    particles = arrays(many.path, "GenPart")
    hadrons = ak.flatten(particles[(abs(particles.pdgId) == pdg) & (particles.decayLength >= 0)])
    proper = ak.to_numpy(hadrons.decayLength * hadrons.mass / (hadrons.pt * np.cosh(hadrons.eta)))
    # The mean of n exponential numbers is known to 1 / root n; PYTHIA's own constants are off by 1 per cent.
    assert len(proper) > 150
    assert proper.mean() / expected == pytest.approx(1.0, abs=4.0 / len(proper) ** 0.5 + 0.01)


def test_daughters_come_to_be_where_their_mother_decays(many):
    particles = arrays(many.path, "GenPart")
    mothers = particles[ak.mask(particles.genPartIdxMother, particles.genPartIdxMother >= 0)]
    is_charm = (abs(particles.pdgId) == 421) | (abs(particles.pdgId) == 411)
    is_direct = is_charm & (abs(mothers.pdgId) == 511)
    daughters, mothers = ak.drop_none(particles[is_direct]), ak.drop_none(mothers[is_direct])
    away = np.sqrt(sum((daughters[axis] - mothers[axis]) ** 2 for axis in ("vx", "vy", "vz")))
    # A D* may stand between; it does not fly.
    np.testing.assert_allclose(ak.flatten(away), ak.flatten(mothers.decayLength), rtol=0.02, atol=2e-3)
    assert ak.count(away) > 300


def test_generated_jets_are_what_jets_are_compared_with(many):
    jets, generated = arrays(many.path, "Jet"), arrays(many.path, "GenJet")
    assert ak.min(generated.pt) >= 10
    assert ak.max(abs(generated.eta)) < 3
    assert ak.all(generated.pt[:, :-1] >= generated.pt[:, 1:])
    chosen = jets[(jets.genJetIdx >= 0) & (jets.pt > 30)]
    matched = generated[chosen.genJetIdx]
    distance = np.hypot(chosen.eta - matched.eta, (chosen.phi - matched.phi + np.pi) % (2 * np.pi) - np.pi)
    assert ak.max(distance) < 0.401
    central = jets[(jets.pt > 30) & (abs(jets.eta) < 2.5)]
    assert ak.mean(central.genJetIdx >= 0) > 0.98
    assert ak.mean(chosen.hadronFlavour == matched.hadronFlavour) > 0.97
    for indices in jets.genJetIdx.tolist():
        given = [index for index in indices if index >= 0]
        assert len(set(given)) == len(given)


def test_the_response_of_jets_is_one_with_a_resolution_like_that_of_cms(many):
    jets, generated = arrays(many.path, "Jet"), arrays(many.path, "GenJet")
    matched = (jets.genJetIdx >= 0) & (jets.muEF < 0.5) & (jets.chEmEF < 0.7)
    truth = ak.flatten(generated[jets.genJetIdx[matched]].pt)
    response = ak.flatten(jets.pt[matched]) / truth
    # The errors of all particles and jet_noise, jet_stochastic, jet_constant: 15 % at 39 GeV, 10 % at 95 GeV.
    for low, high, resolution in ((30, 50, 0.15), (80, 120, 0.10)):
        chosen = ak.to_numpy(response[(truth > low) & (truth < high)])
        assert len(chosen) > 300
        assert np.median(chosen) == pytest.approx(1.0, abs=0.025)
        assert np.diff(np.percentile(chosen, [16, 84]))[0] / 2 == pytest.approx(resolution, rel=0.2)
    assert ak.all(jets.rawFactor == 0)


def test_data_hide_the_generator_in_the_truth_file(sample):
    info = sample("wc", "data")
    particles = arrays(truth_path(info.path), "GenPart")
    assert ak.all(ak.any(abs(particles.pdgId) == 24, axis=1))
    assert "nGenPart" not in uproot.open(info.path)["Events"]
