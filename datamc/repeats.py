"""The same events in two files that are no copies: found by hashes of some events of each.

Of every range of events the smallest hashes are kept (bottom-k sketch): where two ranges share events, their
smallest hashes coincide in proportion. Of a range with no more events than are kept that is exact; of larger
ones, an overlap of m out of n events is missed with the probability exp(-m k / n).

Source:
    A. Z. Broder, On the resemblance and containment of documents, Compression and Complexity of Sequences
    1997 (sketches by the smallest hashes).
"""

import base64
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

KEPT: Final = 512
"""Hashes kept of a range."""
KEPT_IN_ALL: Final = 2**20
"""Of all ranges together, 8 MiB: with more than 2048 ranges fewer are kept of each."""


def smallest(hashes: Hashes, n_kept: int = KEPT) -> Hashes:
    """Return the smallest hashes in order; one that is there twice is kept twice, however large it is."""
    different, times = np.unique(hashes, return_counts=True)
    kept, repeated = different[:n_kept], different[times > 1][:1]
    # The first one that is there twice, once more than it is there already.
    return np.sort(np.concatenate([kept, repeated, np.setdiff1d(repeated, kept)]))


def as_text(hashes: Hashes) -> str:
    """Return hashes as plain text: base64 of their bytes, little endian."""
    return base64.b64encode(hashes.astype("<u8").tobytes()).decode()


def from_text(text: str) -> Hashes:
    """Return what `as_text` was given.

    Raises:
        ValueError: If it is something else.
    """
    return np.frombuffer(base64.b64decode(text, validate=True), dtype="<u8").astype(np.uint64)


def merged_samples(parts: Mapping[Any, str]) -> dict[Any, str]:
    """Return the samples of all ranges, smaller ones if they are many."""
    n_kept = max(16, min(KEPT, KEPT_IN_ALL // max(1, len(parts))))
    if n_kept == KEPT:
        return dict(parts)
    return {key: as_text(smallest(from_text(text), n_kept)) for key, text in parts.items()}


def first_repeat(samples: Mapping[str, str]) -> tuple[str, str, int] | None:
    """Return the keys of two ranges with the same events, and how many of those kept; None without any.

    Both keys are the same where a range holds events twice.
    """
    keys = list(samples)
    hashes = [from_text(samples[key]) for key in keys]
    every = np.concatenate([np.empty(0, np.uint64), *hashes])
    owner = np.repeat(np.arange(len(keys)), [len(part) for part in hashes])
    order = np.argsort(every, kind="stable")
    every, owner = every[order], owner[order]
    twice = np.flatnonzero(every[1:] == every[:-1])
    if len(twice) == 0:
        return None
    first, second = owner[twice[0]], owner[twice[0] + 1]
    same_pair = (owner[twice] == first) & (owner[twice + 1] == second)
    return keys[first], keys[second], int(same_pair.sum())
