"""What the options of `process` ask for, read and checked before any work: here and for jobs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from advtag.process_options import Mode, WhichJets
from advtag.produce import parse_epochs
from advtag.progress import say
from storage.wording import few

if TYPE_CHECKING:
    from models.event_split import EventSplit
    from models.tagger import Tagger
    from processors.filesets import Fileset
    from processors.run import Request


def require_taggers_for(variants: str, taggers: Sequence[Path] | None) -> None:
    """Raise if inputs are to be distorted that no tagger would see: those of ONNX taggers alone are.

    Raises:
        ValueError: If so, or a variant is unknown.
    """
    from models.perturbations import parse_variants

    distorted = [variant.name for variant in parse_variants(variants) if variant.name != "raw"]
    if distorted and not taggers:
        raise ValueError(
            f"--variants: {distorted[0]} without a tagger: name --taggers, or leave the variants out"
        )


def settings_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what options of `process` ask of every selection, read and checked, here and in jobs.

    Args:
        values: The options by name.

    Returns:
        Options of `processors.run.request_of`.

    Raises:
        ValueError: If one does not fit; the message says which and what to do.
        FileNotFoundError: If a file is not there.
    """
    from models.perturbations import parse_variants
    from models.tagger import load_taggers
    from processors.corrections import read_corrections
    from processors.extras import Extras
    from processors.scale_factor_weights import read_scale_factor_weights
    from selections.parameters import SELECTIONS

    corrections, factors = values["corrections"], values["apply_sf"]
    if factors is None and values["sf_systematic"] != "central":
        raise ValueError(
            f"--sf-systematic {values['sf_systematic']}: goes with --apply-sf, the file it is a systematic of"
        )
    taggers = (
        load_taggers(values["taggers"], epochs=parse_epochs(values["epochs"])) if values["taggers"] else []
    )
    variants = parse_variants(values["variants"])
    extras = Extras(
        reference_tagger=values["reference_tagger"],
        inputs_of=values["inputs_of"],
        all_jets=WhichJets(values["jets"]) is WhichJets.ALL,
        scale_factors=factors and read_scale_factor_weights(factors, systematic=values["sf_systematic"]),
        blocks=_affordable_blocks(values["blocks"], scenarios=len(taggers) * len(variants)),
        held_out=held_out_events(values["held_out"], taggers),
    )
    return {
        "taggers": taggers,
        "variants": variants,
        "chunksize": values["chunksize"],
        "seed": values["seed"],
        "profile": values["profile"],
        "year": values["year"],
        "golden_json": values["golden_json"],
        "corrections": corrections and read_corrections(corrections, selections=SELECTIONS),
        "systematics": Mode(values["systematics"]).value,
        "extras": extras,
    }


def require_possible(
    selections: Sequence[str], fileset: "Fileset", settings: Mapping[str, Any]
) -> "dict[str, Request]":
    """Return what is asked of each selection, checked as far as no file of events is needed.

    Raises:
        ValueError: If something does not fit; the message says what.
    """
    from processors.planning import datasets_of
    from processors.run import request_of

    requests = {name: request_of(selection=name, **settings) for name in selections}
    for asked in requests.values():
        datasets_of(fileset, asked.parameters)
    return requests


def _affordable_blocks(blocks: int, *, scenarios: int) -> int:
    """Return how many blocks of events are filled, and say so if they are fewer than asked for."""
    from models.discriminators import SCORES
    from processors.blocks import MEMORY_MB, affordable_blocks

    n_blocks = affordable_blocks(blocks, scenarios=scenarios, scores=len(SCORES))
    if n_blocks < blocks:
        say(f"{n_blocks} blocks instead of {blocks}, to fit into {MEMORY_MB} MB a dataset", heading="Note:")
    return n_blocks


def held_out_events(asked_for: str | None, taggers: Sequence["Tagger"]) -> "EventSplit | None":
    """Return the events to hold out: those asked for, else those that taggers were adapted to, which is said.

    Raises:
        ValueError: If a tagger was adapted to events that are not held out.
    """
    from models.event_split import EventSplit
    from processors.event_splits import require_held_out, split_to_hold_out

    if asked_for is not None:
        split = EventSplit.parse(asked_for)
        require_held_out(taggers, split)
        return split
    found = split_to_hold_out(taggers)
    if found is not None:
        adapted = [tagger.name for tagger in taggers if tagger.metadata.adapted_on is not None]
        say(
            f"the events of the split {found.name} are held out, in data and simulation: taggers were "
            f"adapted to jets of them ({few(list(dict.fromkeys(adapted)), joint=', ')})",
            heading="Note:",
        )
    return found
