"""Commands that ask whether simulated events are believable, and what the true scale factors are."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from advtag import process_settings
from advtag.compare import Coarse
from advtag.produce import AsJson, parse_epochs
from advtag.progress import one_bar, progress_board, say, stage
from advtag.tables import show
from storage.files import one_writer

if TYPE_CHECKING:
    from advtag.selected import Selected
    from datamc.closure import ClosureRow
    from models.tagger import Tagger
    from simulation.validation.checks import Check
    from simulation.validation.validate import Validation


def validate_simulation(
    files: Annotated[
        list[Path],
        typer.Argument(help="Files of `advtag simulate`, or folders of them; any mix of scenarios."),
    ],
    *,
    out: Annotated[Path, typer.Option(help="Folder for validation.html and the tables as CSV.")],
    reference: Annotated[
        Path | None, typer.Option(help="A real PFNano file: the ranges of the inputs are compared with it.")
    ] = None,
    tagger: Annotated[
        Path | None,
        typer.Option(
            help="Run folder (its last epoch) or ONNX file, for Data/MC of its scores; else the reference's."
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with code 1 if a check fails; else failed checks exit 0.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compare simulated events with what is known of CMS simulation, and scenarios with one another.

    Example: advtag validate-simulation samples --out validation --reference pfnano.root
    """
    from advtag.selected import select_samples
    from plotting.validation_page import write_validation_page
    from simulation.validation.checks import count_verdicts
    from simulation.validation.validate import validate
    from storage.files import require_writable

    require_writable(out)
    paths, scored_by = _root_files(files), _tagger(tagger)
    with one_writer(out):
        with one_bar("validate") as progress:
            found = validate(paths, reference=reference, progress=progress)
        with one_bar("select") as progress:
            selected = select_samples(paths, tagger=scored_by, progress=progress)
        checks = [*selected.checks, *found.checks]
        _write_tables(out, found, selected, checks)
        with one_bar("draw") as progress:
            page = write_validation_page(
                out / "validation.html", checks=checks, defaults=found.defaults, agreement=found.agreement,
                ranges=found.ranges, spectra=found.spectra, n_events=found.n_events,
                training_mix=found.training_mix, purities=selected.purities, cutflows=selected.cutflows,
                stacks=selected.stacks, tagger=selected.tagger, progress=progress,
            )  # fmt: skip
    rows = [_without_nan(check._asdict()) for check in checks]
    show(rows if as_json else _for_people(rows), title="Validation of simulated events", as_json=as_json)
    counts = count_verdicts(checks)
    say(f"{page}: {', '.join(f'{n} {verdict}' for verdict, n in counts.items())}")
    if strict and counts["fail"]:
        raise ValueError(f"{counts['fail']} numbers are not as expected: see {page}")


def _tagger(path: Path | None) -> "Tagger | None":
    """Return the last epoch of a run, or the tagger that comes with the package."""
    if path is None:
        from simulation.reference_tagger import load_reference_tagger

        return load_reference_tagger()
    from models.tagger import load_taggers

    return load_taggers([path])[-1]


def _write_tables(out: Path, found: "Validation", selected: "Selected", checks: list["Check"]) -> None:
    from simulation.validation.agreement import AgreementRow
    from simulation.validation.checks import Check
    from simulation.validation.flavours import DefaultRow
    from simulation.validation.ranges import RangeRow
    from simulation.validation.selections import CutflowRow, PurityRow, RatioRow
    from storage.tables import write_table

    write_table(checks, out / "checks.csv", kind=Check)
    write_table(found.defaults, out / "defaults.csv", kind=DefaultRow)
    write_table(found.agreement, out / "agreement.csv", kind=AgreementRow)
    write_table(found.ranges, out / "ranges.csv", kind=RangeRow)
    write_table(selected.purities, out / "purities.csv", kind=PurityRow)
    write_table(selected.cutflows, out / "cutflows.csv", kind=CutflowRow)
    write_table(selected.ratios, out / "ratios.csv", kind=RatioRow)


def _root_files(paths: list[Path]) -> list[Path]:
    """Return the files, and those directly in folders; truth lies in a folder of its own and is not taken.

    Raises:
        FileNotFoundError: If a folder holds no ROOT file.
    """
    files = []
    for path in paths:
        found = sorted(path.glob("*.root")) if path.is_dir() else [path]
        if not found:
            raise FileNotFoundError(f"{path}: no ROOT file there: run `advtag simulate` first")
        files += found
    return files


def _without_nan(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row in which what is not known is None: JSON has no NaN."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in row.items()
    }


