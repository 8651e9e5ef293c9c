import numpy as np
import pytest

from training.reweighting import (
    average_weights,
    count_jets,
    effective_jets,
    flat_weights,
    resampled,
    weight_table,
    weights_of,
)


def two_bins(*per_flavour: tuple[int, int]) -> np.ndarray:
    return np.array(per_flavour)[:, :, np.newaxis]  # (4 flavours, 2 pT bins, 1 eta bin)


FULL = two_bins((1, 3), (2, 2), (4, 4), (30, 10))


def test_average_by_hand() -> None:
    # p: b (.25, .75), bb (.5, .5), c (.5, .5), udsg (.75, .25); average (.5, .5).
    # Class factors (1/N_f) / sum 1/N_g with N = 4, 4, 8, 40: 1/N = .25, .25, .125, .025, sum .65.
    expected = two_bins(
        (0.5 / 0.25, 0.5 / 0.75), (1.0, 1.0), (1.0, 1.0), (0.5 / 0.75, 0.5 / 0.25)
    ) * np.array([0.25, 0.25, 0.125, 0.025]).reshape(4, 1, 1)
    assert average_weights(FULL) == pytest.approx(expected / 0.65)


def test_flat_by_hand() -> None:
    # 56 jets over 2 bins: 28 / n_f.
    assert flat_weights(FULL) == pytest.approx(two_bins((28, 28 / 3), (14, 14), (7, 7), (28 / 30, 2.8)))


@pytest.mark.parametrize("method", ["average", "flat", "none"])
@pytest.mark.parametrize("counts", [FULL, two_bins((1, 0), (0, 0), (4, 4), (30, 10))])
def test_the_mean_weight_is_one(method: str, counts: np.ndarray) -> None:
    table = weight_table(counts, method=method)
    assert np.isfinite(table).all()
    assert (table * counts).sum() / counts.sum() == pytest.approx(1.0)


@pytest.mark.parametrize("method", ["average", "flat"])
def test_closure_without_empty_bins(method: str) -> None:
    counts = np.random.default_rng(1).poisson(
        np.array([30, 10, 40, 400]).reshape(4, 1, 1) * np.ones((4, 20, 20)) + 5
    )
    weighted = weight_table(counts, method=method, balance_flavours=False) * counts
    shares = weighted.sum(axis=(1, 2)) / weighted.sum()
    assert shares == pytest.approx([0.25] * 4)
    for flavour in range(1, 4):
        assert weighted[flavour] == pytest.approx(weighted[0])


@pytest.mark.parametrize("method", ["average", "flat"])
def test_balancing_changes_nothing_where_no_bin_is_empty(method: str) -> None:
    assert weight_table(FULL, method=method) == pytest.approx(
        weight_table(FULL, method=method, balance_flavours=False)
    )


@pytest.mark.parametrize("method", ["average", "flat"])
def test_balancing_gives_every_present_flavour_its_share_with_few_jets(method: str) -> None:
    counts = np.random.default_rng(2).poisson(
        np.array([0.3, 0.0, 0.4, 4.0]).reshape(4, 1, 1) * np.ones((4, 20, 20))
    )
    weighted = (weight_table(counts, method=method) * counts).sum(axis=(1, 2))
    assert weighted / weighted.sum() == pytest.approx([1 / 3, 0, 1 / 3, 1 / 3])
    unbalanced = (weight_table(counts, method=method, balance_flavours=False) * counts).sum(axis=(1, 2))
    assert unbalanced[0] / unbalanced.sum() < 0.25


def test_a_cap_limits_the_largest_weight_and_keeps_the_shares() -> None:
    counts = two_bins((1, 99), (50, 50), (50, 50), (50, 50))
    # b, before the cap: target (.3775, .6225) / p (.01, .99) = 37.75 and .6288, mean 1. Capped at 2 and .6288
    # the sum over b jets is 2 + 62.25 = 64.25 instead of 100, so balancing raises 2 to 3.113.
    table = weight_table(counts, method="average", cap=2.0)
    assert table[0, 0, 0] == pytest.approx(2 * 100 / 64.25)
    weighted = (table * counts).sum(axis=(1, 2))
    assert weighted / weighted.sum() == pytest.approx([0.25] * 4)


def test_jets_are_counted_in_their_bins() -> None:
    pt = np.array([20.0, 39.59, 39.61, 1000.0], dtype=np.float32)  # bins of 19.6 GeV
    eta = np.array([-2.5, -2.41, -2.39, 2.5], dtype=np.float32)  # bins of 0.1
    labels = np.array([0, 0, 1, 3], dtype=np.uint8)
    counts = count_jets(pt, eta, labels, pt_bins=50, eta_bins=50)
    assert counts.sum() == 4
    assert counts[0, 0, 0] == 2
    assert counts[1, 1, 1] == 1
    assert counts[3, 49, 49] == 1


def test_each_jet_gets_the_weight_of_its_bin_in_float32() -> None:
    table = np.arange(8.0).reshape(4, 2, 1) * 1e-6
    weights = weights_of(
        table,
        np.array([30.0, 900.0], dtype=np.float32),
        np.array([0.0, 1.0], dtype=np.float32),
        np.array([3, 0], dtype=np.uint8),
    )
    assert weights.dtype == np.float32
    assert weights == pytest.approx([6e-6, 1e-6])


def test_effective_jets_by_hand() -> None:
    # Weights 1 and 3 for one jet each: 16 / 10; equal weights: all jets; no jet: 0.
    table = two_bins((1, 3), (2, 2), (1, 1), (1, 1)).astype(float)
    counts = two_bins((1, 1), (5, 5), (0, 0), (0, 7))
    assert effective_jets(table, counts) == pytest.approx([1.6, 10, 0, 7])


def test_a_jet_is_drawn_as_often_as_its_weight_says() -> None:
    n_jets = 20_000
    weights = np.tile(np.array([0.0, 0.25, 1.0, 2.5], dtype=np.float32), n_jets // 4)
    keys = np.zeros((n_jets, 4), dtype=np.uint64)
    keys[:, 2] = np.arange(n_jets)
    drawn = resampled(weights, keys, seed=3)
    copies = np.bincount(drawn, minlength=n_jets)
    assert (copies[0::4] == 0).all()
    assert (copies[2::4] == 1).all()
    assert set(copies[3::4]) == {2, 3}
    # 5000 draws of probability 1/4 spread by sqrt(5000 * 3/16) = 31, of 1/2 by 35.
    assert copies[1::4].sum() == pytest.approx(1250, abs=100)
    assert copies[3::4].sum() == pytest.approx(12_500, abs=120)
    assert (np.diff(drawn) < 0).mean() == pytest.approx(0.5, abs=0.02)


def test_a_draw_does_not_depend_on_the_other_jets() -> None:
    keys = np.arange(400, dtype=np.uint64).reshape(100, 4)
    weights = np.full(100, 0.5, dtype=np.float32)
    all_jets = np.bincount(resampled(weights, keys, seed=3), minlength=100)
    half = np.bincount(resampled(weights[50:], keys[50:], seed=3), minlength=50)
    assert (all_jets[50:] == half).all()
