"""The processing of a study as jobs at a site: handed in, judged, and merged once they are done."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from advtag.job_folders import hand_in_first, judge
from advtag.progress import say
from advtag.study_stages import Study, filesets, tagger_paths
from advtag.study_trainings import Waiting
from storage.wording import few

_FILES_PER_JOB, _EVENTS_PER_JOB = 20, 500_000


def process_at_site(
    study: Study, wanted: Mapping[str, Sequence[str]], settings: Mapping[str, Mapping[str, Any]], site: str
) -> Waiting | None:
    """Hand in the jobs of scenarios, or merge what they made; None when all results are there.

    Args:
        study: The study.
        wanted: Selections of each scenario that are still to be processed.
        settings: Of the results of each scenario.
        site: As of `advtag condor submit`.

    Raises:
        BatchError: If the batch system refuses or does not answer.
    """
    waiting = [
        found
        for scenario, selections in wanted.items()
        if (found := _scenario_at_site(study, scenario, selections, settings[scenario], site))
    ]
    if not waiting:
        return None
    return Waiting(" ".join(each.sentence for each in waiting), any(each.has_failed for each in waiting))


def _scenario_at_site(
    study: Study, scenario: str, selections: Sequence[str], settings: Mapping[str, Any], site: str
) -> Waiting | None:
    folders = sorted(study.folders.jobs.glob(f"process_{scenario}_*"))
    asked = {**settings, "selections": list(selections)}
    folder = next((each for each in folders if study.records.is_same(each, asked)), None)
    if folder is None:
        folder = study.folders.jobs / f"process_{scenario}_{len(folders) + 1}"
        said = _handed_in(study, scenario, selections, folder, site)
        study.records.note(folder, asked)
        return Waiting(
            f"{scenario}: {said}: give the same command again once `advtag condor status {folder}` says done."
        )
    jobs = judge(folder)
    if failed := [job for job in jobs if job.needs_resubmission]:
        named = few([f"{job.job:05d} ({job.reason or job.state})" for job in failed])
        return Waiting(
            f"{scenario}: {len(failed)} jobs need you: {named}: `advtag condor resubmit {folder}`.", True
        )
    if left := [job for job in jobs if job.state != "done"]:
        return Waiting(
            f"{scenario}: {len(left)} of {len(jobs)} jobs have not ended: give the same command again once"
            f" `advtag condor status {folder}` says done."
        )
    _merge(study, scenario, folder, jobs)
    for selection in selections:
        study.records.note(study.folders.result(scenario, selection), settings)
    return None


def _handed_in(study: Study, scenario: str, selections: Sequence[str], folder: Path, site: str) -> str:
    from advtag.job_plans import sentence_of

    manifest, staged = planned(study, scenario, selections, site)
    numbers = hand_in_first(manifest, staged, folder, graph=None)
    return f"{sentence_of(manifest)}, submitted as {', '.join(numbers)}"


def planned(study: Study, scenario: str, selections: Sequence[str], site: str) -> tuple[Any, Any]:
    """Return the manifest of a scenario's jobs, and the files that travel with them."""
    from advtag.job_plans import plan_jobs
    from advtag.staging import parse_process
    from condor.sites import read_site

    words = ["--blocks", str(study.card.blocks)]
    for path in tagger_paths(study):
        words += ["--taggers", str(path)]
    if study.split is not None:
        words += ["--held-out", study.split.name]
    command = parse_process(selection=",".join(selections), fileset=filesets(study)[scenario], others=words)
    manifest = plan_jobs(
        command, read_site(site), files_per_job=_FILES_PER_JOB, events_per_job=_EVENTS_PER_JOB, no_count=False
    )
    return manifest, command.staged


def _merge(study: Study, scenario: str, folder: Path, jobs: Sequence[Any]) -> None:
    from advtag.production import ledger_sentence
    from condor.manifest import read_manifest
    from condor.merging import merge_outputs

    for result in merge_outputs(read_manifest(folder), folder, jobs, study.folders.results_of(scenario)):
        say(f"{scenario}, {result.selection}: {ledger_sentence(result)}")
