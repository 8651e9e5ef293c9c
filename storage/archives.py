"""Reading zip files of histograms and arrays, and gzipped texts; nothing unpacks without a limit."""

import gzip
import io
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.documents import parse_json
from storage.names import printable

MOST_UNPACKED_BYTES = 4_000_000_000
"""How large all that a zip file holds may be; a few megabytes of zeros can stand for terabytes."""
MOST_TEXT_BYTES = 500_000_000
_REASON_LENGTH = 120


class Archive:
    """An open zip file whose content is not trusted.

    Args:
        file: The zip.
        complaint: What the file is not if anything is wrong with it, e.g. "not a complete result file".
        remedy: What to do then.
    """

    def __init__(self, file: zipfile.ZipFile, path: Path, *, complaint: str, remedy: str) -> None:
        self._file, self._path = file, path
        self._complaint, self._remedy = complaint, remedy

    def __contains__(self, name: str) -> bool:
        return name in self._file.namelist()

    def document(self, name: str, *, complaint: str = "") -> Any:
        """Return the content of a JSON in the zip; numbers in it need not be finite.

        Args:
            name: Of the JSON.
            complaint: What it is not if it is no JSON, in place of the complaint about the zip.

        Raises:
            ValueError: If there is none, or it is damaged.
        """
        with self._damage_said():
            text = self._file.read(name)
        source = f"{self._path}: {complaint or self._complaint}"
        return parse_json(text, source=source, remedy=self._remedy, finite=False)

    def array(self, name: str) -> NDArray[Any]:
        """Return an array of the zip; nothing in it is executed.

        Raises:
            ValueError: If there is none, or it is damaged.
        """
        with self._damage_said(), self._file.open(f"{name}.npy") as member:
            array: NDArray[Any] = np.load(member, allow_pickle=False)
            return array

    def histogram(self, name: str) -> Any:
        """Return a histogram of the zip, as `uhi` writes it.

        Raises:
            ValueError: If there is none, or it is damaged.
        """
        import hist
        import uhi.io.zip

        with self._damage_said(f"histogram {name}: "):
            content = uhi.io.zip.read(self._file, name)
            _require_room(content)
            return hist.Hist(content)

    def require_whole(self) -> None:
        """Read everything, and compare it with its checksums.

        Raises:
            ValueError: If anything is damaged.
        """
        with self._damage_said():
            if (broken := self._file.testzip()) is not None:
                raise zipfile.BadZipFile(f"wrong checksum of {broken}")

    @contextmanager
    def _damage_said(self, part: str = "") -> Iterator[None]:
        try:
            yield
        except Exception as error:  # a damaged zip raises almost any error, from struct's to MemoryError
            raise ValueError(self._sentence(part, error)) from error

    def _sentence(self, part: str, error: Exception) -> str:
        return _sentence(self._path, self._complaint, f"{part}{_reason(error)}", self._remedy)


@contextmanager
def open_archive(
    path: Path, *, complaint: str, remedy: str, most_bytes: int = MOST_UNPACKED_BYTES
) -> Iterator[Archive]:
    """Open a zip file for reading.

    Args:
        path: The file, which is there.
        complaint: What it is not if anything is wrong with it.
        remedy: What to do then.
        most_bytes: How much it may hold, unpacked.

    Raises:
        ValueError: If it is no zip, damaged, holds a name twice, or too much.
    """
    try:
        file = zipfile.ZipFile(path)
    except Exception as error:  # as above
        if isinstance(error, OSError) and error.errno:
            raise
        raise ValueError(_sentence(path, complaint, _reason(error), remedy)) from error
    with file:
        size = sum(member.file_size for member in file.infolist())
        if size > most_bytes:
            limit = f"unpacked it has {size / 1e9:.1f} GB, more than {most_bytes / 1e9:.1f} GB"
            raise ValueError(_sentence(path, complaint, limit, remedy))
        twice = [name for name, times in Counter(file.namelist()).items() if times > 1]
        if twice:
            raise ValueError(_sentence(path, complaint, f"{twice[0]} is there twice", remedy))
        yield Archive(file, path, complaint=complaint, remedy=remedy)


def gunzipped(content: bytes, *, source: str, most_bytes: int = MOST_TEXT_BYTES) -> bytes:
    """Return what a gzipped text holds; a text that is not gzipped comes back as it is.

    Raises:
        ValueError: If it is damaged, or longer than the limit.
    """
    if not content.startswith(b"\x1f\x8b"):
        return content
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
            text = file.read(most_bytes + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(
            f"{printable(source)}: not a whole gzipped file ({_reason(error)}): get it again"
        ) from error
    if len(text) > most_bytes:
        raise ValueError(
            f"{printable(source)}: unpacked it has more than {most_bytes / 1e6:.0f} MB: "
            "check that it is the right file"
        )
    return text


def _require_room(content: Mapping[str, Any]) -> None:
    """Raise unless the axes of a histogram have the bins that its array has, before memory is taken for them.

    Raises:
        ValueError: If they have more.
    """
    values = content["storage"].get("values", content["storage"].get("sum_of_weights"))
    bins = [_n_bins(axis) for axis in content["axes"]]
    shape = np.shape(values)
    if len(bins) != len(shape) or any(n > extent for n, extent in zip(bins, shape, strict=True)):
        raise ValueError(f"axes of {bins} bins and an array of shape {shape}")


def _n_bins(axis: Mapping[str, Any]) -> int:
    if "edges" in axis:
        return len(axis["edges"]) - 1
    return len(axis["categories"]) if "categories" in axis else int(axis.get("bins", 2))


def _sentence(path: Path, complaint: str, reason: str, remedy: str) -> str:
    return f"{printable(str(path))}: {complaint} ({reason}): {remedy}"


def _reason(error: Exception) -> str:
    text = printable(" ".join(str(error).split())) or type(error).__name__
    return text if len(text) <= _REASON_LENGTH else f"{text[:_REASON_LENGTH]} ..."
