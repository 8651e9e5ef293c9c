"""Jets of the same events as several detectors see them, matched to one another."""

from pathlib import Path

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from events.files import open_root
from simulation.extras import require_extra

MATCH_RADIUS = 0.2
"""In pseudorapidity and azimuth: two detectors see the same jet."""

_DIRECTION = np.dtype([("eta", "f8"), ("phi", "f8")], align=True)


def match_jets(first: ak.Array, second: ak.Array, *, radius: float = MATCH_RADIUS) -> NDArray[np.int64]:
    """Return pairs of jets of the same events that lie nearer than `radius`, as rows of the flattened jets.

    Each jet is in one pair at most; the hardest jets of `first` choose first.

    Args:
        first: Jets with fields ``eta`` and ``phi``, a list for each event.
        second: Jets of the same events in the same order.
        radius: In pseudorapidity and azimuth.

    Returns:
        Rows in `first` and in `second`, shape ``(n_pairs, 2)``.

    Raises:
        MissingExtraError: If numba is not installed.
        ValueError: If the numbers of events differ.
    """
    require_extra()
    from simulation.genparticles import nearest_of

    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} events: match jets of the same events")
    offsets, other_offsets = _offsets(first), _offsets(second)
    nearest = nearest_of(_directions(first), offsets, _directions(second), other_offsets, radius)
    rows = np.flatnonzero(nearest >= 0)
    event = np.searchsorted(offsets, rows, side="right") - 1
    return np.stack([rows, other_offsets[event] + nearest[rows]], axis=1)


def _offsets(jets: ak.Array) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(ak.to_numpy(ak.num(jets)), dtype=np.int64)])


def _directions(jets: ak.Array) -> NDArray[np.void]:
    directions = np.empty(ak.count(jets.eta), _DIRECTION)
    for name in ("eta", "phi"):
        directions[name] = ak.to_numpy(ak.flatten(jets[name]))
    return directions


def read_jets(path: Path, *names: str) -> ak.Array:
    """Return the jets of a file, with eta, phi and whatever else is named: what `match_jets` needs."""
    wanted = list(dict.fromkeys(("eta", "phi", *names)))
    with open_root(path) as file:
        arrays = file.tree("Events").read([f"Jet_{name}" for name in wanted])
    return ak.zip({name: arrays[f"Jet_{name}"] for name in wanted}, depth_limit=2)
