"""Numbers in a page: plain JSON with no more digits than needed, in a form that no page can trip over."""

import base64
import gzip
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike


def short(value: float, digits: int = 5) -> float | int | None:
    """Return a number with few digits, as an integer where it is one; None where it is not finite."""
    if not math.isfinite(value):
        return None
    rounded = float(f"{value:.{digits}g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded


def short_list(values: ArrayLike, digits: int = 5) -> list[Any]:
    """Return an array of any shape as nested lists of `short` numbers."""
    array = np.asarray(values, float)
    if array.ndim > 1:
        return [short_list(row, digits) for row in array]
    return [short(value, digits) for value in array.tolist()]


def embedded_json(payload: Mapping[str, Any]) -> str:
    """Return JSON as compressed, printable text: no character in it can end a script element.

    Raises:
        ValueError: If a number is not finite.
    """
    text = json.dumps(payload, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode(), compresslevel=9, mtime=0)).decode()
