"""Methods on whole results: jets that all trainings see, with scores whose order of merit is known."""

from collections.abc import Callable
from pathlib import Path

import hist
import numpy as np
import pytest
from scipy.special import expit

from datamc.blocks import PREFIX
from datamc.methods import MethodRow, MethodStudy, PairRow, method_rows, method_study
from datamc.records import DatasetRecord, Result
from datamc.score_replicas import MEASURES
from storage.tables import read_table, write_table

N_BLOCKS, SIGMA = 32, 0.6
COARSE = np.linspace(-0.2, 1, 61)
TAILS = expit(np.array([3.5, 4.25, 4.75, 5.25, 5.75, 6.25, 7, 8, 9.5]))
FINE = np.unique(np.round(np.concatenate([COARSE, TAILS, 1 - TAILS]), 12))

Score = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]
SCORES: dict[str, Score] = {
    "basic": lambda odds, shift, random: odds + shift + random.normal(0, 0.1, len(odds)),
    "noised": lambda odds, shift, random: odds + shift + random.normal(0, np.hypot(0.1, SIGMA), len(odds)),
    "better": lambda odds, shift, random: odds + 0.5 * shift + random.normal(0, 0.1, len(odds)),
}
"""Log-odds as a method sees them with what is wrong in data, of which `better` sees half."""

METHODS = {method: [f"{method}.s1", f"{method}.s2"] for method in SCORES}
CURVE = [(0.0, 0.90), (0.3, 0.89), (SIGMA, 0.87), (1.2, 0.80)]
AREAS = {
    **{(tagger, 2, "CvsB"): CURVE for tagger in METHODS["basic"] + METHODS["better"]},
    **{(tagger, 1, "CvsB"): [(0.0, 0.86)] for tagger in METHODS["basic"]},
    **{(tagger, 2, "CvsB"): [(0.0, 0.87)] for tagger in METHODS["noised"]},
}


def made_result(*, shift: float = 0.3, seed: int = 1, sizes: tuple[int, int] = (12_000, 24_000)) -> Result:
    """Every tagger at epoch 2; basic also at epoch 1, where it separates less: its log-odds are smaller."""
    random = np.random.default_rng(seed)
    taggers = [tagger for several in METHODS.values() for tagger in several]
    axes = [
        hist.axis.StrCategory(["data", "mc"], name="dataset", growth=True),
        hist.axis.StrCategory(["OS", "SS"], name="sign", overflow=False),
        hist.axis.StrCategory(taggers, name="tagger", growth=True),
        hist.axis.IntCategory([1, 2], name="epoch", growth=True),
        hist.axis.StrCategory(["raw"], name="variant", growth=True),
    ]
    flavour = hist.axis.IntCategory([-1, 0], name="flavour")
    systematic = hist.axis.StrCategory(["nominal"], name="systematic", growth=True)
    scores = hist.Hist(
        *axes, flavour, systematic, hist.axis.Variable(COARSE, name="value"), storage=hist.storage.Weight()
    )
    blocks = hist.Hist(
        *axes,
        hist.axis.Regular(N_BLOCKS, 0, N_BLOCKS, name="block", underflow=False, overflow=False),
        hist.axis.Variable(FINE, name="value", underflow=False, overflow=False),
    )
    for dataset, size, moved in zip(("data", "mc"), sizes, (shift, 0.0), strict=True):
        odds = random.normal(0, 1.5, random.poisson(size))
        block = random.integers(0, N_BLOCKS, len(odds))
        for tagger in taggers:
            method = tagger.split(".")[0]
            for epoch in (1, 2) if method == "basic" else (2,):
                own = (1.0 if epoch == 2 else 0.7) * SCORES[method](odds, moved, random)
                place = {"dataset": dataset, "tagger": tagger, "epoch": epoch, "variant": "raw", "sign": "OS"}
                blocks.fill(**place, value=expit(own), block=block)
                scores.fill(
                    **place, value=expit(own), flavour=-1 if dataset == "data" else 0, systematic="nominal"
                )
    records = {
        "data": DatasetRecord(True, "data", None, 1.0, True, 0, 0, 0),
        "mc": DatasetRecord(False, "mc", 10.0, None, True, 0, 20.0, 20.0),
    }
    return Result("dy", {"CvsB": scores, PREFIX + "CvsB": blocks}, records)


