import math
from typing import NamedTuple

import pytest

from plotting.performance import cost, equal_auc_sentence, robustness_sentences
from plotting.summary import (
    agreement_sentences,
    compare_trainings,
    epoch_sentences,
    headline,
    signed,
)
from plotting.tables import verdict_tables

SCORES = ("b", "bb", "c", "udsg", "BvsL", "CvsB", "CvsL")


@pytest.fixture
def rows_of(row):
    """Rows of all scores in which the adversarial training differs from 1.0 by these steps, errors 0.1."""

    def rows(*steps, **options):
        return [
            each
            for score, step in zip(SCORES, steps, strict=False)
            for each in (
                row("basic", 1.0, score=score, **options),
                row("adversarial", 1.0 + step, score=score, **options),
            )
        ]

    return rows


def compared(rows):
    return compare_trainings(rows, reference="basic", other="adversarial", variant="raw")


def test_significance_is_the_difference_over_both_errors(row):
    # (0.5 - 1.0) / sqrt(0.3^2 + 0.4^2) = -1
    (comparison,) = compared([row("basic", 1.0, error=0.3), row("adversarial", 0.5, error=0.4)])
    assert comparison.difference == -0.5
    assert comparison.significance == pytest.approx(-1.0)
    assert comparison.better is None


def test_statistics_alone_are_no_disagreement(row):
    # excesses 0.7 and 0.3, errors 0.1: 0.4 / sqrt(0.02) = 2.8, although KL is the lower one
    rows = [row("basic", 1.0, offset=0.7), row("adversarial", 0.9, offset=0.2)]
    (comparison,) = compared(rows)
    assert comparison.significance == pytest.approx(0.4 / math.sqrt(0.02))
    assert comparison.better == "basic"
    (sentence,) = agreement_sentences(rows)
    assert "KL beyond statistics alone is lower for “adversarial” than for “basic” in 0 of 1" in sentence.text
    assert "CvsL: 0.7 against 0.3, +2.8 σ" in sentence.text


def test_the_halves_of_the_bands_that_face_each_other_count(row):
    reference = row("basic", 1.0)._replace(low=0.7, high=9.0)
    other = row("adversarial", 0.0)._replace(low=-9.0, high=0.4)
    (comparison,) = compared([reference, other])
    assert comparison.significance == pytest.approx(-2.0)  # -1 / sqrt(0.3^2 + 0.4^2)
    assert comparison.better == "adversarial"


def test_the_last_epoch_of_each_training_is_compared_and_said(row, paired):
    rows = [row("basic", 1.0, epoch=1), row("basic", 2.0, epoch=9), row("adversarial", 3.0, epoch=1)]
    (comparison,) = compared(rows)
    assert (comparison.reference.epoch, comparison.other.epoch) == (9, 1)
    assert "epoch 1 against epoch 9" in headline(rows)
    # A difference on the same events counts where it is one of these two checkpoints.
    same_number = paired(0.9, 0.01, epoch=1)
    ends = paired(1.1, 0.2, epoch=1)._replace(reference_epoch=9)
    (found,) = compare_trainings(
        rows, reference="basic", other="adversarial", variant="raw", differences=[same_number, ends]
    )
    assert found.paired == ends
    (table,) = verdict_tables(rows, [same_number, ends])
    assert "epoch 1 against epoch 9" in table.caption
    assert [cell.text for cell in table.rows[0].cells] == ["+5.5 σ"]


def test_a_score_and_its_mirror_image_count_once(row):
    rows = [
        row(tagger, 1.0, score=score) for tagger in ("basic", "adversarial") for score in ("BvsC", "CvsB")
    ]
    assert [comparison.reference.score for comparison in compared(rows)] == ["CvsB"]


def test_rows_without_a_divergence_are_not_compared(row):
    assert not compared([row("basic", 0.0, status="empty_data"), row("adversarial", 0.5)])


def test_headline_says_which_training_agrees_better(rows_of):
    assert headline(rows_of(*[-1.0] * 7)).startswith(
        "“adversarial” agrees better with data: “adversarial” is better in 7 and worse in 0 of 7 comparisons "
        "by 2 σ or more (undistorted inputs, epoch 3; about 0.3 expected by chance; "
    )


def test_the_opposite_result_gives_the_opposite_headline(rows_of):
    assert headline(rows_of(*[1.0] * 7)).startswith(
        "“basic” agrees better with data: “adversarial” is better in 0 and worse in 7 of 7 comparisons"
    )


def test_differences_within_the_errors_are_not_claimed(rows_of):
    # 0.2 / sqrt(0.1^2 + 0.1^2) = 1.4 sigma in every score
    assert headline(rows_of(*[-0.2] * 7)).startswith(
        "No difference seen between “adversarial” and “basic”: in none of 7"
    )


