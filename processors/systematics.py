"""Everything that differs from the nominal simulation: which variations there are, and what each changes.

A variation either changes the weights of jets (`weight_only`), or the events themselves (`total`), which are
then selected again.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from processors.histograms import NOMINAL
from selections.selected import Selected

Mode = Literal["none", "weight_only", "total"]
MODES: tuple[str, ...] = get_args(Mode)

Weight = NDArray[np.float64]


@dataclass(frozen=True)
class Systematics:
    """The variations of one run.

    Attributes:
        mode: `none` (nominal alone), `weight_only`, or `total` (shifted jets and missing energy, too).
    """

    mode: Mode = "none"

    def names(self, *, is_data: bool) -> tuple[str, ...]:
        """Return the categories of the systematic axis, the nominal one first; data have no other."""
        del is_data
        return (NOMINAL,)

    def shifts(self, *, is_data: bool) -> tuple[str, ...]:
        """Return the variations that change events, after `nominal`, which may change them, too."""
        del is_data
        return (NOMINAL,)

    def shifted(self, events: ak.Array, shift: str, *, is_data: bool) -> ak.Array:
        """Return the events of a variation, jets in the order of the file."""
        del shift, is_data
        return events

    def weights(
        self, events: ak.Array, selected: Selected, generated: Weight, shift: str, *, is_data: bool
    ) -> dict[str, Weight]:
        """Return the weights of the probes of one shift by systematic, shape ``(n_probes,)`` each.

        Args:
            events: What was selected from.
            selected: The probes.
            generated: The generator's weight of all events, shape ``(n_events,)``.
            shift: One of `shifts`; `nominal` comes with all variations of weights, any other alone.
            is_data: Whether the events are data: they have no weight but their own.
        """
        del events, is_data
        return {shift: generated[selected.event]}
