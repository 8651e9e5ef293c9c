"""Whole results with blocks: two taggers that see the same made events, with and without signs."""

from dataclasses import replace
from pathlib import Path

import hist
import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm

from datamc.agreement import Agreement, agreement
from datamc.blocks import PREFIX, BlockReader
from datamc.differences import (
    DifferenceRow,
    Measured,
    difference_rows,
    expected_by_chance,
    pairs_of,
    read_differences,
    write_differences,
)
from datamc.divergence import kl_divergence
from datamc.reference_curve import (
    Curve,
    equal_auc_rows,
    noise_matrix,
    read_curve,
    read_equal_auc,
    write_curve,
    write_equal_auc,
)
from datamc.results import DatasetRecord, Result, merge_results
from datamc.score_replicas import rebin_starts
from datamc.templates import score_templates

N_BLOCKS = 32
COARSE = np.linspace(-0.2, 1, 61)
TAILS = expit(np.array([3.5, 4.25, 4.75, 5.25, 5.75, 6.25, 7, 8, 9.5]))
FINE = np.unique(np.round(np.concatenate([COARSE, TAILS, 1 - TAILS]), 12))
SIGMAS = (0.0, 0.5, 1.0, 2.0)


def made_result(
    selection: str = "dy",
    *,
    shift: float = 0.4,
    seed: int = 1,
    taggers: tuple[str, ...] = ("basic", "adversarial"),
    sizes: tuple[int, int] = (6000, 12_000),
) -> Result:
    """Data are moved by `shift` in log-odds; the adversarial score is the basic one's, a little noised."""
    random = np.random.default_rng(seed)
    axes = [
        hist.axis.StrCategory(["data", "mc"], name="dataset", growth=True),
        hist.axis.StrCategory(["OS", "SS"], name="sign", overflow=False),
        hist.axis.StrCategory(list(taggers), name="tagger", growth=True),
        hist.axis.IntCategory([1], name="epoch", growth=True),
        hist.axis.StrCategory(["raw"], name="variant", growth=True),
    ]
    flavour = hist.axis.IntCategory([-1, 0, 1, 4, 5, 6], name="flavour")
    systematic = hist.axis.StrCategory(["nominal"], name="systematic", growth=True)
    value = hist.axis.Variable(COARSE, name="value")
    scores = hist.Hist(*axes, flavour, systematic, value, storage=hist.storage.Weight())
    blocks = hist.Hist(
        *axes,
        hist.axis.Regular(N_BLOCKS, 0, N_BLOCKS, name="block", underflow=False, overflow=False),
        hist.axis.Variable(FINE, name="value", underflow=False, overflow=False),
    )
    for dataset, size, moved in zip(("data", "mc"), sizes, (shift, 0.0), strict=True):
        n = random.poisson(size)
        odds = random.normal(moved, 1.5, n)
        block, is_os = random.integers(0, N_BLOCKS, n), random.random(n) < 0.8
        for tagger in taggers:
            own = odds if tagger == "basic" else 0.95 * odds + random.normal(0, 0.2, n)
            for sign, chosen in (("OS", is_os), ("SS", ~is_os)):
                place = {"dataset": dataset, "tagger": tagger, "epoch": 1, "variant": "raw", "sign": sign}
                filled = place | {"value": expit(own[chosen])}
                blocks.fill(**filled, block=block[chosen])
                scores.fill(**filled, flavour=-1 if dataset == "data" else 0, systematic="nominal")
    records = {
        "data": DatasetRecord(True, "data", None, 1.0, True, 0, 0, 0),
        "mc": DatasetRecord(False, "mc", 10.0, None, True, 0, 20.0, 20.0),
    }
    return Result(selection, {"CvsL": scores, PREFIX + "CvsL": blocks}, records)


AREAS = {
    ("basic", 1, "CvsL"): [(0.0, 0.90), (0.5, 0.88), (1.0, 0.84), (2.0, 0.75)],
    ("adversarial", 1, "CvsL"): [(0.0, 0.86), (0.5, 0.84), (1.0, 0.80), (2.0, 0.70)],
}


@pytest.fixture(scope="module")
def found() -> Agreement:
    return agreement({"dy": made_result(), "wc": made_result("wc", seed=2)}, areas=AREAS)