def _for_people(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the judged rows with few columns, the worst first; the rest is on the page."""
    order = ("fail", "warn", "skipped", "pass")
    judged = [row for row in rows if row["verdict"] in order]
    judged.sort(key=lambda row: order.index(row["verdict"]))
    return [
        {
            "number": row["name"],
            "sample": row["sample"],
            "value": row["value"],
            "error": row["error"],
            "expected": "" if row["low"] is None else f"{row['low']:.3g} to {row['high']:.3g}",
            "verdict": row["verdict"],
            "note": row["note"],
        }
        for row in judged
    ]


def true_scale_factors(
    *,
    fileset: Annotated[Path, typer.Option(help="JSON: simulated data with their truth beside them, and mc.")],
    out: Annotated[Path, typer.Option(help="Folder for true_scale_factors.csv and closure.csv.")],
    taggers: Annotated[list[Path], typer.Option(help="Run directories with ONNX taggers.")],
    results: Annotated[
        Path | None, typer.Option(help="Folder of `process` with these taggers, not to process mc again.")
    ] = None,
    epochs: Annotated[str | None, typer.Option(help="Epochs, e.g. 1,5,20; all if not given.")] = None,
    variants: Annotated[str, typer.Option(help="Inputs of mc: raw, noise:SIGMA, fgsm:EPSILON.")] = "raw",
    coarse: Coarse = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes, one thread each.")] = 2,
    as_json: AsJson = False,
) -> None:
    """Count simulated data by their true flavours: the true scale factors, beside those that the fit finds.

    Example: advtag true-scale-factors --fileset samples/fileset.json --taggers runs/basic --out closure
    """
    from advtag import closure, production
    from datamc.closure import ClosureRow, TrueRow, closure_rows, true_rows
    from datamc.planes import FIT_SELECTIONS
    from models.perturbations import parse_variants
    from models.tagger import load_taggers
    from processors.extras import Extras
    from processors.filesets import read_fileset
    from processors.run import run_selection
    from storage.files import require_writable
    from storage.tables import write_table

    require_writable(out)
    files, asked = read_fileset(fileset), load_taggers(taggers, epochs=parse_epochs(epochs))
    found = {} if results is None else production.read_results([results])
    loaded = asked if results is None else closure.taggers_in(found, asked)
    if missing := len(asked) - len(loaded):
        left_out = f"{missing} of {len(asked)} checkpoints are left out"
        say(f"{left_out}: {results} does not hold them", heading="Note:")
    config = next((result.config for result in found.values()), {})
    options: dict[str, Any] = {
        "executor": "futures" if workers > 1 else "iterative",
        "workers": workers,
        "extras": Extras(held_out=process_settings.held_out_events(config.get("held_out"), loaded)),
        **closure.made_like(config),
    }
    with one_writer(out), progress_board() as board:
        if results is None:
            with stage(board, *(f"process {name}" for name in FIT_SELECTIONS)) as bars:
                found = {
                    name: run_selection(
                        selection=name, fileset=files, taggers=loaded, variants=parse_variants(variants),
                        progress=moved, **options,
                    )
                    for name, moved in zip(FIT_SELECTIONS, bars, strict=True)
                }  # fmt: skip
        counting = (f"count flavours in {name} data" for name in FIT_SELECTIONS)
        with stage(board, "join data with their truth", *counting) as (joined, *bars):
            counted = dict(zip(FIT_SELECTIONS, bars, strict=True))
            revealed = closure.process_revealed(files, loaded, joined=joined, progress=counted, **options)
        with stage(board, "fit") as (fitted,):
            trues = closure.compare_with_truth(found, revealed, coarse=coarse, progress=fitted)
        true_table = [row for true in trues for row in true_rows(true)]
        write_table(true_table, out / "true_scale_factors.csv", kind=TrueRow)
        rows = closure_rows(trues)
        write_table(rows, out / "closure.csv", kind=ClosureRow)
    show(
        [_without_nan(row._asdict()) for row in rows] if as_json else _closure_table(rows),
        title="Fitted against true scale factors, last epoch",
        as_json=as_json,
    )
    say(f"{out / 'true_scale_factors.csv'}: {sum(len(true.fitted.cvsl) for true in trues)} cells in all")


def _closure_table(rows: list["ClosureRow"]) -> list[dict[str, Any]]:
    """Return one row a training, variant and flavour at its last epoch: the fit against the truth."""
    last = {row.tagger: row.epoch for row in sorted(rows, key=lambda row: row.epoch)}
    return [
        {
            "tagger": row.tagger,
            "inputs": row.variant,
            "flavour": row.flavour,
            "cells": f"{row.n_compared}/{row.n_cells}",
            "true-1": f"{row.true_deviation:.3f}",
            "fit-true": f"{row.fit_deviation:.3f}",
            "pull": f"{row.pull_mean:.2f}",
            "width": f"{row.pull_width:.2f}",
            "p": f"{row.p_value:.2f}",
        }
        for row in rows
        if row.epoch == last[row.tagger]
    ]
