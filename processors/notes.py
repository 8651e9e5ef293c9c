"""What the user should hear of a run that ended well: losses, missing certification, empty datasets."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from datamc.results import CutflowRow, Result
from processors.luminosity import GoldenJson
from processors.planning import Plan
from processors.tagger_processor import Output


def notes_of(
    plan: Plan, output: Output, cutflows: Mapping[str, Sequence[CutflowRow]], golden: GoldenJson | None
) -> list[str]:
    """Return what the user should hear of a run, one sentence each."""
    return [
        *plan.notes,
        *_luminosity_notes(plan, golden),
        *_loss_notes(output),
        *_empty_notes(cutflows, golden),
    ]


def _loss_notes(output: Output) -> list[str]:
    return [
        f"{dataset}: chunks lost, {reason}"
        for (dataset, _), reasons in output.get("lost", {}).items()
        for reason in sorted(reasons)
    ]


def _luminosity_notes(plan: Plan, golden: GoldenJson | None) -> list[str]:
    return [
        f"{name}: no certified luminosity sections are given, so all its data are taken"
        for name, metadata in plan.datasets.items()
        if golden is None and metadata.is_data and not metadata.simulated
    ]


def _empty_notes(cutflows: Mapping[str, Sequence[CutflowRow]], golden: GoldenJson | None) -> list[str]:
    """Return for each dataset that is lost whole the cut that took its last events."""
    notes = []
    for name, rows in cutflows.items():
        cut = next((row.cut for row in rows if row.n_events == 0), None)
        if cut == "all":
            notes.append(f"{name}: its files hold no event")
        elif cut == "good_luminosity" and golden is not None:
            sections = Path(golden.path).name
            notes.append(f"{name}: no event is certified by {sections}, is it of the same year and era")
        elif cut is not None:
            notes.append(f"{name}: no event is left after the cut {cut}")
    return notes


def fraction_notes(result: Result) -> list[str]:
    """Return for each dataset with losses which share of it is left."""
    shares = {name: result.processed_fraction(name) for name in result.datasets}
    return [
        f"{name}: {100 * share:.4g} % of its events were processed"
        + (", its luminosity counts for as much" if result.datasets[name].luminosity_pb is not None else "")
        for name, share in shares.items()
        if share < 1
    ]
