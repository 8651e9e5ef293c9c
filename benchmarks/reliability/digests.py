"""Whether outputs are the same, read without advtag: what a run took and where it ran do not count."""

import hashlib
import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import uproot

_NOT_COMPARED = ("usage", "versions")
"""What the work took, and with which libraries."""

_WHICH_INPUT = ("identity", "inputs", "fingerprint")
"""Marks of input files, which a flipped bit may change without changing a number."""

_PASSING = re.compile(rb"\d+(\.\d+)? (s|min|MB|events/s|jets/s)\b|\d{4}-\d\d-\d\d[T ][\d:.+]*")
"""Times and rates in texts."""

IMAGES = (".png", ".pdf", ".svg")
"""Drawn from the same numbers as tables beside them; only their presence is compared."""


def digest(path: Path) -> str:
    """Return a mark of the content of a file, or of all files in a folder; "absent" if there is none.

    Raises:
        Exception: If a file is not whole; which one depends on its format.
    """
    if not path.is_dir():
        return _of_file(path) if path.is_file() else "absent"
    return _hash(repr(sorted(digests(path).items())).encode())


def digests(folder: Path) -> dict[str, str]:
    """Return a mark of each file in a folder, by its path in there.

    Raises:
        Exception: If a file is not whole.
    """
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): _of_file(path) for path in files}


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _of_file(path: Path) -> str:
    match path.suffix:
        case ".zip":
            return _of_zip(path)
        case ".root":
            return _of_root(path)
        case ".parquet":
            table = pq.read_table(path)
            return _hash(repr([(name, table[name].to_pylist()) for name in table.column_names]).encode())
        case ".npz" | ".npy":
            return _of_arrays(path)
        case ".pt":
            return _of_checkpoint(path)
        case suffix if suffix in IMAGES:
            return _whole_image(path)
        case ".json":
            return _hash(_comparable(json.loads(path.read_text()), path))
        case _:
            return _hash(_without_passing(path.read_bytes(), path))


def _comparable(document: object, path: Path) -> bytes:
    """Return a document without what may differ between runs that give the same."""
    if isinstance(document, dict):
        dropped = {*_NOT_COMPARED, *_WHICH_INPUT}
        document = {key: value for key, value in document.items() if key not in dropped}
        for entry in document.get("ledger", []):
            entry.pop("identity", None)
    return _without_passing(json.dumps(document, sort_keys=True).encode(), path)


def _without_passing(content: bytes, path: Path) -> bytes:
    """Return a text without times, and without the folder it is in."""
    for parent in list(path.absolute().parents)[:3]:
        content = content.replace(str(parent).encode(), b"")
    return _PASSING.sub(b"", content)


def _of_zip(path: Path) -> str:
    with zipfile.ZipFile(path) as file:
        if (broken := file.testzip()) is not None:
            raise ValueError(f"{path}: {broken} is damaged")
        parts = []
        for name in sorted(file.namelist()):
            content = file.read(name)
            if name == "result.json":
                content = _comparable(json.loads(content), path)
            parts.append(f"{name} {_hash(content)}")
    return _hash("\n".join(parts).encode())


def _of_root(path: Path) -> str:
    parts = []
    with uproot.open(path) as file:
        for key in sorted(file.keys(cycle=False)):
            found = file[key]
            if not isinstance(found, uproot.TTree):
                parts.append(key)
                continue
            values = {name: repr(found[name].array().to_list()) for name in sorted(found.keys())}
            parts += [f"{key}/{name} {_hash(value.encode())}" for name, value in values.items()]
    return _hash("\n".join(parts).encode())


def _of_arrays(path: Path) -> str:
    content = np.load(path, allow_pickle=False)
    arrays = {name: content[name] for name in content} if path.suffix == ".npz" else {"": content}
    return _hash(b"".join(name.encode() + array.tobytes() for name, array in sorted(arrays.items())))


def _of_checkpoint(path: Path) -> str:
    import torch

    checkpoint = torch.load(path, weights_only=True)
    tensors = sorted(
        (name, value) for name, value in _flat("", checkpoint) if isinstance(value, torch.Tensor)
    )
    return _hash(b"".join(name.encode() + value.numpy().tobytes() for name, value in tensors))


def _flat(name: str, value: object) -> list[tuple[str, object]]:
    if isinstance(value, dict):
        return [pair for key, each in value.items() for pair in _flat(f"{name}.{key}", each)]
    if isinstance(value, list | tuple):
        return [pair for key, each in enumerate(value) for pair in _flat(f"{name}.{key}", each)]
    return [(name, value)]


def _whole_image(path: Path) -> str:
    content = path.read_bytes()
    ends = {".png": b"IEND\xaeB`\x82", ".pdf": b"%%EOF", ".svg": b"</svg>"}
    if ends[path.suffix] not in content[-20:]:
        raise ValueError(f"{path}: not whole")
    return "an image"
