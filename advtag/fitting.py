"""Commands about scale factors: fit them, throw toys, compare two files."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from advtag import production, summary
from advtag.compare import Coarse
from advtag.produce import AsJson
from advtag.progress import one_bar, say
from advtag.tables import show
from storage.files import one_writer

if TYPE_CHECKING:
    from datamc.fit import FitCard
    from datamc.results import Result
    from datamc.scale_factors import ScaleFactors


class EngineName(StrEnum):
    """How scale factors are fitted."""

    SOLVE = "solve"
    ITERATIVE = "iterative"
    LIKELIHOOD = "likelihood"


def fit(
    results: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders with results of `process`, or single result files; none for --toys."),
    ] = None,
    *,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the scale factors; beside the results if not given.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="YAML with every constant: configs/fit.yaml.")] = None,
    engine: Annotated[
        EngineName | None, typer.Option(help="How to fit; by default what the card says: solve.")
    ] = None,
    coarse: Coarse = False,
    workspaces: Annotated[
        bool, typer.Option("--workspaces", help="Also write the likelihood of each fit for pyhf.")
    ] = False,
    toys: Annotated[
        int | None, typer.Option(min=2, help="Fit this many pseudo-experiments instead, and show the pulls.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the pseudo-experiments.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Fit the scale factors of b, c and light jets, per checkpoint and variant, from the three selections.

    Example: advtag fit results --out results/scale_factors
    """
    from datamc.fit import card_for, read_fit_card, require_engine
    from storage.files import require_writable

    name: Any = None if engine is None else engine.value
    card = card_for(None if config is None else read_fit_card(config), coarse=coarse, engine=name)
    if toys is not None:
        if results or workspaces:
            raise ValueError("fit --toys: throws pseudo-experiments, without results and workspaces")
        _throw_toys(toys, card, out or Path("toys"), engine=name, seed=seed, as_json=as_json)
        return
    if not results:
        raise ValueError("nothing to fit: name the folder of `advtag process` with results, or use --toys")
    folder = out or production.beside(results) / "scale_factors"
    require_writable(folder)
    require_engine(card.engine)
    if workspaces and card.engine == "iterative":
        raise ValueError("the iteration has no likelihood: choose another --engine for workspaces")
    with one_writer(folder):
        found = production.read_results(results)
        with one_bar(f"fit ({card.engine})") as progress:
            factors = production.solve_all(found, coarse=False, card=card, progress=progress)
        _write(found, factors, card, folder, with_workspaces=workspaces)
    _show(factors, as_json=as_json)
    production.tell_what_has_no_result(found)
    if not any((each.status == "ok").any() for each in factors):
        say("no factor was measured, all are 1: scale_factors.csv says why, cell by cell", heading="Note:")
    if any(result.same_events for result in found.values()):
        say(
            "data are the events of the simulation in another detector; the errors are those of independent "
            "events, and so too large",
            heading="Note:",
        )
    say(f"{folder}: {len(factors)} fits as .json (correctionlib), .npz and .root, with tables of all")


def _write(
    results: "Mapping[str, Result]",
    factors: Sequence["ScaleFactors"],
    card: "FitCard",
    folder: Path,
    *,
    with_workspaces: bool,
) -> None:
    import yaml

    from datamc.history import history_rows
    from plotting.history import draw_history
    from plotting.style import event_label, save_figure
    from storage.files import write_text

    production.write_scale_factors(results, factors, folder)
    write_text(folder / "fit.yaml", yaml.safe_dump(card.model_dump(mode="json"), sort_keys=False))
    label = event_label(list(results.values()))
    save_figure(draw_history(history_rows(factors), label=label), folder / "history")
    if card.engine == "iterative":
        _draw_convergence(results, factors, card, folder, label=label)
    if with_workspaces:
        _write_workspaces(results, factors, card, folder / "workspaces")


def _draw_convergence(
    results: "Mapping[str, Result]",
    factors: Sequence["ScaleFactors"],
    card: "FitCard",
    folder: Path,
    *,
    label: Any,
) -> None:
    """Draw how the iteration of each tagger's last epoch went, with the inputs as they are."""
    from datamc.iterative_planes import iterate_planes
    from datamc.planes import plane_templates
    from plotting.pulls import draw_convergence
    from plotting.style import save_figure
    from storage.names import file_name

    last = {each.tagger: each.epoch for each in sorted(factors, key=lambda each: each.epoch)}
    for tagger, epoch in last.items():
        plane = plane_templates(results, tagger=tagger, epoch=epoch)
        _, convergence = iterate_planes([plane], binning=card.binning, options=card.iteration)
        figure = draw_convergence(convergence[0], title=f"{tagger}, epoch {epoch}", label=label)
        save_figure(figure, folder / f"convergence_{file_name(tagger)}")


