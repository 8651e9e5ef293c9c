"""Commands that compare data with simulation: divergence, plot, report."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from advtag import production, summary
from advtag.produce import AsJson
from advtag.progress import bar, one_bar, progress_board
from advtag.tables import as_json_text, show_line
from storage.files import held_file, one_writer

Evaluation = Annotated[Path | None, typer.Option(help="Folder with auc.csv and roc.csv of `evaluate`.")]
Coarse = Annotated[bool, typer.Option("--coarse", help="Few large cells: for samples of some thousand jets.")]
Null = Annotated[
    list[Path] | None,
    typer.Option(help="Results whose data are simulated like the simulation: what no difference gives."),
]
Results = Annotated[
    list[Path], typer.Argument(help="Folders with results of `process`, or single result files.")
]


class StackBy(StrEnum):
    """What a stack is made of."""

    flavour = "flavour"
    process = "process"


def divergence(
    results: Results,
    *,
    replicas: Annotated[int, typer.Option(min=0, help="Bootstrap replicas of the error band.")] = 200,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 1,
    evaluation: Annotated[
        Path | None,
        typer.Option(help="Folder of `evaluate`: compares all trainings with the basic one at equal AUC."),
    ] = None,
    null: Null = None,
    out: Annotated[
        Path | None, typer.Option(help="The CSV to write; beside the results if not given.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure how far data are from simulation, and which training agrees better, for all processed.

    Writes divergence.csv, and beside it differences.csv (every training minus every other, errors of the same
    events), reference_curve.csv and equal_auc.csv (with --evaluation), null.csv (with --null).

    Example: advtag divergence results --evaluation evaluation --replicas 500
    """
    from datamc.agreement import agreement, divergence_table
    from storage.files import require_writable_file

    path = out or production.beside(results) / "divergence.csv"
    require_writable_file(path)
    options: dict[str, Any] = {"n_bootstrap": replicas, "seed": seed}
    with held_file(path), progress_board() as board:
        read = production.read_results(results)
        chance = production.read_null(null, read)
        found = agreement(
            read,
            areas=production.noised_areas(evaluation),
            area_errors=production.area_errors(evaluation),
            progress=bar(board, "divergence"),
            **options,
        )
        without = None
        if null:
            without = divergence_table(chance, progress=bar(board, "null data"), **options)
        production.write_agreement(found, path, null=without)
    if as_json:
        tables = found._asdict() | ({} if without is None else {"null": without})
        rows = {name: [row._asdict() for row in table] for name, table in tables.items()}
        typer.echo(as_json_text(rows))
    else:
        summary.show_divergence(found.divergence)
        summary.show_differences(found.differences)
    production.tell_what_has_no_result(read)


def plot(
    results: Results,
    *,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the figures; beside the results if not given.")
    ] = None,
    evaluation: Evaluation = None,
    null: Null = None,
    coarse: Coarse = False,
    after_fit: Annotated[
        bool, typer.Option("--after-fit", help="Also CvsL and CvsB before and after the scale factors.")
    ] = False,
    by: Annotated[StackBy, typer.Option(help="What stacks are made of.")] = StackBy.flavour,
    signs: Annotated[bool, typer.Option("--signs", help="Also OS and SS alone, beside OS-SS.")] = False,
    log: Annotated[bool, typer.Option("--log", help="Logarithmic stacks.")] = False,
    experiment: Annotated[
        str, typer.Option(help="Label on recorded data, e.g. CMS; simulated data say so.")
    ] = "",
    status: Annotated[str, typer.Option(help="Beside it, e.g. Preliminary.")] = "",
) -> None:
    """Draw the standard figures as PNG and PDF: stacks with ratio, divergence over epoch, scale factors.

    Example: advtag plot results --out figures
    """
    from plotting.after_fit import plot_after_fit
    from plotting.figures import StackOptions, plot_results
    from plotting.style import event_label
    from storage.files import require_writable

    folder = out or production.beside(results) / "figures"
    require_writable(folder)
    with one_writer(folder), progress_board() as board:
        read = production.read_results(results)
        found = production.compare(
            read,
            coarse=coarse,
            evaluation=evaluation,
            null=production.read_null(null, read),
            progress=bar(board, "compare"),
        )
        label = event_label(list(found.results.values()), experiment=experiment, status=status)
        tables = production.read_evaluation(evaluation)
        paths = plot_results(
            found.results,
            folder,
            divergence=found.divergence,
            null=found.null,
            curve=found.agreement.curve,
            scale_factors=found.scale_factors,
            auc_rows=tables.areas,
            roc_rows=tables.curves,
            label=label,
            stacks=StackOptions(by.value, signs, log),
            progress=bar(board, "plot"),
        )
        if after_fit:
            paths += plot_after_fit(
                found.results, found.scale_factors, folder, progress=bar(board, "plot after the fit")
            )
    production.tell_what_has_no_result(found.results)
    show_line(f"{len(paths)} files in {folder}")