def study_of(result: Result, **options: object) -> MethodStudy:
    given = {"scenario": "data", "methods": METHODS, "areas": AREAS} | options
    return method_study(result, **given)


@pytest.fixture(scope="module")
def found() -> MethodStudy:
    return study_of(made_result(), attacked={("basic.s1", "CvsB"): 0.5, ("basic.s2", "CvsB"): 0.7})


def row_of(study: MethodStudy, method: str, measure: str = "kl") -> MethodRow:
    (row,) = [row for row in study.rows if (row.method, row.measure) == (method, measure)]
    return row


@pytest.mark.parametrize("measure", MEASURES)
def test_the_reference_is_1_without_error(found: MethodStudy, measure: str) -> None:
    row = row_of(found, "basic", measure)
    for ratio in (row.ratio_basic, row.ratio_curve, row.ratio_early):
        assert ratio == pytest.approx(1, abs=1e-12)
    assert (row.ratio_curve_error, row.significance) == pytest.approx((0, 0), abs=1e-9)
    assert (row.n_seeds, row.status, row.auc, row.auc_error) == (2, "ok", 0.9, 0.0)
    assert row.auc_attacked == pytest.approx(0.6)


@pytest.mark.parametrize("measure", MEASURES)
def test_noise_on_jets_is_worth_nothing_though_it_agrees_better(found: MethodStudy, measure: str) -> None:
    row = row_of(found, "noised", measure)
    assert row.ratio_basic < 1
    assert abs(row.ratio_curve - 1) < 2.5 * row.ratio_curve_error
    assert row.ratio_curve_error < 0.15


@pytest.mark.parametrize("measure", MEASURES)
def test_half_the_shift_is_seen_at_equal_auc(found: MethodStudy, measure: str) -> None:
    row = row_of(found, "better", measure)
    # a distance falls by half, a divergence to a quarter
    expected = 0.5 if measure == "emd" else 0.25
    assert row.ratio_curve == pytest.approx(expected, abs=3 * row.ratio_curve_error)
    assert row.ratio_curve_error < 0.06
    assert row.significance > 8
    assert row.ratio_curve_error == pytest.approx(np.hypot(row.ratio_curve_events, row.ratio_curve_seeds))


def test_stopping_early_does_not_explain_less_divergence(found: MethodStudy) -> None:
    # log-odds times 0.7 are a monotone change: the area of data against simulation is the same at both epochs
    early = {p.step: p.excess for p in found.curves if (p.kind, p.measure) == ("early", "auc")}
    assert early[1.0] == pytest.approx(early[2.0], rel=0.05)
    row = row_of(found, "noised", "auc")
    # 0.87 lies between 0.86 and 0.90
    assert row.ratio_early == pytest.approx(row.excess / (0.75 * early[1.0] + 0.25 * early[2.0]))


def test_the_curve_begins_at_the_reference(found: MethodStudy) -> None:
    curve = [p for p in found.curves if (p.kind, p.measure) == ("noise", "kl")]
    row = row_of(found, "basic")
    assert (curve[0].step, curve[0].auc, curve[0].excess) == pytest.approx((0.0, row.auc, row.excess))
    assert [p.auc for p in curve] == [auc for _, auc in CURVE]


def test_a_difference_of_methods_is_known_better_than_both(found: MethodStudy) -> None:
    (pair,) = [p for p in found.pairs if (p.method, p.other, p.measure) == ("noised", "better", "kl")]
    one, other = row_of(found, "noised"), row_of(found, "better")
    assert pair.difference == pytest.approx(one.ratio_curve - other.ratio_curve)
    assert 0 < pair.error < 1.2 * np.hypot(one.ratio_curve_error, other.ratio_curve_error)
    (pair,) = [p for p in found.pairs if (p.method, p.other, p.measure) == ("basic", "better", "kl")]
    assert (pair.error, pair.significance) == pytest.approx((other.ratio_curve_error, other.significance))


