"""The command that collects unlabelled jets: probes of data and simulation that a training may adapt to."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from advtag import clusters, processing, production
from advtag.processing import Executor
from advtag.produce import AsJson
from advtag.progress import ProgressCallback, one_bar, say
from advtag.tables import show

if TYPE_CHECKING:
    from datamc.results import Result
    from models.event_split import EventSplit
    from models.unlabelled import Description, UnlabelledJets
    from processors.filesets import Fileset
    from selections.cuts import Selection

FEW_JETS = 2000
"""Effective jets below which a training would soon know each of them: some eight steps of 256 jets."""
DIFFERENT_YIELDS = 0.1
"""Data and simulation whose numbers differ by more than that may hold other flavours."""

_BATCH = 65_536
"""Jets in memory at once: 20 MB."""
_LABELS: Mapping[str, tuple[int, ...]] = {"b": (5,), "bb": (6,), "c": (4,), "udsg": (0, 1)}
"""What the tagger calls the values of the flavour axis; pileup counts as udsg."""


class Yield(NamedTuple):
    """Jets of data, or of simulation scaled to the luminosity of data; same sign counts negative for W+c."""

    n_jets: int = 0
    sum_weights: float = 0.0
    sum_weights2: float = 0.0

    @property
    def effective_jets(self) -> float:
        """How many jets of weight 1 have the same relative error."""
        return self.sum_weights**2 / self.sum_weights2 if self.sum_weights2 else 0.0

    def plus(self, other: "Yield") -> "Yield":
        """Return both together."""
        return Yield(
            self.n_jets + other.n_jets,
            self.sum_weights + other.sum_weights,
            self.sum_weights2 + other.sum_weights2,
        )


class Collected(NamedTuple):
    """What was collected.

    Attributes:
        description: As it was written.
        result: Cutflow and notes of the selection.
        data: Jets of data.
        mc: Jets of simulation.
        data_over_mc: The ratio of their yields and its error; None where the luminosity is unknown.
    """

    description: "Description"
    result: "Result"
    data: Yield
    mc: Yield
    data_over_mc: tuple[float, float] | None

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for data and one for simulation."""
        ratio, error = self.data_over_mc or (None, None)
        unknown = dict.fromkeys(self.description.mc_flavours)
        return [
            {
                "sample": name,
                "jets": each.n_jets,
                "effective": each.effective_jets,
                "yield": each.sum_weights,
                **flavours,
                "data/MC": ratio,
                "error": error,
            }
            for name, each, flavours in (
                ("MC", self.mc, self.description.mc_flavours),
                ("data", self.data, unknown),
            )
        ]

    def warnings(self) -> list[str]:
        """Return what speaks against adapting to these jets, one sentence each."""
        few = [
            f"{each.effective_jets:.0f} effective jets of {name} are few, {FEW_JETS} or more are better: "
            "a training would learn them by heart; take a larger share or more files"
            for name, each in (("data", self.data), ("simulation", self.mc))
            if each.effective_jets < FEW_JETS
        ]
        if self.data_over_mc is None:
            return [*few, "the luminosity of data is unknown, so that their yield was not compared"]
        ratio, error = self.data_over_mc
        if abs(ratio - 1.0) - 2.0 * error > DIFFERENT_YIELDS:
            few.append(
                f"data/MC is {ratio:.3g} ± {error:.2g}: if their flavour composition differs, too, an "
                "alignment learns that difference; check cross sections, luminosity and corrections first"
            )
        return few


