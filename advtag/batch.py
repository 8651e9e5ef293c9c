"""Commands for batch systems: condor submit, status, resubmit, merge; slurm process."""

import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from advtag import staging
from advtag.produce import AsJson
from advtag.progress import console, one_bar, say
from advtag.tables import show

if TYPE_CHECKING:
    from condor.judging import JobStatus
    from condor.manifest import Manifest
    from condor.sites import Site
    from condor.submissions import Attempt, Submission

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
    from condor.handing_in import first_attempts, hand_in
    from condor.submissions import batch_system

    profile = _with_request(site, memory_mb, minutes)
    command = staging.parse_process(selection=selection, fileset=fileset, others=context.args)
    manifest = _plan(
        command, profile, files_per_job=files_per_job, events_per_job=events_per_job, no_count=no_count
    )
    system = batch_system(profile)
    if dry_run:
        typer.echo(system.describe(manifest, folder))
        typer.echo(folders.wrapper(manifest))
        say(f"{_planned(manifest)}; nothing was written or submitted.", heading="Dry run:")
        return
    folders.write_folder(manifest, command.staged, folder)
    if graph is None:
        submissions = hand_in(manifest, folder, first_attempts(manifest), system)
        numbers = ", ".join(submission.id for submission in submissions)
    else:
        numbers = _hand_in_graph(manifest, folder, graph)
    say(f"{_planned(manifest)}, submitted as {numbers}: see `advtag condor status {folder}`.")


def _with_request(site: str, memory_mb: int | None, minutes: int | None) -> "Site":
    from condor.sites import read_site

    profile = read_site(site)
    asked = {"memory_mb": memory_mb, "minutes": minutes}
    wanted = {key: value for key, value in asked.items() if value is not None}
    return profile.model_copy(update={"request": profile.request.model_copy(update=wanted)})


def _plan(
    command: staging.ProcessCommand,
    site: "Site",
    *,
    files_per_job: int,
    events_per_job: int | None,
    no_count: bool,
) -> "Manifest":
    """Return the manifest of a command on a site.

    Raises:
        OSError: If files cannot be read; all of them are named.
    """
    from condor.folder import advtag_version, hashes_of
    from condor.manifest import Manifest, metadata_of, with_fingerprint
    from condor.splitting import count_inputs, split, uncounted_inputs
    from processors.filesets import read_fileset

    files = read_fileset(command.fileset)
    if no_count:
        inputs, parts = uncounted_inputs(files)
    else:
        with one_bar("count events") as progress:
            inputs, parts, complaints = count_inputs(files, progress=progress)
        if complaints:
            raise OSError(f"{'; '.join(complaints)}: mend the fileset, or leave them out")
    metadata = metadata_of(files)
    jobs = split(
        inputs,
        selections=command.selections,
        primary_datasets={name: (each or {}).get("primary_dataset") for name, each in metadata.items()},
        parts=parts,
        files_per_job=files_per_job,
        events_per_job=events_per_job,
    )
    return with_fingerprint(
        Manifest(
            advtag_version=advtag_version(),
            site=site,
            command=command.words,
            staged=hashes_of(command.staged),
            datasets=metadata,
            inputs=tuple(inputs),
            jobs=tuple(jobs),
        )
    )


def _planned(manifest: "Manifest") -> str:
    n_ranges = sum(len(job.ranges) for job in manifest.jobs)
    counts = Counter(job.selection for job in manifest.jobs)
    shares = ", ".join(f"{number} {selection}" for selection, number in counts.items())
    return f"{len(manifest.jobs)} jobs ({shares}) on {len(manifest.inputs)} files, {n_ranges} parts in all"


