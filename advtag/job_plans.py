"""From the options of `condor submit` to a manifest: files counted, split into jobs."""

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from advtag.progress import one_bar, say
from advtag.samples import tell_what_cannot_be_scaled
from advtag.staging import ProcessCommand

if TYPE_CHECKING:
    from condor.manifest import Manifest
    from condor.sites import Site
    from processors.filesets import Fileset
    from processors.planning import Plan
    from processors.run import Request


def site_asked_for(site: str, *, memory_mb: int | None, minutes: int | None) -> "Site":
    """Return a site, with another request for memory and time where one is given."""
    from condor.sites import read_site

    profile = read_site(site)
    asked = {"memory_mb": memory_mb, "minutes": minutes}
    wanted = {key: value for key, value in asked.items() if value is not None}
    return profile.model_copy(update={"request": profile.request.model_copy(update=wanted)})


def plan_jobs(
    command: ProcessCommand,
    site: "Site",
    *,
    files_per_job: int,
    events_per_job: int | None,
    no_count: bool,
) -> "Manifest":
    """Return the manifest of a command on a site.

    Raises:
        OSError: If files cannot be read.
        ValueError: If an option, the fileset or a file does not fit: what a local run refuses is refused.
    """
    from advtag.process_settings import require_possible
    from condor.folder import advtag_version, hashes_of
    from condor.manifest import Loss, Manifest, metadata_of, with_fingerprint
    from condor.splitting import planned_inputs, split, uncounted_inputs
    from processors.chunk_store import code_fingerprint
    from processors.filesets import read_fileset
    from processors.planning import datasets_of

    files = read_fileset(command.fileset)
    requests = require_possible(command.selections, files, command.settings)
    tell_what_cannot_be_scaled(files)
    datasets = {name: datasets_of(files, asked.parameters) for name, asked in requests.items()}
    notes = {name: tuple(left_out) for name, (_, left_out) in datasets.items()}
    lost: list[Loss] = []
    if no_count:
        inputs, parts = uncounted_inputs(files)
    else:
        plans = _plans(requests, files, skip_bad_files=command.skip_bad_files)
        inputs, parts = planned_inputs(plans.values())
        notes = {name: tuple(plan.notes) for name, plan in plans.items()}
        lost = [
            Loss(name, entry.dataset, entry.file, entry.entry_start, entry.reason)
            for name, plan in plans.items()
            for entry in plan.lost
        ]
    for note in dict.fromkeys(
        [note for of_one in notes.values() for note in of_one]
        + [f"{each.dataset}: {each.path} skipped, {each.reason}" for each in lost]
    ):
        say(note, heading="Note:")
    jobs = split(
        inputs,
        selections=command.selections,
        datasets={name: list(wanted) for name, (wanted, _) in datasets.items()},
        parts=parts,
        files_per_job=files_per_job,
        events_per_job=events_per_job,
    )
    return with_fingerprint(
        Manifest(
            advtag_version=advtag_version(),
            code=code_fingerprint(),
            site=site,
            command=command.words,
            staged=hashes_of(command.staged),
            datasets=metadata_of(files),
            inputs=tuple(inputs),
            jobs=tuple(jobs),
            lost=tuple(lost),
            notes=notes,
        )
    )


def _plans(requests: "Mapping[str, Request]", files: "Fileset", *, skip_bad_files: bool) -> "dict[str, Plan]":
    """Return what a local run of each selection would process; each file is opened once for all of them."""
    from processors.opening import Headers
    from processors.run import prepare

    headers: Headers = {}
    plans = {}
    with one_bar("open files") as progress:
        for name, asked in requests.items():
            run = prepare(asked, files, skip_bad_files=skip_bad_files, headers=headers, progress=progress)
            plans[name] = run.plan
    return plans


def sentence_of(manifest: "Manifest") -> str:
    """Return how many jobs of which selections there are, and on what."""
    n_ranges = sum(len(job.ranges) for job in manifest.jobs)
    counts = Counter(job.selection for job in manifest.jobs)
    shares = ", ".join(f"{number} {selection}" for selection, number in counts.items())
    return f"{len(manifest.jobs)} jobs ({shares}) on {len(manifest.inputs)} files, {n_ranges} parts in all"
