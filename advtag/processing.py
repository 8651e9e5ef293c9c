"""Commands that read events: process, skim."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from advtag import clusters, production
from advtag.interruption import keeps
from advtag.process_options import (
    Chunksize,
    CorrectionsFile,
    DaskAddress,
    DaskSite,
    Executor,
    FilesetFile,
    GoldenJsonFile,
    MemoryLimit,
    Mode,
    Profile,
    Retries,
    Selections,
    SkipBadFiles,
    Where,
    WhichJets,
    Workers,
    Year,
    split_text,
)
from advtag.process_settings import require_possible, require_taggers_for, settings_of
from advtag.produce import AsJson
from advtag.progress import one_bar, say
from advtag.samples import tell_what_cannot_be_scaled
from advtag.tables import show

if TYPE_CHECKING:
    from datamc.results import Result

LOSSES = 3
"""Exit code of a run that ended well, but for files it was allowed to skip."""


def process(
    context: typer.Context,
    *,
    selection: Selections,
    fileset: FilesetFile,
    out: Annotated[Path, typer.Option(help="Folder for the results, one file per selection.")],
    taggers: Annotated[
        list[Path] | None,
        typer.Option(help="Run directories with ONNX taggers, or `pretrained`; none: the cutflow alone."),
    ] = None,
    epochs: Annotated[str | None, typer.Option(help="Epochs, e.g. 1,5,20; all if not given.")] = None,
    variants: Annotated[str, typer.Option(help="Inputs: raw, noise:SIGMA, fgsm:EPSILON.")] = "raw",
    jets: Annotated[
        WhichJets, typer.Option(help="The jet under study, or all good jets of the selected events.")
    ] = WhichJets.PROBE,
    reference_tagger: Annotated[
        bool, typer.Option("--reference-tagger", help="Fill the scores in the files, too, as `reference`.")
    ] = False,
    inputs_of: Annotated[
        str | None, typer.Option(help="Fill the 67 inputs of this tagger, e.g. basic@20, raw and distorted.")
    ] = None,
    columns: Annotated[
        bool, typer.Option("--columns", help="Also write every jet with its scores, as parquet.")
    ] = False,
    blocks: Annotated[
        int, typer.Option(min=0, help="Blocks of events for errors of differences; fewer to fit 192 MB.")
    ] = 32,
    held_out: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE:SEED",
            callback=split_text,
            help="Leave out events: those whose jets taggers may see in training; by default, have seen.",
        ),
    ] = None,
    executor: Where = Executor.FUTURES,
    workers: Workers = 2,
    dask_address: DaskAddress = None,
    site: DaskSite = None,
    chunksize: Chunksize = 100_000,
    memory_limit: MemoryLimit = None,
    profile: Profile = "btv20001",
    year: Year = "2017",
    golden_json: GoldenJsonFile = None,
    corrections: CorrectionsFile = None,
    systematics: Annotated[
        Mode, typer.Option(help="Variations: none, of weights alone, or of jets and missing energy, too.")
    ] = Mode.NONE,
    apply_sf: Annotated[
        Path | None,
        typer.Option(help="JSON of `fit`: scale factors as weights of the scores they belong to."),
    ] = None,
    sf_systematic: Annotated[
        str, typer.Option(help="Which of its factors: central, total_up, pileup_down, ...")
    ] = "central",
    seed: Annotated[int, typer.Option(help="Of the noise.")] = 1,
    skip_bad_files: SkipBadFiles = False,
    retries: Retries = 2,
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep finished chunks, and go on where such a run was killed.")
    ] = False,
    submission: Annotated[
        str, typer.Option(hidden=True, help="Fingerprint of the submission whose job this is.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Select, tag and fill histograms: every checkpoint and every variant in one pass over the events.

    Exit code 0: all events were processed. 3: the results are complete but for files that --skip-bad-files
    allowed to lose; the ledger names them. 1 or 2: no result.

    Example: advtag process --selection dy,wc,ttsemilep --fileset samples/fileset.json --taggers runs/basic
    --taggers runs/adversarial --variants raw,noise:0.1,fgsm:0.1 --out results
    """
    options = locals()  # before anything else has a name
    from processors.filesets import read_fileset
    from storage.files import one_writer, require_writable

    require_writable(out)
    require_taggers_for(variants, taggers)
    context.with_resource(one_writer(out))
    files, names = read_fileset(fileset), selection.split(",")
    settings = settings_of(options)
    require_possible(names, files, settings)
    tell_what_cannot_be_scaled(files)
    clusters.require_dask(executor.value, dask_address)
    _tell_if_pipes_alone(executor)
    if site is not None:
        dask_address = context.with_resource(
            clusters.opened(site, executor.value, workers, dask_address, out)
        )
    rows, all_processed = _process_each(
        names, out, columns=columns, resume=resume,
        fileset=files, executor=executor.value, workers=workers, address=dask_address,
        skip_bad_files=skip_bad_files, retries=retries, memory_limit_mb=memory_limit,
        submission=submission, **settings,
    )  # fmt: skip
    show(rows, title="Cutflow", as_json=as_json)
    if not all_processed:
        raise typer.Exit(LOSSES)


