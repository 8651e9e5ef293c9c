"""Terminals, locales and paths of all kinds: no command fails because of them."""

import os
import subprocess
from pathlib import Path

import pytest

from advtag import surroundings

REPOSITORY = Path(__file__).parents[2]
COMMANDS = ["", "simulate", "process", "fit", "report", "condor submit"]


def shell(command: str, advtag_command: list[str], **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Run a line of bash in which `advtag` is the command."""
    return subprocess.run(
        ["bash", "-c", f'advtag() {{ "{advtag_command[0]}" "$@"; }}; set -o pipefail; {command}'],
        env={name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG"))}
        | variables,
        capture_output=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("command", "encoding"),
    [*((command, "ascii") for command in COMMANDS), ("process", "latin-1"), ("process", "utf-8")],
)
def test_help_is_shown_in_every_encoding(command: str, encoding: str, advtag_command: list[str]) -> None:
    finished = shell(f"advtag {command} --help", advtag_command, PYTHONIOENCODING=encoding)
    assert (finished.returncode, finished.stderr) == (0, b"")
    assert "Usage: advtag" in finished.stdout.decode(encoding)


def test_what_an_encoding_lacks_is_written_in_another_way() -> None:
    """The code point of the Greek epsilon is 3B5 (hexadecimal); latin-1 has no dashes, but the sign ±."""
    text = "±1 – ε → …"
    handled = text.encode("latin-1", errors="backslashreplace")
    assert b"\\u2013" in handled
    with Path(os.devnull).open("w", encoding="latin-1") as stream:
        surroundings._write_whatever_comes(stream)
        assert text.encode("latin-1", errors=stream.errors) == b"\xb11 - \\u03b5 -> ..."
        assert text.encode("ascii", errors=stream.errors) == b"+-1 - \\u03b5 -> ..."


@pytest.mark.parametrize(
    ("given", "used"),
    [("0", None), ("abc", None), ("", None), ("-5", None), ("²", None), ("3", "40"), ("120", "120"),
     ("99999999", "500")],
)  # fmt: skip
def test_the_width_of_a_terminal_is_one(
    given: str, used: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", given)
    surroundings._limit("COLUMNS", 40, 500)
    assert os.environ.get("COLUMNS") == used


SHELLS: dict[str, dict[str, str]] = {
    "no width": {"COLUMNS": "0", "LINES": "0"},
    "one column": {"COLUMNS": "1"},
    "no number": {"COLUMNS": "wide"},
    "dumb": {"TERM": "dumb"},
    "no terminal": {"TERM": ""},
    "no colour": {"NO_COLOR": "1"},
    "colour": {"FORCE_COLOR": "1"},
    "C": {"LC_ALL": "C"},
    "C, no UTF-8": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "no home": dict.fromkeys(("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "TMPDIR"), "/proc/nowhere"),
}  # fmt: skip


@pytest.mark.parametrize("variables", SHELLS.values(), ids=SHELLS)
def test_an_error_is_said_in_every_shell(variables: dict[str, str], advtag_command: list[str]) -> None:
    finished = shell(
        "advtag process --selection dy --fileset 'nothing [red]é.json' --out out", advtag_command, **variables
    )
    assert finished.returncode == 1
    said = " ".join(finished.stderr.decode().split())
    assert "nothing [red]é.json" in said
    assert "Traceback" not in said


def test_a_reader_that_has_seen_enough_is_no_error(advtag_command: list[str]) -> None:
    """141 is 128 + SIGPIPE, which ends other programs there."""
    finished = shell("advtag process --help | true", advtag_command)
    assert finished.returncode in (0, 141)
    assert finished.stderr == b""
    # The pipe is closed before a word is written.
    finished = shell("{ advtag --version; echo $? >&2; } | exec 0<&-", advtag_command)
    assert finished.stderr.decode().split() in (["0"], ["141"])


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_error(closed: str, advtag_command: list[str]) -> None:
    assert shell(f"advtag --version {closed}", advtag_command).returncode == 0


def test_a_full_disk_under_the_output_is_an_error_without_traceback(advtag_command: list[str]) -> None:
    finished = shell("advtag --version > /dev/full", advtag_command)
    assert finished.returncode == 1
    assert b"No space left" in finished.stderr
    assert b"Traceback" not in finished.stderr


def test_a_package_that_hides_one_of_ours_is_named(tmp_path: Path, advtag_command: list[str]) -> None:
    for name, path in {"models": tmp_path / "models/__init__.py", "datamc": tmp_path / "datamc.py"}.items():
        path.parent.mkdir(exist_ok=True)
        path.touch()
        finished = shell("advtag --version", advtag_command, PYTHONPATH=f"/nowhere:{tmp_path}")
        assert finished.returncode == 1
        said = finished.stderr.decode()
        assert str(tmp_path / name) in said
        assert "PYTHONPATH" in said
        assert "Traceback" not in said
        path.unlink()


def test_a_folder_without_python_files_hides_nothing(tmp_path: Path, advtag_command: list[str]) -> None:
    (tmp_path / "models").mkdir()
    assert shell("advtag --version", advtag_command, PYTHONPATH=str(tmp_path)).returncode == 0


def test_every_package_beside_the_command_line_is_looked_after() -> None:
    packages = {path.parent.name for path in REPOSITORY.glob("*/__init__.py")} - {"advtag"}
    assert packages - set(surroundings.PACKAGES) == set()
