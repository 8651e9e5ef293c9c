"""One selection on one fileset, from files to a result."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from coffea.nanoevents import NanoAODSchema
from coffea.processor import Runner
from coffea.processor.executor import WorkItem

from datamc.results import Result
from events.open_trees import runner_options
from models.perturbations import Variant
from models.tagger import Tagger
from processors import reference
from processors.chunk_store import ChunkStore, code_fingerprint
from processors.corrections import Corrections
from processors.executors import Chunks, ExecutorName, open_executor, require_executor
from processors.extras import Extras
from processors.filesets import parse_fileset
from processors.jet_table import join_tables
from processors.ledger import require_all_chunks
from processors.luminosity import GoldenJson, read_golden_json
from processors.opening import TRUTH_BRANCHES, Headers
from processors.outcome import result_of
from processors.planning import Plan, make_plan, tagger_branches
from processors.request import config_of, require_usable, versions
from processors.systematics import Mode, Systematics
from processors.tagger_processor import Output, TaggerProcessor
from processors.worker import Limits
from selections.branches import Branches, branches_of, met_of, with_simulation
from selections.parameters import Selection, parameters_of
from storage.files import temporary_folder

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]

CHUNKSIZE = 100_000
RAW = Variant("raw")


class Schema(NanoAODSchema):
    """NanoAOD as plain columns, of which any part of a collection may be read.

    coffea gives some collections the behaviour of vectors, which needs branches of its own (`GenJet_mass` for
    `GenJet_pt`), and puts constants in place of branches of some names. Nothing here needs either.
    """

    warn_missing_crossrefs = False
    mixins: ClassVar[dict[str, str]] = {}
    all_cross_references: ClassVar[dict[str, str]] = {}
    nested_items: ClassVar[dict[str, list[str]]] = {}
    nested_index_items: ClassVar[dict[str, tuple[str, str]]] = {}
    special_items: ClassVar[dict[str, Any]] = {}
    full_like_items: ClassVar[dict[str, Any]] = {}
    rename_items: ClassVar[dict[str, str]] = {}
    alias_items: ClassVar[dict[str, str]] = {}


class Run(NamedTuple):
    """All that is decided before the first event is read.

    Attributes:
        plan: The files, each opened once.
        processor: What processes their chunks.
        names: The branches that are read.
        config: What decides the content of the histograms.
        versions: Of the libraries.
    """

    plan: Plan
    processor: TaggerProcessor
    names: frozenset[str]
    config: dict[str, Any]
    versions: dict[str, str]

    def context(self) -> dict[str, Any]:
        """Return all that decides the content of finished chunks, but for the file and the range."""
        return {
            "config": self.config,
            "versions": self.versions,
            "code": code_fingerprint(),
            "branches": sorted(self.names),
            "is_data": {name: metadata.is_data for name, metadata in self.plan.datasets.items()},
            "rows": self.processor.extras.rows,
        }


class Request(NamedTuple):
    """What is asked of one selection, before any file is opened; see `run_selection`."""

    parameters: Selection
    taggers: Sequence[Tagger]
    variants: Sequence[Variant]
    seed: int
    profile: str
    year: str
    golden: GoldenJson | None
    varied: Systematics
    extras: Extras


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
    submission: str = "",
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
        submission: The fingerprint of the submission whose job this is; all files of a job may be lost.
        progress: Called with (events done, all events).

    Raises:
        ValueError: If an argument, the fileset or a file does not fit; the message says which and what to do.
        OSError: If files cannot be read.
        LedgerError: If events went missing.
    """
    require_executor(executor, workers=workers, address=address)
    asked = request_of(
        selection=selection, taggers=taggers, variants=variants, chunksize=chunksize, seed=seed,
        profile=profile, year=year, golden_json=golden_json, corrections=corrections,
        systematics=systematics, extras=replace(extras or Extras(), rows=table is not None),
    )  # fmt: skip
    run = prepare(asked, fileset, skip_bad_files=skip_bad_files, may_lose_all=bool(submission))
    plan = run.plan
    limits = Limits(skip_unreadable=skip_bad_files, retries=retries, memory_mb=memory_limit_mb)
    report = _reporter(progress, plan)
    items = [item for file in plan.files for item in file.work_items(chunksize)]
    with (
        _chunk_store(run, keep_chunks, table) as store,
        open_executor(
            executor,
            workers=workers,
            address=address,
            limits=limits,
            store=store,
            report=report,
            branches=run.names,
        ) as chunks,
    ):
        output, usage = _sum_over(chunks, items, run) if items else ({}, {})
        rows = join_tables(store, items, table) if store is not None and table is not None else {}
    result = result_of(output, plan, run.processor, config=run.config, versions=run.versions, usage=usage)
    return replace(result, submission=submission, tables=rows)


