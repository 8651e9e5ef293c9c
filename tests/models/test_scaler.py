import json
import pickle

import numpy as np
import pytest

from models.features import BRANCHES, N_FEATURES, index_of
from models.scaler import FeatureScaler, ScalerStatistics

ETA, PT = 0, 1
FLIGHT = index_of("Jet_DeepCSV_flightDistance2dSig")


def statistics_of(*pieces):
    statistics = ScalerStatistics()
    for piece in pieces:
        statistics.update(piece)
    return statistics


def test_numbers_worked_out_by_hand():
    raw = np.full((4, N_FEATURES), np.nan, dtype=np.float32)
    raw[:, ETA] = [1.0, 3.0, 5.0, 7.0]  # mean 4, variance (9+1+1+9)/4 = 5
    raw[:, PT] = [20.0, -999.0, 40.0, np.inf]  # 20 and 40: mean 30, variance 100
    raw[:, FLIGHT] = 2.5  # constant
    scaler = statistics_of(raw).finish()
    assert scaler.mean[[ETA, PT, FLIGHT]] == pytest.approx([4.0, 30.0, 2.5])
    assert scaler.std[[ETA, PT, FLIGHT]] == pytest.approx([5**0.5, 10.0, 1.0])
    assert scaler.default[[ETA, PT, FLIGHT]] == pytest.approx([0.999, 19.999, 2.499])


def test_a_feature_never_seen_is_left_unscaled():
    scaler = statistics_of(np.full((3, N_FEATURES), np.nan, dtype=np.float32)).finish()
    assert (scaler.mean == 0).all()
    assert (scaler.std == 1).all()
    assert (scaler.default == 0).all()


def test_a_constant_keeps_width_one_though_its_mean_is_not_exact():
    raw = np.full((1000, N_FEATURES), 0.1, dtype=np.float32)
    assert (statistics_of(raw[:333], raw[333:]).finish().std == 1).all()


def test_numpy_agrees(make_jets):
    raw = make_jets(5000)
    scaler = statistics_of(raw).finish()
    values = raw[:, PT].astype(np.float64)
    values = values[np.isfinite(values) & (values != -999)]
    assert scaler.mean[PT] == pytest.approx(values.mean(), rel=1e-6)
    assert scaler.std[PT] == pytest.approx(values.std(), rel=1e-6)
    assert scaler.default[PT] == np.float32(values.min() - 0.001)


def test_chunks_and_workers_change_the_sums_by_rounding_only(make_jets):
    raw = make_jets(10_000)
    raw[:, PT] += 1e5  # a large mean is where naive sums of squares fail
    whole = statistics_of(raw)
    chunked = [statistics_of(*np.array_split(raw, n_chunks)) for n_chunks in (2, 37, 1000)]
    merged = statistics_of(raw[7000:])
    merged.merge(statistics_of(raw[:7000]))
    for other in (*chunked, merged):
        assert np.array_equal(other.count, whole.count)
        np.testing.assert_allclose(other._mean, whole._mean, rtol=1e-12, atol=1e-12)
        # The width, not its square, is what the inputs are divided by.
        np.testing.assert_allclose(np.sqrt(other._squares), np.sqrt(whole._squares), rtol=1e-12)
        assert np.array_equal(other.finish().default, whole.finish().default)


def test_merging_nothing_changes_nothing(make_jets):
    statistics = statistics_of(make_jets(100))
    before = statistics.finish()
    statistics.merge(ScalerStatistics())
    statistics.update(np.empty((0, N_FEATURES), dtype=np.float32))
    assert statistics.finish() == before
    empty = ScalerStatistics()
    empty.merge(statistics)
    assert empty.finish() == before


def test_scaling_has_mean_zero_and_width_one_where_there_are_values(make_jets):
    raw = make_jets(5000)
    scaled, mask = statistics_of(raw).finish().scale(raw)
    values = np.ma.array(scaled.astype(np.float64), mask=mask)
    assert np.abs(values.mean(axis=0)).max() < 1e-5
    assert np.abs(values.std(axis=0) - 1).max() < 1e-5


def test_a_default_scales_to_just_below_the_smallest_value(make_jets):
    raw = make_jets(5000)
    scaler = statistics_of(raw).finish()
    scaled, mask = scaler.scale(raw)
    assert scaled.dtype == np.float32
    expected = np.broadcast_to((scaler.default - scaler.mean) / scaler.std, scaled.shape)
    assert np.array_equal(scaled[mask], expected[mask])
    assert (np.where(mask, np.inf, scaled).min(axis=0) > expected[0]).all()


def test_json_and_pickle_give_back_every_bit(scaler):
    again = FeatureScaler.from_dict(json.loads(json.dumps(scaler.to_dict())))
    assert again == scaler
    assert hash(again) == hash(scaler)
    assert pickle.loads(pickle.dumps(scaler)) == scaler


def test_another_scaler_is_not_equal(scaler):
    other = FeatureScaler(scaler.mean + 1, scaler.std, scaler.default)
    assert other != scaler
    assert scaler != "scaler"


def test_a_scaler_cannot_be_changed(scaler):
    with pytest.raises(ValueError, match="read-only"):
        scaler.mean[0] = 1.0


def test_its_arrays_are_copies():
    mean = np.zeros(N_FEATURES, dtype=np.float32)
    scaler = FeatureScaler(mean, np.ones(N_FEATURES), np.zeros(N_FEATURES))
    mean[0] = 5.0
    assert scaler.mean[0] == 0.0


def test_a_width_that_is_not_positive_names_the_feature():
    std = np.ones(N_FEATURES)
    std[PT] = 0.0
    with pytest.raises(ValueError, match=f"std of {BRANCHES[PT]} is 0.0"):
        FeatureScaler(np.zeros(N_FEATURES), std, np.zeros(N_FEATURES))


@pytest.mark.parametrize("content", [{"mean": [0.0]}, {"mean": [], "std": [], "default": [], "more": []}])
def test_wrong_keys_are_named(content):
    with pytest.raises(ValueError, match=r"expected .'default', 'mean', 'std'"):
        FeatureScaler.from_dict(content)


def test_a_wrong_shape_is_an_error():
    with pytest.raises(ValueError, match=r"mean has shape \(3,\), expected \(67,\)"):
        FeatureScaler(np.zeros(3), np.ones(N_FEATURES), np.zeros(N_FEATURES))


def test_statistics_go_on_from_json_with_the_same_bits():
    rng = np.random.default_rng(5)
    first, second = (rng.normal(3.0, 2.0, (500, N_FEATURES)).astype(np.float32) for _ in range(2))
    stored = json.loads(json.dumps(statistics_of(first).to_dict()))
    continued = ScalerStatistics.from_dict(stored)
    continued.update(second)
    assert continued.finish() == statistics_of(first, second).finish()


def test_a_default_at_zero_is_the_mean():
    raw = np.full((2, N_FEATURES), np.nan, dtype=np.float32)
    raw[:, PT] = [20.0, 40.0]
    scaler = statistics_of(raw).finish(default_value="zero")
    scaled, mask = scaler.scale(np.full((1, N_FEATURES), np.nan, dtype=np.float32))
    assert mask.all()
    assert (scaled == 0).all()
