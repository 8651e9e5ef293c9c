"""Finished chunks on disk: what a run that was killed has done, for the run that goes on.

A chunk is one zip with its histograms (`uhi`) and one JSON, named by a hash of all that decides its content:
the file and its range of events, the configuration with the taggers, the code and the libraries. Whatever
changes, another name is asked for, and an old chunk is never taken for a new one. Rows of probe jets lie
beside it as parquet.
"""

import hashlib
import json
import logging
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hist
import numpy as np
import uhi.io.zip
from coffea.processor.executor import WorkItem

from events.open_trees import IDENTITY, STATE
from storage.archives import open_archive
from storage.files import remove_remnants, replaced_file

log = logging.getLogger(__name__)

_DOCUMENT = "chunk"
_PACKAGES = ("events", "models", "selections", "processors")
"""Whose code decides what a chunk returns."""


class ChunkStore:
    """Keeps finished chunks in a folder; one run at a time may use it.

    Args:
        folder: Where they lie; made if missing.
        context: What all chunks of the run share, as plain JSON values; another context, other chunks.
        chunks: Whether what chunks returned is kept; if not, only their rows of jets are.
    """

    def __init__(self, folder: Path, *, context: Mapping[str, Any], chunks: bool = True) -> None:
        self.folder = folder
        self._context = json.dumps(context, sort_keys=True)
        self._chunks = chunks
        folder.mkdir(parents=True, exist_ok=True)
        remove_remnants(folder)

    def load(self, item: WorkItem) -> Any | None:
        """Return what a chunk returned in an earlier run, or None."""
        path = self._path(item)
        if not self._chunks or not path.is_file():
            return None
        try:
            return {"out": _read(path), "processed": {item}}
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            log.warning("not a complete chunk, processed again: %s", error)
            return None

    def save(self, item: WorkItem, result: Any) -> Any:
        """Keep what a chunk returned, its rows of jets apart; return the rest.

        A chunk that could not be read is not kept: the next run tries it again.
        """
        out = result["out"]
        rows = out.pop("rows", None)
        if rows is not None:
            from processors.jet_table import write_rows

            write_rows(rows, self.rows_path(item))
        if self._chunks and "lost" not in out:
            _write(out, self._path(item))
        return result

    def rows_path(self, item: WorkItem) -> Path:
        """Return where the rows of jets of a chunk lie."""
        return self._path(item).with_suffix(".parquet")

    def _path(self, item: WorkItem) -> Path:
        place = [item.dataset, item.filename, item.treename, item.entrystart, item.entrystop]
        usermeta = item.usermeta or {}
        file = [item.fileuuid.hex(), usermeta.get(IDENTITY), usermeta.get(STATE)]
        key = json.dumps([*place, *file, self._context])
        return self.folder / f"{hashlib.sha256(key.encode()).hexdigest()[:40]}.zip"


def clear_chunks(folder: Path) -> None:
    """Remove all finished chunks in a folder, those of other configurations, too, and the empty folder."""
    for path in [*folder.glob("*.zip"), *folder.glob("*.parquet")]:
        path.unlink()
    for empty in (folder, folder.parent):
        if not any(empty.iterdir()):
            empty.rmdir()


def code_fingerprint() -> str:
    """Return the SHA-256 of the code that decides what a chunk returns, hexadecimal."""
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(path for package in _PACKAGES for path in (root / package).rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _write(output: Mapping[str, Any], path: Path) -> None:
    histograms: Mapping[str, hist.Hist[Any]] = output.get("histograms", {})
    rest = {name: value for name, value in output.items() if name != "histograms"}
    document = {"histograms": list(histograms), "rest": _plain(rest)}
    with (
        replaced_file(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file,
    ):
        file.writestr(f"{_DOCUMENT}.json", json.dumps(document))
        for name, histogram in histograms.items():
            uhi.io.zip.write(file, name, histogram)


def _read(path: Path) -> dict[str, Any]:
    with open_archive(path, complaint="not a complete chunk", remedy="processed again") as file:
        document = file.document(f"{_DOCUMENT}.json")
        histograms = {name: file.histogram(name) for name in document["histograms"]}
    output: dict[str, Any] = _restored(document["rest"])
    if histograms:
        output["histograms"] = histograms
    return output


def _plain(value: Any) -> Any:
    """Return a value as JSON has it; what JSON has not is written as `{kind: content}`."""
    if isinstance(value, Mapping):
        return {"dict": [[_plain(key), _plain(content)] for key, content in value.items()]}
    if isinstance(value, (tuple, set, frozenset)):
        kind = "tuple" if isinstance(value, tuple) else "set"
        return {kind: [_plain(one) for one in value]}
    if isinstance(value, np.ndarray):
        return {"array": value.tolist(), "dtype": value.dtype.str}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, (str, int, float, bool)) or value is None:
        return value
    raise TypeError(f"a chunk returned a {type(value).__name__}, which cannot be kept for another run")


def _restored(value: Any) -> Any:
    """Return what `_plain` wrote, exactly."""
    if isinstance(value, list):
        return [_restored(one) for one in value]
    if not isinstance(value, dict):
        return value
    if "dict" in value:
        return {_restored(key): _restored(content) for key, content in value["dict"]}
    if "array" in value:
        return np.array(value["array"], dtype=value["dtype"])
    if "tuple" in value:
        return tuple(_restored(one) for one in value["tuple"])
    return {_restored(one) for one in value["set"]}
