"""One selection on one fileset, from files to a result."""

import importlib.metadata
import json
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from coffea.nanoevents import NanoAODSchema
from coffea.processor import Runner
from coffea.processor.executor import WorkItem

from datamc.results import CutflowRow, DatasetRecord, Result, ranges_of
from models.perturbations import Variant
from models.tagger import Tagger
from processors import reference
from processors.chunk_store import ChunkStore, code_fingerprint
from processors.corrections import Corrections
from processors.executors import Chunks, ExecutorName, open_executor
from processors.extras import Extras
from processors.filesets import parse_fileset
from processors.histograms import Scenario, in_order
from processors.jet_table import join_tables
from processors.ledger import ledger_of, require_all_chunks
from processors.luminosity import read_golden_json
from processors.notes import fraction_notes, notes_of
from processors.open_trees import opening_options
from processors.opening import TRUTH_BRANCHES
from processors.planning import Plan, make_plan, tagger_branches
from processors.systematics import Mode, Systematics
from processors.tagger_processor import Output, TaggerProcessor
from processors.worker import Limits
from selections.branches import branches_of, with_simulation
from selections.parameters import Selection, parameters_of
from storage.files import temporary_folder

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]

CHUNKSIZE = 100_000
RAW = Variant("raw")

_VERSIONS = ("advtag", "awkward", "coffea", "hist", "numpy", "onnxruntime", "uproot")


class Schema(NanoAODSchema):
    """NanoAOD with the branches that were asked for; a reference to another collection is none of them."""

    warn_missing_crossrefs = False


def run_selection(
    *,
    selection: str,
    fileset: Mapping[str, Any],
    taggers: Sequence[Tagger] = (),
    variants: Sequence[Variant] = (RAW,),
    executor: ExecutorName = "iterative",
    workers: int = 1,
    address: str | None = None,
    chunksize: int = CHUNKSIZE,
    seed: int = 0,
    profile: str = "btv20001",
    year: str = "2017",
    golden_json: Path | None = None,
    corrections: Corrections | None = None,
    systematics: Mode = "none",
    skip_bad_files: bool = False,
    retries: int = 0,
    memory_limit_mb: int | None = None,
    keep_chunks: Path | None = None,
    extras: Extras | None = None,
    table: Path | None = None,
    progress: Progress | None = None,
) -> Result:
    """Return the result of one selection on all files, in one pass for all taggers and variants.

    The histograms do not depend on chunk size, executor or number of workers (sums to rounding, noise bit by
    bit). Nothing in them is normalised.

    Args:
        selection: One of `selections.parameters.SELECTIONS`.
        fileset: As `processors.filesets.parse_fileset` takes it, or what it returned.
        taggers: All of them see the same jets; without any the cutflow and control variables alone are made.
        variants: Distortions of the inputs, for simulation; data are filled once, raw.
        executor: Where chunks are processed.
        workers: Number of processes, for `futures` and `dask`.
        address: Of a dask scheduler; None starts a cluster on this machine.
        chunksize: Events that are processed together, cut where the clusters of a file begin.
        seed: The seed of the noise.
        profile: One of `selections.parameters.PROFILES`.
        year: One of `selections.parameters.YEARS`.
        golden_json: Certified luminosity sections, for data.
        corrections: What simulation is corrected with; None for nothing.
        systematics: Which variations are filled: `none`, `weight_only` or `total` (shifted events, too).
        skip_bad_files: Whether what cannot be read is declared lost instead of ending everything.
        retries: How often a chunk that cannot be read is tried again, after 1, 2, 4 ... seconds.
        memory_limit_mb: Memory a worker may take, in MiB; None for no limit.
        keep_chunks: A folder in which finished chunks are kept, and from which those of an earlier run are
            taken; None keeps none.
        extras: What is made besides.
        table: A folder for one parquet file per dataset with a row for each jet; None writes none.
        progress: Called with (events done, all events).

    Raises:
        ValueError: If an argument, the fileset or a file does not fit; the message says which and what to do.
        OSError: If files cannot be read.
        LedgerError: If events went missing.
    """
    parameters = parameters_of(selection, profile=profile, year=year)
    extras = replace(extras or Extras(), rows=table is not None)
    _require_usable(taggers, variants, extras, chunksize)
    golden = None if golden_json is None else read_golden_json(golden_json)
    varied = Systematics(systematics, corrections or Corrections())
    branches = with_simulation(branches_of(parameters), *varied.branches(selection))
    if taggers:
        branches = tagger_branches(branches)
    if extras.reference_tagger:
        branches = tagger_branches(branches, reference.BRANCHES)
    plan = make_plan(parse_fileset(fileset), parameters, branches, skip_bad_files=skip_bad_files)
    processor = TaggerProcessor(
        parameters=parameters,
        datasets=plan.datasets,
        taggers=taggers,
        variants=variants,
        seed=seed,
        golden=golden,
        systematics=varied,
        extras=extras,
    )
    names = branches.names() | frozenset(TRUTH_BRANCHES)
    config = _config(parameters, processor, profile, year)
    versions = {name: _version(name) for name in _VERSIONS}
    with ExitStack() as stack:
        folder = keep_chunks
        if folder is None and table is not None:
            folder = Path(stack.enter_context(temporary_folder(table)))
        store = None
        if folder is not None:
            context = _context(plan, names, config, versions)
            store = ChunkStore(folder, context=context, chunks=keep_chunks is not None)
        chunks = stack.enter_context(
            open_executor(
                executor,
                workers=workers,
                address=address,
                limits=Limits(skip_unreadable=skip_bad_files, retries=retries, memory_mb=memory_limit_mb),
                store=store,
                report=_reporter(progress, plan),
            )
        )
        items = [item for file in plan.files for item in file.work_items(chunksize)]
        output, usage = _run(chunks, items, plan, processor, names)
        if store is not None and table is not None:
            join_tables(store, items, table)
    cutflows = _tables(output, plan, "cutflow")
    result = Result(
        selection=selection,
        histograms=_histograms(output, plan, processor),
        datasets=_records(output, plan),
        cutflows=cutflows,
        n_minus_one=_tables(output, plan, "n_minus_one"),
        ledger=ledger_of(plan, output.get("processed", {}), output.get("lost", {})),
        notes=notes_of(plan, output, cutflows, golden),
        config=config,
        versions=versions,
        usage=usage,
        sections={name: ranges_of(found) for name, found in output.get("sections", {}).items() if found},
    )
    result.notes += fraction_notes(result)
    result.check_ledger()
    return result