def test_rows_with_blocks_are_those_of_the_histograms(found: Agreement) -> None:
    result = made_result()
    t = score_templates(result, "CvsL", tagger="basic", epoch=1)
    row = found.divergence[1]
    assert (row.selection, row.tagger, row.n_blocks) == ("dy", "basic", N_BLOCKS)
    assert row.kl == pytest.approx(kl_divergence(t.data, t.mc.sum(axis=0)), rel=1e-9)
    assert row.kl - row.error == pytest.approx(row.low)
    assert row.offset_replicas == pytest.approx(row.offset, rel=0.25)
    assert row.n_equal_bins == 20
    assert row.js < np.log(2)
    assert row.p_value < 1e-3


def test_the_area_of_data_against_simulation_is_told_and_compared(found: Agreement) -> None:
    row = found.divergence[1]
    # normal distributions of width 1.5 that are 0.4 apart: Phi(0.4 / (1.5 sqrt 2))
    assert row.data_mc_auc == pytest.approx(norm.cdf(0.4 / (1.5 * np.sqrt(2))), abs=0.015)
    assert row.auc == pytest.approx(6 * (row.data_mc_auc - 0.5) ** 2)
    # 6 / 12 (1/6000 + 1/12000), less the jets that share a bin
    assert row.auc_offset == pytest.approx(1.25e-4, rel=0.05)
    assert 0 < row.auc_error < row.auc < row.kl
    measures = {each.measure for each in found.differences}
    assert measures == {"kl", "kl_equal", "js", "emd", "auc"}


def test_same_sign_is_subtracted_in_blocks_as_in_histograms(found: Agreement) -> None:
    t = score_templates(made_result("wc", seed=2), "CvsL", tagger="basic", epoch=1)
    row = next(row for row in found.divergence if (row.selection, row.tagger) == ("wc", "basic"))
    assert row.kl == pytest.approx(kl_divergence(t.data, t.mc.sum(axis=0)), rel=1e-9)


def test_a_paired_difference_is_known_better_than_an_unpaired_one(found: Agreement) -> None:
    errors = {row.tagger: row.error for row in found.divergence if row.selection == "dy"}
    (row,) = [row for row in found.differences if (row.selection, row.measure) == ("dy", "kl")]
    assert (row.tagger, row.reference, row.n_blocks) == ("adversarial", "basic", N_BLOCKS)
    assert 0 < row.error < 0.7 * np.hypot(*errors.values())
    assert row.significance == pytest.approx(row.difference / row.error)
    excess = {each.tagger: each.excess for each in found.divergence if each.selection == "dy"}
    assert row.difference == pytest.approx(excess["adversarial"] - excess["basic"])
    assert row.ratio == pytest.approx(excess["adversarial"] / excess["basic"])


def test_without_blocks_errors_are_those_of_other_events() -> None:
    result = made_result()
    del result.histograms[PREFIX + "CvsL"]
    found = agreement({"dy": result}, areas=AREAS)
    errors = [row.error for row in found.divergence]
    (row,) = [row for row in found.differences if row.measure == "kl"]
    assert row.n_blocks == 0
    assert row.error == pytest.approx(np.hypot(*errors))
    assert found.curve == []
    assert found.equal_auc == []


def test_a_row_depends_on_nothing_but_its_histograms_and_the_seed(found: Agreement) -> None:
    alone = agreement({"dy": made_result(taggers=("basic",))})
    assert alone.divergence[0].n_blocks == N_BLOCKS
    again = agreement({"dy": made_result(), "wc": made_result("wc", seed=2)}, areas=AREAS)
    assert again == found


def test_two_halves_are_the_whole() -> None:
    halves = [made_result(seed=seed) for seed in (1, 2)]
    merged = agreement({"dy": merge_results(halves)}).divergence[0]
    total = sum(BlockReader(half, "CvsL").data(tagger="basic", epoch=1) for half in halves)
    np.testing.assert_allclose(
        BlockReader(merge_results(halves), "CvsL").data(tagger="basic", epoch=1), total
    )
    assert merged.error < agreement({"dy": halves[0]}).divergence[0].error


