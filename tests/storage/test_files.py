import hashlib
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from storage.files import (
    continued_folder,
    remove_remnants,
    replaced_file,
    replaced_folder,
    require_writable,
    sha256,
    write_text,
)


def write_half_a_file(path: Path) -> None:
    with replaced_file(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("midway")


def write_half_a_folder(path: Path) -> None:
    with replaced_folder(path) as temporary:
        (temporary / "half").touch()
        raise RuntimeError("midway")


def begin_a_folder(path: Path) -> None:
    with continued_folder(path) as folder:
        (folder / "first").touch()
        raise RuntimeError("midway")


def test_a_file_is_replaced_only_when_all_went_well(tmp_path: Path) -> None:
    path = tmp_path / "f.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError, match="midway"):
        write_half_a_file(path)
    assert path.read_text() == "old"
    write_text(path, "new")
    assert path.read_text() == "new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["f.txt"]


def test_a_folder_is_replaced_only_when_all_went_well(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "folder"
    for content in ("old", "new"):
        with replaced_folder(path) as temporary:
            (temporary / content).touch()
    with pytest.raises(RuntimeError, match="midway"):
        write_half_a_folder(path)
    assert [entry.name for entry in path.iterdir()] == ["new"]
    assert [entry.name for entry in path.parent.iterdir()] == ["folder"]


def test_an_interrupt_between_the_two_renames_leaves_the_older_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    (path / "old").touch()
    rename = Path.replace

    def interrupted(source: Path, target: Path) -> Path:
        if source.name.endswith(".partial"):
            raise KeyboardInterrupt
        return rename(source, target)

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt), replaced_folder(path):
        pass
    assert [entry.name for entry in path.iterdir()] == ["old"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


def test_remnants_of_killed_processes_are_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in (".epoch_001.pt.4711.partial", "epoch_001.pt", ".hidden"):
        (tmp_path / name).touch()
    remove_remnants(tmp_path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".hidden", "epoch_001.pt"]


def test_sha256_is_that_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"advtag" * 100_000)
    assert sha256(tmp_path / "f") == hashlib.sha256(b"advtag" * 100_000).hexdigest()


def test_an_interrupted_folder_is_continued_and_then_takes_its_place(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.mkdir()
    (path / "old").touch()
    with pytest.raises(RuntimeError):
        begin_a_folder(path)
    assert [each.name for each in path.iterdir()] == ["old"]
    with continued_folder(path) as folder:
        (folder / "second").touch()
    assert sorted(each.name for each in path.iterdir()) == ["first", "second"]
    assert [each.name for each in tmp_path.iterdir()] == ["data"]


def test_two_processes_cannot_make_the_same_folder(tmp_path: Path) -> None:
    with (
        continued_folder(tmp_path / "data"),
        pytest.raises(ValueError, match="data: another process is making it"),
        continued_folder(tmp_path / "data"),
    ):
        pass


def test_a_file_in_the_place_of_an_output_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    require_writable(tmp_path / "new" / "deeper")
    assert not (tmp_path / "new").exists()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ValueError, match=f"^{tmp_path / 'file'}: a file, where a folder"):
            require_writable(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_to_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ValueError, match="may not be written to"):
        require_writable(tmp_path / "new")


def test_what_a_killed_process_left_is_gone_after_the_next_run(tmp_path: Path) -> None:
    for name in (".f.partial", ".f.0123456789ab.partial"):
        (tmp_path / name).write_text("a longer half of the file")
    (tmp_path / ".d.partial").mkdir()
    (tmp_path / ".d.partial" / "half").touch()
    write_text(tmp_path / "f", "whole")
    with replaced_folder(tmp_path / "d") as folder:
        assert not list(folder.iterdir())
    remove_remnants(tmp_path)
    assert (tmp_path / "f").read_text() == "whole"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["d", "f"]


@pytest.mark.parametrize("manager", [replaced_folder, continued_folder])
def test_a_folder_moved_aside_by_a_killed_process_is_brought_back(
    tmp_path: Path, manager: Callable[[Path], AbstractContextManager[Path]]
) -> None:
    """Killed between the two renames, it leaves the older folder under a hidden name."""
    (tmp_path / ".d.previous").mkdir()
    (tmp_path / ".d.previous" / "old").touch()
    with manager(tmp_path / "d"):
        assert [entry.name for entry in (tmp_path / "d").iterdir()] == ["old"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["d"]


def test_a_link_to_a_folder_stays_one(tmp_path: Path) -> None:
    """Outputs are often a link to a larger disk."""
    (tmp_path / "disk" / "d").mkdir(parents=True)
    (tmp_path / "d").symlink_to(tmp_path / "disk" / "d")
    with replaced_folder(tmp_path / "d") as folder:
        (folder / "new").touch()
    assert (tmp_path / "d").is_symlink()
    assert (tmp_path / "disk" / "d" / "new").exists()
    assert [entry.name for entry in (tmp_path / "disk").iterdir()] == ["d"]
