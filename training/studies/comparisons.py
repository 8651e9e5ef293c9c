"""Trainings beside each other, and whether attacks betray the truth they are made with."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from models.tagger import Tagger
from storage.documents import read_json
from training.evaluate import AucRatioRow, AucRow
from training.shards import TrainingData

LEAK_SIGNIFICANCE: Final = 3.0
"""Standard deviations by which an area must rise under an attack to be called leaking."""


class TrainingRow(NamedTuple):
    """One area of the last epoch of a training beside what sets the training apart from others."""

    tagger: str
    epoch: int
    method: str
    gamma: float
    loss_input: str
    reweighting: str
    variant: str
    score: str
    auc: float
    error: float


class LabelLeakRow(NamedTuple):
    """What a perturbation that knows the truth does to an area.

    An attack moves jets against their true flavour, so it should lower areas. One that raises an area tells
    the tagger the truth, as when an attacked jet is recognised by its attack; `leaks` says that the rise is
    beyond `LEAK_SIGNIFICANCE` of its error.
    """

    tagger: str
    epoch: int
    variant: str
    score: str
    auc_raw: float
    auc: float
    difference: float
    error: float
    significance: float
    leaks: int


def training_rows(
    areas: Iterable[AucRow], taggers: Sequence[Tagger], reweighting: Mapping[str, str]
) -> list[TrainingRow]:
    """Return every area of the trainings' last epochs with the settings behind it.

    Args:
        areas: Of any epochs.
        taggers: The checkpoints they are of.
        reweighting: For each training how its jets were weighted; an unknown one is "".
    """
    last = {tagger.name: tagger for tagger in sorted(taggers, key=lambda tagger: tagger.epoch)}
    rows = []
    for row in areas:
        tagger = last.get(row.tagger)
        if tagger is not None and tagger.epoch == row.epoch:
            about = tagger.metadata
            rows.append(
                TrainingRow(
                    row.tagger,
                    row.epoch,
                    about.method,
                    about.gamma,
                    about.loss_input,
                    reweighting.get(row.tagger, ""),
                    row.variant,
                    row.score,
                    row.auc,
                    row.error,
                )
            )
    return rows


def reweighting_of(run: Path) -> str:
    """Return how the jets of a training were weighted; "" if its data are no longer where they were."""
    try:
        content = read_json(run / "config.json")
        return TrainingData(Path(content["config"]["data"])).manifest.config.reweighting
    except (OSError, KeyError, ValueError):
        return ""


def label_leak_rows(ratios: Iterable[AucRatioRow], *, attacks: Iterable[str]) -> list[LabelLeakRow]:
    """Return what each attack does to every area, and whether one rises.

    Args:
        ratios: From `training.evaluate.auc_ratio_rows`.
        attacks: Names of the variants that know the truth.
    """
    known = set(attacks)
    rows = []
    for row in ratios:
        if row.variant in known:
            error = row.difference_error
            significance = row.difference / error if error > 0 else math.nan
            leaks = int(significance > LEAK_SIGNIFICANCE)
            names = row.tagger, row.epoch, row.variant, row.score
            rows.append(
                LabelLeakRow(*names, row.auc_raw, row.auc, row.difference, error, significance, leaks)
            )
    return rows