def test_data_that_are_the_simulated_events_are_measured_by_replicas_alone() -> None:
    result = made_result(sizes=(6000, 6000))
    for name in ("CvsL", PREFIX + "CvsL"):
        # Data become the very events of the simulation.
        view = result.histograms[name].view(flow=True)
        view[0] = view[1]
    apart = agreement({"dy": result}).divergence[0]
    result.datasets["data"] = replace(result.datasets["data"], same_events=True)
    together = agreement({"dy": result}).divergence[0]
    assert apart.offset > 1e-3
    assert apart.error > 0
    measures = ("kl", "offset", "error", "kl_equal_offset", "js_offset", "emd_offset", "auc_offset")
    assert [getattr(together, each) for each in measures] == pytest.approx([0.0] * len(measures), abs=1e-12)
    assert (together.chi2, together.n_degrees, together.shape_degrees, together.p_value) == (0.0, 0, 0, 1.0)
    del result.histograms[PREFIX + "CvsL"]
    with pytest.raises(ValueError, match="only replicas of blocks tell how they fluctuate together"):
        agreement({"dy": result})


def test_unknown_blocks_are_one_sentence() -> None:
    with pytest.raises(ValueError, match=r"dy: no blocks of 'BvsL': process this selection with --blocks 32"):
        BlockReader(made_result(), "BvsL")
    with pytest.raises(ValueError, match="other bins than its histogram"):
        rebin_starts(np.array([0.0, 0.5, 1.0]), np.array([0.0, 0.3, 1.0]))


def test_the_curve_passes_through_the_basic_tagger_at_zero_noise(found: Agreement) -> None:
    row = next(row for row in found.divergence if (row.selection, row.tagger) == ("dy", "basic"))
    first, *others = [p for p in found.curve if (p.selection, p.measure) == ("dy", "kl")]
    assert (first.sigma, first.auc) == (0.0, 0.9)
    assert first.value == pytest.approx(row.kl, rel=1e-12)
    assert (first.error, first.offset) == pytest.approx((row.error, row.offset_replicas))
    # less and less is seen of the difference, the offset falls with it
    for one, other in zip([first, *others], others, strict=False):
        assert other.excess < one.excess
        assert other.offset < one.offset
    (at,) = [each for each in found.equal_auc if each[:3] == ("dy", "CvsL", "basic") and each.measure == "kl"]
    assert (at.ratio, at.ratio_error, at.status, at.sigma) == (1.0, 0.0, "ok", 0.0)


def test_a_training_is_compared_with_the_curve_at_its_own_auc(found: Agreement) -> None:
    (row,) = [
        each
        for each in found.equal_auc
        if (each.selection, each.tagger, each.measure) == ("dy", "adversarial", "kl")
    ]
    # 0.86 is half way from 0.88 at 0.5 to 0.84 at 1.0
    assert row.sigma == pytest.approx(0.75)
    points = {p.sigma: p for p in found.curve if (p.selection, p.measure) == ("dy", "kl")}
    assert row.curve == pytest.approx((points[0.5].excess + points[1.0].excess) / 2)
    assert row.ratio == pytest.approx(row.excess / row.curve)
    assert row.ratio_error > 0


def test_the_last_epoch_is_compared_with_the_last_one() -> None:
    # basic was trained for 9 epochs, the other for 3; the curve of epoch e is e at every AUC
    curve = {
        epoch: Curve(np.array([0.0]), np.array([0.9]), (constant_measure(float(epoch)),))
        for epoch in (1, 3, 9)
    }
    checkpoints = [*(("basic", epoch) for epoch in curve), ("other", 1), ("other", 3)]
    rows = equal_auc_rows(
        ("dy", "CvsL"),
        {checkpoint: {"kl": constant_measure(2.0)} for checkpoint in checkpoints},
        {epoch: {"kl": each} for epoch, each in curve.items()},
        {(*checkpoint, "CvsL"): [(0.0, 0.9)] for checkpoint in checkpoints},
        reference="basic",
        n_blocks=0,
    )
    compared = {(row.tagger, row.epoch): (row.reference_epoch, row.curve) for row in rows}
    assert compared == {
        ("basic", 1): (1, 1.0), ("basic", 3): (3, 3.0), ("basic", 9): (9, 9.0),
        ("other", 1): (1, 1.0), ("other", 3): (9, 9.0),
    }  # fmt: skip


def constant_measure(value: float) -> Measured:
    return Measured(np.array([value]), 0.0, 0.0)