def test_what_chance_brings_is_no_clear_difference(rows_of):
    # one of seven beyond two sigma, 0.3 expected: at most 1 + 2 * 0.3
    assert headline(rows_of(-1.0, *[0.0] * 6)).startswith("No clear difference")


def test_opposing_scores_are_called_mixed(rows_of):
    assert headline(rows_of(-1.0, -1.0, -1.0, 1.0, 1.0, 1.0, 0.0)).startswith(
        "Mixed: “adversarial” agrees with data better in 3"
    )


def test_without_errors_nothing_is_claimed(rows_of):
    assert "cannot be told apart" in headline(rows_of(*[-1.0] * 7, error=0.0))


def test_headline_of_one_training_and_of_none(row):
    assert headline([row("basic", 1.0)]) == "One training, “basic”: there is nothing to compare it with."
    assert headline([]) == "No divergence of data from simulation was computed."


def test_sentences_name_the_scores_that_differ_and_the_clearest(rows_of):
    # the second score: -0.5 / sqrt(0.02) = -3.5 sigma; the third: +2.8; the others differ by 0.7
    (sentence,) = agreement_sentences(rows_of(-0.1, -0.5, 0.4, -0.1, -0.1, -0.1, -0.1))
    assert sentence.subject == "DY + jets, undistorted"
    assert (
        "at epoch 3, KL beyond statistics alone is lower for “adversarial” than for “basic” in 6 of 7 scores"
        in sentence.text
    )
    assert "“adversarial” is lower in P(bb); “basic” is lower in P(c)" in sentence.text
    assert "P(bb): 0.49 against 0.99, −3.5 σ" in sentence.text


def test_sentences_follow_raw_and_the_strongest_attack(rows_of):
    rows = [
        each
        for variant in ("raw", "noise:0.1", "fgsm:0.01", "fgsm:0.1")
        for each in rows_of(-1.0, variant=variant)
    ]
    assert [sentence.subject for sentence in agreement_sentences(rows)] == [
        "DY + jets, undistorted",
        "DY + jets, FGSM ε = 0.1",
    ]


def test_robustness_gives_the_cost_of_the_attack_and_of_the_training(auc_row):
    rows = [
        auc_row("basic", 1, "raw", "BvsL", 0.1),  # an earlier epoch does not count
        auc_row("basic", 5, "raw", "BvsL", 0.95, 0.003),
        auc_row("basic", 5, "fgsm:0.1", "BvsL", 0.9),
        auc_row("adversarial", 5, "raw", "BvsL", 0.93, 0.004),
        auc_row("adversarial", 5, "fgsm:0.1", "BvsL", 0.92),
    ]
    attack, raw = robustness_sentences(rows)
    assert attack.subject == "AUC of BvsL under FGSM ε = 0.1"
    assert (
        attack.text
        == "“basic” from 0.9500 to 0.9000 (−0.0500); “adversarial” from 0.9300 to 0.9200 (−0.0100)."
    )
    assert raw.text.startswith("“adversarial” minus “basic” is −0.0200 ± 0.0050")  # 3, 4 and 5
    assert "no difference" not in raw.text


class Difference(NamedTuple):
    tagger: str
    epoch: int
    reference: str
    reference_epoch: int
    variant: str
    score: str
    difference: float
    error: float


def test_a_difference_on_the_same_jets_goes_before_independent_areas(auc_row):
    rows = [auc_row("basic", 5, "raw", "BvsL", 0.95), auc_row("adversarial", 6, "raw", "BvsL", 0.949)]
    paired = [
        Difference("adversarial", 5, "basic", 5, "raw", "BvsL", -0.5, 0.1),  # of another epoch
        Difference("adversarial", 6, "basic", 5, "raw", "BvsL", -0.001, 0.0002),
    ]
    (sentence,) = robustness_sentences(rows, paired)
    assert sentence.text == "“adversarial” minus “basic” is −0.0010 ± 0.0002."
    assert "BvsL −0.0010 ± 0.0002" in cost(rows, paired)
    (independent,) = robustness_sentences(rows)
    assert independent.text.endswith("no difference by 2 σ.")


def test_the_cost_stands_beside_the_answer(auc_row):
    rows = [
        auc_row(tagger, 5, variant, score, auc, 0.002)
        for tagger, raw, attacked in (("basic", 0.95, 0.80), ("adversarial", 0.94, 0.90))
        for variant, auc in (("raw", raw), ("fgsm:0.1", attacked), ("noise:0.1", 0.5))
        for score in ("BvsL", "CvsB")
    ]
    text = cost(rows)
    assert text.startswith("AUC of “adversarial” minus “basic”, undistorted: BvsL −0.0100 ± 0.00")
    assert "; under FGSM ε = 0.1: BvsL +0.1000 ± 0.00" in text
    assert cost(rows[:2]) == cost([]) == ""


