"""Jets and the same jets as another detector sees them: which belong together, and how they differ."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from models.features import N_FEATURES
from training.manifest import VariationsEntry
from training.reading import NOMINAL_INDEX, flat

MATCH_RADIUS: Final = 0.2
"""In pseudorapidity and azimuth: nearer jets are taken for one. Half the radius of the jets' cone."""


@dataclass
class PairStatistics:
    """How variations differ from the jets they are of, streamed shard by shard.

    Attributes:
        n_jets: Jets looked at.
        n_matched: Those that a variation holds, shape ``(n_variations,)``.
        n_pairs: Pairs in which both hold a value of a feature, shape ``(67,)``.
        sum_squares: Of their differences, in standard deviations, shape ``(67,)``.
    """

    n_jets: int
    n_matched: NDArray[np.int64]
    n_pairs: NDArray[np.int64]
    sum_squares: NDArray[np.float64]

    @classmethod
    def empty(cls, n_variations: int) -> "PairStatistics":
        """Return the statistics of no jet."""
        return cls(0, np.zeros(n_variations, np.int64), np.zeros(N_FEATURES, np.int64), np.zeros(N_FEATURES))

    def add(
        self,
        number: int,
        nominal: NDArray[np.float32],
        varied: NDArray[np.float32],
        both_hold: NDArray[np.bool_],
    ) -> None:
        """Add the matched jets of one variation; absurd values that overflowed in scaling are left out.

        Args:
            number: Of the variation.
            nominal: Scaled features, shape ``(n_matched, 67)``.
            varied: The same of the variation, same shape.
            both_hold: Where both hold a value, same shape.
        """
        counted = both_hold & np.isfinite(nominal) & np.isfinite(varied)
        differences = np.subtract(varied, nominal, out=np.zeros_like(nominal), where=counted)
        self.n_matched[number] += len(nominal)
        self.n_pairs += counted.sum(axis=0)
        self.sum_squares += np.square(differences, dtype=np.float64).sum(axis=0)

    def entry(self) -> VariationsEntry:
        """Return what the manifest says of them; a feature without a pair shifts by 0."""
        shifts = np.sqrt(self.sum_squares / np.maximum(self.n_pairs, 1))
        return VariationsEntry(
            n_variations=len(self.n_matched),
            matched_shares=tuple((self.n_matched / max(self.n_jets, 1)).tolist()),
            shifts=tuple(shifts.tolist()),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists for JSON; `from_dict` gives back the very same bits."""
        return {
            "n_jets": self.n_jets,
            "n_matched": self.n_matched.tolist(),
            "n_pairs": self.n_pairs.tolist(),
            "sum_squares": self.sum_squares.tolist(),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "PairStatistics":
        """Return the statistics that `to_dict` made plain."""
        n_matched, n_pairs = (np.array(content[name], np.int64) for name in ("n_matched", "n_pairs"))
        return cls(content["n_jets"], n_matched, n_pairs, np.array(content["sum_squares"], np.float64))


def is_matched(variation: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Tell which jets a variation of them holds, shape ``(n_jets,)``; see `training.reading.Jets`."""
    return np.asarray(~np.isnan(variation).all(axis=1))


def partners_by_index(
    nominal_index: NDArray[np.integer], counts: NDArray[np.integer], nominal_counts: NDArray[np.integer]
) -> NDArray[np.intp]:
    """Return for each nominal jet the row of its variation, -1 for none, shape ``(n_nominal,)``.

    If several jets name the same one, the first has it.

    Args:
        nominal_index: Of each varied jet, its partner's row in its event or -1, shape ``(n_varied,)``.
        counts: Varied jets of each event, shape ``(n_events,)``.
        nominal_counts: Nominal jets of each event, shape ``(n_events,)``.

    Raises:
        ValueError: If a row is beyond the nominal jets of the event.
    """
    if (nominal_index >= np.repeat(nominal_counts, counts)).any():
        raise ValueError(f"{NOMINAL_INDEX} names a jet that the nominal file does not hold")
    first_rows = np.repeat(np.cumsum(nominal_counts) - nominal_counts, counts)
    rows = np.flatnonzero(nominal_index >= 0)[::-1]
    partners = np.full(int(nominal_counts.sum()), -1, dtype=np.intp)
    partners[first_rows[rows] + nominal_index[rows]] = rows  # of equal ones the last assignment stays
    return partners


def nominal_index_by_direction(
    varied: Sequence[ak.Array], nominal: Sequence[ak.Array], *, radius: float = MATCH_RADIUS
) -> NDArray[np.int64]:
    """Return for each varied jet the row of the nearest nominal jet of its event, -1 for none.

    The hardest varied jet of an event chooses first, and each nominal jet is given away once.

    Args:
        varied: pT, eta and phi of the varied jets, per event.
        nominal: The same of the nominal jets.
        radius: In (eta, phi), how far partners may be apart.

    Returns:
        Rows within the event, of all varied jets one after the other, shape ``(n_varied,)``.
    """
    counts = ak.to_numpy(ak.num(varied[0]))
    first_rows = np.cumsum(counts) - counts
    eta, phi = _padded(nominal[1], np.inf), _padded(nominal[2], 0.0)
    flat_eta, flat_phi = (flat(values).astype(np.float64) for values in varied[1:])
    by_hardness = flat(ak.argsort(varied[0], axis=1, ascending=False)) + np.repeat(first_rows, counts)
    index = np.full(int(counts.sum()), -1, dtype=np.int64)
    for rank in range(int(counts.max(initial=0)) if eta.shape[1] else 0):
        events = np.flatnonzero(counts > rank)
        jets = by_hardness[first_rows[events] + rank]
        delta_phi = np.abs(phi[events] - flat_phi[jets, np.newaxis]) % (2 * np.pi)
        distance = np.hypot(
            eta[events] - flat_eta[jets, np.newaxis], np.minimum(delta_phi, 2 * np.pi - delta_phi)
        )
        nearest = distance.argmin(axis=1)
        is_near = np.take_along_axis(distance, nearest[:, np.newaxis], axis=1)[:, 0] < radius
        index[jets[is_near]] = nearest[is_near]
        eta[events[is_near], nearest[is_near]] = np.inf  # is given away
    return index


def _padded(values: ak.Array, filler: float) -> NDArray[np.float64]:
    """Return values per event as a matrix, filled up, shape ``(n_events, most_jets)``."""
    most = int(ak.max(ak.num(values), initial=0))
    padded = ak.fill_none(ak.pad_none(values, most, axis=1, clip=True), filler)
    return np.asarray(ak.to_numpy(padded), dtype=np.float64)
