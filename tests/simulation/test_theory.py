import dataclasses

import awkward as ak
import numpy as np
import pytest
import uproot

from simulation import PROCESSES, SCENARIOS, SampleRequest, simulate_sample
from simulation.pythia import EventGenerator
from simulation.theory import SCALE_FACTORS, branch_titles

HARD_ONLY = "PartonLevel:all = off"


def generate(process, n_events, *extra, **options):
    chosen = dataclasses.replace(PROCESSES[process], pythia=(*PROCESSES[process].pythia, *extra))
    generator = EventGenerator(chosen, SCENARIOS["mc"], seed=5, **options)
    return generator, list(generator.batches(n_events, 1000))


def joined(batches, name):
    return np.concatenate([getattr(batch.theory, name) for batch in batches])


@pytest.mark.parametrize("process", ["ttsl", "dy", "tw"])
@pytest.mark.parametrize("factors", [(0.5, 1.0), (1.0, 2.0), (2.0, 2.0)])
def test_the_mean_scale_weight_is_the_ratio_of_the_cross_sections(process, factors):
    generator, batches = generate(process, 3000, HARD_ONLY, with_theory=True)
    renormalisation, factorisation = (f"{factor**2}" for factor in factors)
    varied, _ = generate(
        process,
        3000,
        HARD_ONLY,
        f"SigmaProcess:renormMultFac = {renormalisation}",
        f"SigmaProcess:factorMultFac = {factorisation}",
    )
    weights = joined(batches, "scale")
    column = SCALE_FACTORS.index(factors)
    # PYTHIA's cross sections of 3000 kept events are known to 1.5 per cent.
    expected = varied.cross_section_pb / generator.cross_section_pb
    assert weights[:, column].mean() == pytest.approx(expected, rel=0.05)
    assert np.all(weights[:, SCALE_FACTORS.index((1.0, 1.0))] == 1.0)


def test_the_strong_coupling_of_a_varied_scale_is_that_of_one_loop():
    # Above the top quark six flavours run: 1 / a(4 Q^2) - 1 / a(Q^2) = (33 - 12) / (12 pi) ln 4 = 0.7722.
    _, batches = generate("qcd_300_470", 200, HARD_ONLY, with_theory=True)
    coupling = np.concatenate([ak.to_numpy(batch.record.info.alphaS) for batch in batches])
    weights = joined(batches, "scale")[:, SCALE_FACTORS.index((2.0, 1.0))]
    np.testing.assert_allclose(weights, (1 + 0.7722 * coupling) ** -2, rtol=1e-4)


def test_densities_are_those_of_the_generator():
    _, batches = generate("ttsl", 200, HARD_ONLY, with_theory=True)
    hard = batches[0].theory.hard_process
    info = batches[0].record.info
    np.testing.assert_allclose(hard["Generator_xpdf1"], ak.to_numpy(info.pdf1), rtol=1e-6)
    weights = joined(batches, "density")
    assert np.all(weights[:, 0] == 1.0)
    # Sets of the same order differ by a few per cent where top pairs are made.
    assert np.abs(weights[:, 1:].mean(axis=0) - 1).max() < 0.2
    assert weights[:, 1:].std(axis=0).min() > 0.001


def test_partons_of_the_hard_process_are_counted():
    for process, n_partons in (("ttsl", 4), ("dy", 1), ("qcd", 2)):
        _, batches = generate(process, 30, with_theory=True)
        hard = batches[0].theory.hard_process
        assert set(hard["LHE_Njets"].tolist()) <= {n_partons, n_partons - 1, n_partons + 1}
        assert np.median(hard["LHE_Njets"]) == n_partons
        assert np.all(hard["LHE_HT"] > 10.0)


def test_more_radiation_makes_more_particles():
    _, batches = generate("st_t", 1500, with_theory=True, with_showers=True)
    weights = joined(batches, "shower")
    assert weights.shape == (1500, 4)
    charged = np.concatenate(
        [
            ak.to_numpy(ak.sum((batch.record.prt.status > 0) & (abs(batch.record.prt.id) == 211), axis=1))
            for batch in batches
        ]
    )
    means = weights.T @ charged / weights.sum(axis=0)
    isr_more, fsr_more, isr_less, fsr_less = means - charged.mean()
    assert isr_more > 0 > isr_less
    assert fsr_more > 0 > fsr_less
    # Probabilities are conserved: means are 1 within errors, where single weights do not rule.
    errors = weights.std(axis=0) / len(weights) ** 0.5
    assert np.all(np.abs(weights.mean(axis=0) - 1) < 5 * errors)


def test_events_are_the_same_with_weights_of_the_hard_process():
    _, plain = generate("dy", 30)
    _, weighted = generate("dy", 30, with_theory=True)
    np.testing.assert_array_equal(plain[0].particles.px, weighted[0].particles.px)
    assert plain[0].theory is None
    assert np.all(weighted[0].theory.shower == 1.0)
    assert weighted[0].theory.shower.shape == (30, 1)


@pytest.fixture(scope="module")
def with_showers(tmp_path_factory):
    request = SampleRequest("dy", "mc", 60, shower_weights=True)
    return simulate_sample(request, tmp_path_factory.mktemp("theory") / "dy.root")


def test_titles_say_the_order_as_those_of_cms(with_showers):
    with uproot.open(with_showers.path) as file:
        events = file["Events"]
        assert events["PSWeight"].title == (
            "PS weights (w_var / w_nominal); [0] is ISR=2 FSR=1; [1] is ISR=1 FSR=2; [2] is ISR=0.5 FSR=1;"
            " [3] is ISR=1 FSR=0.5"
        )
        assert events["LHEScaleWeight"].title.startswith(
            "LHE scale variation weights (w_var / w_nominal); [0] is muR=0.5 muF=0.5 ; [1] is muR=0.5 muF=1.0"
        )
        assert events["LHEPdfWeight"].title.endswith("for LHA IDs 247000, 246800, 315200")
        for name, length in (("PSWeight", 4), ("LHEScaleWeight", 9), ("LHEPdfWeight", 3)):
            assert events[name].typename == "float[]"
            assert set(events[f"n{name}"].array().tolist()) == {length}


def test_without_showers_there_is_one_dummy_weight(sample):
    with uproot.open(sample("dy", "mc").path) as file:
        weights = file["Events"]["PSWeight"]
        assert set(ak.flatten(weights.array()).tolist()) == {1.0}
        assert set(file["Events"]["nPSWeight"].array().tolist()) == {1}
        assert weights.title == branch_titles(with_showers=False)["PSWeight"]


def test_sums_of_weights_are_those_of_the_events(with_showers, sample):
    for info in (with_showers, sample("wc", "mc")):
        with uproot.open(info.path) as file:
            nominal = file["Events"]["genWeight"].array(library="np").astype(float)
            for weight, total in (("LHEScaleWeight", "LHEScaleSumw"), ("PSWeight", "PSSumw")):
                weights = ak.to_numpy(file["Events"][weight].array())
                expected = nominal @ weights / nominal.sum()
                # Weights are stored with 10 bits.
                assert file["Runs"][total].array()[0].tolist() == pytest.approx(expected, rel=1e-3)
