"""The last stage of a study: tables to the page."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from advtag.progress import ProgressCallback
from advtag.study_results import taggers_by_method
from advtag.study_stages import Study

if TYPE_CHECKING:
    from datamc.method_tables import MethodRow

SCORE, MEASURE = "CvsB", "kl"
"""What the table on the terminal and the top of the page show; `measure_of` says where another measure."""


def page(study: Study, bars: Sequence[ProgressCallback]) -> None:
    """Draw the page from the tables."""
    from datamc.method_scale_factors import MethodScaleFactors
    from datamc.method_tables import MethodRow, MethodStudy, PairRow, ReferencePoint, SeedRow
    from plotting.methods_page import write_methods_page
    from storage.tables import read_table

    card, folders = study.card, study.folders
    bars[0](0, 1)
    write_methods_page(
        folders.page,
        MethodStudy(
            read_table(folders.methods, kind=MethodRow, unknown=()),
            read_table(folders.table("seeds"), kind=SeedRow, unknown=()),
            read_table(folders.table("pairs"), kind=PairRow, unknown=()),
            read_table(folders.table("curves"), kind=ReferencePoint, unknown=()),
        ),
        scale_factors=read_table(folders.table("scale_factors"), kind=MethodScaleFactors, unknown=()),
        scenarios={name: card.descriptions.get(name, name) for name in card.scenarios},
        costs=costs(study),
        about=about(study),
        simulated=card.samples is not None,
        score=SCORE,
        measure=MEASURE,
        title=card.heading,
    )
    bars[0](1, 1)


def costs(study: Study) -> dict[str, float]:
    """Return the time a training of each method takes, over that of the reference."""
    from training.history import read_history

    seconds: dict[str, float] = {}
    for method, names in taggers_by_method(study).items():
        # The fastest epoch: others had to share the machine.
        fastest = [
            max(row.jets_per_second for row in read_history(study.folders.run(name))) for name in names
        ]
        seconds[method] = 1.0 / max(fastest)
    return {method: each / seconds[study.card.reference] for method, each in seconds.items()}


def about(study: Study) -> list[tuple[str, str]]:
    """Return what was run, in words."""
    from models.unlabelled import read_description
    from training.manifest import read_manifest

    card, data = study.card, read_manifest(study.folders.training_data)
    lines = [
        ("Methods", ", ".join(card.methods)),
        ("Seeds", ", ".join(map(str, card.seeds))),
        ("Jets to learn from", f"{data.splits['train'].n_jets:,}".replace(",", " ")),
        ("Jets that areas are measured on", f"{data.splits['test'].n_jets:,}".replace(",", " ")),
    ]
    if data.variations is not None:
        lines.append(("Variations of every jet", str(data.variations.n_variations)))
    if card.unlabelled is not None:
        for selection in card.unlabelled.selections:
            jets = read_description(study.folders.unlabelled(selection))
            lines.append(
                (f"Unlabelled jets, {selection}", f"{jets.n_data} of data, {jets.n_mc} of simulation")
            )
        share = f"{100 * card.unlabelled.share:.3g} %, left out of every comparison"
        lines.append(("Events that may be adapted to", share))
    lines.append(("Replicas", f"{card.replicas}, of {card.blocks} blocks of events"))
    return lines


def summary_rows(study: Study) -> list[dict[str, str]]:
    """Return one row a method: areas, what it is worth in each scenario and selection, and scale factors."""
    from datamc.method_scale_factors import ALL, MethodScaleFactors
    from datamc.method_tables import MethodRow
    from plotting.methods_summary import measure_of
    from storage.tables import read_table

    table: dict[str, dict[str, str]] = {}
    for row in read_table(study.folders.methods, kind=MethodRow, unknown=()):
        if (row.score, row.measure) == (SCORE, measure_of(row.selection, MEASURE)):
            start = {"method": row.method, "AUC": f"{row.auc:.4f}", "attacked": f"{row.auc_attacked:.4f}"}
            place = f"{row.scenario} {row.selection}"
            table.setdefault(row.method, start)[place] = _worth(row, is_null=row.scenario == study.card.null)
    for each in read_table(study.folders.table("scale_factors"), kind=MethodScaleFactors, unknown=()):
        if each.flavour == ALL:
            shown = f"{each.deviation:.3f} \u00b1 {each.error:.3f}"
            table[each.method][f"|SF - 1| {each.scenario}"] = shown
    return list(table.values())


def _worth(row: "MethodRow", *, is_null: bool) -> str:
    from plotting.methods_summary import says_something

    if is_null:
        return f"{row.pull:+.1f}"
    if not says_something(row):
        return "\u2013"
    return f"{row.ratio_curve:.2f} \u00b1 {row.ratio_curve_error:.2f}"
