import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.names import LONGEST_NAME, file_name, printable

SAFE = re.compile(r"[A-Za-z0-9_.+@-]+", re.ASCII)
NAMES = st.text(st.characters(), max_size=300) | st.text("ab./ -_+@\n", max_size=6)


@given(NAMES)
def test_any_name_becomes_one_plain_path_component(name: str) -> None:
    made = file_name(name)
    assert SAFE.fullmatch(made)
    assert not made.startswith(".")
    assert len(made) <= LONGEST_NAME


@given(st.lists(NAMES, unique=True, max_size=30))
def test_two_names_never_share_a_file(names: list[str]) -> None:
    assert len({file_name(name) for name in names}) == len(names)


@given(NAMES)
def test_the_file_name_of_one_name_is_not_that_of_another(name: str) -> None:
    """A dataset may be called as the file of another is."""
    assert file_name(file_name(name)) != file_name(name) or file_name(name) == name


@pytest.mark.parametrize("name", ["dy", "Muon_2017-UL+x", "a.b", "-x", "TT_TuneCP5_13TeV-powheg-pythia8"])
def test_a_plain_name_stays(name: str) -> None:
    assert file_name(name) == name


@pytest.mark.parametrize(
    ("name", "readable"),
    [
        ("/DY/Run2017-v1/NANOAODSIM", "DY_Run2017-v1_NANOAODSIM"),
        ("../../up", "up"),
        (".hidden", "hidden"),
        ("..", ""),
        ("", ""),
        ("Ω $(touch x)", "touch_x"),
        ("x" * 300, "x" * 80),
    ],
)
def test_any_other_name_is_readable_and_ends_with_its_hash(name: str, readable: str) -> None:
    assert file_name(name) == f"{readable}@{hashlib.sha256(name.encode()).hexdigest()[:16]}"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("dy → Ω", "dy → Ω"),
        ("\x1b]0;owned\x07", r"\x1b]0;owned\x07"),
        ("two\nlines\t", r"two\nlines\t"),
        ("a\u202eb\u200b", r"a\u202eb\u200b"),
        ("\x9b31m\ud800", r"\x9b31m\ud800"),
    ],
)
def test_control_characters_are_written_out(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(st.characters()))
def test_what_is_printable_is_one_line_that_any_terminal_takes(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert shown.encode().decode() == shown
