"""Events to histograms, here or at a site, and histograms to the comparison of methods."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from advtag import production
from advtag.progress import ProgressCallback
from advtag.study_card import tagger_name
from advtag.study_stages import Study, files_in, filesets, hashes_of, results_wanted, taggers
from advtag.study_trainings import Waiting
from storage.files import sha256

if TYPE_CHECKING:
    from datamc.method_scale_factors import MethodScaleFactors
    from datamc.method_tables import MethodStudy
    from models.tagger import Tagger

SEED = 1
"""Of noise and replicas."""


def result_settings(study: Study, checkpoints: "Sequence[Tagger]", scenario: str) -> dict[str, Any]:
    """Return all that decides the histograms of a scenario."""
    return {
        "taggers": hashes_of(checkpoints),
        "blocks": study.card.blocks,
        "held_out": study.split.name if study.split else None,
        "fileset": files_in(filesets(study)[scenario]),
    }


def process(study: Study, bars: Sequence[ProgressCallback]) -> Waiting | None:
    """Fill the histograms of every scenario and selection with all taggers."""
    checkpoints = taggers(study)
    settings = {scenario: result_settings(study, checkpoints, scenario) for scenario in study.card.scenarios}
    missing: dict[str, list[str]] = {}
    for scenario, selection in results_wanted(study):
        if not study.records.is_same(study.folders.result(scenario, selection), settings[scenario]):
            missing.setdefault(scenario, []).append(selection)
    if study.process_on is not None:
        from advtag.study_jobs import process_at_site

        return process_at_site(study, missing, settings, site=study.process_on)
    for (scenario, selection), bar in zip(results_wanted(study), bars, strict=True):
        if selection in missing.get(scenario, ()):
            path = study.folders.result(scenario, selection)
            _process_here(study, checkpoints, scenario, selection, path, bar)
            study.records.note(path, settings[scenario])
    return None


def _process_here(
    study: Study,
    checkpoints: "Sequence[Tagger]",
    scenario: str,
    selection: str,
    path: Path,
    progress: ProgressCallback,
) -> None:
    from datamc.results import write_result
    from models.discriminators import SCORES
    from processors.blocks import affordable_blocks
    from processors.extras import Extras
    from processors.filesets import read_fileset
    from processors.run import run_selection

    blocks = affordable_blocks(study.card.blocks, scenarios=len(checkpoints), scores=len(SCORES))
    result = run_selection(
        selection=selection, fileset=read_fileset(filesets(study)[scenario]), taggers=checkpoints,
        executor="futures", workers=study.n_processes, seed=SEED, progress=progress,
        extras=Extras(blocks=blocks, held_out=study.split),
    )  # fmt: skip
    write_result(result, path)


def comparison_settings(study: Study, wanted: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return all that decides the comparison."""
    from datamc.method_tables import MethodRow

    folders, card = study.folders, study.card
    paths = [folders.result(*each) for each in wanted]
    return {
        "results": {str(path.relative_to(folders.top)): sha256(path) for path in paths},
        "areas": sha256(folders.areas),
        "methods": {method: list(names) for method, names in taggers_by_method(study).items()},
        "reference": card.reference,
        "replicas": card.replicas,
        "columns": list(MethodRow._fields),
    }


def compare(study: Study, bars: Sequence[ProgressCallback]) -> None:
    """Compare the methods in every scenario and selection, and fit scale factors where all selections are."""
    wanted, progress = results_wanted(study), bars[0]
    settings = comparison_settings(study, wanted)
    if study.records.is_same(study.folders.methods, settings):
        return
    found = []
    for done, (scenario, selection) in enumerate(wanted):
        progress(done, len(wanted) + 1)
        found.append(_compared(study, scenario, selection))
    progress(len(wanted), len(wanted) + 1)
    _write_tables(study, found, _scale_factors(study, wanted))
    study.records.note(study.folders.methods, settings)
    progress(len(wanted) + 1, len(wanted) + 1)


def taggers_by_method(study: Study) -> Mapping[str, Sequence[str]]:
    """Return the taggers of each method, one per seed."""
    card = study.card
    return {method: [tagger_name(method, seed) for seed in card.seeds] for method in card.methods}


def _compared(study: Study, scenario: str, selection: str) -> "MethodStudy":
    from datamc.methods import method_study
    from datamc.results import read_result

    return method_study(
        read_result(study.folders.result(scenario, selection)),
        scenario=scenario,
        methods=taggers_by_method(study),
        areas=production.noised_areas(study.folders.evaluation),
        area_errors=production.area_errors(study.folders.evaluation),
        attacked=_areas_under_attack(study),
        reference=study.card.reference,
        n_bootstrap=study.card.replicas,
        seed=SEED,
    )


def _areas_under_attack(study: Study) -> dict[tuple[str, str], float]:
    """Return the AUC of the last epoch under the first of the card's distortions, by tagger and score."""
    rows = production.read_evaluation(study.folders.evaluation).areas
    wanted = study.card.variants[0] if study.card.variants else None
    # Epochs come in order, so the last one stays.
    ordered = sorted((row for row in rows if row.variant == wanted), key=lambda row: row.epoch)
    return {(row.tagger, row.score): row.auc for row in ordered}


def _scale_factors(study: Study, wanted: Sequence[tuple[str, str]]) -> "list[MethodScaleFactors]":
    """Return how far scale factors are from 1, in every scenario that has all selections of the fit."""
    from datamc.method_scale_factors import method_scale_factors
    from datamc.planes import FIT_SELECTIONS
    from datamc.results import read_result

    rows = []
    for scenario in study.card.scenarios:
        if set(FIT_SELECTIONS) <= {selection for each, selection in wanted if each == scenario}:
            results = {name: read_result(study.folders.result(scenario, name)) for name in FIT_SELECTIONS}
            fits = production.solve_all(results, coarse=True)
            rows += method_scale_factors(
                fits,
                scenario=scenario,
                methods=taggers_by_method(study),
                same_events=any(result.same_events for result in results.values()),
            )
    return rows


def _write_tables(
    study: Study, found: "Sequence[MethodStudy]", scale_factors: "Sequence[MethodScaleFactors]"
) -> None:
    """Write all tables; last the one that says that the others are there."""
    from datamc.method_scale_factors import MethodScaleFactors
    from datamc.method_tables import MethodRow, PairRow, ReferencePoint, SeedRow
    from storage.tables import write_table

    folders = study.folders
    write_table(scale_factors, folders.table("scale_factors"), kind=MethodScaleFactors)
    write_table([row for each in found for row in each.seeds], folders.table("seeds"), kind=SeedRow)
    write_table([row for each in found for row in each.pairs], folders.table("pairs"), kind=PairRow)
    write_table([row for each in found for row in each.curves], folders.table("curves"), kind=ReferencePoint)
    write_table([row for each in found for row in each.rows], folders.methods, kind=MethodRow)
