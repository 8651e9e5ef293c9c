"""Certified luminosity sections of data."""

from functools import lru_cache
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray


def certified(events: ak.Array, golden_json: str | None) -> NDArray[np.bool_] | None:
    """Return which events lie in certified luminosity sections, shape ``(n_events,)``; None without a file.

    Args:
        events: A chunk of data.
        golden_json: Path of the file that lists them, by run.
    """
    if golden_json is None:
        return None
    run, block = np.asarray(events.run), np.asarray(events.luminosityBlock)
    return np.asarray(_mask(golden_json)(run, block), dtype=np.bool_)


@lru_cache(maxsize=1)
def _mask(golden_json: str) -> Any:
    # Takes seconds to import (numba), so only where it is used.
    from coffea.lumi_tools import LumiMask

    return LumiMask(golden_json)
