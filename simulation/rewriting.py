"""Events of one file written into another: columns as they were read, trees as NanoAOD has them."""

from collections.abc import Mapping
from typing import Any

import awkward as ak
import numpy as np

from storage.trees import make_tree


def grouped(columns: Mapping[str, ak.Array]) -> dict[str, Any]:
    """Return columns as uproot writes them: one array a branch, one record array a collection.

    A collection is what has a counter (`nJet`) and branches of that name (`Jet_pt`); a branch with a counter
    alone (`nPSWeight`, `PSWeight`) has several values per event.
    """
    counters = [name.removeprefix("n") for name in columns if name.startswith("n")]
    collections = [name for name in counters if any(other.startswith(f"{name}_") for other in columns)]
    arrays: dict[str, Any] = {}
    for name, column in columns.items():
        if name in counters:
            arrays[name] = column
        elif name.partition("_")[0] not in collections and name.removeprefix("n") not in counters:
            arrays[name] = np.asarray(column)
    for collection in collections:
        prefix = f"{collection}_"
        fields = {
            name.removeprefix(prefix): column for name, column in columns.items() if name.startswith(prefix)
        }
        arrays[collection] = ak.zip(fields, depth_limit=2)
    return arrays


def extend_events(file: Any, arrays: Mapping[str, Any], titles: Mapping[str, str] | None = None) -> None:
    """Append events to the tree Events of a file that is being written; the first call makes the tree."""
    if "Events" not in file:
        make_tree(file, "Events", arrays, titles or {})
    file["Events"].extend(dict(arrays))
