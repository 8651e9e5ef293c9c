"""From the sum over all chunks of a run to its result."""

from collections.abc import Iterable, Sequence
from typing import Any

from datamc.results import (
    CutflowRow,
    DatasetRecord,
    LookUps,
    Result,
    as_text,
    merged_samples,
    notes_from,
    ranges_of,
)
from processors import reference
from processors.event_samples import joined
from processors.generated import N_EVENTS, SQUARES, WEIGHTS, left_out
from processors.histograms import by_tagger, in_order
from processors.ledger import ledger_of
from processors.not_finite import require_finite_outputs
from processors.opening import PlannedFile
from processors.planning import Plan
from processors.tagger_processor import Output, TaggerProcessor


def result_of(
    output: Output,
    plan: Plan,
    processor: TaggerProcessor,
    *,
    config: dict[str, Any],
    versions: dict[str, str],
    usage: dict[str, float],
) -> Result:
    """Return the result of a run, its ledger checked.

    Args:
        output: The sum over all chunks.
        plan: What was to be processed.
        processor: What processed it.
        config: What decided the content of the histograms.
        versions: Of the libraries.
        usage: What the work took.

    Raises:
        LedgerError: If events went missing.
        ValueError: If a tagger gave no finite output for any jet.
    """
    result = Result(
        selection=processor.parameters.name,
        histograms=_histograms(output, plan, processor),
        datasets=_records(output, plan),
        cutflows=_tables(output, plan, "cutflow"),
        n_minus_one=_tables(output, plan, "n_minus_one"),
        ledger=ledger_of(plan, output.get("processed", {}), output.get("lost", {})),
        notes=list(plan.notes),
        config=config,
        versions=versions,
        usage=usage,
        sections={name: ranges_of(found) for name, found in output.get("sections", {}).items() if found},
        samples=_samples(output, plan),
    )
    result.notes += notes_from(result)
    result.check_ledger()
    require_finite_outputs(result)
    return result


def _histograms(output: Output, plan: Plan, processor: TaggerProcessor) -> dict[str, Any]:
    order: dict[str, Sequence[str | int]] = {
        "dataset": list(plan.datasets),
        "tagger": [*dict.fromkeys(tagger.name for tagger in processor.taggers), reference.NAME],
        "epoch": sorted({reference.EPOCH, *(tagger.epoch for tagger in processor.taggers)}),
        "variant": list(dict.fromkeys(["raw", *(variant.name for variant in processor.variants)])),
        "systematic": processor.systematics.names(processor.parameters.name),
    }
    # One at a time: with axes of their own they take several times the memory.
    filled = output.get("histograms", {})
    return {name: in_order(by_tagger(filled.pop(name)), order) for name in list(filled)}


def _samples(output: Output, plan: Plan) -> dict[str, str]:
    """Return hashes of some events of each file, by what names its range."""
    found = output.get("samples", {})
    return merged_samples(
        {
            file.range.key: as_text(joined(found[file.dataset, file.path]))
            for file in plan.files
            if (file.dataset, file.path) in found
        }
    )


def _records(output: Output, plan: Plan) -> dict[str, DatasetRecord]:
    records = {}
    for name, metadata in plan.datasets.items():
        n_events, sum_weights, sum_weights2 = (
            output.get("cutflow", {}).get(name, {}).get("all", (0, 0.0, 0.0))
        )
        variation_sums = output.get("variation_sums", {}).get(name, {})
        more = _left_out(output, [file for file in plan.files if file.dataset == name], variation_sums)
        records[name] = DatasetRecord(
            is_data=metadata.is_data,
            process=metadata.process,
            cross_section_pb=metadata.cross_section_pb,
            luminosity_pb=metadata.luminosity_pb,
            simulated=metadata.simulated,
            n_events=int(n_events),
            sum_weights=float(sum_weights) + more[WEIGHTS],
            sum_weights2=float(sum_weights2) + more[SQUARES],
            variation_sums={name: value + more[name] for name, value in variation_sums.items()},
            same_events=metadata.same_events,
            n_scored=output.get("scored", {}).get(name, 0),
            not_finite=output.get("not_finite", {}).get(name, {}),
            unvaried=output.get("unvaried", {}).get(name, {}),
            broken_values=output.get("broken_values", {}).get(name, {}),
            look_ups={
                correction: LookUps(*counts.tolist())
                for correction, counts in output.get("look_ups", {}).get(name, {}).items()
            },
            n_left_out=more[N_EVENTS],
        )
    return records


def _left_out(output: Output, files: Sequence[PlannedFile], variations: Iterable[str]) -> dict[str, float]:
    """Return the sums over what was left out of the files of a dataset before they came here."""
    total = dict.fromkeys([N_EVENTS, WEIGHTS, SQUARES, *variations], 0.0)
    for file in files:
        if file.generated is None:
            continue
        processed = output.get("weights", {}).get((file.dataset, file.path), {})
        share = processed.get(N_EVENTS, 0.0) / file.n_in_tree if file.n_in_tree else 1.0
        for name, value in left_out(file.generated, processed, share=share, names=total).items():
            total[name] += value
    return total


def _tables(output: Output, plan: Plan, kind: str) -> dict[str, list[CutflowRow]]:
    """Return the tables of a kind (`cutflow`, `n_minus_one`) of the datasets that were processed."""
    tables = output.get(kind, {})
    return {
        name: [CutflowRow(cut, int(n), float(w), float(w2)) for cut, (n, w, w2) in tables[name].items()]
        for name in plan.datasets
        if name in tables
    }