def _hand_in_graph(manifest: "Manifest", folder: Path, out: Path) -> str:
    from condor.graph import submit_graph, write_graph
    from condor.handing_in import first_attempts, noted
    from condor.htcondor import program, variables

    if manifest.site.scheduler != "htcondor":
        raise ValueError(f"site {manifest.site.name}: graphs are HTCondor's; on SLURM merge when all is done")
    attempts = first_attempts(manifest)
    write_graph(
        manifest,
        folder,
        description=program(manifest, folder),
        variables=[variables(manifest, attempt) for attempt in attempts],
        out=out,
    )
    return noted(folder, submit_graph(folder), attempts).id


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
    found = _watch(folders, every) if watch else _judge_all(folders)
    jobs = [job for _, job in found]
    if as_json:
        show([_row(folder, job) for folder, job in found], title="Jobs", as_json=True)
    elif listed := [_row(folder, job) for folder, job in found if everything or job.state != "done"]:
        show(listed if everything else listed[:_LISTED], title="Jobs", as_json=False)
        if len(listed) > _LISTED and not everything:
            _say_reasons(jobs)
    _say_summary(jobs)
    if any(job.needs_resubmission for job in jobs):
        raise typer.Exit(FAILED)
    if any(job.state != "done" for job in jobs):
        raise typer.Exit(UNFINISHED)


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
    from condor.handing_in import next_attempts, take_back
    from condor.submissions import batch_system

    site = _site_of(folder)
    found = _judge(folder)
    chosen = [job for job in found if job.needs_resubmission] if jobs is None else _named(found, jobs)
    if not chosen:
        say("nothing to submit again.")
        return
    attempts = [
        attempt._replace(memory_mb=memory_mb or attempt.memory_mb, minutes=minutes or attempt.minutes)
        for attempt in next_attempts(chosen, site)
    ]
    if dry_run:
        show([attempt._asdict() for attempt in attempts], title="Would be submitted again", as_json=False)
        return
    take_back(folder, chosen, batch_system(site))
    numbers = ", ".join(each.id for each in _hand_in(folder, attempts))
    say(f"{len(attempts)} jobs submitted again as {numbers}.")


def _site_of(folder: Path) -> "Site":
    from condor.manifest import read_manifest
    from condor.trainings import is_trainings, read_trainings

    return read_trainings(folder).site if is_trainings(folder) else read_manifest(folder).site


def _hand_in(folder: Path, attempts: "list[Attempt]") -> "list[Submission]":
    from condor.handing_in import hand_in, noted
    from condor.manifest import read_manifest
    from condor.submissions import batch_system
    from condor.trainings import is_trainings, read_trainings, submit_trainings

    if is_trainings(folder):
        return [noted(folder, submit_trainings(read_trainings(folder), folder, attempts), attempts)]
    manifest = read_manifest(folder)
    return hand_in(manifest, folder, attempts, batch_system(manifest.site))


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
    from condor.merging import merge_outputs

    manifest = read_manifest(folder)
    jobs = judge_jobs(manifest, folder, system=None)
    with one_bar("merge") as progress:
        results = merge_outputs(manifest, folder, jobs, out, allow_missing=allow_missing, progress=progress)
    for result in results:
        say(f"{out / f'{result.selection}.zip'}: {ledger_sentence(result)}")
    if any(entry.status != "processed" for result in results for entry in result.ledger):
        raise typer.Exit(FAILED)


def _judge(folder: Path) -> "list[JobStatus]":
    from condor.judging import judge_jobs
    from condor.manifest import read_manifest
    from condor.submissions import batch_system
    from condor.trainings import is_trainings, judge_trainings, read_trainings

    if is_trainings(folder):
        return judge_trainings(read_trainings(folder), folder)
    manifest = read_manifest(folder)
    return judge_jobs(manifest, folder, batch_system(manifest.site))


def _judge_all(folders: list[Path]) -> "list[tuple[Path, JobStatus]]":
    return [(folder, job) for folder in folders for job in _judge(folder)]


def _watch(folders: list[Path], every: int) -> "list[tuple[Path, JobStatus]]":
    """Look at the jobs until none of them can end by itself any more, with a bar and the time left."""
    with one_bar("jobs") as progress:
        while True:
            found = _judge_all(folders)
            n_ended = sum(job.state == "done" or job.needs_resubmission for _, job in found)
            progress(n_ended, len(found))
            if n_ended == len(found):
                return found
            time.sleep(every)


def _named(jobs: "list[JobStatus]", text: str) -> "list[JobStatus]":
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = [-1]
    if not all(0 <= number < len(jobs) for number in numbers):
        raise ValueError(f"jobs {text!r}: give numbers from 0 to {len(jobs) - 1}, e.g. 3,17")
    return [jobs[number] for number in dict.fromkeys(numbers)]


def _row(folder: Path, job: "JobStatus") -> dict[str, Any]:
    return {
        "folder": str(folder),
        "job": f"{job.job:05d}",
        "what": job.selection,
        "state": job.state,
        "events": job.n_events,
        "lost": job.n_lost,
        "attempts": job.attempts,
        "memory MB": job.memory_mb,
        "reason": job.reason,
    }


def _say_reasons(jobs: "list[JobStatus]") -> None:
    for reason, number in Counter(job.reason for job in jobs if job.reason).most_common(5):
        say(f"{number} jobs: {reason}")


def _say_summary(jobs: "list[JobStatus]") -> None:
    from condor.judging import summary_of

    console.print(summary_of(jobs), highlight=False)
