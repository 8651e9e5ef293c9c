"""Inputs that are changed while they are processed: never mixed, always named."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datamc.results import Result
from events.identity import State, state_of
from events.reading import ReadError
from processors import run as running
from processors.run import run_selection

Change = Callable[[Path, Path], None]


def renamed_over(path: Path, other: Path) -> None:
    shutil.copy(other, path.parent / "new.root")
    (path.parent / "new.root").replace(path)


def overwritten(path: Path, other: Path) -> None:
    path.write_bytes(other.read_bytes())


def cut(path: Path, _: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def touched(path: Path, _: Path) -> None:
    """One byte of the last basket, with the same length and the same mark of ROOT."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


CHANGES: dict[str, tuple[Change, int]] = {
    "replaced by as many events": (renamed_over, 300),
    "replaced by more events": (renamed_over, 350),
    "replaced by fewer events": (renamed_over, 100),
    "overwritten by as many events": (overwritten, 300),
    "overwritten by more events": (overwritten, 350),
    "cut": (cut, 300),
    "touched": (touched, 300),
    "gone": (lambda path, _: path.unlink(), 300),
}


@pytest.fixture(scope="module")
def files(
    tmp_path_factory: pytest.TempPathFactory, make_events: Callable[..., Any], write: Callable[..., Path]
) -> dict[int, Path]:
    """The input of 300 events under 0, and others by their number of events; weights tell them apart."""
    folder = tmp_path_factory.mktemp("changed")
    made = {}
    for key, n_events, weight in ((0, 300, 1.0), (300, 300, 10.0), (350, 350, 10.0), (100, 100, 10.0)):
        events = make_events(n_events, seed=key, is_data=False, features=False)
        events["genWeight"][:] = weight
        made[key] = write(folder / f"{key}.root", events, cluster=50)
    return made


def run(path: Path, *, skip: bool, progress: Any = None) -> Result:
    return run_selection(
        selection="dy", fileset={"mc": [str(path)]}, chunksize=100, skip_bad_files=skip, progress=progress
    )


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("after", ["the plan", "a chunk"])
@pytest.mark.parametrize("skip", [False, True])
def test_a_file_changed_in_the_middle_of_a_run_is_never_mixed(
    tmp_path: Path,
    files: dict[int, Path],
    monkeypatch: pytest.MonkeyPatch,
    change: str,
    after: str,
    skip: bool,
) -> None:
    path = tmp_path / "input.root"
    shutil.copy(files[0], path)
    how, n_events = CHANGES[change]
    done = []

    def once(*_: object) -> None:
        if not done:
            done.append(how(path, files[n_events]))

    progress = once if after == "a chunk" else None
    if after == "the plan":
        make_plan = running.make_plan

        def planned(*arguments: Any, **options: Any) -> Any:
            plan = make_plan(*arguments, **options)
            once()
            return plan

        monkeypatch.setattr(running, "make_plan", planned)
    if not skip:
        with pytest.raises(ReadError, match=r"input.root: (was replaced or changed|cannot be read)"):
            run(path, skip=False, progress=progress)
        return
    result = run(path, skip=True, progress=progress)
    (entry,) = result.ledger
    n_before = 0 if after == "the plan" else 100
    assert (entry.status, entry.n_expected, entry.n_processed) == ("failed", 300, n_before)
    # The weights of the file that was planned are 1, those of all others 10.
    assert result.datasets["mc"].sum_weights == n_before
    assert "input.root" in entry.reason


def test_another_machine_may_number_files_and_round_times_in_its_own_way(tmp_path: Path) -> None:
    path = tmp_path / "f.root"
    path.write_bytes(b"1234")
    state = state_of(str(path))
    assert state is not None
    elsewhere = State(4, state.mtime_ns // 10**9 * 10**9, state.inode + 1)
    assert state.fits(elsewhere, same_machine=False)
    assert not state.fits(elsewhere, same_machine=True)
    assert not state.fits(elsewhere._replace(size=5), same_machine=False)
    assert not state.fits(elsewhere._replace(mtime_ns=elsewhere.mtime_ns + 10**9), same_machine=False)
    assert state_of("https://somewhere/f.root") is None