def collect(
    context: typer.Context,
    *,
    selection: Annotated[str, typer.Option(help="dy, wc, ttsemilep, ...: docs/selections.md; one.")],
    fileset: processing.FilesetFile,
    out: Annotated[Path, typer.Option(help="Folder for the jets; an older one is replaced.")],
    share: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Of the events, to be adapted to; the others evaluate.")
    ] = 0.333,
    seed: Annotated[int, typer.Option(min=0, help="Which events; the same for all selections.")] = 1,
    executor: processing.Where = Executor.FUTURES,
    workers: processing.Workers = 2,
    dask_address: processing.DaskAddress = None,
    site: processing.DaskSite = None,
    chunksize: processing.Chunksize = 100_000,
    memory_limit: processing.MemoryLimit = None,
    profile: processing.Profile = "btv20001",
    year: processing.Year = "2017",
    golden_json: processing.GoldenJsonFile = None,
    corrections: processing.CorrectionsFile = None,
    skip_bad_files: processing.SkipBadFiles = False,
    retries: processing.Retries = 2,
    as_json: AsJson = False,
) -> None:
    """Collect jets of data and simulation for methods that adapt to them, from a share of the events.

    Taggers trained with them know the share; `advtag process` then leaves these events out, in data and
    simulation alike. Exit codes are those of `process`.

    Example: advtag collect --selection dy --fileset samples/fileset.json --share 0.333 --out unlabelled/dy
    """
    from models.event_split import EventSplit

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
    for note in found.result.notes:
        say(note, heading="Note:")
    for warning in found.warnings():
        say(warning, heading="Warning:", style="bold")
    lost = any(entry.status != "processed" for entry in found.result.ledger)
    say(f"{out}: {production.ledger_sentence(found.result)}")
    title = f"Unlabelled jets of {selection}, from the events of the split {found.description.split}"
    show(found.rows(), title=title, as_json=as_json)
    if lost:
        raise typer.Exit(processing.LOSSES)


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
        ValueError: If there are no data, no simulation, no jets, or a cross section is unknown.
    """
    from processors.corrections import read_corrections
    from processors.extras import Extras
    from processors.filesets import read_fileset
    from processors.run import run_selection
    from selections.parameters import SELECTIONS, parameters_of
    from storage.files import require_writable, temporary_folder

    require_writable(out.parent)
    files = read_fileset(fileset)
    _require_both(files, parameters_of(selection, profile=profile, year=year), source=fileset)
    tables = None if corrections is None else read_corrections(corrections, selections=SELECTIONS)
    with temporary_folder(out) as rows:
        result = run_selection(
            selection=selection, fileset=files, extras=Extras(collected=split), table=rows / "jets",
            profile=profile, year=year, golden_json=golden_json, corrections=tables, progress=progress,
            **options,
        )  # fmt: skip
        return _gather(result, rows / "jets", split, out)


def _require_both(files: "Fileset", parameters: "Selection", *, source: Path) -> None:
    """Raise if the fileset cannot give jets of data and scaled ones of simulation, before work of hours."""
    known = {name: dataset.metadata for name, dataset in files.items() if dataset.metadata is not None}
    without = [name for name, each in known.items() if not each.is_data and each.cross_section_pb is None]
    if without:
        raise ValueError(
            f"{source}: {', '.join(without)} without cross_section_pb, which weights simulation: add it"
        )
    if len(known) < len(files):
        return
    wanted = parameters.primary_dataset
    data = [each for each in known.values() if each.is_data]
    if not any(wanted is None or each.primary_dataset in (None, wanted) for each in data):
        of_what = "data" if wanted is None else f"data of {wanted}"
        raise ValueError(f"{source}: no {of_what} for {parameters.name}: add them to adapt to")
    if len(data) == len(known):
        raise ValueError(f"{source}: no simulation: add what is to be compared with the data")


def _gather(result: "Result", rows: Path, split: "EventSplit", out: Path) -> Collected:
    """Write the folder from the rows of all jets."""
    import numpy as np

    from datamc.histograms import dataset_scales, luminosity_pb
    from datamc.normalisation import default_view
    from models.unlabelled import write_parts

    scales = {name: 1.0 for name, record in result.datasets.items() if record.is_data}
    scales |= dataset_scales(result)
    signed = default_view(result.selection) == "OS-SS"
    data, mc, flavours = Yield(), Yield(), dict.fromkeys(_LABELS, 0.0)
    for name, batch in _batches(result, rows, ("weight", "sign", "flavour")):
        weights = _weights(batch, scales[name], signed=signed)
        own = Yield(len(weights), float(weights.sum()), float((weights**2).sum()))
        if result.datasets[name].is_data:
            data = data.plus(own)
            continue
        mc = mc.plus(own)
        for label, values in _LABELS.items():
            flavours[label] += float(weights[np.isin(batch["flavour"], values)].sum())
    _require_jets(result.selection, data, mc)
    to_data = data.sum_weights / mc.sum_weights
    description = write_parts(
        _parts(result, rows, split, scales, to_data=to_data, signed=signed),
        out,
        n_jets=data.n_jets + mc.n_jets,
        selection=result.selection,
        split=split,
        samples=_samples(result),
        mc_flavours={label: value / mc.sum_weights for label, value in flavours.items()},
    )
    known = luminosity_pb(result) is not None
    error = to_data * (1.0 / data.effective_jets + 1.0 / mc.effective_jets) ** 0.5
    return Collected(description, result, data, mc, (to_data, error) if known else None)


def _require_jets(selection: str, data: Yield, mc: Yield) -> None:
    for name, each in (("data", data), ("simulation", mc)):
        if each.n_jets == 0:
            raise ValueError(
                f"{selection}: no jet of {name} is left after all cuts: take a larger share or more files"
            )
        if each.sum_weights <= 0:
            raise ValueError(
                f"{selection}: the {each.n_jets} jets of {name} have a summed weight of "
                f"{each.sum_weights:.4g}, which nothing can be scaled to: take a larger share or more files"
            )


def _batches(result: "Result", rows: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield dataset and columns of some jets at a time, in the order of the datasets and their files."""
    import pyarrow.parquet

    for name in result.datasets:
        path = rows / f"{name}.parquet"
        if not path.is_file():  # all its chunks were lost
            continue
        with pyarrow.parquet.ParquetFile(path) as table:
            for batch in table.iter_batches(_BATCH, columns=list(columns)):
                yield name, {column: batch[column].to_numpy(zero_copy_only=False) for column in columns}