def _is_filled(scenario: Scenario, taggers: Sequence[Tagger], variants: Sequence[Variant]) -> bool:
    is_tagger = any((tagger.name, tagger.epoch) == scenario[:2] for tagger in taggers)
    return is_tagger and any(variant.name == scenario.variant for variant in variants)


def _require_usable(
    taggers: Sequence[Tagger], variants: Sequence[Variant], extras: Extras, chunksize: int
) -> None:
    if chunksize < 1:
        raise ValueError(f"chunk size {chunksize}: at least one event is needed")
    if taggers and not variants:
        raise ValueError("no variant to fill: ask for raw at least")
    labels = [tagger.label for tagger in taggers]
    names = [f"{reference.NAME}@{reference.EPOCH}"] if extras.reference_tagger else []
    _refuse_twins("tagger", [*labels, *names])
    _refuse_twins("variant", [variant.name for variant in variants])
    if extras.inputs_of is not None and extras.inputs_of not in labels:
        raise ValueError(f"inputs of {extras.inputs_of!r}: choose from {', '.join(labels) or 'no tagger'}")
    factors = extras.scale_factors
    if factors is not None and not _is_filled(factors.scenario, taggers, variants):
        wanted = f"{factors.scenario.tagger}@{factors.scenario.epoch} with {factors.scenario.variant}"
        raise ValueError(
            f"the scale factors belong to {wanted}, which is not filled: add it, or leave them out"
        )
    for tagger in taggers:
        attacks = [variant.name for variant in variants if variant.needs_truth]
        if attacks and tagger.attack_bytes is None:
            raise ValueError(
                f"tagger {tagger.label} has no attack file beside it, as {attacks[0]} needs: export it again"
            )


def _refuse_twins(what: str, names: Sequence[str]) -> None:
    """Raise if two of a kind would be filled into the same place of a histogram."""
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise ValueError(f"{what} {twice[0]} is asked for twice: give each {what} once")


def _context(
    plan: Plan, names: frozenset[str], config: Mapping[str, Any], versions: Mapping[str, str]
) -> dict[str, Any]:
    """Return all that decides the content of finished chunks, but for the file and the range."""
    return {
        "config": config,
        "versions": versions,
        "code": code_fingerprint(),
        "branches": sorted(names),
        "is_data": {name: metadata.is_data for name, metadata in plan.datasets.items()},
    }


def _reporter(progress: Progress | None, plan: Plan) -> Callable[[int], None]:
    """Return what adds up the events of finished chunks and passes the sum on."""
    done = 0

    def report(n_events: int) -> None:
        nonlocal done
        done += n_events
        if progress is not None:
            progress(done, plan.n_events)

    return report