def test_a_cost_within_its_error_is_no_difference(auc_row):
    rows = [auc_row("basic", 5, "raw", "BvsL", 0.90), auc_row("adversarial", 5, "raw", "BvsL", 0.899)]
    (sentence,) = robustness_sentences(rows)
    assert sentence.text.endswith("no difference by 2 σ.")


def test_an_area_that_is_no_number_is_not_spoken_of(auc_row):
    assert robustness_sentences([auc_row("basic", 5, "raw", "BvsL", math.nan, math.nan, 0, 5)]) == []
    assert robustness_sentences([]) == []


def test_zero_has_no_sign():
    assert [signed(-0.04, ".1f"), signed(-0.06, ".1f"), signed(2.0, ".1f")] == ["0.0", "−0.1", "+2.0"]


def test_the_best_epoch_is_named_with_what_it_separates(row, auc_row):
    rows = [
        row("basic", kl, epoch=epoch, score=score, offset=0.0)
        for epoch, values in ((1, (3.0, 5.0)), (2, (1.0, 2.0)), (3, (2.0, 4.0)))
        for score, kl in zip(("CvsB", "CvsL"), values, strict=True)
    ]
    areas = [auc_row("basic", 2, "raw", "BvsL", 0.9)]
    (sentence,) = epoch_sentences([*rows, row("basic", 0.0, epoch=4)], areas)
    assert sentence.subject == "“basic”"
    # (1 + 2) / 2 at epoch 2, (2 + 4) / 2 at epoch 3; epoch 4 has one score only
    assert sentence.text == (
        "agrees best at epoch 2, where KL beyond statistics is 1.5 in the mean over selections and scores "
        "(AUC: BvsL 0.900); at epoch 3 it is 3."
    )


def test_one_epoch_is_no_choice(row):
    assert epoch_sentences([row("basic", 1.0)]) == []


def test_a_difference_on_shared_events_has_the_smaller_error(row, paired):
    rows = [row("basic", 1.0, error=0.3), row("adversarial", 0.5, error=0.4)]  # -1 sigma if independent
    (comparison,) = compare_trainings(
        rows, reference="basic", other="adversarial", variant="raw", differences=[paired(-0.5, 0.1)]
    )
    assert comparison.significance == -5.0
    assert comparison.better == "adversarial"
    assert "CvsL in DY + jets: −5.0 σ" in headline(rows, [paired(-0.5, 0.1)])


def test_differences_turn_the_headline(row, paired):
    rows = [
        each
        for score in SCORES
        for each in (row("basic", 1.0, score=score), row("adversarial", 1.0, score=score))
    ]
    better = [paired(-0.5, 0.1, score=score) for score in SCORES]
    worse = [paired(0.5, 0.1, score=score) for score in SCORES]
    assert headline(rows, better).startswith("“adversarial” agrees better with data")
    assert headline(rows, worse).startswith("“basic” agrees better with data")
    assert headline(rows).startswith("No difference seen")


@pytest.mark.parametrize("other", [{"n_blocks": 0}, {"measure": "js"}, {"epoch": 1}, {"variant": "fgsm:0.1"}])
def test_differences_of_something_else_are_not_used(row, paired, other):
    rows = [row("basic", 1.0), row("adversarial", 0.5)]
    (comparison,) = compare_trainings(
        rows, reference="basic", other="adversarial", variant="raw", differences=[paired(-9.0, 0.1, **other)]
    )
    assert comparison.difference == -0.5


def test_a_trivial_loss_of_performance_is_the_reference(equal_auc):
    rows = [
        equal_auc(0.5, 0.1),  # 5 sigma below 1
        equal_auc(1.1, 0.1, score="CvsB"),  # 1 sigma above
        equal_auc(0.1, 0.1, score="BvsL", status="below"),  # beyond the curve: not counted
        equal_auc(3.0, 0.1, epoch=1),
    ]
    assert equal_auc_sentence(rows) == (
        "Against “basic” made as weak by noise on its output, “adversarial” agrees better in 1 and worse "
        "in 0 of 2 comparisons by 2 σ."
    )
    opposite = [row._replace(ratio=2 - row.ratio) for row in rows]
    assert "better in 0 and worse in 1 of 2" in equal_auc_sentence(opposite)
    assert equal_auc_sentence([]) == ""
