"""The command that collects unlabelled jets: probes of data and simulation that a training may adapt to."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from advtag import clusters, process_options, processing, production
from advtag.process_options import Executor
from advtag.produce import AsJson
from advtag.progress import ProgressCallback, one_bar, say
from advtag.tables import show
from advtag.unlabelled_jets import Collected, gather_jets

if TYPE_CHECKING:
    from models.event_split import EventSplit
    from processors.filesets import Fileset
    from selections.cuts import Selection


def collect(
    context: typer.Context,
    *,
    selection: Annotated[str, typer.Option(help="dy, wc, ttsemilep, ...: docs/selections.md; one.")],
    fileset: process_options.FilesetFile,
    out: Annotated[Path, typer.Option(help="Folder for the jets; an older one is replaced.")],
    share: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Of the events, to be adapted to; the others evaluate.")
    ] = 0.333,
    seed: Annotated[int, typer.Option(min=0, help="Which events; the same for all selections.")] = 1,
    executor: process_options.Where = Executor.FUTURES,
    workers: process_options.Workers = 2,
    dask_address: process_options.DaskAddress = None,
    site: process_options.DaskSite = None,
    chunksize: process_options.Chunksize = 100_000,
    memory_limit: process_options.MemoryLimit = None,
    profile: process_options.Profile = "btv20001",
    year: process_options.Year = "2017",
    golden_json: process_options.GoldenJsonFile = None,
    corrections: process_options.CorrectionsFile = None,
    skip_bad_files: process_options.SkipBadFiles = False,
    retries: process_options.Retries = 2,
    as_json: AsJson = False,
) -> None:
    """Collect jets of data and simulation for methods that adapt to them, from a share of the events.

    Taggers trained with them know the share; `advtag process` then leaves these events out, in data and
    simulation alike. Exit codes are those of `process`.

    Example: advtag collect --selection dy --fileset samples/fileset.json --share 0.333 --out unlabelled/dy
    """
    from models.event_split import EventSplit
    from storage.files import require_writable

    require_writable(out)
    require_writable(out.absolute().parent)
    clusters.require_dask(executor.value, dask_address)
    if site is not None:
        dask_address = context.with_resource(
            clusters.opened(site, executor.value, workers, dask_address, out.parent)
        )
    with one_bar(f"collect {selection}") as progress:
        found = collect_jets(
            selection=selection, fileset=fileset, split=EventSplit.parse(f"{share}:{seed}"), out=out,
            profile=profile, year=year, golden_json=golden_json, corrections=corrections,
            progress=progress, executor=executor.value, workers=workers, address=dask_address,
            chunksize=chunksize, memory_limit_mb=memory_limit, skip_bad_files=skip_bad_files, retries=retries,
        )  # fmt: skip
    for note in found.result.all_notes():
        say(note, heading="Note:")
    for warning in found.warnings():
        say(warning, heading="Warning:", style="bold")
    lost = any(entry.status != "processed" for entry in found.result.ledger)
    say(f"{out}: {production.ledger_sentence(found.result)}")
    title = f"Unlabelled jets of {selection}, from the events of the split {found.description.split}"
    show(found.rows() if as_json else _rounded(found.rows()), title=title, as_json=as_json)
    if lost:
        raise typer.Exit(processing.LOSSES)


def _rounded(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows as people read them: large numbers whole, shares to three digits."""

    def shown(value: Any) -> Any:
        if not isinstance(value, float):
            return value
        return round(value) if abs(value) >= 1000 else round(value, 3)

    return [{key: shown(value) for key, value in row.items()} for row in rows]


def collect_jets(
    *,
    selection: str,
    fileset: Path,
    split: "EventSplit",
    out: Path,
    profile: str = "btv20001",
    year: str = "2017",
    golden_json: Path | None = None,
    corrections: Path | None = None,
    progress: ProgressCallback | None = None,
    **options: Any,
) -> Collected:
    """Write the jets under study of the events of a split as a folder, and return what was collected.

    Rows go from the chunks to files and from there to the folder: memory does not grow with their number.

    Args:
        selection: Which jets.
        fileset: The file that lists data and simulation.
        split: Which events may be adapted to.
        out: The folder, as `models.unlabelled` describes it.
        profile: Of the parameter table.
        year: Of data taking.
        golden_json: Certified luminosity sections, for data.
        corrections: The card of what simulation is corrected with; its weights are those of the jets, too.
        progress: Called with (events done, all events).
        options: Further ones of `processors.run.run_selection`: executor, workers, chunksize, ...

    Raises:
        ValueError: If there are no data, no simulation, no jets, a cross section is unknown, or `out` holds
            something else.
    """
    from processors.corrections import read_corrections
    from processors.extras import Extras
    from processors.filesets import read_fileset
    from processors.run import run_selection
    from selections.parameters import SELECTIONS, parameters_of
    from storage.files import require_writable, temporary_folder

    require_writable(out)
    _require_replaceable(out)
    files = read_fileset(fileset)
    _require_both(files, parameters_of(selection, profile=profile, year=year), source=fileset)
    tables = None if corrections is None else read_corrections(corrections, selections=SELECTIONS)
    with temporary_folder(out.with_name(f"{out.name}.rows")) as rows:
        result = run_selection(
            selection=selection, fileset=files, extras=Extras(collected=split), table=rows / "jets",
            profile=profile, year=year, golden_json=golden_json, corrections=tables, progress=progress,
            **options,
        )  # fmt: skip
        return gather_jets(result, rows / "jets", split, out)


def _require_replaceable(out: Path) -> None:
    """Raise if a folder holds something else than unlabelled jets: it would be gone."""
    from models.unlabelled import DESCRIPTION

    if out.is_dir() and any(out.iterdir()) and not (out / DESCRIPTION).is_file():
        raise ValueError(f"{out}: holds something else than unlabelled jets: choose another folder")


def _require_both(files: "Fileset", parameters: "Selection", *, source: Path) -> None:
    """Raise if the fileset cannot give jets of data and scaled ones of simulation, before work of hours."""
    from selections.primary_datasets import names_of, starts_from

    known = {name: dataset.metadata for name, dataset in files.items() if dataset.metadata is not None}
    without = [name for name, each in known.items() if not each.is_data and each.cross_section_pb is None]
    if without:
        raise ValueError(
            f"{source}: {', '.join(without)} without cross_section_pb, which weights simulation: add it"
        )
    if len(known) < len(files):
        return
    data = [each for each in known.values() if each.is_data]
    if not any(starts_from(parameters, each.primary_dataset) for each in data):
        names = " or ".join(names_of(parameters))
        of_what = f"data of {names}" if names else "data"
        raise ValueError(f"{source}: no {of_what} for {parameters.name}: add them to adapt to")
    if len(data) == len(known):
        raise ValueError(f"{source}: no simulation: add what is to be compared with the data")
