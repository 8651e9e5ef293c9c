"""What the command line makes of an error."""

import errno
import json
import logging
import math
from pathlib import Path

import pytest

from advtag.application import _sentence
from advtag.progress import OneLine, one_bar, say
from advtag.tables import as_json_text, show
from storage.disk import DiskFullError

NO_TORCH = "training needs torch, which is not installed: pip install 'advtag[train]'"


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ValueError("f.root: no branch X:\n  is it PFNano?"), "f.root: no branch X: is it PFNano?"),
        (ModuleNotFoundError("x", name="torch"), NO_TORCH),
        (FileNotFoundError("x.yaml: no such file"), "x.yaml: no such file"),
    ],
)  # fmt: skip
def test_an_error_of_the_user_is_its_own_sentence(error: Exception, sentence: str) -> None:
    assert _sentence(error) == sentence


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "x.root"), ("x.root: No space left", "free")),
        (OSError(errno.ENOSPC, "No space left on device"), ("temporary file", "TMP", "free")),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "f"), ("f: The quota", "free")),
        (DiskFullError("f: No space left: free some"), ("f: No space left: free some",)),
        (RecursionError("maximum recursion depth exceeded"), ("nested", "--debug")),
    ],
)  # fmt: skip
def test_a_full_disk_and_a_deep_file_come_with_advice(
    error: Exception, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", "/TMP")
    sentence = _sentence(error)
    assert all(word in sentence for word in words)
    assert "Errno" not in sentence


def test_an_error_of_ours_says_that_it_is_one() -> None:
    text = _sentence(KeyError("dataset"))
    assert text.startswith("KeyError: 'dataset'")
    assert "--debug" in text


def test_square_brackets_reach_the_reader(capsys: pytest.CaptureFixture[str]) -> None:
    show([{"axis": "pT [GeV]"}], title="in [bold]", as_json=False)
    printed = capsys.readouterr().out
    assert "pT [GeV]" in printed
    assert "in [bold]" in printed
    say("pip install 'advtag[sim]'", heading="Error:", style="bold red")
    assert capsys.readouterr().err == "Error: pip install 'advtag[sim]'\n"


HOSTILE = "\x1b]0;owned\x07\x1b[31mdy\nError: none\r[bold]\u202e"
SHOWN = r"\x1b]0;owned\x07\x1b[31mdy\nError: none\r[bold]\u202e"


def test_a_terminal_obeys_no_name(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    say(HOSTILE, heading="Note:")
    assert capsys.readouterr().err == f"Note: {SHOWN}\n"
    show([{HOSTILE: HOSTILE, "n": 1}], title=HOSTILE, as_json=False)
    printed = capsys.readouterr().out
    assert printed.count(SHOWN) == 3
    assert all(line.isprintable() for line in printed.splitlines())
    show([{"name": HOSTILE}], title="", as_json=True)
    printed = capsys.readouterr().out
    assert json.loads(printed) == [{"name": HOSTILE}]
    assert all(line.isprintable() for line in printed.split("\n"))
    assert OneLine().format(logging.makeLogRecord({"msg": "%s", "args": (HOSTILE,)})) == SHOWN


def test_a_bar_shows_a_name_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    with one_bar(f"process {HOSTILE}") as move:
        move(1, 1)
    assert f"process {SHOWN}"[:40] in capsys.readouterr().err.replace("\n", "")


def test_json_knows_no_nan() -> None:
    rows = json.loads(as_json_text([{"auc": math.nan, "run": Path("runs/basic"), "epoch": 3}]))
    assert rows == [{"auc": None, "run": "runs/basic", "epoch": 3}]
