"""The studies of `advtag evaluate`: one pass over the test jets, then a table for each and its figures."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from advtag.production import Evaluation
from advtag.progress import ProgressCallback

if TYPE_CHECKING:
    from models.perturbations import Variant
    from models.tagger import Tagger
    from training.evaluate import (
        AucDifferenceRow,
        AucRatioRow,
        AucRow,
        RocRow,
        ScoreRanks,
        WorkingPointRow,
    )
    from training.studies.comparisons import LabelLeakRow, TrainingRow
    from training.studies.inputs import (
        CorrelationRow,
        DefaultFractionRow,
        FeatureRankingRow,
        InputDivergenceRow,
        InputShapeRow,
        InputStatistics,
    )
    from training.studies.noised_areas import NoisedArea
    from training.studies.samples import FlavourContentRow, LossRow, LossTermRow, ReweightingRow
    from training.studies.scores import ScoreShapeRow
    from training.studies.surface import LossSurfaceRow
    from training.studies.thesis import ThesisRow
    from training.studies.transfer import TransferRow


class Study(NamedTuple):
    """One study: what it shows, and which tables hold its numbers."""

    title: str
    tables: tuple[str, ...]


STUDIES: Mapping[str, Study] = {
    "roc_outputs": Study("ROC of each output against all other flavours", ("roc", "reference_roc")),
    "roc_discriminators": Study(
        "ROC of the four discriminators, with working points", ("roc", "reference_roc", "working_points")
    ),
    "score_shapes": Study(
        "Outputs and discriminators by flavour, against the reference tagger",
        ("score_shapes", "reference_auc", "auc_differences"),
    ),
    "roc_epochs": Study("ROC per epoch", ("roc_epochs",)),
    "roc_sizes": Study(
        "ROC against the size of a distortion, and over the epochs at one size", ("roc_epochs",)
    ),
    "auc_epochs": Study(
        "AUC over the epochs, and its ratio to the same model's on raw inputs",
        ("auc", "auc_ratios", "auc_differences"),
    ),
    "input_shapes": Study("Inputs raw and distorted, inclusive and by flavour", ("input_shapes",)),
    "input_divergence": Study("KL divergence of raw from distorted inputs", ("input_divergence",)),
    "default_fractions": Study("Share of missing values by flavour", ("default_fractions",)),
    "reweighting": Study("pT and eta of the training jets before and after reweighting", ("reweighting",)),
    "flavour_content": Study("Flavours of each split", ("flavour_content",)),
    "transfer": Study("Attacks made against one checkpoint, shown to another", ("transfer",)),
    "losses": Study("Loss over the epochs, and what methods add to it", ("losses", "loss_terms")),
    "trainings": Study("Trainings side by side: gamma, weighting, attack", ("trainings",)),
    "feature_ranking": Study("Features ranked by their own AUC, raw and distorted", ("feature_ranking",)),
    "correlations": Study("Correlations of the inputs, raw and distorted", ("correlations",)),
    "loss_surface": Study("Loss around the inputs", ("loss_surface",)),
    "label_leak": Study("Label leaking: does an attack raise an AUC?", ("label_leak",)),
    "thesis": Study("The thesis's numbers beside these", ("thesis",)),
}
"""In the order of the thesis's studies; the last compares with the thesis itself."""

_OF_INPUTS = frozenset(
    {"input_shapes", "input_divergence", "default_fractions", "feature_ranking", "correlations"}
)


@dataclass(frozen=True)
class Tables:
    """The rows of all studies, by the name of their file; none for a study not asked for."""

    auc: list["AucRow"] = field(default_factory=list)
    auc_differences: list["AucDifferenceRow"] = field(default_factory=list)
    noised_areas: list["NoisedArea"] = field(default_factory=list)
    roc: list["RocRow"] = field(default_factory=list)
    roc_epochs: list["RocRow"] = field(default_factory=list)
    reference_auc: list["AucRow"] = field(default_factory=list)
    reference_roc: list["RocRow"] = field(default_factory=list)
    working_points: list["WorkingPointRow"] = field(default_factory=list)
    auc_ratios: list["AucRatioRow"] = field(default_factory=list)
    score_shapes: list["ScoreShapeRow"] = field(default_factory=list)
    input_shapes: list["InputShapeRow"] = field(default_factory=list)
    input_divergence: list["InputDivergenceRow"] = field(default_factory=list)
    default_fractions: list["DefaultFractionRow"] = field(default_factory=list)
    feature_ranking: list["FeatureRankingRow"] = field(default_factory=list)
    correlations: list["CorrelationRow"] = field(default_factory=list)
    reweighting: list["ReweightingRow"] = field(default_factory=list)
    flavour_content: list["FlavourContentRow"] = field(default_factory=list)
    transfer: list["TransferRow"] = field(default_factory=list)
    losses: list["LossRow"] = field(default_factory=list)
    loss_terms: list["LossTermRow"] = field(default_factory=list)
    trainings: list["TrainingRow"] = field(default_factory=list)
    loss_surface: list["LossSurfaceRow"] = field(default_factory=list)
    label_leak: list["LabelLeakRow"] = field(default_factory=list)
    thesis: list["ThesisRow"] = field(default_factory=list)

    @property
    def evaluation(self) -> Evaluation:
        """What a report takes of it."""
        return Evaluation(self.auc, self.roc, self.auc_differences)


