"""From the options of `condor submit` to a manifest: files counted, split into jobs."""

from collections import Counter
from typing import TYPE_CHECKING

from advtag.progress import one_bar, say
from advtag.samples import tell_what_cannot_be_scaled
from advtag.staging import ProcessCommand

if TYPE_CHECKING:
    from condor.manifest import Manifest
    from condor.sites import Site
    from processors.filesets import Fileset


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
        OSError: If files cannot be read; all of them are named.
        ValueError: If a selection, profile or year is unknown, or a primary dataset of the fileset.
    """
    from condor.folder import advtag_version, hashes_of
    from condor.manifest import Manifest, metadata_of, with_fingerprint
    from condor.splitting import count_inputs, split, uncounted_inputs
    from processors.filesets import read_fileset

    files = read_fileset(command.fileset)
    tell_what_cannot_be_scaled(files)
    datasets = _datasets_by_selection(command, files)
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
        datasets=datasets,
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


def _datasets_by_selection(command: ProcessCommand, files: "Fileset") -> dict[str, list[str]]:
    """Return the datasets that a local run of each selection would read, and say which are left out."""
    from processors.planning import datasets_of
    from selections.parameters import parameters_of

    datasets = {}
    for selection in command.selections:
        row = parameters_of(selection, profile=command.profile, year=command.year)
        wanted, notes = datasets_of(files, row)
        datasets[selection] = list(wanted)
        for note in notes:
            say(note, heading="Note:")
    return datasets


def sentence_of(manifest: "Manifest") -> str:
    """Return how many jobs of which selections there are, and on what."""
    n_ranges = sum(len(job.ranges) for job in manifest.jobs)
    counts = Counter(job.selection for job in manifest.jobs)
    shares = ", ".join(f"{number} {selection}" for selection, number in counts.items())
    return f"{len(manifest.jobs)} jobs ({shares}) on {len(manifest.inputs)} files, {n_ranges} parts in all"
