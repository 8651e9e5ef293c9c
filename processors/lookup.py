"""One table of a correctionlib file: read and checked once, looked up on any worker."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processors.correction_trees import (
    clamped,
    first_missing_key,
    keys_of,
    outside_its_tables,
    refuse_unsound,
)
from storage.archives import MOST_TEXT_BYTES, gunzipped
from storage.documents import parse_json, read_bytes


@dataclass(frozen=True)
class Lookup:
    """A correction by its own JSON text, so that it travels to workers and opens nothing there.

    Attributes:
        file: The name of the file it is from.
        sha256: Of the text.
        name: Its name in the file.
        inputs: The type of each of its inputs by name, in order: `string`, `int` or `real`.
        text: A correctionlib JSON that holds it alone, clamped at its edges.
    """

    file: str
    sha256: str
    name: str
    inputs: Mapping[str, str]
    text: str

    def evaluate(self, inputs: Mapping[str, Any], size: int) -> NDArray[np.float64]:
        """Return the values for some objects, shape ``(size,)``.

        An input that is no finite number is looked up as 0 (NaN) or at the edge (infinity).

        Args:
            inputs: For each input an array of shape ``(size,)``, or one value for all.
            size: Number of objects.

        Raises:
            ValueError: If the correction has no entry for an input.
        """
        if size == 0:
            return np.empty(0)
        try:
            return self._values(_evaluator(self.text), inputs, size)
        except (IndexError, RuntimeError) as error:
            raise ValueError(
                f"correction '{self.name}' of {self.file} cannot be looked up "
                f"({self._cause(error, inputs)}): check its inputs in the configuration"
            ) from error

    def is_outside(self, inputs: Mapping[str, Any], size: int) -> NDArray[np.bool_]:
        """Return which objects lie beyond the edges of a table and get what is there, shape ``(size,)``."""
        table = _outside(self.text)
        if size == 0 or table is None:
            return np.zeros(size, dtype=np.bool_)
        return self._values(table, inputs, size) > 0

    def missing_key(self, labels: Mapping[str, str | int]) -> str | None:
        """Return what a correction lacks of some labels, as part of a sentence; None if it has them all.

        Args:
            labels: The value of each input that is the same for all objects.
        """
        missing = first_missing_key(_tree(self.text)["data"], labels)
        if missing is None:
            return None
        return f"no {missing.input} '{missing.label}': choose from {', '.join(map(str, missing.known))}"

    def _values(self, table: Any, inputs: Mapping[str, Any], size: int) -> NDArray[np.float64]:
        arguments = (_of_type(inputs[name], kind) for name, kind in self.inputs.items())
        values = table.evaluate(*arguments)
        return np.broadcast_to(np.asarray(values, dtype=np.float64), (size,)).copy()

    def _cause(self, error: Exception, inputs: Mapping[str, Any]) -> str:
        for name, kind in self.inputs.items():
            known = keys_of(_tree(self.text), name)
            if known is None or kind == "real":
                continue
            asked = set(np.unique(_of_type(inputs[name], kind)).tolist())
            if unknown := sorted(asked - set(known), key=str):
                return f"it has no {name} {unknown[0]}, only {', '.join(map(str, known))}"
        return _first_line(error)


def read_lookup(path: Path, name: str) -> Lookup:
    """Return a correction of a correctionlib file (plain or gzipped JSON), clamped at its edges.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no correctionlib file, or does not hold the correction, or that is not sound.
    """
    return find_lookup(read_tables(path), name, path=path)


def read_tables(path: Path) -> list[Any]:
    """Return the corrections of a correctionlib file (plain or gzipped JSON) as plain values.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no correctionlib file, or too large.
    """
    raw = read_bytes(
        path,
        kind="file of corrections",
        advice="fix its path in the configuration",
        most_bytes=MOST_TEXT_BYTES,
    )
    text = gunzipped(raw, source=str(path))
    content = parse_json(text, source=str(path), remedy="get it again", finite=False)
    if not isinstance(content, dict) or content.get("schema_version") != 2:
        raise ValueError(f"{path}: not a correctionlib file of schema version 2: is it the right one?")
    tables = content.get("corrections")
    if not isinstance(tables, list):
        raise ValueError(f"{path}: not a correctionlib file, without a list of corrections: get it again")
    return tables


def find_lookup(tables: Sequence[Any], name: str, *, path: Path) -> Lookup:
    """Return one of the corrections of a file, clamped at its edges.

    A value outside of a table gets what is at its edge, also where the file says "error" or gives a number: a
    weight of 0 would lose the event, and an error the run. Where the file says "wrap", or gives a formula
    beyond the edge, that stays.

    Args:
        tables: What `read_tables` returned.
        name: Of the correction.
        path: Of the file, for messages.

    Raises:
        ValueError: If it is not there, or not sound.

    Source:
        correctionlib, schema version 2; the code behind CMS-BTV-20-001 gave weight 0 outside of its tables.
    """
    found = [one for one in tables if isinstance(one, dict) and one.get("name") == name]
    if len(found) != 1:
        there = ", ".join(str(one.get("name")) for one in tables if isinstance(one, dict)) or "none"
        problem = f"{len(found)} corrections" if found else "no correction"
        raise ValueError(f"{path}: {problem} '{name}' in it: choose from {there}")
    try:
        refuse_unsound(found[0])
        text = json.dumps({"schema_version": 2, "corrections": [clamped(found[0])]}, sort_keys=True)
        inputs = {str(one["name"]): str(one["type"]) for one in found[0].get("inputs", ())}
        _evaluator(text)
        _outside(text)
    except (RuntimeError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path}: correction '{name}' is not valid ({_first_line(error)}): get the file again"
        ) from error
    return Lookup(path.name, hashlib.sha256(text.encode()).hexdigest(), name, inputs, text)


@lru_cache(maxsize=64)
def _evaluator(text: str) -> Any:
    import correctionlib

    (table,) = correctionlib.CorrectionSet.from_string(text).values()
    return table


@lru_cache(maxsize=64)
def _outside(text: str) -> Any:
    """Return what tells where a look-up is outside; None if it cannot be."""
    probe = outside_its_tables(_tree(text))
    return None if probe is None else _evaluator(json.dumps({"schema_version": 2, "corrections": [probe]}))


@lru_cache(maxsize=4)
def _tree(text: str) -> dict[str, Any]:
    (correction,) = parse_json(text, source="correction", finite=False)["corrections"]
    tree: dict[str, Any] = correction
    return tree


def _of_type(value: Any, kind: str) -> Any:
    if kind == "string":
        return str(value)
    finite = np.nan_to_num(np.asarray(value, dtype=np.float64)) if _is_real(value) else value
    return np.asarray(finite, dtype=np.int64 if kind == "int" else np.float64)


def _is_real(value: Any) -> bool:
    return np.asarray(value).dtype.kind == "f"


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
