"""What the command line makes of an error."""

import json
import math
from pathlib import Path

import pytest

from advtag.cli import _sentence
from advtag.progress import say
from advtag.tables import as_json_text, show

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


def test_json_knows_no_nan() -> None:
    rows = json.loads(as_json_text([{"auc": math.nan, "run": Path("runs/basic"), "epoch": 3}]))
    assert rows == [{"auc": None, "run": "runs/basic", "epoch": 3}]
