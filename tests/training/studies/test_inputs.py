import numpy as np
import pytest

from models.features import BRANCHES, IS_INTEGER, N_FEATURES, index_of
from models.perturbations import parse_variants
from models.tagger import load_taggers
from training.scanning import scan
from training.shards import TrainingData
from training.studies.inputs import InputStatistics, correlations, kl_of_counts, ratio_with_error


@pytest.fixture(scope="module")
def statistics(finished_run, training_data):
    found = InputStatistics({("adversarial", 2)})
    scan(training_data, load_taggers([finished_run]), parse_variants("raw,noise:0.3,fgsm:0.3"), [found])
    return found


@pytest.fixture(scope="module")
def jets(training_data):
    parts = list(TrainingData(training_data).evaluation_jets())
    return np.concatenate([part.raw for part in parts]), np.concatenate([part.labels for part in parts])


def test_ratio_and_error_by_hand():
    # 2 distorted over 4 raw: 0.5; error^2 = (sqrt 2 / 4)^2 + (2 * 2 / 16)^2 = 1/8 + 1/16.
    ratio, error = ratio_with_error(np.array([2, 3]), np.array([4, 0]))
    assert ratio[0] == 0.5
    assert error[0] == pytest.approx(np.sqrt(3) / 4)
    assert np.isnan([ratio[1], error[1]]).all()


def test_divergence_by_hand():
    # With half a jet more in each bin: P = (1/4, 3/4), Q = (3/4, 1/4); -ln 3 / 4 + 3 ln 3 / 4.
    assert kl_of_counts(np.array([0, 1]), np.array([1, 0])) == pytest.approx(np.log(3) / 2)
    assert kl_of_counts(np.array([3, 4]), np.array([3, 4])) == 0
    assert np.isnan(kl_of_counts(np.array([0, 0]), np.array([1, 0])))


def test_correlations_are_those_of_numpy():
    values = np.random.default_rng(1).normal(3, 2, (500, 4))
    values[:, 1] += values[:, 0]
    values[:, 3] = 7.0
    found = correlations(values.sum(axis=0), values.T @ values, len(values))
    assert found[:3, :3] == pytest.approx(np.corrcoef(values[:, :3].T))
    assert np.isnan(found[3]).all()


def test_shapes_hold_every_jet_with_a_value(statistics, jets):
    raw, labels = jets
    rows = [row for row in statistics.shape_rows() if row.variant == "noise:0.3"]
    for feature, flavour, label in (("Jet_pt", "all", None), ("Jet_DeepCSV_vertexMass", "c", 2)):
        own = [row for row in rows if (row.feature, row.flavour) == (feature, flavour)]
        values = raw[:, index_of(feature)] if label is None else raw[labels == label, index_of(feature)]
        n_values = int((values > -999).sum())
        assert sum(row.n_raw for row in own) == sum(row.n_distorted for row in own) == n_values
        middle = own[20]
        assert middle.n_raw == ((values >= middle.low) & (values < middle.high)).sum()


def test_integers_are_never_distorted(statistics):
    divergence = {(row.variant, row.feature): row.kl for row in statistics.divergence_rows()}
    for variant in ("noise:0.3", "fgsm:0.3"):
        kl = np.array([divergence[variant, branch] for branch in BRANCHES])
        assert (kl[IS_INTEGER] == 0).all()
        assert (kl[~IS_INTEGER] > 0).all()


def test_default_fractions_by_numpy(statistics, jets):
    raw, labels = jets
    row = next(
        row
        for row in statistics.default_rows()
        if (row.feature, row.flavour) == ("Jet_DeepCSV_vertexMass", "udsg")
    )
    missing = raw[labels == 3, index_of("Jet_DeepCSV_vertexMass")] == -999
    assert (row.n_jets, row.n_defaults) == (len(missing), missing.sum())
    assert row.fraction == pytest.approx(missing.mean())


def test_ranking_is_by_area_and_falls_under_attack(statistics):
    rows = [row for row in statistics.ranking_rows() if row.score == "BvsL"]
    raw = [row for row in rows if row.variant == "raw"]
    assert [row.rank for row in raw] == list(range(1, N_FEATURES + 1))
    assert (np.diff([row.separation for row in raw]) <= 0).all()
    # The made jets tell flavours apart by tracks and vertex alone.
    assert raw[0].feature.startswith(("Jet_DeepCSV_track", "Jet_DeepCSV_flight", "Jet_DeepCSV_vertex"))
    attacked = {row.feature: row.separation for row in rows if row.variant == "fgsm:0.3"}
    assert np.mean([attacked[row.feature] - row.separation for row in raw[:10]]) < 0


def test_correlations_have_a_row_per_pair(statistics):
    rows = [row for row in statistics.correlation_rows() if row.variant == "raw"]
    assert len(rows) == N_FEATURES * (N_FEATURES - 1) // 2
    assert all(abs(row.correlation) <= 1 + 1e-9 for row in rows)
