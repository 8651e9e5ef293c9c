"""Commands that compare data with simulation: process, fit, divergence, plot, report."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from advtag import production, summary
from advtag.produce import AsJson, parse_epochs
from advtag.progress import bar, one_bar, progress_board, say
from advtag.tables import show


class Executor(StrEnum):
    """Where the chunks are processed."""

    ITERATIVE = "iterative"
    FUTURES = "futures"
    DASK = "dask"


Evaluation = Annotated[Path | None, typer.Option(help="Folder with auc.csv and roc.csv of `evaluate`.")]
Coarse = Annotated[bool, typer.Option("--coarse", help="Few large cells: for samples of some thousand jets.")]
Results = Annotated[
    list[Path], typer.Argument(help="Folders with results of `process`, or single result files.")
]


def process(
    *,
    selection: Annotated[str, typer.Option(help="dy, wc, ttsemilep or inclusive; several: dy,wc,ttsemilep.")],
    fileset: Annotated[Path, typer.Option(help="JSON: datasets with their files and metadata.")],
    out: Annotated[Path, typer.Option(help="Folder for the results, one file per selection.")],
    taggers: Annotated[
        list[Path] | None, typer.Option(help="Run directories with ONNX taggers; none: the cutflow alone.")
    ] = None,
    epochs: Annotated[str | None, typer.Option(help="Epochs, e.g. 1,5,20; all if not given.")] = None,
    variants: Annotated[str, typer.Option(help="Inputs: raw, noise:SIGMA, fgsm:EPSILON.")] = "raw",
    executor: Annotated[Executor, typer.Option(help="Where to run.")] = Executor.FUTURES,
    workers: Annotated[int, typer.Option(min=1, help="Processes, one thread each.")] = 2,
    dask_address: Annotated[str | None, typer.Option(help="Scheduler of a running dask cluster.")] = None,
    chunksize: Annotated[int, typer.Option(min=1, help="Events per chunk; changes no result.")] = 100_000,
    profile: Annotated[
        str, typer.Option(help="Profile of the parameter table: btv20001, legacy, btvnano.")
    ] = "btv20001",
    year: Annotated[str, typer.Option(help="Year of data taking.")] = "2017",
    golden_json: Annotated[
        Path | None, typer.Option(help="Certified luminosity sections, applied to data.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the noise.")] = 1,
    skip_bad_files: Annotated[
        bool,
        typer.Option("--skip-bad-files", help="Declare unreadable files lost, by name, instead of stopping."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Select, tag and fill histograms: every checkpoint and every variant in one pass over the events.

    Example: advtag process --selection dy,wc,ttsemilep --fileset samples/fileset.json --taggers runs/basic
    --taggers runs/adversarial --variants raw,noise:0.1,fgsm:0.1 --out results
    """
    from datamc.results import write_result
    from models.perturbations import parse_variants
    from models.tagger import load_taggers
    from processors.filesets import read_fileset
    from processors.run import run_selection

    files = read_fileset(fileset)
    loaded = load_taggers(taggers, epochs=parse_epochs(epochs)) if taggers else []
    rows = []
    for name in selection.split(","):
        with one_bar(f"process {name}") as progress:
            result = run_selection(
                selection=name, fileset=files, taggers=loaded, variants=parse_variants(variants),
                executor=executor.value, workers=workers, address=dask_address, chunksize=chunksize,
                profile=profile, year=year, golden_json=golden_json, seed=seed, skip_bad_files=skip_bad_files,
                progress=progress,
            )  # fmt: skip
        path = out / f"{name}.zip"
        write_result(result, path)
        rows += production.cutflow_rows(result)
        defaults = production.defaults_sentence(result)
        for note in [*result.notes, *([defaults] if defaults else [])]:
            say(note, heading="Note:")
        say(f"{path}: {production.ledger_sentence(result)}")
    show(rows, title="Cutflow", as_json=as_json)


def fit(
    results: Results,
    *,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the correction files; beside the results.")
    ] = None,
    coarse: Coarse = False,
    as_json: AsJson = False,
) -> None:
    """Solve for the scale factors of b, c and light jets, per checkpoint and variant, from the selections.

    Example: advtag fit results --out results/scale_factors
    """
    from datamc.scale_factors import summarise

    found = production.read_results(results)
    with one_bar("fit") as progress:
        factors = production.solve_all(found, coarse=coarse, progress=progress)
    production.write_scale_factors(found, factors, out or production.beside(results) / "scale_factors")
    rows = [each for factor in factors for each in summarise(factor)]
    if as_json:
        show([row._asdict() for row in rows], title="", as_json=True)
    else:
        show(summary.scale_factor_rows(rows), title="Scale factors, last epoch", as_json=False)


def divergence(
    results: Results,
    *,
    replicas: Annotated[int, typer.Option(min=0, help="Bootstrap replicas of the error band.")] = 200,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 1,
    out: Annotated[
        Path | None, typer.Option(help="The CSV to write; beside the results if not given.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compute the Kullback-Leibler divergence of data from simulation, for all that was processed.

    Example: advtag divergence results --replicas 500
    """
    from datamc.divergence import divergence_table, write_divergence

    with one_bar("divergence") as progress:
        rows = divergence_table(
            production.read_results(results), n_bootstrap=replicas, seed=seed, progress=progress
        )
    write_divergence(rows, out or production.beside(results) / "divergence.csv")
    if as_json:
        show([row._asdict() for row in rows], title="", as_json=True)
    else:
        summary.show_divergence(rows)


def plot(
    results: Results,
    *,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the figures; beside the results if not given.")
    ] = None,
    evaluation: Evaluation = None,
    coarse: Coarse = False,
    experiment: Annotated[
        str, typer.Option(help="Label on recorded data, e.g. CMS; simulated data say so.")
    ] = "",
    status: Annotated[str, typer.Option(help="Beside it, e.g. Preliminary.")] = "",
) -> None:
    """Draw the standard figures as PNG and PDF: stacks with ratio, divergence over epoch, scale factors.

    Example: advtag plot results --out figures
    """
    from plotting.figures import plot_results
    from plotting.style import event_label

    with progress_board() as board:
        found = production.compare(
            production.read_results(results), coarse=coarse, progress=bar(board, "compare")
        )
        label = event_label(list(found.results.values()), experiment=experiment, status=status)
        folder = out or production.beside(results) / "figures"
        areas, curves = production.read_evaluation(evaluation)
        paths = plot_results(
            found.results,
            folder,
            divergence=found.divergence,
            scale_factors=found.scale_factors,
            auc_rows=areas,
            roc_rows=curves,
            label=label,
            progress=bar(board, "plot"),
        )
    typer.echo(f"{len(paths)} files in {folder}")


def report(
    results: Results,
    *,
    out: Annotated[Path | None, typer.Option(help="The HTML file; beside the results if not given.")] = None,
    evaluation: Evaluation = None,
    coarse: Coarse = False,
    title: Annotated[
        str, typer.Option(help="Heading of the page.")
    ] = "Tagger agreement between data and simulation",
) -> None:
    """Write one HTML file with everything: it opens from disk and needs no network.

    Example: advtag report results --evaluation evaluation
    """
    from plotting.report import write_report

    with one_bar("compare") as progress:
        found = production.compare(production.read_results(results), coarse=coarse, progress=progress)
    areas, curves = production.read_evaluation(evaluation)
    path = write_report(
        out or production.beside(results) / "report.html",
        results=found.results,
        divergence=found.divergence,
        scale_factors=found.scale_factors,
        auc_rows=areas,
        roc_rows=curves,
        title=title,
    )
    typer.echo(path)