def parse_studies(text: str) -> list[str]:
    """Return the studies of a comma-separated list, in order; "all" and "none" are all and none.

    Raises:
        ValueError: If one is unknown.
    """
    if text in ("all", "none"):
        return list(STUDIES) if text == "all" else []
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in STUDIES:
            raise ValueError(f"unknown study {name!r}: choose from all, none, {', '.join(STUDIES)}")
    return [name for name in STUDIES if name in names]


def run_studies(
    runs: Sequence[Path],
    *,
    data: Path,
    variants: Sequence["Variant"],
    epochs: Sequence[int] | None = None,
    studies: Iterable[str] = (),
    max_jets: int | None = None,
    seed: int = 1,
    reference: str | None = None,
    progress: ProgressCallback | None = None,
) -> Tables:
    """Return the tables of studies from one pass over the test jets.

    Areas, their differences and the ROC curves of the last epochs come with any choice of studies.

    Args:
        runs: Run directories.
        data: Folder of the training data.
        variants: Perturbations of the inputs.
        epochs: Only these; None for all.
        studies: Names from `STUDIES`.
        max_jets: Only so many test jets; None for all.
        seed: Of the noise.
        reference: The tagger that areas are compared with; None for `basic`, or the first.
        progress: Called with the predictions made and their total, in jets.

    Raises:
        FileNotFoundError: If a run holds no tagger, or there are no training data.
        ValueError: If the test split is empty, or a table on disk is broken.
    """
    from models.tagger import load_taggers
    from training.evaluate import ScoreRanks
    from training.scanning import Observer, scan
    from training.studies.inputs import InputStatistics
    from training.studies.scores import ScoreShapes
    from training.studies.transfer import Transfer, spread_epochs

    wanted = set(studies)
    taggers = load_taggers(list(runs), epochs=epochs)
    attack = strongest([variant for variant in variants if variant.needs_truth])
    ranks = ScoreRanks()
    shapes = ScoreShapes() if "score_shapes" in wanted else None
    inputs = InputStatistics(set(last_epochs(taggers).items())) if wanted & _OF_INPUTS else None
    transfer = (
        Transfer(spread_epochs(taggers), variant=(learned_from(variants, taggers) or attack).name)
        if attack and wanted & {"transfer", "thesis"}
        else None
    )
    observers: list[Observer] = [each for each in (ranks, shapes, inputs, transfer) if each is not None]
    scan(data, taggers, variants, observers, max_jets=max_jets, seed=seed, progress=progress)
    transferred = transfer.rows() if transfer else []
    return Tables(
        **_tables_of_ranks(ranks, wanted, reference),
        **_tables_of_inputs(inputs, wanted),
        **_tables_of_data(data, taggers, wanted, runs=runs, reach=3 * attack.size if attack else 0.3),
        **_tables_of_trainings(ranks, taggers, wanted, runs=runs, variants=variants, transfer=transferred),
        score_shapes=shapes.rows() if shapes else [],
        transfer=transferred if "transfer" in wanted else [],
    )


def strongest(variants: Sequence["Variant"]) -> "Variant | None":
    """Return the largest FGSM among the variants, or the largest of them; None if there are none."""
    plain = [variant for variant in variants if variant.kind == "fgsm"]
    return max(plain or variants, key=lambda variant: variant.size, default=None)


def learned_from(variants: Sequence["Variant"], taggers: Sequence["Tagger"]) -> "Variant | None":
    """Return the attack among the variants that a training learned from; None if there is none.

    One that is much stronger leaves too little of any tagger to compare.
    """
    attacks = {tagger.metadata.attack for tagger in taggers}
    return next((each for each in variants if each.needs_truth and each.name in attacks), None)


def last_epochs(taggers: Sequence["Tagger"]) -> dict[str, int]:
    """Return the last epoch of every training."""
    return {tagger.name: tagger.epoch for tagger in sorted(taggers, key=lambda tagger: tagger.epoch)}


