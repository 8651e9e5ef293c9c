import pytest

from datamc.shared_events import SharedEvents
from plotting import comparison_page
from plotting.comparison_page import (
    Number,
    Production,
    answer,
    compared_areas,
    compared_divergences,
    compared_scale_factors,
    configuration_table,
    pairing_sentences,
    write_comparison,
)


@pytest.fixture
def two(result_of, row, auc_row, scale_factors):
    """Both have CvsL at epoch 3; the second a later epoch too, and another setting."""
    first, second = result_of("dy"), result_of("dy")
    second.config["profile"] = "other"
    second.versions["torch"] = "2.13.0"
    return (
        Production(
            "a",
            {"dy": first},
            [row("basic", 1.0)],
            [scale_factors],
            [auc_row("basic", 3, "raw", "CvsL", 0.7)],
        ),
        Production(
            "b",
            {"dy": second},
            [row("basic", 0.5), row("basic", 9.0, epoch=5), row("other", 1.0)],
            [scale_factors],
            [auc_row("basic", 3, "raw", "CvsL", 0.71)],
        ),
    )


def test_a_difference_has_both_errors():
    number = Number(("x",), 1.0, 0.3, 3.0, 0.4)
    assert (number.difference, number.error, number.significance) == (2.0, 0.5, 4.0)


def test_what_both_have_is_compared_at_the_last_common_epoch(two):
    (divergence,) = compared_divergences(*two)
    assert divergence.place == ("dy", "CvsL", "basic", "raw", "3")
    # 0.5 - 1.0; the offset of 0.01 is taken off both
    assert divergence.difference == pytest.approx(-0.5)
    assert divergence.error == pytest.approx(0.1 * 2**0.5)
    (area,) = compared_areas(*two)
    assert area.difference == pytest.approx(0.01)
    assert {number.place[0] for number in compared_scale_factors(*two)} == {"c", "b", "light", "all"}
    assert all(number.difference == 0 for number in compared_scale_factors(*two))


def test_the_answer_turns_with_the_order(two):
    # -0.5 / 0.141 = -3.5
    assert "“b” agrees better with its data than “a” in 1 and worse in 0 of 1" in answer(*two)
    assert "DY + jets: −3.5 σ." in answer(*two)
    assert "“a” agrees better with its data than “b” in 0 and worse in 1 of 1" in answer(*reversed(two))


def test_the_same_twice_is_no_difference(two, row):
    assert answer(two[0], two[0]) == "The two productions have the same divergences in all 1 comparisons."
    close = Production("c", two[0].results, [row("basic", 1.05)])
    assert answer(two[0], close).startswith(
        "No difference seen between “a” and “c”: in none of 1 comparisons"
    )


def test_errors_of_shared_events_are_taken_where_they_are_known(two, monkeypatch):
    paired = {("dy", "CvsL", "basic", "raw", 3): 0.05}
    (divergence,) = compared_divergences(*two, paired)
    assert divergence.error == 0.05
    assert "DY + jets: −10.0 σ." in answer(*two, paired)  # -0.5 / 0.05
    assert pairing_sentences(*two) == ["DY + jets: the productions are taken as independent."]
    # Without blocks there is nothing to pair.
    assert pairing_sentences(*two, paired) == ["DY + jets: the productions are taken as independent."]
    monkeypatch.setattr(
        comparison_page, "shared_events", lambda *_: SharedEvents(data=False, mc=True, n_blocks=32)
    )
    (sentence,) = pairing_sentences(*two, paired)
    assert sentence.startswith("DY + jets: both read the same files of simulation; errors of differences")
    assert sentence.endswith("are paired, from 32 blocks of events.")


def test_only_what_is_set_differently_is_listed(two):
    assert configuration_table(*two).rows == [
        ["dy.profile", '"btv20001"', '"other"'],
        ["dy.versions.torch", "–", '"2.13.0"'],
    ]
    assert configuration_table(two[0], two[0]).rows == [["none", "", ""]]


def test_the_page_holds_the_tables(two, tmp_path):
    page = write_comparison(tmp_path / "c.html", *two, title="<b>").read_text(encoding="utf-8")
    assert "&lt;b&gt;" in page
    assert "<script" not in page
    assert "CvsL, basic epoch 3, raw" in page
    assert "−500 ± 141" in page  # the difference in units of 10^-3
    assert "+0.0100 ± 0.0028" in page
    assert "Simulated events" in page


def test_nothing_in_common_is_said(two, tmp_path):
    empty = Production("none", {})
    assert "share no divergence" in answer(two[0], empty)
    assert "nothing that both" in write_comparison(tmp_path / "c.html", two[0], empty, title="x").read_text()
