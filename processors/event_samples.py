"""Some events of a chunk by their hashes, so that the same events in two files are found.

Kept are those with the smallest hashes: two files that share events share the smallest of these, however
each of them is cut, ordered or written.
"""

import zlib
from collections.abc import Mapping
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from datamc.results import Hashes, smallest
from models.hashing import hash_rows

EVENT = ("run", "luminosityBlock", "event")
_LEADING_JET = ("pt", "eta", "phi")


def sample_of(events: ak.Array, *, group: str, is_data: bool) -> Hashes:
    """Return the smallest hashes of the events of a chunk, see `datamc.results.smallest`.

    A recorded event is known by run, luminosity section and number. Simulated events may share these, as
    extensions of a sample are numbered anew: they are known by their leading jet as well, bit by bit, and
    those without a jet are not considered.

    Args:
        events: A chunk.
        group: Which datasets must not share events, see `group_of`.
        is_data: Whether it holds data.
    """
    names = [np.asarray(events[name]).astype(np.uint64) for name in EVENT]
    if not is_data:
        has_jet = np.asarray(ak.num(events.Jet.pt)) > 0
        leading = ak.firsts(events.Jet[has_jet])
        names = [name[has_jet] for name in names]
        names += [_bits(leading[field]) for field in _LEADING_JET]
    salt = zlib.crc32(f"{'data' if is_data else 'simulation'} {group}".encode())
    return smallest(hash_rows(np.stack(names, axis=1), seed=0, salt=salt))


def group_of(metadata: Any, dataset: str, primary_dataset: str | None) -> str:
    """Return a name that a dataset has in common with those with which it must not share events.

    Events that fire several triggers are recorded in several primary datasets, so that only those of one must
    not share any. A selection that starts from one holds data of no other. Of simulation, each dataset has a
    cross section of its own and stands alone.

    Args:
        metadata: Of the dataset.
        dataset: Its name.
        primary_dataset: What the selection starts from; None if it takes all data.
    """
    if not metadata.is_data:
        return dataset
    return "" if primary_dataset is not None else metadata.primary_dataset or dataset


def joined(parts: Mapping[int, Hashes]) -> Hashes:
    """Return the sample of a file from those of its chunks."""
    return smallest(np.concatenate([np.empty(0, np.uint64), *parts.values()]))


def _bits(values: ak.Array) -> NDArray[np.uint64]:
    return np.asarray(values, dtype=np.float32).view(np.uint32).astype(np.uint64)