def _write_workspaces(
    results: "Mapping[str, Result]", factors: Sequence["ScaleFactors"], card: "FitCard", folder: Path
) -> None:
    from datamc.cells import cell_layout, sum_cells
    from datamc.corrections import file_stem
    from datamc.planes import plane_templates
    from datamc.systematics import shifted_planes
    from datamc.workspace import workspace, write_workspace

    for each in factors:
        point: Any = {"tagger": each.tagger, "epoch": each.epoch, "variant": each.variant}
        plane = plane_templates(results, **point)
        layout = cell_layout(plane, card.binning)
        shifted = shifted_planes(results, **point, rates=card.rates) if card.systematics else {}
        varied = {name: sum_cells(own, layout) for name, own in shifted.items()}
        stem = file_stem(each.tagger, each.epoch, each.variant)
        try:
            write_workspace(workspace(sum_cells(plane, layout), varied, each), folder / f"{stem}.json")
        except ValueError as error:
            say(str(error), heading="Note:")


def _show(factors: Sequence["ScaleFactors"], *, as_json: bool) -> None:
    from datamc.history import history_rows

    rows = history_rows(factors)
    if as_json:
        show([row._asdict() for row in rows], title="", as_json=True)
    else:
        show(summary.history_rows(rows), title="Scale factors, last epoch", as_json=False)


def _throw_toys(n_toys: int, card: "FitCard", folder: Path, *, engine: Any, seed: int, as_json: bool) -> None:
    """Fit toys with one engine or, if none is named, with all; write and show the pulls."""
    from datamc.fit import require_engine
    from datamc.toys import ToyRow, throw_toys, toy_rows
    from plotting.pulls import draw_pulls
    from plotting.style import save_figure
    from storage.files import require_writable
    from storage.tables import write_table

    engines: Any = ("solve", "iterative", "likelihood") if engine is None else (engine,)
    require_writable(folder)
    for each in engines:
        require_engine(each)
    thrown = []
    with one_writer(folder), one_bar("toys") as progress:
        for done, each in enumerate(engines, start=1):
            thrown.append(throw_toys(n_toys, engine=each, card=card, seed=seed))
            progress(done, len(engines))
        rows = [row for toys in thrown for row in toy_rows(toys)]
        write_table(rows, folder / "toys.csv", kind=ToyRow)
        save_figure(draw_pulls(thrown), folder / "pulls")
    shown = [row._asdict() for row in rows] if as_json else summary.toy_rows(rows)
    show(shown, title=f"Pulls of {n_toys} pseudo-experiments", as_json=as_json)
    say(f"{folder / 'toys.csv'} and pulls.png, pulls.pdf beside it")


def compare_scale_factors(
    first: Annotated[Path, typer.Argument(help="Scale factors: .json, .npz or .root with published names.")],
    second: Annotated[Path, typer.Argument(help="Others, e.g. the published file.")],
    *,
    out: Annotated[
        Path | None, typer.Option(help="CSV with every bin, and a figure beside it; none if not given.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare two files of scale factors in the bins of both: differences, and pulls with all errors.

    Example: advtag compare-scale-factors results/scale_factors/basic_epoch_020_raw.json published.root
    """
    from datamc.comparison import ComparisonRow, read_grid, summarise_comparison
    from datamc.comparison import compare_scale_factors as compare
    from storage.files import require_writable_file

    if out is not None:
        require_writable_file(out)
    rows = compare(read_grid(first), read_grid(second))
    if out is not None:
        from plotting.pulls import draw_comparison
        from plotting.style import save_figure
        from storage.tables import write_table

        write_table(rows, out, kind=ComparisonRow)
        figure = draw_comparison(rows, names=(first.stem, second.stem))
        save_figure(figure, out.with_suffix(""))
    found = [row._asdict() for row in summarise_comparison(rows)]
    show(
        found if as_json else summary.comparison_rows(found),
        title=f"{first.name} minus {second.name}, bins by their area",
        as_json=as_json,
    )
