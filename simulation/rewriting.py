"""Events of one file written into another: columns as they were read, trees as NanoAOD has them."""

from collections.abc import Mapping
from typing import Any

import awkward as ak
import numpy as np


def grouped(columns: Mapping[str, ak.Array]) -> dict[str, Any]:
    """Return columns as uproot writes them: one array a branch, one record array a collection.

    A collection is what has a counter (`nJet`) and branches of that name (`Jet_pt`).
    """
    counters = [name.removeprefix("n") for name in columns if name.startswith("n")]
    collections = [name for name in counters if any(other.startswith(f"{name}_") for other in columns)]
    arrays: dict[str, Any] = {}
    for name, column in columns.items():
        if name.partition("_")[0] not in collections and name.removeprefix("n") not in collections:
            arrays[name] = np.asarray(column)
    for collection in collections:
        prefix = f"{collection}_"
        fields = {
            name.removeprefix(prefix): column for name, column in columns.items() if name.startswith(prefix)
        }
        arrays[collection] = ak.zip(fields, depth_limit=2)
    return arrays


def extend_events(file: Any, arrays: Mapping[str, Any]) -> None:
    """Append events to the tree Events of a file that is being written; the first call makes the tree."""
    if "Events" not in file:
        types = {
            name: array.type.content if isinstance(array, ak.Array) else array.dtype
            for name, array in arrays.items()
        }
        file.mktree(
            "Events",
            types,
            counter_name=lambda collection: f"n{collection}",
            field_name=lambda collection, field: f"{collection}_{field}",
        )
    file["Events"].extend(dict(arrays))
