"""Everything that differs from the nominal simulation: which variations there are, and what each changes.

A variation either changes the weights of jets (`weight_only`), or the events themselves (`total`), which are
then selected again. Data have no variation and no correction.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from processors.corrections import Corrections
from processors.histograms import NOMINAL
from processors.look_up_counts import Counts
from processors.shifts import changes_nominal, shift_branches, shift_names, shifted_events
from processors.theory import theory_sources, theory_weights
from processors.weights import input_branches, probe_weights
from selections.selected import Selected

Mode = Literal["none", "weight_only", "total"]
MODES: tuple[str, ...] = get_args(Mode)

Weight = NDArray[np.float64]
Theory = Mapping[str, Weight]


@dataclass(frozen=True)
class Systematics:
    """The corrections and variations of one run.

    Attributes:
        mode: `none` (nominal alone), `weight_only`, or `total` (shifted jets and missing energy, too).
        corrections: What is corrected, in every mode.
    """

    mode: Mode = "none"
    corrections: Corrections = field(default_factory=Corrections)

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"unknown mode of systematics '{self.mode}': choose from {', '.join(MODES)}")

    def names(self, selection: str, *, is_data: bool = False) -> tuple[str, ...]:
        """Return the categories of the systematic axis, the nominal one first; data have no other."""
        if is_data or self.mode == "none":
            return (NOMINAL,)
        sources = [card.name for card in self.corrections.weights_of(selection) if card.up is not None]
        sources += theory_sources(self.corrections.card.theory)
        varied = [f"{source}{direction}" for source in sources for direction in ("Up", "Down")]
        return (NOMINAL, *varied, *self.shifts(is_data=is_data)[1:])

    def shifts(self, *, is_data: bool) -> tuple[str, ...]:
        """Return the variations that change events, after the nominal events."""
        if is_data or self.mode != "total":
            return (NOMINAL,)
        return (NOMINAL, *shift_names(self.corrections))

    @property
    def moves_met(self) -> bool:
        """Whether the unclustered part of missing energy is varied."""
        return self.mode == "total" and self.corrections.card.met.unclustered

    def shifted(self, events: ak.Array, shift: str, *, is_data: bool, counts: Counts) -> ak.Array:
        """Return the events of a variation, jets in the order of the file; look-ups are added to counts."""
        if is_data or (shift == NOMINAL and not changes_nominal(self.corrections)):
            return events
        return shifted_events(events, shift, self.corrections, counts)

    def theory(self, events: ak.Array, *, is_data: bool) -> tuple[Theory, Mapping[str, int]]:
        """Return the factors of the generator's variations, and how many events each source cannot vary."""
        if is_data or self.mode == "none":
            return {}, {}
        return theory_weights(events, self.corrections.card.theory)

    def weights(
        self,
        events: ak.Array,
        selected: Selected,
        *,
        selection: str,
        shift: str,
        generated: Weight,
        theory: Theory,
        is_data: bool,
        counts: Counts,
    ) -> dict[str, Weight]:
        """Return the weights of the probes of one shift by systematic, shape ``(n_probes,)`` each.

        Args:
            events: What was selected from.
            selected: The probes.
            selection: The name of the selection.
            shift: One of `shifts`; `nominal` comes with all variations of weights, any other alone.
            generated: The generator's weight of all events, shape ``(n_events,)``.
            theory: What `theory` returned for these events.
            is_data: Whether the events are data: they have no weight but their own.
            counts: The look-ups of nominal events are added here.
        """
        if is_data:
            return {shift: generated[selected.event]}
        of_nominal = counts if shift == NOMINAL else {}
        weights = probe_weights(events, selected, self.corrections, selection, generated, of_nominal)
        found = {shift: weights.weight()}
        if shift == NOMINAL and self.mode != "none":
            found |= {
                name: weights.weight(name) for name in self.names(selection) if name in weights.variations
            }
            found |= {name: found[shift] * factor[selected.event] for name, factor in theory.items()}
        return found

    def branches(self, selection: str) -> tuple[frozenset[str], frozenset[str]]:
        """Return what is read of simulation: branches that must be there, and branches that may be absent."""
        needed: set[str] = set()
        optional: set[str] = set()
        for card in self.corrections.weights_of(selection):
            needed.update(input_branches(card, card.object))
        if changes_nominal(self.corrections) or self.mode == "total":
            for_shifts = shift_branches(self.corrections)
            needed |= for_shifts[0]
            optional |= for_shifts[1]
        if self.mode != "none":
            optional.update(theory_sources(self.corrections.card.theory).values())
        return frozenset(needed), frozenset(optional - needed)

    def as_config(self) -> dict[str, Any]:
        """Return what decides the content of histograms, as plain JSON."""
        return {"mode": self.mode} | self.corrections.as_config()