def test_beyond_its_ends_the_curve_says_so() -> None:
    points = tuple(constant_measure(value) for value in (4.0, 2.0))
    curve = Curve(np.array([0.0, 1.0]), np.array([0.9, 0.8]), points)
    assert (curve.at(0.95)[0].excess, *curve.at(0.95)[1:]) == (4.0, 0.0, "above")
    assert (curve.at(0.7)[0].excess, *curve.at(0.7)[1:]) == (2.0, 1.0, "below")
    assert curve.at(0.85)[0].excess == pytest.approx(3.0)


def test_a_little_noise_that_raises_the_auc_by_chance_is_left_out() -> None:
    points = tuple(constant_measure(value) for value in (4.0, 9.0, 2.0))
    curve = Curve(np.array([0.0, 0.1, 1.0]), np.array([0.9, 0.91, 0.8]), points)
    assert (curve.at(0.9)[0].excess, *curve.at(0.9)[1:]) == (4.0, 0.0, "ok")
    assert curve.at(0.905)[2] == "above"
    # half way from 4 to 2, from no noise to 1
    assert (curve.at(0.85)[0].excess, curve.at(0.85)[1]) == pytest.approx((3.0, 0.5))


def test_folding_a_histogram_is_noise_on_the_jets() -> None:
    """Within 0.3 % of all jets in every bin: those at the ends are spread with least knowledge."""
    random = np.random.default_rng(5)
    odds = random.normal(0.5, 2.0, 1_000_000)
    jets = np.concatenate([expit(odds), np.full(1000, -0.1)])
    noised = np.concatenate([expit(odds + random.normal(0, 0.8, len(odds))), np.full(1000, -0.1)])
    before, after = (np.histogram(each, FINE)[0] for each in (jets, noised))
    folded = before @ noise_matrix(FINE, 0.8)
    assert folded.sum() == pytest.approx(before.sum(), rel=1e-12)
    np.testing.assert_allclose(folded, after, atol=0.003 * len(odds))
    assert folded[FINE[:-1] < -1e-9].sum() == 1000
    np.testing.assert_array_equal(noise_matrix(FINE, 0.0), np.eye(len(FINE) - 1))


def test_differences_by_hand() -> None:
    # without shared events: 5 - 1 less 2 - 1 is 3 +- hypot(0.3, 0.4); 4 / 1, error hypot(0.3, 4 x 0.4)
    one, other = Measured(np.array([5.0]), 1.0, 0.3), Measured(np.array([2.0]), 1.0, 0.4)
    measured = {("a", 3, "raw"): {"kl": one}, ("basic", 3, "raw"): {"kl": other}}
    (row,) = difference_rows("dy", "CvsL", measured, n_blocks=0)
    assert row[:8] == ("dy", "CvsL", "raw", "kl", "a", 3, "basic", 3)
    assert row[8:11] == pytest.approx((3.0, 0.5, 6.0))
    assert (row.ratio, row.ratio_error) == pytest.approx((4.0, np.hypot(0.3, 1.6)))
    # 4.55 % of two rows
    assert expected_by_chance([row, row]) == pytest.approx(0.091, abs=1e-3)


def test_every_two_trainings_are_paired_at_equal_and_at_last_epochs() -> None:
    pairs = pairs_of([("z", 1), ("z", 2), ("basic", 1), ("basic", 3), ("a", 1)])
    assert set(pairs) == {
        (("z", 1), ("basic", 1)), (("a", 1), ("basic", 1)), (("z", 1), ("a", 1)),
        (("z", 2), ("basic", 3)), (("a", 1), ("basic", 3)), (("z", 2), ("a", 1)),
    }  # fmt: skip


def test_tables_survive_their_files(found: Agreement, tmp_path: Path) -> None:
    write_differences(found.differences, tmp_path / "d.csv")
    assert read_differences(tmp_path / "d.csv") == found.differences
    assert isinstance(found.differences[0], DifferenceRow)
    write_curve(found.curve, tmp_path / "c.csv")
    assert read_curve(tmp_path / "c.csv") == found.curve
    write_equal_auc(found.equal_auc, tmp_path / "e.csv")
    assert read_equal_auc(tmp_path / "e.csv") == found.equal_auc
    assert read_curve(tmp_path / "none.csv") == []
