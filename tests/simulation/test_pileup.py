import numpy as np
import pytest

from simulation.detector import detect_events
from simulation.jets import cluster
from simulation.scenarios import Detector
from simulation.tagging_inputs import tagging_inputs

N_EVENTS = 1500


@pytest.fixture(scope="module")
def pileup_events(generated):
    """Events of a photon that hits nothing else, with one pileup jet each."""
    return detect_events(
        generated([[{"px": 100.0, "pdg": 22}]] * N_EVENTS),
        np.arange(N_EVENTS),
        seeds=np.arange(N_EVENTS, dtype=np.uint32),
        n_stray=np.repeat([[0, 0, 1]], N_EVENTS, axis=0),
        detector=Detector(),
    )


def test_momenta_of_the_pieces_sum_up_to_the_jet(pileup_events):
    pieces = pileup_events.particles[pileup_events.particles["origin"] == -1]
    assert len(pieces) == 3 * N_EVENTS
    pt = pieces["pt"].reshape(-1, 3).sum(axis=1)
    assert pt.min() > 12
    assert pt.mean() == pytest.approx(12 + 3.8, rel=0.03)


def test_a_pileup_jet_is_known_as_one_and_has_hardly_a_track(pileup_events):
    jets = cluster(pileup_events)
    is_pileup = jets.jets["pileup"] > 0.5
    # 60 GeV of 100 cannot come from pileup: the photon's jet is none.
    assert np.all(jets.jets["pt"][~is_pileup] > 50)
    # exp(-3 / 3.8) = 0.454 have more than 15 GeV; somewhat fewer where the three pieces are not one jet.
    assert 0.3 < is_pileup.sum() / N_EVENTS < 0.5
    n_tracks = tagging_inputs(pileup_events, jets, Detector())[is_pileup, 64]
    assert n_tracks.mean() < 0.2
    assert np.all(jets.jets["hadron_flavour"][is_pileup] == 0)


def test_their_tracks_come_from_elsewhere_along_the_beam(pileup_events):
    pieces = pileup_events.particles[pileup_events.particles["origin"] == -1]
    tracks = pieces[pieces["tracked"] == 1]
    assert np.abs(tracks["eta"]).max() < 2.5
    assert tracks["dz"].std() == pytest.approx(Detector().pileup_sigma_z, rel=0.1)
