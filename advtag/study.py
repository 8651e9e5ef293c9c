"""`advtag study`: methods times seeds, from events to one page that says what each is worth."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from advtag.interruption import keeps
from advtag.produce import AsJson
from advtag.progress import ProgressCallback, progress_board, say, stage
from advtag.tables import show

if TYPE_CHECKING:
    from advtag.study_stages import Study
    from advtag.study_trainings import Waiting

NEEDS_YOU, UNFINISHED = 3, 4
"""Exit codes, as of `advtag slurm status`: jobs failed; none did, but some have not ended."""


class Stage(StrEnum):
    """The stages in their order."""

    SIMULATE = "simulate"
    PREPARE = "prepare"
    COLLECT = "collect"
    TRAIN = "train"
    EVALUATE = "evaluate"
    PROCESS = "process"
    COMPARE = "compare"
    PAGE = "page"


class _Step(NamedTuple):
    """What a stage is called, by its bars, and what it does."""

    bars: Sequence[str]
    run: "Callable[[Study, Sequence[ProgressCallback]], Waiting | None]"


def study(
    card: Annotated[Path, typer.Argument(help="YAML of a study, like configs/defences.yaml.")],
    *,
    jobs: Annotated[int, typer.Option(min=1, help="Processes at work at once.")] = 2,
    until: Annotated[Stage, typer.Option(help="The last stage to run.")] = Stage.PAGE,
    out: Annotated[Path | None, typer.Option(help="Folder in place of the card's `output`.")] = None,
    train_on: Annotated[
        str | None, typer.Option(metavar="SITE", help="A site with SLURM for the trainings, e.g. rwth.")
    ] = None,
    process_on: Annotated[
        str | None, typer.Option(metavar="SITE", help="A site for the processing, e.g. lxplus.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what is there and what is to do.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train methods with several seeds, and compare their agreement of data and simulation at equal AUC.

    What is there already, made with the same settings, is kept; so a run that was interrupted goes on, and a
    method or seed more on the card costs just that. Trainings and processing can go to a batch system: the
    command then ends with exit code 4, and goes on when it is given again (3: jobs failed, and are named).

    Example: advtag study configs/defences.yaml --jobs 4
    """
    from advtag.study_card import read_study_card
    from advtag.study_stages import Study, check
    from storage.files import one_writer, require_writable

    asked = Study(read_study_card(card, output=out), jobs, train_on, process_on)
    try:
        check(asked)
    except ValueError as error:
        raise ValueError(f"{card}: {error}") from error
    require_writable(asked.folders.top)
    keeps(asked.folders.top, "*", advice="the same command goes on")
    if dry_run:
        _show_plan(asked, as_json=as_json)
        return
    with one_writer(asked.folders.top), progress_board() as board:
        for number, name in enumerate(Stage, start=1):
            step = _step_of(name, asked)
            with stage(board, *(f"{number} {each}" for each in step.bars)) as bars:
                if (waiting := step.run(asked, bars)) is not None:
                    say(waiting.sentence)
                    raise typer.Exit(NEEDS_YOU if waiting.has_failed else UNFINISHED)
            if name is until:
                break
    if until is Stage.PAGE:
        _show_methods(asked, as_json=as_json)
        say(f"Open {asked.folders.page}")


def _step_of(name: Stage, asked: "Study") -> _Step:
    from advtag import study_page, study_results, study_stages

    card = asked.card
    match name:
        case Stage.SIMULATE:
            samples = ["simulate events to learn from", "simulate events to compare"] if card.samples else []
            return _Step(samples, study_stages.simulate)
        case Stage.PREPARE:
            return _Step(["prepare jets"], study_stages.prepare)
        case Stage.COLLECT:
            selections = card.unlabelled.selections if card.unlabelled else ()
            return _Step([f"collect {each}" for each in selections], study_stages.collect)
        case Stage.TRAIN:
            n_taggers = len(card.methods) * len(card.seeds)
            return _Step([f"train {n_taggers} taggers"], study_stages.train)
        case Stage.EVALUATE:
            return _Step(["evaluate taggers"], study_stages.evaluate)
        case Stage.PROCESS:
            wanted = study_stages.results_wanted(asked)
            return _Step(
                [f"process {scenario} {selection}" for scenario, selection in wanted], study_results.process
            )
        case Stage.COMPARE:
            return _Step(["compare methods"], study_results.compare)
        case Stage.PAGE:
            return _Step(["draw the page"], study_page.page)


def _show_plan(asked: "Study", *, as_json: bool) -> None:
    """Print what is there and what is to do, and what would be handed in to a batch system."""
    from advtag import study_trainings
    from advtag.study_plan import plan_rows

    show(
        plan_rows(asked),
        title=f"Study {asked.card.name} in {asked.folders.top}",
        as_json=as_json,
    )
    cards = study_trainings.run_cards(asked.card)
    if asked.train_on is None or as_json:
        return
    waiting = next(
        (left for group in study_trainings.waves(cards) if (left := study_trainings.unfinished(group))), []
    )
    if waiting:
        folder = asked.folders.jobs / "trainings_1"
        typer.echo(study_trainings.script_of(waiting, folder, site=asked.train_on))
    say(f"{len(waiting)} trainings would be submitted; nothing was written.", heading="Dry run:")


def _show_methods(asked: "Study", *, as_json: bool) -> None:
    """Print what each method is worth in each scenario and selection, or all rows as JSON."""
    from advtag.study_page import summary_rows
    from datamc.method_tables import MethodRow
    from storage.tables import read_table

    if as_json:
        rows = read_table(asked.folders.methods, kind=MethodRow, unknown=())
        show([row._asdict() for row in rows], title="", as_json=True)
        return
    show(
        summary_rows(asked),
        title="KL of CvsB over that of the reference at equal AUC: below 1 a method is worth something\n"
        "(null data: in standard deviations; \u2013: the reference is not clearly above statistics)",
        as_json=False,
    )
