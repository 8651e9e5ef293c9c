import errno
from pathlib import Path

import numpy as np
import pytest
import uproot
from numpy._core._exceptions import _ArrayMemoryError

from events.reading import ReadError, reading
from storage.disk import DiskFullError, disk_full_said


def fail_below_uproot(error: Exception, module: str = f"{uproot.__name__}.source") -> None:
    """Raise from a frame that belongs to uproot, or to another reader."""
    source = "def fail(error):\n    raise error\n"
    namespace = {"__name__": module}
    exec(compile(source, "uproot/source.py", "exec"), namespace)
    namespace["fail"](error)  # type: ignore[operator]


def test_what_fails_below_uproot_is_a_damaged_file() -> None:
    with pytest.raises(ReadError, match=r"^f.root: cannot be read, .* \(KeyError\)$"), reading("f.root"):
        fail_below_uproot(KeyError("fBits"))


def test_branches_that_do_not_fit_together_are_a_damaged_file() -> None:
    with pytest.raises(ReadError, match=r"\(KeyError\)$"), reading("f.root"):
        fail_below_uproot(KeyError("content"), "coffea.nanoevents.schemas.nanoaod")


def test_an_error_on_top_does_not_hide_it() -> None:
    def compute() -> None:
        try:
            fail_below_uproot(KeyError("fBits"))
        except KeyError as error:
            raise ValueError("while computing") from error

    with pytest.raises(ReadError, match=r"\(KeyError\)$"), reading("f.root"):
        compute()


def test_a_full_disk_below_uproot_is_not_blamed_on_the_file_that_is_copied() -> None:
    with (
        pytest.raises(DiskFullError, match=r"^copy\.root: "),
        reading("f.root"),
        disk_full_said(Path("copy.root")),
    ):
        fail_below_uproot(OSError(errno.ENOSPC, "No space left on device"), "uproot.writing._cascade")


@pytest.mark.parametrize("error", [FileNotFoundError("golden.json"), ValueError("a bug"), KeyError("x")])
def test_other_errors_are_not_blamed_on_the_file(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, reading("f.root"):
        raise error
    assert caught.value is error


def test_lack_of_memory_is_not_blamed_on_the_file() -> None:
    with pytest.raises(MemoryError), reading("f.root"):
        fail_below_uproot(MemoryError())


def test_an_array_that_no_such_file_can_hold_is_a_damaged_length(tmp_path: Path) -> None:
    """A file of 100 bytes and an array of 8 TB; another of 80 kB, for which there was no memory."""
    path = tmp_path / "f.root"
    path.write_bytes(bytes(100))
    with pytest.raises(ReadError, match=r"f.root: cannot be read"), reading(str(path)):
        fail_below_uproot(_ArrayMemoryError((10**12,), np.dtype("f8")))
    with pytest.raises(MemoryError), reading(str(path)):
        fail_below_uproot(_ArrayMemoryError((10**4,), np.dtype("f8")))
