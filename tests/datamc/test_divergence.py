from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chisquare, entropy

from datamc.agreement import divergence_table
from datamc.bootstrap import divergence_band, poisson_replicas
from datamc.divergence import (
    DivergenceRow,
    chi_squared,
    distance,
    kl_divergence,
    read_divergence,
    statistical_offset,
    write_divergence,
)
from datamc.results import Result
from datamc.templates import score_templates


def test_divergence_of_two_bins_by_hand() -> None:
    # P = (1/4, 3/4), Q = (1/2, 1/2): 1/4 ln 1/2 + 3/4 ln 3/2
    assert kl_divergence([1, 3], [5, 5]) == pytest.approx(0.25 * np.log(0.5) + 0.75 * np.log(1.5))


def test_equal_shapes_have_none_and_sizes_do_not_count() -> None:
    shape = np.array([3.0, 0.0, 5.0, 1.0])
    assert kl_divergence(shape, 17 * shape) == 0
    assert kl_divergence([1, 3], [4, 7]) == pytest.approx(kl_divergence([100, 300], [4, 7]))


def test_divergence_is_that_of_scipy() -> None:
    random = np.random.default_rng(1)
    for _ in range(20):
        data, mc = random.poisson(20, 60), random.gamma(3, 7, 60)
        assert kl_divergence(data, mc) == pytest.approx(entropy(data, mc), rel=1e-12)


def test_empty_bin_of_simulation_becomes_a_hundred_thousandth() -> None:
    # P = (1/2, 1/4, 1/4), Q = (1/2, 1/2, 1e-5)
    assert kl_divergence([2, 1, 1], [1, 1, 0]) == pytest.approx(
        entropy([2, 1, 1], [0.5, 0.5, 1e-5]), rel=1e-12
    )
    measured = distance(np.array([2.0, 1, 1, 0]), np.array([1.0, 1, 0, 0]))
    assert measured.n_replaced == 1


def test_empty_bin_of_data_does_not_contribute() -> None:
    # P = (1, 0), Q = (1/4, 3/4): 1 ln 4
    assert kl_divergence([8, 0], [1, 3]) == pytest.approx(np.log(4))


def test_negative_bins_count_as_empty_in_both_and_are_reported() -> None:
    data, mc = np.array([6.0, -1.0, 3.0, 2.0]), np.array([5.0, 2.0, -1.0, 4.0])
    assert kl_divergence(data, mc) == pytest.approx(entropy([6, 2], [5, 4]))
    # |data|: 1 + 3 of 12
    assert distance(data, mc).dropped_fraction == pytest.approx(4 / 12)


def test_many_histograms_at_once_are_those_one_by_one() -> None:
    random = np.random.default_rng(2)
    data, mc = random.normal(5, 4, (2, 7, 60)), random.normal(5, 4, (2, 7, 60))
    together = distance(data, mc).kl
    assert together.shape == (2, 7)
    for i in np.ndindex(2, 7):
        assert together[i] == pytest.approx(kl_divergence(data[i], mc[i]))


def test_what_cannot_be_compared_is_one_sentence() -> None:
    with pytest.raises(ValueError, match=r"data has shape \(2,\) but mc has shape \(3,\): rebin one of them"):
        kl_divergence([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="data has no jets"):
        kl_divergence([0, 0], [1, 2])
    with pytest.raises(ValueError, match="mc has no jets"):
        kl_divergence([1, 2], [0, -2])


def test_chi_squared_is_that_of_scipy_where_simulation_is_exact() -> None:
    random = np.random.default_rng(3)
    expected = random.uniform(20, 90, 30)
    data = random.poisson(expected).astype(float)
    expected *= data.sum() / expected.sum()
    chi2, n_degrees = chi_squared(data, expected, expected, np.zeros(30))
    assert chi2 == pytest.approx(chisquare(data, expected).statistic)
    assert n_degrees == 29
    assert chi_squared(np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3)) == (0.0, 0)


