"""Commands for batch systems: condor submit, status, resubmit, merge; slurm process."""

from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from advtag import staging
from advtag.job_folders import (
    Look,
    hand_in_again,
    hand_in_first,
    job_row,
    jobs_named,
    judge,
    look_at,
    only_submitter,
    site_of,
    step_row,
)
from advtag.job_folders import watch as watching
from advtag.job_plans import plan_jobs, sentence_of, site_asked_for
from advtag.produce import AsJson
from advtag.progress import one_bar, say
from advtag.tables import show

condor = typer.Typer(
    no_args_is_help=True,
    help="Many jobs of `advtag process` on HTCondor (or SLURM): nothing lost or counted twice.",
)

FAILED, UNFINISHED = 3, 4
"""Exit codes of `status`: jobs need to be submitted again; none does, but some have not ended."""
_LISTED = 20

Folder = Annotated[Path, typer.Argument(help="The folder of the jobs.")]
SiteName = Annotated[
    str,
    typer.Option(help="local, lxplus, naf, rwth, lpc, or the path of a profile like condor/profiles/*.yaml."),
]
PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


@condor.command(context_settings=PASSED_ON)
def submit(
    context: typer.Context,
    folder: Folder,
    *,
    selection: Annotated[str, typer.Option(help="dy, wc, ttsemilep or inclusive; several: dy,wc,ttsemilep.")],
    fileset: Annotated[Path, typer.Option(help="JSON: datasets with their files and metadata.")],
    site: SiteName = "local",
    files_per_job: Annotated[int, typer.Option(min=1, help="At most so many files a job.")] = 10,
    events_per_job: Annotated[
        int | None, typer.Option(min=1, help="At most so many events a job; large files are cut.")
    ] = None,
    no_count: Annotated[
        bool,
        typer.Option(
            "--no-count", help="Do not open the files: jobs count their events, cut by files alone."
        ),
    ] = False,
    memory_mb: Annotated[int | None, typer.Option(min=100, help="Memory of a job; else the site's.")] = None,
    minutes: Annotated[int | None, typer.Option(min=1, help="Time of a job; else the site's.")] = None,
    graph: Annotated[
        Path | None,
        typer.Option(help="Also merge into this folder, fit and report, as a graph of DAGMan (HTCondor)."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be submitted; write and submit nothing.")
    ] = False,
) -> None:
    """Split a fileset into jobs and submit them; further options are those of `advtag process`.

    Example: advtag condor submit jobs --site lxplus --fileset samples/fileset.json
    --selection dy,wc,ttsemilep --taggers runs/basic --variants raw,noise:0.1,fgsm:0.1 --events-per-job 500000
    """
    from condor import folder as folders
    from condor.handing_in import first_attempts
    from condor.submissions import batch_system
    from storage.files import require_writable

    if not dry_run:
        for place in (folder, *([graph] if graph else [])):
            require_writable(place)
    profile = site_asked_for(site, memory_mb=memory_mb, minutes=minutes)
    of_slurm = context.parent is not None and context.parent.info_name == "slurm"
    if of_slurm and profile.scheduler != "slurm":
        raise ValueError(f"site {profile.name} has no SLURM: choose another one")
    if graph is not None and profile.scheduler != "htcondor":
        raise ValueError(f"site {profile.name}: graphs are HTCondor's; on SLURM merge when all is done")
    command = staging.parse_process(selection=selection, fileset=fileset, others=context.args)
    manifest = plan_jobs(
        command, profile, files_per_job=files_per_job, events_per_job=events_per_job, no_count=no_count
    )
    description = batch_system(profile).describe(manifest, folder, first_attempts(manifest))
    if dry_run:
        typer.echo(description)
        typer.echo(folders.wrapper(manifest))
        say(f"{sentence_of(manifest)}; nothing was written or submitted.", heading="Dry run:")
        return
    numbers = ", ".join(hand_in_first(manifest, command.staged, folder, graph=graph))
    say(f"{sentence_of(manifest)}, submitted as {numbers}: see `advtag condor status {folder}`.")


@condor.command()
def status(
    folders: Annotated[list[Path], typer.Argument(help="Folders of jobs or trainings.")],
    *,
    watch: Annotated[
        bool, typer.Option("--watch", help="Look again and again until all jobs ended.")
    ] = False,
    every: Annotated[int, typer.Option(min=1, help="Seconds between two looks.")] = 30,
    everything: Annotated[
        bool, typer.Option("--all", help="List every job, also those that are done.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Tell what became of every job, judged by its output: exit code 0 if all are done.

    3: some failed, are held or were never submitted (`resubmit` them); 4: none did, but some have not ended.

    Example: advtag condor status jobs --watch
    """
    from condor.judging import summary_of

    look = watching(folders, every=every) if watch else look_at(folders)
    listed = [job_row(*each) for each in look.jobs if everything or as_json or each[1].state != "done"]
    listed += [step_row(*each) for each in look.steps if everything or as_json or each[1].state != "done"]
    if as_json or listed:
        show(listed if everything or as_json else listed[:_LISTED], title="Jobs", as_json=as_json)
    if len(listed) > _LISTED and not everything and not as_json:
        _say_reasons(look)
    say(summary_of([job for _, job in look.jobs]))
    if look.has_failed:
        raise typer.Exit(FAILED)
    if look.n_ended < look.n_all:
        raise typer.Exit(UNFINISHED)


def _say_reasons(look: Look) -> None:
    for reason, number in Counter(job.reason for _, job in look.jobs if job.reason).most_common(5):
        say(f"{number} jobs: {reason}")


@condor.command()
def resubmit(
    folder: Folder,
    *,
    jobs: Annotated[
        str | None,
        typer.Option(help="These jobs, e.g. 3,17, whatever became of them; else those that failed."),
    ] = None,
    memory_mb: Annotated[int | None, typer.Option(min=100, help="Ask for so much memory this time.")] = None,
    minutes: Annotated[int | None, typer.Option(min=1, help="Ask for so much time this time.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the jobs; submit nothing.")] = False,
) -> None:
    """Submit again what failed or is held, and that alone; with more memory or time where those ran out.

    Example: advtag condor resubmit jobs
    """
    from condor.graph import judge_steps
    from condor.handing_in import next_attempts

    site = site_of(folder)
    with nullcontext() if dry_run else only_submitter(folder, site):
        found = judge(folder)
        chosen = [job for job in found if job.needs_resubmission] if jobs is None else jobs_named(found, jobs)
        attempts = [
            attempt._replace(memory_mb=memory_mb or attempt.memory_mb, minutes=minutes or attempt.minutes)
            for attempt in next_attempts(chosen, site)
        ]
        steps = [step for step in judge_steps(folder) if step.state in ("failed", "planned")]
        if not attempts and not steps:
            say("nothing to submit again.")
        elif dry_run:
            rows = [attempt._asdict() for attempt in attempts] or [step._asdict() for step in steps]
            show(rows, title="Would be submitted again", as_json=False)
        else:
            numbers = ", ".join(hand_in_again(folder, attempts, chosen))
            say(f"{len(attempts)} jobs submitted again as {numbers}.")


@condor.command()
def merge(
    folder: Folder,
    *,
    out: Annotated[Path, typer.Option(help="Folder for the results, one file per selection.")],
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Declare the events of jobs without output lost.")
    ] = False,
) -> None:
    """Add up the outputs of all jobs, every event once: the same files as one local `advtag process` makes.

    Exit code 3 if events were declared lost.

    Example: advtag condor merge jobs --out results
    """
    from advtag.production import ledger_sentence
    from condor.judging import judge_jobs
    from condor.manifest import read_manifest
    from condor.merging import PARTS, merge_outputs
    from storage.files import held_file, one_writer, require_writable

    require_writable(out)
    manifest = read_manifest(folder)
    jobs = judge_jobs(manifest, folder, system=None)
    with one_writer(out), held_file(folder / PARTS), one_bar("merge") as progress:
        results = merge_outputs(manifest, folder, jobs, out, allow_missing=allow_missing, progress=progress)
    for result in results:
        say(f"{out / f'{result.selection}.zip'}: {ledger_sentence(result)}")
    if any(entry.status != "processed" for result in results for entry in result.ledger):
        raise typer.Exit(FAILED)
