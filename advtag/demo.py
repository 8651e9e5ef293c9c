"""`advtag demo`: the whole chain on simulated events, from nothing to a report."""

import time
from pathlib import Path
from typing import Annotated

import typer

from advtag.interruption import keeps
from advtag.produce import AsJson
from advtag.progress import progress_board, say, stage


def demo(
    *,
    scale: Annotated[
        float, typer.Option(min=0.02, max=1000, help="Times the default number of events.")
    ] = 1.0,
    out: Annotated[Path, typer.Option(help="Folder for everything that is made.")] = Path("demo"),
    jobs: Annotated[int, typer.Option(min=1, help="Processes at work at once.")] = 2,
    as_json: AsJson = False,
) -> None:
    """Simulate, train a basic and an adversarial tagger, process, compare: one command, one report.

    Everything is made on this machine; the "data" are simulated too, with a known mismodelling. What an
    earlier, interrupted run completed in the folder is not made again.

    Example: advtag demo --scale 0.1 --out quick_demo
    """
    from advtag import chain, summary
    from storage.files import one_writer, require_writable

    require_writable(out)
    keeps(out, "samples/*.root", advice="the same command goes on")
    folders = chain.Folders(out)
    start = time.monotonic()
    with one_writer(out), progress_board() as board:
        with stage(board, "1 simulate events") as (progress,):
            samples = chain.simulate(folders, scale=scale, n_processes=jobs, progress=progress)
        with stage(board, "2 prepare jets") as (progress,):
            chain.prepare(folders, samples, progress=progress)
        with stage(board, *(f"3 train {name} tagger" for name in chain.TRAININGS)) as bars:
            chain.train(folders, n_processes=jobs, progress=dict(zip(chain.TRAININGS, bars, strict=True)))
        with stage(board, "4 evaluate taggers") as (progress,):
            evaluation = chain.evaluate(folders, progress=progress)
        with stage(board, *(f"5 process {name}" for name in chain.SELECTIONS)) as bars:
            results = chain.process(
                folders, workers=jobs, progress=dict(zip(chain.SELECTIONS, bars, strict=True))
            )
        with stage(board, "6 divergence and scale factors") as (progress,):
            found = chain.compare(folders, results, progress=progress)
        with stage(board, "7 draw figures") as (progress,):
            chain.draw(folders, found, evaluation, progress=progress)
        page = chain.report(folders, found, evaluation)
    summary.show_summary(found, evaluation.areas, as_json=as_json)
    minutes, seconds = divmod(round(time.monotonic() - start), 60)
    say(f"Done in {minutes} min {seconds} s. Open the report: {page}")
