"""Events of one file written into another: columns as they were read, trees as NanoAOD has them."""

from collections.abc import Mapping
from typing import Any

import awkward as ak
import numpy as np


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


def make_tree(file: Any, name: str, arrays: Mapping[str, Any], titles: Mapping[str, str]) -> None:
    """Make a tree for arrays of these types; assigning would make an RNTuple, which NanoAOD has not.

    Args:
        file: Open for writing.
        name: Of the tree.
        arrays: By branch or collection; nothing is written yet.
        titles: By branch; the others get what uproot gives them.
    """
    tree = file.mktree(
        name,
        {
            name: array.type.content if isinstance(array, ak.Array) else array.dtype
            for name, array in arrays.items()
        },
        counter_name=lambda collection: f"n{collection}",
        field_name=lambda collection, field: f"{collection}_{field}",
    )
    # uproot takes no titles of branches: they are set in what it writes anew before the first events.
    cascade = tree._cascading
    for branch in cascade._branch_data:
        branch["fTitle"] = titles.get(branch.get("fName"), branch.get("fTitle"))
    cascade._needs_relocation_before_extend = True


def extend_events(file: Any, arrays: Mapping[str, Any], titles: Mapping[str, str] | None = None) -> None:
    """Append events to the tree Events of a file that is being written; the first call makes the tree."""
    if "Events" not in file:
        make_tree(file, "Events", arrays, titles or {})
    file["Events"].extend(dict(arrays))