def _tables_of_ranks(ranks: "ScoreRanks", wanted: set[str], reference: str | None) -> dict[str, Any]:
    from training.evaluate import (
        REFERENCE,
        auc_difference_rows,
        auc_ratio_rows,
        auc_rows,
        reference_auc_rows,
        roc_rows,
        working_point_rows,
    )
    from training.evaluate import last_epochs as last_of
    from training.studies.noised_areas import noised_area_rows

    seen = [checkpoint for checkpoint in ranks.checkpoints if checkpoint != REFERENCE]
    names = list(dict.fromkeys(checkpoint.tagger for checkpoint in seen))
    reference = reference or ("basic" if "basic" in names else names[0])
    per_epoch = seen if wanted & {"roc_epochs", "roc_sizes"} else []
    return {
        "auc": auc_rows(ranks),
        "auc_differences": auc_difference_rows(ranks, reference=reference),
        "noised_areas": noised_area_rows(ranks),
        "roc": roc_rows(ranks, last_of(seen)),
        "roc_epochs": roc_rows(ranks, per_epoch, points=60),
        "reference_auc": reference_auc_rows(ranks),
        "reference_roc": roc_rows(ranks, [REFERENCE] if REFERENCE in ranks.checkpoints else []),
        "working_points": working_point_rows(ranks) if "roc_discriminators" in wanted else [],
        "auc_ratios": auc_ratio_rows(ranks) if wanted & {"auc_epochs", "label_leak"} else [],
    }


def _tables_of_inputs(inputs: "InputStatistics | None", wanted: set[str]) -> dict[str, Any]:
    if inputs is None:
        return {}
    rows = {
        "input_shapes": inputs.shape_rows,
        "input_divergence": inputs.divergence_rows,
        "default_fractions": inputs.default_rows,
        "feature_ranking": inputs.ranking_rows,
        "correlations": inputs.correlation_rows,
    }
    found: dict[str, Any] = {name: make() for name, make in rows.items() if name in wanted}
    if "input_shapes" in wanted:  # the ranking tells which features are worth a figure
        found["feature_ranking"] = inputs.ranking_rows()
    return found


def _tables_of_data(
    data: Path, taggers: Sequence["Tagger"], wanted: set[str], *, runs: Sequence[Path], reach: float
) -> dict[str, Any]:
    from models.tagger import load_taggers
    from training.scanning import read_blocks
    from training.studies.samples import flavour_content_rows, loss_rows, loss_term_rows, reweighting_rows
    from training.studies.surface import loss_surface

    last = last_epochs(taggers)
    found: dict[str, Any] = {}
    if "reweighting" in wanted:
        found["reweighting"] = reweighting_rows(data)
    if "flavour_content" in wanted:
        found["flavour_content"] = flavour_content_rows(data)
    if "losses" in wanted:
        trainings = [(load_taggers([run])[0].name, run) for run in runs if run.is_dir()]
        found["losses"], found["loss_terms"] = loss_rows(trainings), loss_term_rows(trainings)
    if "loss_surface" in wanted:
        final = [tagger for tagger in taggers if last[tagger.name] == tagger.epoch]
        found["loss_surface"] = loss_surface(final, next(read_blocks(data)), reach=reach)
    return found


def _tables_of_trainings(
    ranks: "ScoreRanks",
    taggers: Sequence["Tagger"],
    wanted: set[str],
    *,
    runs: Sequence[Path],
    variants: Sequence["Variant"],
    transfer: Sequence["TransferRow"],
) -> dict[str, Any]:
    from models.tagger import load_taggers
    from training.evaluate import auc_ratio_rows, auc_rows
    from training.studies.comparisons import label_leak_rows, reweighting_of, training_rows
    from training.studies.thesis import thesis_rows

    found: dict[str, Any] = {}
    if wanted & {"trainings", "thesis"}:
        weighting = {load_taggers([run])[0].name: reweighting_of(run) for run in runs if run.is_dir()}
        if "trainings" in wanted:
            found["trainings"] = training_rows(auc_rows(ranks), taggers, weighting)
        if "thesis" in wanted:
            found["thesis"] = thesis_rows(ranks, taggers, weighting, transfer)
    if "label_leak" in wanted:
        attacks = [variant.name for variant in variants if variant.needs_truth]
        found["label_leak"] = label_leak_rows(auc_ratio_rows(ranks), attacks=attacks)
    return found


def write_tables(tables: Tables, folder: Path, *, studies: Iterable[str]) -> list[Path]:
    """Write every table that the report or a chosen study needs as CSV; return their paths."""
    from storage.tables import write_table
    from training.evaluate import AucDifferenceRow, AucRow, RocRow
    from training.studies.noised_areas import NoisedArea

    # These are written even if empty, so that none of an earlier evaluation stays beside the others.
    always: dict[str, Any] = {
        "auc": AucRow, "auc_differences": AucDifferenceRow, "noised_areas": NoisedArea, "roc": RocRow,
    }  # fmt: skip
    names = set(always).union(*(STUDIES[name].tables for name in studies))
    written = []
    for each in fields(tables):
        rows = getattr(tables, each.name)
        if each.name in always or (rows and each.name in names):
            path = folder / f"{each.name}.csv"
            write_table(rows, path, kind=always.get(each.name) or type(rows[0]))
            written.append(path)
    return written
