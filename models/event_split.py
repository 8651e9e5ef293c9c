"""Which events a tagger may be adapted to, and which it is evaluated on: drawn from what names an event.

A method that learns from unlabelled jets of data makes the very jets it saw agree with simulation. So events
are divided once and for all: those *adapted* to are collected for training, all others are processed.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.hashing import uniform_rows

_SALT = 5


class EventSplit(NamedTuple):
    """The events that may be adapted to, in data and simulation alike; as text ``0.333:1``.

    Attributes:
        share: The probability of an event to be one of them. A smaller share of the same seed is a part.
        seed: Another seed is another, independent choice.
    """

    share: float
    seed: int = 1

    @classmethod
    def parse(cls, text: str) -> "EventSplit":
        """Return the split that a text such as ``0.333:1`` (or ``0.333``, with seed 1) stands for.

        Raises:
            ValueError: If it is none, or the share is not between 0 and 1.
        """
        share, _, seed = text.partition(":")
        try:
            split = cls(float(share), int(seed) if seed else 1)
        except ValueError:
            raise ValueError(f"{text!r} is no split of events: write SHARE:SEED, e.g. 0.333:1") from None
        if not (math.isfinite(split.share) and 0.0 < split.share < 1.0 and 0 <= split.seed < 2**63):
            raise ValueError(
                f"{text!r} is no split of events: the share must lie between 0 and 1, the seed must not be "
                "negative"
            )
        return split

    @property
    def name(self) -> str:
        """The split as text; `parse` gives it back, exactly."""
        return f"{float(self.share)!r}:{self.seed}"

    def is_adapted(self, run: ArrayLike, luminosity_block: ArrayLike, event: ArrayLike) -> NDArray[np.bool_]:
        """Say which events may be adapted to, shape ``(n_events,)``; the others are for evaluation.

        Args:
            run: Run numbers, shape ``(n_events,)``.
            luminosity_block: Luminosity sections, shape ``(n_events,)``.
            event: Event numbers, shape ``(n_events,)``.
        """
        keys = np.stack([np.asarray(each).astype(np.uint64) for each in (run, luminosity_block, event)], 1)
        return uniform_rows(keys, seed=self.seed, salt=_SALT) < self.share

    def covers(self, other: "EventSplit") -> bool:
        """Say whether holding out this split holds out every event of the other one."""
        return self.seed == other.seed and self.share >= other.share