def test_statistical_offset_is_the_mean_divergence_of_equal_distributions() -> None:
    random = np.random.default_rng(4)
    p = np.full(40, 1 / 40)
    data, mc = (random.multinomial(n, p, 3000).astype(float) for n in (4000, 9000))
    # 39/2 (1/4000 + 1/9000) = 0.00704
    assert statistical_offset(4000, 9000, n_bins=40) == pytest.approx(0.0070417, rel=1e-4)
    assert distance(data, mc).kl.mean() == pytest.approx(0.00704, rel=0.03)
    assert statistical_offset(0, 10, n_bins=5) == 0


def test_replicas_have_the_mean_and_variance_of_their_bins() -> None:
    values, variances = np.array([50.0, 8.0, 0.0, -20.0, 0.0]), np.array([50.0, 2.0, 0.0, 10.0, 4.0])
    drawn = poisson_replicas(values, variances, n=20_000, seed=1, key="x")
    assert drawn.shape == (20_000, 5)
    np.testing.assert_allclose(drawn.mean(axis=0), values, atol=0.2)
    # a bin whose weights cancel has no weight to draw with
    np.testing.assert_allclose(drawn.var(axis=0), [50, 2, 0, 10, 0], rtol=0.05)


def test_replicas_depend_on_seed_and_key_alone() -> None:
    def draw(seed: int = 1, key: str = "a") -> list[float]:
        return poisson_replicas(np.full(3, 9.0), np.full(3, 9.0), n=2, seed=seed, key=key).tolist()

    assert draw() == draw()
    assert draw() != draw(seed=2)
    assert draw() != draw(key="b")


def test_band_is_the_spread_of_the_replicas_around_the_value() -> None:
    # quantiles of 0..100 are 16, 50, 84; without an offset nothing is corrected
    assert divergence_band(40.0, np.arange(101.0), offset=0.0) == pytest.approx((6, 74))
    # offset only: narrower by sqrt(3); offset a third of the value: (1 + 4) / (3 + 4)
    assert divergence_band(40.0, np.arange(101.0), offset=40.0)[1] == pytest.approx(40 + 34 / np.sqrt(3))
    assert divergence_band(40.0, np.arange(101.0), offset=40 / 3)[1] == pytest.approx(
        40 + 34 * np.sqrt(5 / 7)
    )
    assert divergence_band(0.1, np.arange(101.0), offset=0.0)[0] == 0
    assert divergence_band(0.1, np.zeros(0), offset=0.0) == (0.1, 0.1)


@pytest.mark.parametrize("slope", [0.0, 0.1, 0.8])
def test_band_covers_the_expected_value_in_two_thirds_of_experiments(slope: float) -> None:
    # 1000 pseudo-experiments: the coverage is known to 1.5 %
    random = np.random.default_rng(8)
    p = np.exp(-np.linspace(0, 2, 30))
    q = p * np.linspace(1 - slope, 1 + slope, 30)
    data, mc = (random.poisson(4000 * s / s.sum(), (1000, 30)).astype(float) for s in (p, q))
    expected = distance(data, mc).kl.mean()
    offset = statistical_offset(4000, 4000, n_bins=30)
    inside = 0
    for i, (d, m) in enumerate(zip(data, mc, strict=True)):
        recorded = poisson_replicas(d, d, n=200, seed=i, key="data")
        simulated = poisson_replicas(m, m, n=200, seed=i, key="mc")
        low, high = divergence_band(float(distance(d, m).kl), distance(recorded, simulated).kl, offset=offset)
        inside += low <= expected <= high
    assert inside / 1000 == pytest.approx(0.68, abs=0.06)


def test_table_has_a_row_for_everything(results: dict[str, Result]) -> None:
    rows = divergence_table(results, n_bootstrap=20)
    assert len(rows) == 3 * 2 * 4 * 3
    assert len({row[:5] for row in rows}) == len(rows)
    for row in rows:
        assert row.status == "ok"
        assert row.low <= row.kl <= row.high
        assert np.isfinite([value for value in row if isinstance(value, float)]).all()
        if row.selection != "wc":
            assert row.dropped_fraction == 0