def _run(
    chunks: Chunks,
    items: Sequence[WorkItem],
    plan: Plan,
    processor: TaggerProcessor,
    names: frozenset[str],
) -> tuple[Output, dict[str, float]]:
    """Return the sum over all chunks, read with the named branches, and what the work took."""
    runner = Runner(executor=chunks, schema=Schema, skipbadfiles=False, savemetrics=True)
    answer = runner.run(
        items,
        processor,
        uproot_options=opening_options(file.path for file in plan.files),
        iteritems_options={"filter_name": names.__contains__},
    )
    require_all_chunks(items, answer["processed"])
    metrics = answer.get("metrics", {})
    usage = {
        "chunks": float(len(items)),
        "read_mb": chunks.total.read_bytes / 1e6,
        "processing_seconds": float(metrics.get("processtime", 0.0)),
        "peak_memory_mb": chunks.total.peak_memory_mb,
    }
    log.info(
        "%d events: %s", plan.n_events, ", ".join(f"{name} {value:.4g}" for name, value in usage.items())
    )
    return answer["out"], usage


def _histograms(output: Output, plan: Plan, processor: TaggerProcessor) -> dict[str, Any]:
    order: dict[str, Sequence[str | int]] = {
        "dataset": list(plan.datasets),
        "tagger": [*dict.fromkeys(tagger.name for tagger in processor.taggers), reference.NAME],
        "epoch": sorted({reference.EPOCH, *(tagger.epoch for tagger in processor.taggers)}),
        "variant": list(dict.fromkeys(["raw", *(variant.name for variant in processor.variants)])),
        "systematic": processor.systematics.names(processor.parameters.name),
    }
    return {name: in_order(histogram, order) for name, histogram in output.get("histograms", {}).items()}


def _records(output: Output, plan: Plan) -> dict[str, DatasetRecord]:
    records = {}
    for name, metadata in plan.datasets.items():
        n_events, sum_weights, sum_weights2 = (
            output.get("cutflow", {}).get(name, {}).get("all", (0, 0.0, 0.0))
        )
        records[name] = DatasetRecord(
            is_data=metadata.is_data,
            process=metadata.process,
            cross_section_pb=metadata.cross_section_pb,
            luminosity_pb=metadata.luminosity_pb,
            simulated=metadata.simulated,
            n_events=int(n_events),
            sum_weights=float(sum_weights),
            sum_weights2=float(sum_weights2),
            variation_sums=output.get("variation_sums", {}).get(name, {}),
        )
    return records


def _tables(output: Output, plan: Plan, kind: str) -> dict[str, list[CutflowRow]]:
    """Return the tables of a kind (`cutflow`, `n_minus_one`) of the datasets that were processed."""
    tables = output.get(kind, {})
    return {
        name: [CutflowRow(cut, int(n), float(w), float(w2)) for cut, (n, w, w2) in tables[name].items()]
        for name in plan.datasets
        if name in tables
    }


def _config(parameters: Selection, processor: TaggerProcessor, profile: str, year: str) -> dict[str, Any]:
    """Return what decides the content of the histograms, as plain JSON; merged results must share it."""
    golden = processor.golden
    config = {
        "selection": parameters.name,
        "profile": profile,
        "year": year,
        "parameters": asdict(parameters),
        "taggers": [
            {"name": tagger.name, "epoch": tagger.epoch, "sha256": tagger.content_hash}
            for tagger in processor.taggers
        ],
        "variants": [variant.name for variant in processor.variants],
        "seed": processor.seed,
        "reference_tagger": processor.extras.reference_tagger,
        "inputs": _inputs(processor),
        "jets": "all" if processor.extras.all_jets else "probe",
        "blocks": processor.extras.blocks,
        "golden_json": None if golden is None else {"file": Path(golden.path).name, "sha256": golden.sha256},
        "corrections": processor.systematics.as_config(),
    }
    factors = processor.extras.scale_factors
    if factors is not None:
        lookup = factors.lookup
        config["scale_factors"] = {
            "file": lookup.file, "sha256": lookup.sha256, "systematic": factors.systematic,
        }  # fmt: skip
    plain: dict[str, Any] = json.loads(json.dumps(config))
    return plain


def _inputs(processor: TaggerProcessor) -> dict[str, Any] | None:
    """Return the tagger whose inputs are filled, and the scaling of the axis; None without one."""
    for tagger in processor.taggers:
        if tagger.label == processor.extras.inputs_of:
            return {"tagger": tagger.label, **tagger.scaler.to_dict()}
    return None


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
