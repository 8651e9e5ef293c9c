import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from storage import disk
from storage.disk import DiskFullError, disk_full_said, make_folder
from storage.files import continued_folder, replaced_file, replaced_folder, temporary_folder, write_text


def fill(path: Path, error: OSError) -> None:
    with replaced_file(path) as temporary:
        temporary.write_text("half")
        raise error


def fill_folder(path: Path, error: OSError) -> None:
    with replaced_folder(path) as temporary, replaced_file(temporary / "part"):
        raise error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "The quota is used up"),
        (OSError("100 requested and 3 written"), "No space left"),
    ],
)
@pytest.mark.parametrize("act", [fill, fill_folder])
def test_a_full_disk_is_said_with_the_path_and_what_to_do(
    tmp_path: Path, act: Callable[[Path, OSError], None], error: OSError, said: str
) -> None:
    with pytest.raises(DiskFullError, match=rf"f.*: {said}.*free some space") as caught:
        act(tmp_path / "f", error)
    assert str(tmp_path) in str(caught.value)
    assert caught.value.errno == error.errno
    assert not list(tmp_path.iterdir())


def test_a_device_that_is_full_is_said(tmp_path: Path) -> None:
    """Linux has one that always is."""
    with (
        pytest.raises(DiskFullError, match="table: No space left"),
        disk_full_said(tmp_path / "table"),
        Path("/dev/full").open("wb") as file,
    ):
        np.save(file, np.zeros(100))


def test_other_errors_pass_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Input/output") as caught:
        fill(tmp_path / "f", OSError(errno.EIO, "Input/output error"))
    assert not isinstance(caught.value, DiskFullError)


@pytest.mark.parametrize(("umask", "folder_mode"), [(0o077, 0o700), (0o002, 0o775), (0o022, 0o755)])
def test_the_umask_holds_for_all_that_is_made(tmp_path: Path, umask: int, folder_mode: int) -> None:
    before = os.umask(umask)
    try:
        write_text(tmp_path / "deep" / "f", "")
        for name, manager in {
            "a": replaced_folder, "b": continued_folder, "c": temporary_folder,
        }.items():  # fmt: skip
            with manager(tmp_path / name) as folder:
                write_text(folder / "f", "")
                assert stat.S_IMODE(folder.stat().st_mode) == folder_mode
    finally:
        os.umask(before)
    for path in tmp_path.rglob("*"):
        expected = folder_mode if path.is_dir() else folder_mode & 0o666
        assert stat.S_IMODE(path.stat().st_mode) == expected


def test_content_is_on_the_disk_before_its_name_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    sync, rename = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        done.append(f"sync {Path(f'/proc/self/fd/{descriptor}').readlink().name}")
        sync(descriptor)

    def renamed(source: Path, target: Any) -> Path:
        done.append(f"rename {source.name}")
        return rename(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    write_text(tmp_path / "f", "content")
    assert done == ["sync .f.partial", "rename .f.partial", f"sync {tmp_path.name}"]
    done.clear()
    with replaced_folder(tmp_path / "d") as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "part").write_text("content")
    assert done[-2:] == ["rename .d.partial", f"sync {tmp_path.name}"]
    assert set(done[:-2]) == {"sync part", "sync inner", "sync .d.partial"}


def test_a_file_system_that_cannot_sync_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cannot(descriptor: int) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", cannot)
    write_text(tmp_path / "f", "content")
    assert (tmp_path / "f").read_text() == "content"


def test_a_disk_that_fails_at_the_last_moment_leaves_the_older_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text(tmp_path / "f", "old")

    def full(path: Path) -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr("storage.files.settle", full)
    with pytest.raises(DiskFullError):
        write_text(tmp_path / "f", "new")
    assert (tmp_path / "f").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(NotADirectoryError, match=f"^{tmp_path / 'file'}: a file, where a folder"):
            make_folder(path)
    with pytest.raises(IsADirectoryError, match="a folder, where a file is to be written"):
        write_text(tmp_path, "")
    assert disk.full_disk(OSError(errno.ENOENT, "")) is None