def test_rows_are_the_divergence_of_the_templates(results: dict[str, Result]) -> None:
    row = divergence_table(results, n_bootstrap=5, scores=["CvsL"])[-1]
    assert (row.selection, row.tagger, row.epoch, row.variant) == ("ttsemilep", "basic", 3, "fgsm:0.1")
    t = score_templates(results["ttsemilep"], "CvsL", tagger="basic", epoch=3, variant="fgsm:0.1")
    assert row.kl == pytest.approx(kl_divergence(t.data, t.mc.sum(axis=0)))
    chi2, _ = chi_squared(t.data, t.data_variance, t.mc.sum(axis=0), t.mc_variance.sum(axis=0))
    assert row.chi2 == pytest.approx(chi2)
    assert row.n_data == t.data.sum()


def test_attacked_simulation_is_further_from_data(results: dict[str, Result]) -> None:
    rows = {row[:5]: row for row in divergence_table(results, n_bootstrap=5)}
    for selection in ("dy", "ttsemilep"):
        raw, attacked = (rows[selection, "BvsL", "basic", 3, variant] for variant in ("raw", "fgsm:0.1"))
        assert attacked.kl > raw.high


def test_a_band_does_not_depend_on_the_other_rows(results: dict[str, Result]) -> None:
    everything = {row[:5]: row for row in divergence_table(results, n_bootstrap=10, seed=3)}
    for row in divergence_table({"wc": results["wc"]}, n_bootstrap=10, seed=3, scores=["CvsL"]):
        assert everything[row[:5]] == row


@pytest.mark.parametrize(("is_data", "status"), [(True, "empty_data"), (False, "empty_mc")])
def test_empty_data_or_simulation_is_finite_and_says_so(
    results: dict[str, Result], is_data: bool, status: str
) -> None:
    result = results["dy"]
    histogram = result.histograms["CvsL"].copy()
    for i, name in enumerate(histogram.axes["dataset"]):
        if result.datasets[name].is_data == is_data:
            for part in ("value", "variance"):
                histogram.view(flow=True)[part][i] = 0
    rows = divergence_table({"dy": replace(result, histograms={"CvsL": histogram})}, n_bootstrap=5)
    assert rows
    for row in rows:
        assert row.status == status
        assert (row.kl, row.low, row.high) == (0, 0, 0)
        assert np.isfinite([value for value in row if isinstance(value, float)]).all()


def test_result_without_data_is_left_out(results: dict[str, Result]) -> None:
    result = results["dy"]
    datasets = {name: record for name, record in result.datasets.items() if not record.is_data}
    assert divergence_table({"inclusive": replace(result, datasets=datasets)}) == []


def test_progress_counts_the_scores(results: dict[str, Result]) -> None:
    seen: list[tuple[int, int]] = []
    divergence_table(results, n_bootstrap=0, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(i, 6) for i in range(1, 7)]


def test_table_survives_its_file(results: dict[str, Result], tmp_path: Path) -> None:
    rows = divergence_table(results, n_bootstrap=5)
    write_divergence(rows, tmp_path / "d.csv")
    assert read_divergence(tmp_path / "d.csv") == rows
    write_divergence([], tmp_path / "d.csv")
    assert read_divergence(tmp_path / "d.csv") == []


def test_other_tables_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    with pytest.raises(FileNotFoundError, match=r"d\.csv: no such table"):
        read_divergence(path)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"d\.csv: not a table of DivergenceRow"):
        read_divergence(path)
    names, n_columns = ",".join(DivergenceRow._fields), len(DivergenceRow._fields)
    path.write_text(f"{names}\ndy,b,basic\n")
    with pytest.raises(ValueError, match=rf"d\.csv, line 2: 3 values for {n_columns} columns"):
        read_divergence(path)
    path.write_text(f"{names}\n" + ",".join(["one"] * n_columns) + "\n")
    with pytest.raises(ValueError, match=r"d\.csv, line 2: .*'one'"):
        read_divergence(path)