def _weights(batch: Mapping[str, Any], scale: float, *, signed: bool) -> Any:
    """Return what jets count for, shape ``(n_jets,)``."""
    weights = batch["weight"] * scale
    return weights * batch["sign"] if signed else weights


def _parts(
    result: "Result",
    rows: Path,
    split: "EventSplit",
    scales: Mapping[str, float],
    *,
    to_data: float,
    signed: bool,
) -> "Iterator[UnlabelledJets]":
    """Yield the jets, those of simulation scaled to the yield of data."""
    import numpy as np

    from models.features import BRANCHES
    from models.unlabelled import UnlabelledJets

    names = ("run", "luminosity_block", "event", "jet")
    for name, batch in _batches(result, rows, (*names, "weight", "sign", *BRANCHES)):
        is_data = result.datasets[name].is_data
        scale = scales[name] * (1.0 if is_data else to_data)
        yield UnlabelledJets(
            features=np.stack([batch[branch] for branch in BRANCHES], axis=1).astype(np.float32, copy=False),
            is_data=np.full(len(batch["run"]), is_data),
            weights=_weights(batch, scale, signed=signed).astype(np.float32),
            keys=np.stack([batch[each].astype(np.uint64) for each in names], axis=1),
            selection=result.selection,
            split=split,
        )


def _samples(result: "Result") -> dict[str, Any]:
    """Return where the jets come from, as plain JSON values."""
    files: dict[str, list[str]] = {name: [] for name in result.datasets}
    for entry in result.ledger:
        if entry.n_processed:
            files[entry.dataset].append(entry.file)
    return {
        "datasets": {name: asdict(record) for name, record in result.datasets.items()},
        "files": files,
        "versions": result.versions,
        "config": result.config,
    }