def report(
    results: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders with results of `process`, or single result files."),
    ] = None,
    *,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(help="Two productions to put side by side, instead of one report.", metavar="A B"),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The HTML file; beside the results if not given.")] = None,
    evaluation: Evaluation = None,
    null: Null = None,
    coarse: Coarse = False,
    title: Annotated[str | None, typer.Option(help="Heading of the page.")] = None,
) -> None:
    """Write one HTML file with everything: it opens from disk and needs no network.

    Example: advtag report results --evaluation evaluation

    Two productions side by side: advtag report --compare first second
    """
    if compare is not None and not results:
        if evaluation is not None or null:
            raise ValueError("report --compare: takes the evaluations beside the results, and no null data")
        show_line(_write_comparison(compare, out=out, coarse=coarse, title=title))
    elif results and compare is None:
        show_line(
            _write_report(results, out=out, evaluation=evaluation, null=null, coarse=coarse, title=title)
        )
    else:
        raise ValueError("report: name either folders with results, or two productions after --compare")


def _write_report(
    results: list[Path],
    *,
    out: Path | None,
    evaluation: Path | None,
    null: list[Path] | None,
    coarse: bool,
    title: str | None,
) -> Path:
    from plotting.report import write_report
    from storage.files import require_writable_file

    page = out or production.beside(results) / "report.html"
    require_writable_file(page)
    with held_file(page):
        read = production.read_results(results)
        with one_bar("compare") as progress:
            found = production.compare(
                read,
                coarse=coarse,
                evaluation=evaluation,
                null=production.read_null(null, read),
                progress=progress,
            )
        production.tell_what_has_no_result(found.results)
        tables = production.read_evaluation(evaluation)
        return write_report(
            page,
            results=found.results,
            divergence=found.divergence,
            null=found.null,
            differences=found.agreement.differences,
            curve=found.agreement.curve,
            equal_auc=found.agreement.equal_auc,
            scale_factors=found.scale_factors,
            auc_rows=tables.areas,
            roc_rows=tables.curves,
            auc_differences=tables.differences,
            title=title or "Tagger agreement between data and simulation",
        )


def _write_comparison(
    folders: tuple[Path, Path], *, out: Path | None, coarse: bool, title: str | None
) -> Path:
    from advtag.side_by_side import names_of, paired_with, read_production
    from plotting.comparison_page import write_comparison
    from storage.files import require_writable_file

    path = out or Path("comparison.html")
    require_writable_file(path)
    names = names_of(*folders)
    with held_file(path), progress_board() as board:
        first, second = (
            read_production(folder, name=name, coarse=coarse, progress=bar(board, name))
            for folder, name in zip(folders, names, strict=True)
        )
        heading = title or f"{names[0]} and {names[1]} side by side"
        return write_comparison(path, first, second, title=heading, paired=paired_with(first, second))
