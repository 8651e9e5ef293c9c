"""The values of a few jets, read from the baskets that hold them and from no other.

Reading a column whole gives every jet of every event; jets under study are few. A basket is what a file
compresses as one piece: those without such a jet are skipped, in the others only these jets are looked at.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import uproot
from numpy.typing import NDArray

from events.reading import ReadError

Positions = NDArray[np.int64]


def read_jets(
    tree: uproot.TTree, branches: Sequence[str], *, entry: Positions, jet: Positions
) -> NDArray[np.float32]:
    """Return the values of some jets, shape ``(n_branches, n_jets)``.

    Args:
        tree: An open tree of events.
        branches: Its branches with one number for each jet.
        entry: The event of each jet in the tree, in rising order, shape ``(n_jets,)``.
        jet: The position of each jet in its event, shape ``(n_jets,)``.

    Raises:
        ReadError: If a branch does not hold as many jets in an event as asked for: the file is damaged.
    """
    if (np.diff(entry) < 0).any():
        raise ValueError("jets to read are not in the order of their events: sort them")
    values = np.empty((len(branches), len(entry)), dtype=np.float32)
    if len(entry) == 0:
        return values
    where = _Places(entry, jet)
    with np.errstate(over="ignore", invalid="ignore"):
        for row, name in enumerate(branches):
            _read_branch(tree[name], where, values[row])
    return values


class _Places:
    """Where the jets lie inside of a basket; the baskets of most branches are cut alike."""

    def __init__(self, entry: Positions, jet: Positions) -> None:
        self.entry = entry
        self.jet = jet
        self._known: dict[tuple[int, int], tuple[NDArray[Any], Positions]] = {}
        # Of the event of each jet, by the first branch; all others must agree.
        self._n_jets = np.full(len(entry), -1, np.int64)

    def parts(self, edges: Positions) -> Iterator[tuple[int, slice]]:
        """Yield each basket that holds any of the jets: its number, and which of them.

        Args:
            edges: Where the baskets begin, and the end of the last, shape ``(n_baskets + 1,)``.
        """
        basket = np.searchsorted(edges, self.entry, side="right") - 1
        first = np.concatenate([[0], np.flatnonzero(np.diff(basket)) + 1, [len(basket)]])
        for start, stop in pairwise(first.tolist()):
            yield int(basket[start]), slice(start, stop)

    def inside(self, start: int, chosen: slice, offsets: NDArray[Any], path: str) -> Positions:
        """Return the position of each chosen jet in the content of a basket.

        Args:
            start: The first event of the basket.
            chosen: Which jets it holds.
            offsets: Where each event's jets begin, and the end, shape ``(n_events + 1,)``.
            path: The file, for a message.
        """
        key = start, chosen.stop
        if key in self._known and np.array_equal(self._known[key][0], offsets):
            return self._known[key][1]
        event = self.entry[chosen] - start
        position = offsets[event] + self.jet[chosen]
        n_jets, known = offsets[event + 1] - offsets[event], self._n_jets[chosen]
        is_sound = offsets[0] == 0 and (np.diff(offsets) >= 0).all() and (self.jet[chosen] < n_jets).all()
        if not is_sound or ((known >= 0) & (known != n_jets)).any():
            raise ReadError(f"{path}: cannot be read, its branches of jets hold different numbers of them")
        self._n_jets[chosen] = n_jets
        self._known[key] = offsets, position
        return position


def _read_branch(branch: Any, where: _Places, values: NDArray[np.float32]) -> None:
    path = branch.file.file_path
    edges = np.asarray(branch.entry_offsets)
    if (np.diff(edges) < 0).any() or edges[0] > where.entry[0] or edges[-1] <= where.entry[-1]:
        raise ReadError(f"{path}: cannot be read, the baskets of {branch.name} do not hold all its events")
    content = getattr(branch.interpretation, "content", None)
    for number, chosen in where.parts(edges):
        start, stop = edges[number : number + 2].tolist()
        basket = branch.basket(number)
        if basket.byte_offsets is None or not isinstance(content, uproot.AsDtype):
            flat, offsets = _interpreted(branch, start, stop)
        else:
            flat = basket.data.view(content.from_dtype)
            offsets = basket.byte_offsets // content.from_dtype.itemsize
        if len(flat) < offsets[-1]:
            raise ReadError(f"{path}: cannot be read, {branch.name} ends too early")
        values[chosen] = flat[where.inside(start, chosen, offsets, path)]


def _interpreted(branch: Any, start: int, stop: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return content and offsets of a branch that is stored in another way than most."""
    counts, flat = [], []
    for values in branch.array(entry_start=start, entry_stop=stop, library="np"):
        counts.append(len(values))
        flat.append(values)
    return np.concatenate(flat), np.concatenate([[0], np.cumsum(counts)])