def test_the_mean_of_the_seeds_is_the_row(found: MethodStudy) -> None:
    seeds = [s for s in found.seeds if (s.method, s.measure) == ("noised", "js")]
    assert [s.tagger for s in seeds] == METHODS["noised"]
    assert np.mean([s.excess for s in seeds]) == pytest.approx(row_of(found, "noised", "js").excess)


def test_the_null_data_set_is_without_excess_and_its_ratios_say_nothing() -> None:
    pulls = []
    for seed in range(2, 8):
        null = study_of(made_result(shift=0.0, seed=seed, sizes=(6000, 12_000)), scenario="null")
        assert {row.scenario for row in null.rows} == {"null"}
        pulls += [row_of(null, "basic", measure).pull for measure in ("kl", "kl_equal", "js", "emd")]
        assert all(abs(row.pull) < 4 for row in null.rows)
        assert row_of(null, "better").status in ("weak", "no_excess")
        assert row_of(null, "basic").p_value > 1e-3
    assert abs(np.mean(pulls)) < 1.2


def test_beyond_the_ends_of_the_curve_rows_say_so() -> None:
    beyond = {("noised.s1", 2, "CvsB"): [(0.0, 0.95)], ("better.s1", 2, "CvsB"): [(0.0, 0.7)]}
    methods = {method: taggers[:1] for method, taggers in METHODS.items()}
    study = study_of(made_result(), areas=AREAS | beyond, methods=methods)
    assert row_of(study, "noised").status == "above"
    assert row_of(study, "better").status == "below"
    assert row_of(study, "better").ratio_early == 0
    assert row_of(study, "better").ratio_curve_seeds == 0


def test_the_error_of_the_auc_is_part_of_that_at_equal_auc(found: MethodStudy) -> None:
    errors = {("noised.s1", 2, "basic.s1", 2, "CvsB"): 0.004, ("noised.s2", 2, "basic.s1", 2, "CvsB"): 0.006}
    row = row_of(study_of(made_result(), area_errors=errors), "noised")
    without = row_of(found, "noised")
    curve = {p.auc: p.excess for p in found.curves if (p.kind, p.measure) == ("noise", "kl")}
    # 0.87 moves by 0.005: up a quarter of the way to 0.89, down a 14th of that to 0.80
    shift = 0.5 * (0.25 * (curve[0.89] - curve[0.87]) + (curve[0.87] - curve[0.80]) / 14)
    assert row.ratio_curve_areas == pytest.approx(row.ratio_curve * shift / curve[0.87])
    assert row.ratio_curve_error == pytest.approx(np.hypot(without.ratio_curve_error, row.ratio_curve_areas))
    assert without.ratio_curve_areas == 0


def test_what_is_missing_is_one_sentence() -> None:
    result = made_result(sizes=(100, 100))
    with pytest.raises(ValueError, match=r"dy: no scores of gone\.s1: process them, or leave them out"):
        study_of(result, methods=METHODS | {"gone": ["gone.s1"]})
    with pytest.raises(
        ValueError, match="no method 'plain' to compare with, but basic, noised, better: name one"
    ):
        study_of(result, reference="plain")
    with pytest.raises(ValueError, match=r"no AUC of basic\.s1, epoch 2, CvsB: evaluate it"):
        study_of(result, areas={})
    del result.histograms[PREFIX + "CvsB"]
    with pytest.raises(ValueError, match="process this selection with --blocks 32"):
        study_of(result)


def test_rows_survive_their_files(found: MethodStudy, tmp_path: Path) -> None:
    assert (
        method_rows(made_result(), scenario="data", methods=METHODS, areas=AREAS)[1:]
        == [row._replace(auc_attacked=0.0) for row in found.rows][1:]
    )
    write_table(found.rows, tmp_path / "methods.csv", kind=MethodRow)
    assert read_table(tmp_path / "methods.csv", kind=MethodRow) == found.rows
    write_table(found.pairs, tmp_path / "pairs.csv", kind=PairRow)
    assert read_table(tmp_path / "pairs.csv", kind=PairRow) == found.pairs
