"""A tree of events: its branches are read by their names, and by nothing else.

uproot takes the name of a branch that is not there for a formula, and computes it: a formula of the caller,
or one that the file itself holds under that name (an alias of the tree). Both are Python, so that a file
could run any command. Here names are looked up beforehand, and the language in which formulas are written
is one that has none.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import awkward as ak
import numpy as np
import uproot
from numpy.typing import NDArray

from events.errors import FileError, damage_named


class NoFormulas(uproot.language.Language):
    """A language for uproot in which nothing can be said but the name of a branch."""

    def free_symbols(
        self,
        expression: str,
        keys: Collection[str],  # noqa: ARG002
        aliases: Mapping[str, str],  # noqa: ARG002
        file_path: str,
        object_path: str,
    ) -> list[str]:
        """Refuse whatever is no branch.

        Raises:
            KeyInFileError: Always, since names of branches do not come here.
        """
        raise uproot.KeyInFileError(expression, file_path=file_path, object_path=object_path)

    def compute_expressions(
        self,
        hasbranches: Any,  # noqa: ARG002
        arrays: Mapping[str, Any],
        expression_context: Sequence[tuple[str, Mapping[str, Any]]],
        keys: Collection[str],  # noqa: ARG002
        aliases: Mapping[str, str],  # noqa: ARG002
        file_path: str,  # noqa: ARG002
        object_path: str,  # noqa: ARG002
    ) -> dict[str, Any]:
        """Return the array of each branch."""
        return {name: arrays[context["branches"][-1].cache_key] for name, context in expression_context}


class Tree:
    """A tree of an open file.

    Attributes:
        path: The file.
        name: What it is called there.
        n_events: How many events it holds.
        names: Its branches, in their order in the file.
        is_ntuple: Whether it is an RNTuple, not a TTree.
    """

    def __init__(self, path: str, name: str, tree: Any) -> None:
        self.path = path
        self.name = name
        self.is_ntuple = not isinstance(tree, uproot.TTree)
        self._tree = tree
        with damage_named(path):
            self.n_events = int(tree.num_entries)
            self.names: tuple[str, ...] = tuple(dict.fromkeys(tree.keys(full_paths=False)))
        self._known = frozenset(self.names)

    def __contains__(self, name: str) -> bool:
        """Say whether it has a branch."""
        return name in self._known

    def missing(self, names: Collection[str]) -> list[str]:
        """Return those of some branches that it does not have."""
        return [name for name in names if name not in self._known]

    def title(self, name: str) -> str:
        """Return the title of a branch.

        Raises:
            FileError: If it has none of that name.
        """
        self._require([name])
        return "" if self.is_ntuple else str(self._tree[name].title)

    def read(self, names: Sequence[str], *, start: int = 0, stop: int | None = None) -> ak.Array:
        """Return some branches of the events from `start` to before `stop`, of all without them.

        Raises:
            FileError: If a branch is not there, or the file is damaged.
        """
        self._require(names)
        with damage_named(self.path):
            events = self._tree.arrays(
                list(names), entry_start=start, entry_stop=stop, language=NoFormulas(), array_cache=None
            )
        # An RNTuple gives its fields in an order of its own.
        events = events[list(names)] if self.is_ntuple else events
        require_equal_counts(
            {name: _counts(events[name]) for name in names if _is_jagged(events[name])}, self.path
        )
        return events

    def require_sound(self, names: Collection[str], *, start: int, stop: int) -> None:
        """Read some branches one by one, those that are there, and raise if one of them is damaged.

        Raises:
            FileError: If one cannot be read, or holds other numbers of objects than the rest of its
                collection or than its counter; the sentence names it.
        """
        counts: dict[str, NDArray[Any]] = {}
        for name in sorted(self._known.intersection(names)):
            try:
                column = self.read([name], start=start, stop=stop)[name]
            except FileError as error:
                raise FileError(self.path, f"{name}: {error.reason}") from error
            if _is_jagged(column):
                counts[name] = _counts(column)
            elif name.startswith("n"):
                counts[f"{name.removeprefix('n')}_ by {name}"] = np.asarray(column)
        require_equal_counts(counts, self.path)

    def column(self, name: str) -> NDArray[Any]:
        """Return a branch with one value for each event, shape ``(n_events,)``.

        Raises:
            FileError: If it is not there, has another shape, or the file is damaged.
        """
        self._require([name])
        with damage_named(self.path):
            return np.asarray(self._tree[name].array(library="np"))

    def steps(self, names: Sequence[str], step: int) -> Iterator[ak.Array]:
        """Yield some branches of so many events each, in order.

        Raises:
            FileError: If a branch is not there, or the file is damaged.
        """
        self._require(names)
        for start in range(0, self.n_events, step):
            yield self.read(names, start=start, stop=start + step)

    def clusters(self, wanted: Callable[[str], bool]) -> tuple[int, ...]:
        """Return where the clusters of some branches begin, and the end.

        Raises:
            FileError: If the file is damaged, or the tree is an RNTuple: such are not processed so far.
        """
        if self.is_ntuple:
            raise FileError(
                self.path, f"its {self.name} is an RNTuple, which is not processed yet: write it as a TTree"
            )
        with damage_named(self.path):
            offsets = self._tree.common_entry_offsets(filter_name=wanted)
        return clusters_of(offsets, self.n_events)

    def _require(self, names: Collection[str]) -> None:
        if missing := self.missing(names):
            raise FileError(self.path, f"it holds no branch {', '.join(missing)}")


def require_equal_counts(counts: Mapping[str, NDArray[Any]], path: str) -> None:
    """Raise unless the branches of each collection hold as many values of each event.

    Args:
        counts: How many values of each event a branch holds, by the name of the branch.
        path: Of their file.

    Raises:
        FileError: If not; objects would be taken for others than they are.
    """
    first_of: dict[str, str] = {}
    for name, numbers in counts.items():
        prefix, underscore, _ = name.partition("_")
        if not underscore:
            continue
        first = first_of.setdefault(prefix, name)
        if first != name and not np.array_equal(counts[first], numbers):
            raise FileError(path, f"{first} and {name} hold other numbers of objects, the file is damaged")


def _is_jagged(column: ak.Array) -> bool:
    return bool(column.ndim > 1)


def _counts(column: ak.Array) -> NDArray[Any]:
    return np.asarray(ak.num(column))


def clusters_of(offsets: Sequence[int], n_events: int) -> tuple[int, ...]:
    """Return where clusters begin, and the end; the whole file is one where its branches do not agree.

    In a damaged file they may agree on nonsense, by which events would be left out without a word.
    """
    is_sound = list(offsets[:1]) == [0] and offsets[-1] == n_events
    if is_sound and all(first < last for first, last in pairwise(offsets)):
        return tuple(offsets)
    return (0, n_events)
