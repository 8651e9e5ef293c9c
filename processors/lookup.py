"""One table of a correctionlib file: read and checked once, looked up on any worker."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.archives import MOST_TEXT_BYTES, gunzipped
from storage.documents import parse_json, read_bytes

_CLAMP = "clamp"
_BINNED = ("binning", "multibinning")


@dataclass(frozen=True)
class Lookup:
    """A correction by its own JSON text, so that it travels to workers and opens nothing there.

    Attributes:
        file: The name of the file it is from.
        sha256: Of the text.
        name: Its name in the file.
        inputs: The names of its inputs, in order.
        text: A correctionlib JSON that holds it alone, clamped at its edges.
    """

    file: str
    sha256: str
    name: str
    inputs: tuple[str, ...]
    text: str

    def evaluate(self, inputs: Mapping[str, Any], size: int) -> NDArray[np.float64]:
        """Return the values for some objects, shape ``(size,)``.

        Args:
            inputs: For each input an array of shape ``(size,)``, or one value for all.
            size: Number of objects.
        """
        if size == 0:
            return np.empty(0)
        table = _evaluator(self.text)[self.name]
        values = table.evaluate(*(_of_type(inputs[one.name], one.type) for one in table.inputs))
        return np.broadcast_to(np.asarray(values, dtype=np.float64), (size,)).copy()


def read_lookup(path: Path, name: str) -> Lookup:
    """Return a correction of a correctionlib file (plain or gzipped JSON), clamped at its edges.

    A value outside of a table gets what is at its edge, also where the file says "error" or gives a number: a
    weight of 0 would lose the event, and an error the run.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no correctionlib file, or does not hold the correction.

    Source:
        correctionlib, schema version 2; the code behind CMS-BTV-20-001 gave weight 0 outside of its tables.
    """
    content = _read(path)
    found = {one.get("name"): one for one in content["corrections"] if isinstance(one, dict)}
    if name not in found:
        there = ", ".join(str(one) for one in found) or "none"
        raise ValueError(f"{path}: no correction '{name}' in it: choose from {there}")
    alone = {"schema_version": 2, "corrections": [_clamped(found[name])]}
    text = json.dumps(alone, sort_keys=True)
    inputs = tuple(str(one["name"]) for one in found[name].get("inputs", ()))
    lookup = Lookup(path.name, hashlib.sha256(text.encode()).hexdigest(), name, inputs, text)
    try:
        _evaluator(text)
    except (RuntimeError, ValueError) as error:
        cause = next(iter(str(error).splitlines()), type(error).__name__)
        raise ValueError(f"{path}: correction '{name}' is not valid ({cause}): get the file again") from error
    return lookup


def labels_of(lookup: Lookup, name: str) -> tuple[str, ...] | None:
    """Return the labels a text input of a correction knows; None where it takes any.

    Args:
        lookup: The correction.
        name: The input.
    """
    found: set[str] = set()
    takes_any = False
    stack: list[Any] = [parse_json(lookup.text, source=lookup.file, finite=False)]
    while stack:
        node = stack.pop()
        if isinstance(node, list):
            stack += node
        elif isinstance(node, dict):
            stack += node.values()
            if node.get("nodetype") == "category" and node.get("input") == name:
                found |= {str(one["key"]) for one in node["content"]}
                takes_any |= node.get("default") is not None
    return None if takes_any or not found else tuple(sorted(found))


@lru_cache(maxsize=64)
def _evaluator(text: str) -> Any:
    import correctionlib

    return correctionlib.CorrectionSet.from_string(text)


def _read(path: Path) -> dict[str, Any]:
    raw = read_bytes(
        path,
        kind="file of corrections",
        advice="fix its path in the configuration",
        most_bytes=MOST_TEXT_BYTES,
    )
    text = gunzipped(raw, source=str(path))
    content = parse_json(text, source=str(path), remedy="get it again", finite=False)
    if not isinstance(content, dict) or content.get("schema_version") != 2 or "corrections" not in content:
        raise ValueError(f"{path}: not a correctionlib file of schema version 2: is it the right one?")
    return content


def _clamped(node: Any) -> Any:
    """Return a copy of a correction whose tables clamp; a formula beyond the edge stays."""
    if isinstance(node, list):
        return [_clamped(one) for one in node]
    if not isinstance(node, dict):
        return node
    copy = {key: _clamped(value) for key, value in node.items()}
    if copy.get("nodetype") in _BINNED and not isinstance(copy.get("flow"), dict):
        copy["flow"] = _CLAMP
    return copy


def _of_type(value: Any, kind: str) -> Any:
    if kind == "string":
        return str(value)
    return np.asarray(value, dtype=np.int64 if kind == "int" else np.float64)
