"""What a run makes on request, besides cutflow, control variables and scores."""

from dataclasses import dataclass

from models.event_split import EventSplit
from processors.scale_factor_weights import ScaleFactorWeights


@dataclass(frozen=True)
class Extras:
    """Choices that change what a result holds, not what the jets are scored with.

    Attributes:
        reference_tagger: Whether the scores in the file fill the histograms, too, as one more tagger.
        inputs_of: The tagger (``name@epoch``) whose 67 inputs are filled, raw and distorted; None for none.
        all_jets: Whether all good jets of the selected events are filled in place of the one under study; the
            histograms then count jets, not events.
        scale_factors: What simulated jets are weighted with, in the scores of the checkpoint and variant that
            they belong to: the jet under study by its own, all jets by the product over their event.
        blocks: Into how many blocks of events the scores are also filled, for the errors of differences; 0
            for none.
        rows: Whether the jets themselves are returned, one row a jet, with their scores.
        held_out: The events that are left out since taggers were adapted to them; None leaves none out.
        collected: The events that alone are taken, so that taggers can be adapted to their jets, whose rows
            then hold the 67 inputs as read; None takes all.
    """

    reference_tagger: bool = False
    inputs_of: str | None = None
    all_jets: bool = False
    scale_factors: ScaleFactorWeights | None = None
    blocks: int = 0
    rows: bool = False
    held_out: EventSplit | None = None
    collected: EventSplit | None = None