def _tell_if_pipes_alone(executor: Executor) -> None:
    """Say that other ways to work side by side are closed, on a machine without semaphores."""
    from storage.processes import has_semaphores

    if executor is Executor.FUTURES and not has_semaphores():
        say(
            "no semaphores on this machine (may /dev/shm be written to?): workers need none, --executor dask "
            "and several --jobs do",
            heading="Note:",
        )


def _process_each(
    selections: Sequence[str], out: Path, *, columns: bool, resume: bool, **options: Any
) -> tuple[list[dict[str, Any]], bool]:
    """Process, write and tell one selection after the other; return their cutflows, and if nothing was lost.

    Args:
        selections: Their names.
        out: Folder of the results.
        columns: Whether tables of jets are written, too.
        resume: Whether finished chunks are kept until all is done.
        options: Further ones of `processors.run.run_selection`.
    """
    from processors.run import run_selection

    rows, all_processed = [], True
    for name in selections:
        chunks = out / "chunks" / name if resume else None
        if chunks is not None:
            keeps(chunks, "**/*", advice="the same command goes on")
        table = out / f"{name}_jets" if columns else None
        with one_bar(f"process {name}") as progress:
            result = run_selection(
                selection=name, keep_chunks=chunks, table=table, progress=progress, **options
            )
        all_processed &= _write(result, out, chunks=chunks)
        keeps(out, f"{name}.zip", advice="what is there need not be processed again")
        rows += production.cutflow_rows(result)
        _tell(result, out / f"{name}.zip")
    return rows, all_processed


def _write(result: "Result", out: Path, *, chunks: Path | None) -> bool:
    """Write a result and its luminosity sections; say whether all events were processed.

    Args:
        result: Of one selection.
        out: The folder of the results.
        chunks: Where finished chunks were kept, which nobody needs after a complete run; None for nowhere.
    """
    from datamc.results import write_outputs
    from processors.chunk_store import clear_chunks

    write_outputs(result, out)
    complete = all(entry.status == "processed" for entry in result.ledger)
    if chunks is not None and complete:
        clear_chunks(chunks)
    return complete


def _tell(result: "Result", path: Path) -> None:
    """Say what is to be known of a result: notes, defaults, the ledger, data over simulation."""
    defaults = production.defaults_sentence(result)
    for note in [*result.all_notes(), *([defaults] if defaults else [])]:
        say(note, heading="Note:")
    say(f"{path}: {production.ledger_sentence(result)}")
    if (factor := production.normalisation_sentence(result)) is not None:
        say(factor)


def skim(
    *,
    selection: Selections,
    fileset: FilesetFile,
    out: Annotated[Path, typer.Option(help="Folder for the copies and their fileset.json.")],
    keep: Annotated[
        list[str] | None, typer.Option(help="Pattern of further branches to keep, e.g. 'FatJet_*'.")
    ] = None,
    triggered: Annotated[
        bool, typer.Option("--triggered", help="Leave out data without a trigger; simulation stays whole.")
    ] = False,
    profile: Profile = "btv20001",
    year: Year = "2017",
    as_json: AsJson = False,
) -> None:
    """Copy files with the branches that selections and taggers read, compressed with ZSTD: faster to process.

    All events are kept, and the trees beside them, so that every number stays what it is.

    Example: advtag skim --selection dy,wc,ttsemilep --fileset fileset.json --out skimmed
    """
    from processors.filesets import read_fileset
    from processors.skim import skim as skim_files
    from processors.skim import skimmed_fileset
    from storage.files import one_writer, write_text

    with one_writer(out), one_bar("skim") as progress:
        files = read_fileset(fileset)
        copies = skim_files(
            files, out, selections=selection.split(","), profile=profile, year=year,
            more=keep or [], triggered=triggered, progress=progress,
        )  # fmt: skip
        write_text(out / "fileset.json", json.dumps(skimmed_fileset(files, copies), indent=1))
    show([copy._asdict() for copy in copies], title="Skimmed files", as_json=as_json)
