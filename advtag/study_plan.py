"""What `advtag study --dry-run` tells: everything a study makes, and whether it is there."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from advtag.study_results import comparison_settings, result_settings
from advtag.study_stages import (
    Study,
    evaluation_settings,
    filesets,
    missing_events,
    results_wanted,
    taggers,
)
from advtag.study_trainings import run_cards, unfinished

_THERE, _TO_DO, _AGAIN = "there", "to do", "to do again"


def plan_rows(study: Study) -> list[dict[str, Any]]:
    """Return a row for everything that is made: which stage, what, and whether it is there.

    Raises:
        ValueError: If a training is there that is another than the card's.
    """
    top = study.folders.top
    return [
        {"stage": stage, "what": path.relative_to(top).as_posix(), "state": state}
        for rows in (_made_once(study), _derived(study))
        for stage, path, state in rows
    ]


def _made_once(study: Study) -> Iterator[tuple[str, Path, str]]:
    """Yield what is never made again: to make it otherwise, it has to be removed."""
    card, folders = study.card, study.folders
    if card.samples is not None:
        n_missing = missing_events(study)
        yield "simulate", folders.samples, f"{n_missing} events to generate" if n_missing else _THERE
    yield "prepare", folders.training_data, _state(folders.training_data)
    for selection in card.unlabelled.selections if card.unlabelled else ():
        yield "collect", folders.unlabelled(selection), _state(folders.unlabelled(selection))
    cards = run_cards(card)
    missing = {each.name for each in unfinished(cards)}
    for each in cards:
        yield "train", each.output, _TO_DO if each.name in missing else _THERE


def _derived(study: Study) -> Iterator[tuple[str, Path, str]]:
    """Yield what is made again when what it is made of has changed."""
    folders, wanted = study.folders, results_wanted(study)
    results = [folders.result(*each) for each in wanted]
    settings: dict[Path, Mapping[str, Any]] = {}
    if not unfinished(run_cards(study.card)):
        checkpoints = taggers(study)
        settings[folders.areas] = evaluation_settings(study)
        simulated = {name for name, fileset in filesets(study).items() if fileset.is_file()}
        for path, (scenario, _) in zip(results, wanted, strict=True):
            if scenario in simulated:
                settings[path] = result_settings(study, checkpoints, scenario)
    if all(path.exists() for path in (folders.areas, *results)):
        settings[folders.methods] = comparison_settings(study, wanted)
    stages = ["evaluate", *["process"] * len(results), "compare"]
    for stage, path in zip(stages, [folders.areas, *results, folders.methods], strict=True):
        is_same = path in settings and study.records.is_same(path, settings[path])
        yield stage, path, _THERE if is_same else _AGAIN if path.exists() else _TO_DO
    yield "page", folders.page, _state(folders.page)


def _state(path: Path) -> str:
    return _THERE if path.exists() else _TO_DO
