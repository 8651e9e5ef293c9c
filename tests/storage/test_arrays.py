import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from storage import arrays
from storage.arrays import append_records, read_array, reserved_array, write_array

RECORDS = np.array([(1, 2.5), (3, -1.0)], dtype=[("n", "u1"), ("x", "<f4")])


def npy(array: Any) -> bytes:
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


@pytest.mark.parametrize("array", [np.arange(6.0).reshape(2, 3).T, np.empty((0, 67)), RECORDS, np.array(3)])
def test_an_array_is_written_as_numpy_writes_it(tmp_path: Path, array: Any) -> None:
    write_array(tmp_path / "a.npy", array)
    assert (tmp_path / "a.npy").read_bytes() == npy(array)


def test_records_are_appended_byte_by_byte(tmp_path: Path) -> None:
    append_records(tmp_path / "r", RECORDS)
    append_records(tmp_path / "r", RECORDS[::-1])
    # One byte, and four of a float in little endian: 2.5 is 0x40200000, -1 is 0xbf800000.
    first, second = bytes([1, 0, 0, 0x20, 0x40]), bytes([3, 0, 0, 0x80, 0xBF])
    assert (tmp_path / "r").read_bytes() == first + second + second + first


def test_a_reserved_array_takes_its_place_on_the_disk(tmp_path: Path) -> None:
    array = reserved_array(tmp_path / "a.npy", dtype="<f4", shape=(1000, 67))
    about = (tmp_path / "a.npy").stat()
    assert about.st_blocks * 512 >= about.st_size > 4 * 67_000
    array[:] = 1.5
    array.flush()  # type: ignore[attr-defined]
    assert np.array_equal(read_array(tmp_path / "a.npy", remedy=""), np.full((1000, 67), 1.5, np.float32))


FULL = """
import sys
from pathlib import Path
import numpy as np
from storage.arrays import append_records, reserved_array, write_array
place = Path(sys.argv[1])
acts = {
    "append": lambda: [append_records(place / "f", np.zeros(67)) for _ in range(130)],
    "write": lambda: [write_array(place / f"{n}.npy", np.zeros(67)) for n in range(130)],
    "reserve": lambda: reserved_array(place / "f.npy", dtype="f8", shape=(9000,)).fill(1),
}
try:
    acts[sys.argv[2]]()
except OSError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize("act", ["append", "write", "reserve"])
def test_a_disk_that_becomes_full_is_said_at_the_last_byte(tmp_path: Path, act: str) -> None:
    """On a disk of 64 kB of its own, where a process may have one."""
    script = f'mount -t tmpfs -o size=64k tmpfs {tmp_path} && exec "$@"'
    command = ["unshare", "--mount", "bash", "-c", script, "-"]
    if subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no disk can be mounted here")
    finished = subprocess.run(
        [*command, sys.executable, "-c", FULL, str(tmp_path), act],
        cwd=Path(arrays.__file__).parents[1], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.startswith("DiskFullError ")
    assert "No space left" in finished.stdout


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        npy(np.zeros(3))[:-1],
        npy(np.zeros(3)).replace(b"(3,)", b"(9999999999999,)"),
        npy(np.zeros(3)).replace(b"(3,)", b"(-3,)"),
        npy(np.zeros(3)).replace(b"'<f8'", b"'|O'"),
        npy(np.zeros(3)).replace(b"'<f8'", b"'<f9'"),
        b"PK\x05\x06" + bytes(18),
    ],
)
def test_a_file_that_is_no_array_is_one_sentence(tmp_path: Path, content: bytes, mapped: bool) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"^{path}: .*: make it again$"):
        read_array(path, remedy="make it again", mapped=mapped)
    path.unlink()
    with pytest.raises(ValueError, match=rf"^{path}: missing: make it again$"):
        read_array(path, remedy="make it again", mapped=mapped)
    np.save(path, np.arange(3))
    assert read_array(path, remedy="", mapped=mapped).tolist() == [0, 1, 2]
