"""Trees of ROOT files that are being written."""

from collections.abc import Mapping
from typing import Any

import awkward as ak


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
