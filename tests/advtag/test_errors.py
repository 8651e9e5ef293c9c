"""What the command line makes of an error."""

import pytest

from advtag.cli import _sentence

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
