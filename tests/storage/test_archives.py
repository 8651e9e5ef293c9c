import gzip
import io
import json
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hist
import numpy as np
import pytest
import uhi.io.zip

from storage.archives import Archive, gunzipped, open_archive


def make_archive(path: Path) -> hist.Hist[Any]:
    histogram = hist.Hist(
        hist.axis.StrCategory(["b", "c"], name="flavour"),
        hist.axis.Regular(3, 0, 1, name="score"),
        hist.axis.Boolean(name="soft"),
        hist.axis.Variable([0, 1, 5], name="pt"),
        storage=hist.storage.Weight(),
    )
    histogram.fill(["b", "c", "b"], [0.1, 0.5, 2], [True, False, True], [0.5, 2, 9], weight=[1, 2, 3.5])
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("about.json", json.dumps({"n": 3}))
        uhi.io.zip.write(file, "h", histogram)
    return histogram


def read_all(path: Path) -> tuple[Any, Any]:
    with open_archive(path, complaint="not a result", remedy="process again") as file:
        return file.document("about.json"), file.histogram("h")


def sentence_or_content(path: Path) -> Any:
    try:
        return read_all(path)
    except ValueError as error:
        return str(error)


def array_in(path: Path) -> Any:
    with open_archive(path, complaint="not a result", remedy="process again") as file:
        return file.array("a")


def test_what_was_written_is_read(tmp_path: Path) -> None:
    histogram = make_archive(tmp_path / "r.zip")
    about, read = read_all(tmp_path / "r.zip")
    assert about == {"n": 3}
    assert read == histogram
    with open_archive(tmp_path / "r.zip", complaint="", remedy="") as file:
        file.require_whole()
        assert "about.json" in file
        assert "other.json" not in file


def test_damage_of_every_sort_is_one_sentence(tmp_path: Path) -> None:
    """Bytes flipped, cut out, doubled: the same content, or one sentence with the file, and nothing else."""
    path = tmp_path / "r.zip"
    expected = make_archive(path)
    whole = path.read_bytes()
    draw = random.Random(7)
    refused = 0
    for _ in range(300):
        content = bytearray(whole)
        start = draw.randrange(len(content))
        match draw.randrange(4):
            case 0:
                content[start] ^= 1 << draw.randrange(8)
            case 1:
                del content[start : start + draw.randrange(1, 200)]
            case 2:
                content[start:start] = content[start : start + draw.randrange(1, 100)]
            case _:
                content[start : start + 4] = draw.randbytes(4)
        path.write_bytes(content)
        outcome = sentence_or_content(path)
        if isinstance(outcome, str):
            refused += 1
            assert outcome.startswith(f"{path}: not a result (")
            assert outcome.endswith("): process again")
            assert outcome.isprintable()
        else:
            assert outcome == ({"n": 3}, expected)
    assert refused > 100


def test_a_few_megabytes_that_unpack_to_many_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("about.json", b"0" * 3_000_000)
    assert path.stat().st_size < 10_000
    with (
        pytest.raises(ValueError, match=r"r\.zip: bad \(unpacked it has 0\.0 GB, more than 0\.0 GB\): again"),
        open_archive(path, complaint="bad", remedy="again", most_bytes=2_999_999),
    ):
        pass
    with open_archive(path, complaint="bad", remedy="again", most_bytes=3_000_000):
        pass


def lie(content: bytes, size: int) -> bytes:
    """Write another unpacked size into the directory of a zip: bytes 24 to 28 of an entry, after PK 1 2."""
    at = content.index(b"PK\x01\x02") + 24
    return content[:at] + size.to_bytes(4, "little") + content[at + 4 :]


def test_a_zip_that_lies_about_its_size_unpacks_no_further(tmp_path: Path) -> None:
    path = tmp_path / "r.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("about.json", b"[" + b" " * 3_000_000 + b"]")
    path.write_bytes(lie(path.read_bytes(), 10))
    with (
        open_archive(path, complaint="bad", remedy="again", most_bytes=100) as file,
        pytest.raises(ValueError, match=r"r\.zip: bad"),
    ):
        file.document("about.json")


def npy(array: Any, **options: Any) -> bytes:
    content = io.BytesIO()
    np.save(content, array, **options)
    return content.getvalue()


class Touch:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        npy(np.zeros(3))[:-1],
        npy(np.zeros(3)).replace(b"(3,)", b"(9999999999999,)"),
        npy(np.zeros(3)).replace(b"'<f8'", b"'|O'"),
        npy(np.zeros(3)).replace(b"(3,)", b"(((("),
    ],
)
def test_an_array_that_is_none_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    with zipfile.ZipFile(tmp_path / "r.zip", "w") as file:
        file.writestr("a.npy", content)
    with pytest.raises(ValueError, match=r"r\.zip: not a result \(.*\): process again"):
        array_in(tmp_path / "r.zip")


def test_nothing_in_an_array_is_executed(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "r.zip", "w") as file:
        file.writestr("a.npy", npy(np.array([Touch(tmp_path / "owned")]), allow_pickle=True))
    with pytest.raises(ValueError, match="not a result"):
        array_in(tmp_path / "r.zip")
    assert not (tmp_path / "owned").exists()


def test_axes_of_more_bins_than_there_are_numbers_take_no_memory(tmp_path: Path) -> None:
    """A line of JSON may ask for terabytes."""
    make_archive(tmp_path / "good.zip")
    with zipfile.ZipFile(tmp_path / "good.zip") as good, zipfile.ZipFile(tmp_path / "r.zip", "w") as bad:
        for name in good.namelist():
            content = good.read(name)
            if name == "h.json":
                described = json.loads(content)
                described["axes"][1]["bins"] = 10**11
                content = json.dumps(described).encode()
            bad.writestr(name, content)
    with pytest.raises(
        ValueError, match=r"not a result \(histogram h: axes of \[2, 100000000000, 2, 2\] bins"
    ):
        read_all(tmp_path / "r.zip")


def test_a_name_that_is_twice_in_a_zip_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "r.zip", "w") as file:
        file.writestr("a.npy", npy(np.zeros(1)))
        with pytest.warns(UserWarning, match="Duplicate"):
            file.writestr("a.npy", npy(np.ones(1)))
    with pytest.raises(ValueError, match=r"a\.npy is there twice"):
        array_in(tmp_path / "r.zip")


def test_a_file_that_cannot_be_opened_says_so(tmp_path: Path) -> None:
    with (
        pytest.raises(FileNotFoundError),
        open_archive(tmp_path / "none.zip", complaint="bad", remedy="again") as file,
    ):
        assert isinstance(file, Archive)


def test_gzipped_texts_have_a_limit() -> None:
    packed = gzip.compress(b"0" * 1_000_000)
    assert gunzipped(packed, source="f") == b"0" * 1_000_000
    assert gunzipped(b"{}", source="f") == b"{}"
    with pytest.raises(ValueError, match="f: unpacked it has more than 1 MB"):
        gunzipped(gzip.compress(b"0" * 1_000_001), source="f", most_bytes=1_000_000)
    for broken in (packed[:-9], b"\x1f\x8b nonsense", packed[:100]):
        with pytest.raises(ValueError, match=r"f: not a whole gzipped file \(.*\): get it again"):
            gunzipped(broken, source="f")