def request_of(
    *,
    selection: str,
    taggers: Sequence[Tagger],
    variants: Sequence[Variant],
    chunksize: int,
    seed: int,
    profile: str,
    year: str,
    golden_json: Path | None,
    corrections: Corrections | None,
    systematics: Mode,
    extras: Extras,
) -> Request:
    """Return what is asked of a selection, checked as far as no file is needed; see `run_selection`.

    Raises:
        ValueError: If an argument does not fit; the message says which and what to do.
    """
    parameters = parameters_of(selection, profile=profile, year=year)
    require_usable(taggers, variants, extras, chunksize)
    varied = Systematics(systematics, corrections or Corrections())
    golden = None if golden_json is None else read_golden_json(golden_json)
    return Request(parameters, taggers, variants, seed, profile, year, golden, varied, extras)


def prepare(
    asked: Request,
    fileset: Mapping[str, Any],
    *,
    skip_bad_files: bool = False,
    may_lose_all: bool = False,
    headers: Headers | None = None,
    progress: Progress | None = None,
) -> Run:
    """Return all that is decided before the first event is read, after opening every file.

    Here and in jobs, what is planned is planned by this.

    Args:
        asked: What is asked for.
        fileset: As `processors.filesets.parse_fileset` takes it, or what it returned.
        skip_bad_files: Whether files that cannot be read are declared lost instead of ending everything.
        may_lose_all: Whether nothing may be left of the files, as of those of one job of many.
        headers: What was read of files for another selection, and is not read again; new ones are added.
        progress: Called with (files opened, all files).

    Raises:
        ValueError: If the fileset or a file does not fit; the message says which and what to do.
        OSError: If files cannot be read.
    """
    branches = _branches(asked.parameters, asked.varied, asked.extras, with_taggers=bool(asked.taggers))
    plan = make_plan(
        parse_fileset(fileset), asked.parameters, branches,
        skip_bad_files=skip_bad_files, may_lose_all=may_lose_all, headers=headers,
        progress=progress,
    )  # fmt: skip
    processor = TaggerProcessor(
        parameters=asked.parameters, datasets=plan.datasets, taggers=asked.taggers, variants=asked.variants,
        seed=asked.seed, golden=asked.golden, systematics=asked.varied, extras=asked.extras,
    )  # fmt: skip
    names = branches.names() | frozenset(TRUTH_BRANCHES)
    config = config_of(processor, profile=asked.profile, year=asked.year)
    return Run(plan, processor, names, config, versions())


def _branches(parameters: Selection, varied: Systematics, extras: Extras, *, with_taggers: bool) -> Branches:
    """Return what is read of the files."""
    moved_met = met_of(parameters) if varied.moves_met else None
    branches = with_simulation(
        branches_of(parameters), *varied.branches(parameters.name), moved_met=moved_met
    )
    if with_taggers or extras.collected is not None:
        branches = tagger_branches(branches)
    return tagger_branches(branches, reference.BRANCHES) if extras.reference_tagger else branches


@contextmanager
def _chunk_store(run: Run, keep_chunks: Path | None, table: Path | None) -> Iterator[ChunkStore | None]:
    """Yield where finished chunks and rows of jets are kept; None if nothing is.

    Rows alone are kept in a folder that vanishes in the end.
    """
    if keep_chunks is not None:
        yield ChunkStore(keep_chunks, context=run.context())
    elif table is not None:
        with temporary_folder(table) as folder:
            yield ChunkStore(folder, context=run.context(), chunks=False)
    else:
        yield None


def _reporter(progress: Progress | None, plan: Plan) -> Callable[[int], None]:
    """Return what adds up the events of finished chunks and passes the sum on."""
    done = 0

    def report(n_events: int) -> None:
        nonlocal done
        done += n_events
        if progress is not None:
            progress(done, plan.n_events)

    return report


def _sum_over(chunks: Chunks, items: Sequence[WorkItem], run: Run) -> tuple[Output, dict[str, float]]:
    """Return the sum over all chunks, and what the work took; nothing of files without any event."""
    if not items:
        return {}, {}
    runner = Runner(executor=chunks, schema=Schema, skipbadfiles=False, savemetrics=True)
    answer = runner.run(
        items,
        run.processor,
        uproot_options=runner_options(file.path for file in run.plan.files),
        iteritems_options={"filter_name": run.names.__contains__},
    )
    require_all_chunks(items, answer["processed"])
    usage = {
        "chunks": float(len(items)),
        "read_mb": chunks.total.read_bytes / 1e6,
        "processing_seconds": float(answer.get("metrics", {}).get("processtime", 0.0)),
        "peak_memory_mb": chunks.total.peak_memory_mb,
    }
    took = ", ".join(f"{name} {value:.4g}" for name, value in usage.items())
    log.info("%d events: %s", run.plan.n_events, took)
    return answer["out"], usage
