"""Certified luminosity sections of data."""

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

_SECTIONS = TypeAdapter(dict[int, list[tuple[int, int]]])
"""The format of CMS: for each run the first and last section of each certified range."""


class GoldenJson(NamedTuple):
    """A file of certified luminosity sections, and the hash of its content."""

    path: str
    sha256: str


def read_golden_json(path: Path) -> GoldenJson:
    """Return a file of certified luminosity sections after a look into it.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it does not list ranges of sections by run.

    Source:
        CMS Data Quality Monitoring, format of the certification files.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of certified luminosity sections")
    content = path.read_bytes()
    try:
        _SECTIONS.validate_python(json.loads(content))
    except ValueError as error:
        raise ValueError(
            f'{path}: no list of certified luminosity sections: write {{"run": [[first, last], ...]}}'
        ) from error
    return GoldenJson(str(path), hashlib.sha256(content).hexdigest())


def certified(events: ak.Array, golden: GoldenJson | None) -> NDArray[np.bool_] | None:
    """Return which events lie in certified luminosity sections, shape ``(n_events,)``; None without a file.

    Args:
        events: A chunk of data.
        golden: The file that lists them, by run.
    """
    if golden is None:
        return None
    run, block = np.asarray(events.run), np.asarray(events.luminosityBlock)
    return np.asarray(_mask(golden)(run, block), dtype=np.bool_)


def sections_of(events: ak.Array, chosen: NDArray[np.bool_] | None) -> set[tuple[int, int]]:
    """Return run and section of some events, each pair once.

    Args:
        events: A chunk of data.
        chosen: Which of them, shape ``(n_events,)``; None for all.
    """
    pairs = np.stack(
        [np.asarray(events[name], dtype=np.int64) for name in ("run", "luminosityBlock")], axis=1
    )
    unique = np.unique(pairs if chosen is None else pairs[chosen], axis=0)
    return {(run, section) for run, section in unique.tolist()}


@lru_cache(maxsize=1)
def _mask(golden: GoldenJson) -> Any:
    # Takes seconds to import (numba), so only where it is used.
    from coffea.lumi_tools import LumiMask

    return LumiMask(golden.path)
