"""ROOT files that are being written, and their trees."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import awkward as ak
import uproot

from storage.files import replaced_file


@contextmanager
def replaced_root_file(path: Path, compression: Any = None) -> Iterator[Any]:
    """Yield a new ROOT file of uproot's, open for writing, that takes its place when the block ends well.

    It is opened here and not by uproot, which takes some names of files for addresses (`a::b`, say) and
    writes elsewhere.

    Args:
        path: The file.
        compression: One of uproot's; None for its default.
    """
    options = {} if compression is None else {"compression": compression}
    with (
        replaced_file(path) as temporary,
        temporary.open("w+b") as opened,
        uproot.recreate(opened, **options) as file,
    ):
        yield file


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
