"""What a training leaves for each epoch as numbers: its history, and what its methods added to the loss."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from storage.tables import read_table, write_table

HISTORY_NAME: Final = "history.csv"
TERMS_NAME: Final = "terms.csv"


class EpochRecord(NamedTuple):
    """One line of `history.csv`.

    The training loss is weighted, with dropout and, where the training has one, under attack; the validation
    losses are unweighted, on raw inputs and under the `validation_attack`. The areas are of BvsL on the
    validation split.
    """

    epoch: int
    learning_rate: float
    train_loss: float
    validation_loss: float
    validation_loss_attacked: float
    auc_raw: float
    auc_attacked: float
    jets_per_second: float


class LossTerm(NamedTuple):
    """One line of `terms.csv`: what a method adds to the training loss, on average over an epoch's batches.

    Attributes:
        epoch: 1 for the first.
        number: Which of the training's methods, 1 for the first; attacks come last.
        name: Its name on the run card.
        value: The term, times its weight as far as the ramp had risen; it is part of `train_loss`.
    """

    epoch: int
    number: int
    name: str
    value: float


def read_history(folder: Path) -> list[EpochRecord]:
    """Return the lines of a run directory's `history.csv`, none if it does not exist."""
    path = folder / HISTORY_NAME
    return read_table(path, kind=EpochRecord) if path.is_file() else []


def read_terms(folder: Path) -> list[LossTerm]:
    """Return the lines of a run directory's `terms.csv`, none if no method adds to the loss."""
    path = folder / TERMS_NAME
    return read_table(path, kind=LossTerm) if path.is_file() else []


def write_history(folder: Path, records: Sequence[EpochRecord], terms: Sequence[LossTerm]) -> None:
    """Write `history.csv`, and `terms.csv` if there are any, each in one stroke."""
    if terms:
        write_table(terms, folder / TERMS_NAME, kind=LossTerm)
    write_table(records, folder / HISTORY_NAME, kind=EpochRecord)
