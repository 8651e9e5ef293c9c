"""Tables in terminals of any width."""

import pytest

from advtag.tables import show

ROWS: list[dict[str, object]] = [
    {"tagger": "basic.s1", "inputs": "raw", "AUC of BvsL": 0.9, "ratio": "0.0 \u00b1 0.03", "n jets": 1},
    {"tagger": "consistency_mmd_40.s1", "inputs": "raw", "AUC of BvsL": 0.91, "ratio": "0.1 \u00b1 0.03"}
    | {"n jets": 10},
]


def printed(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    width: int,
    rows: list[dict[str, object]] = ROWS,
    title: str = "Title",
) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(width))
    show(rows, title=title, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= width for line in lines)
    return [" ".join(line.split()) for line in lines if line.strip(" \u2500")]


def test_a_table_that_fits_is_one(capsys, monkeypatch) -> None:
    assert printed(capsys, monkeypatch, 80) == [
        "Title",
        "tagger inputs AUC of BvsL ratio n jets",
        "basic.s1 raw 0.9 0.0 \u00b1 0.03 1",
        "consistency_mmd_40.s1 raw 0.91 0.1 \u00b1 0.03 10",
    ]


def test_a_title_is_broken_where_the_terminal_ends_not_the_table(capsys, monkeypatch) -> None:
    title = "what this is, in some more words than the table is wide"
    assert printed(capsys, monkeypatch, 80, [{"a": 1, "b": 2}], title) == [title, "a b", "1 2"]
    lines = printed(capsys, monkeypatch, 40, [{"a": 1, "b": 2}], title)
    assert lines[:2] == ["what this is, in some more words than", "the table is wide"]


def test_what_does_not_fit_comes_below_with_what_a_row_is(capsys, monkeypatch) -> None:
    lines = printed(capsys, monkeypatch, 49)
    assert lines[1:4] == ["tagger inputs AUC of BvsL", "basic.s1 raw 0.9", "consistency_mmd_40.s1 raw 0.91"]
    # The names of a row are more than half of it: the first stands for them.
    assert lines[4:] == [
        "continued",
        "tagger ratio n jets",
        "basic.s1 0.0 \u00b1 0.03 1",
        "consistency_mmd_40.s1 0.1 \u00b1 0.03 10",
    ]
    assert printed(capsys, monkeypatch, 40, ROWS[:1])[1:] == [
        "AUC of",  # headings may be broken
        "tagger inputs BvsL ratio",
        "basic.s1 raw 0.9 0.0 \u00b1 0.03",
        "continued",
        "tagger inputs n jets",
        "basic.s1 raw 1",
    ]


def test_prose_and_paths_are_broken_and_nothing_is_left_out(capsys, monkeypatch) -> None:
    row = {"job": "00001", "tries": 2, "why": "the disk is on fire " * 4, "where": "/a/b/c/d" * 10}
    lines = printed(capsys, monkeypatch, 50, [row])
    assert sum(line.count("fire") for line in lines) == 4
    assert sum(line.count("/d") for line in lines) == 10
    assert sum("00001" in line for line in lines) == 2
