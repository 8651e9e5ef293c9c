"""What the training data hold: weights in (pT, eta), flavours per split; and how trainings went."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.features import FLAVOURS, index_of
from training.history import read_history, read_terms
from training.reweighting import ETA_RANGE, PT_RANGE
from training.shards import TrainingData
from training.splitting import SPLITS

PT_BINS: Final = 49
ETA_BINS: Final = 25


class ReweightingRow(NamedTuple):
    """Training jets of one flavour in a bin of pT (GeV) and eta, as they are and weighted."""

    flavour: str
    pt_low: float
    pt_high: float
    eta_low: float
    eta_high: float
    n_jets: int
    sum_weights: float


class FlavourContentRow(NamedTuple):
    """Jets of one flavour in one split, and their share of it."""

    split: str
    flavour: str
    n_jets: int
    share: float


class LossRow(NamedTuple):
    """One quantity of one epoch from the history of a training."""

    tagger: str
    epoch: int
    quantity: str
    value: float


class LossTermRow(NamedTuple):
    """What a method, the number-th of a training, added to the loss on average over an epoch's batches."""

    tagger: str
    epoch: int
    number: int
    method: str
    value: float


def reweighting_rows(data: Path) -> list[ReweightingRow]:
    """Return how training jets lie in (pT, eta) before and after weighting, shard by shard.

    pT and eta are those of the stored features, so known to the three digits of float16.

    Raises:
        FileNotFoundError: If there are no training data.
        ValueError: If a file is broken.
    """
    training_data = TrainingData(data)
    scaler = training_data.scaler()
    shape = len(FLAVOURS), PT_BINS, ETA_BINS
    before, after = np.zeros(shape), np.zeros(shape)
    pt_edges, eta_edges = np.linspace(*PT_RANGE, PT_BINS + 1), np.linspace(*ETA_RANGE, ETA_BINS + 1)
    columns = [index_of("Jet_pt"), index_of("Jet_eta")]
    for shard in range(training_data.n_shards("train")):
        jets = training_data.learning_jets("train", [shard])
        pt, eta = (
            jets.features[:, columns].astype(np.float64) * scaler.std[columns] + scaler.mean[columns]
        ).T
        cells = jets.labels.astype(np.intp), _bin_of(pt, pt_edges), _bin_of(eta, eta_edges)
        np.add.at(before, cells, 1)
        np.add.at(after, cells, jets.weights)
    return [
        ReweightingRow(
            flavour=flavour,
            pt_low=float(pt_edges[i]),
            pt_high=float(pt_edges[i + 1]),
            eta_low=float(eta_edges[j]),
            eta_high=float(eta_edges[j + 1]),
            n_jets=int(before[label, i, j]),
            sum_weights=float(after[label, i, j]),
        )
        for label, flavour in enumerate(FLAVOURS)
        for i in range(PT_BINS)
        for j in range(ETA_BINS)
    ]


def _bin_of(values: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.intp]:
    # Rounding to float16 may carry a jet over the edge of the range.
    return np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)


def flavour_content_rows(data: Path) -> list[FlavourContentRow]:
    """Return how many jets of each flavour every split holds.

    Raises:
        FileNotFoundError: If there are no training data.
    """
    splits = TrainingData(data).manifest.splits
    return [
        FlavourContentRow(split, flavour, n_jets, n_jets / max(splits[split].n_jets, 1))
        for split in SPLITS
        for flavour, n_jets in splits[split].n_by_flavour.items()
    ]


def loss_rows(runs: Iterable[tuple[str, Path]]) -> list[LossRow]:
    """Return the losses of every epoch from the histories of trainings, (name, run directory).

    Raises:
        ValueError: If a history is no such table.
    """
    return [
        LossRow(name, record.epoch, quantity, value)
        for name, folder in runs
        for record in read_history(folder)
        for quantity, value in record._asdict().items()
        if "loss" in quantity
    ]


def loss_term_rows(runs: Iterable[tuple[str, Path]]) -> list[LossTermRow]:
    """Return what methods added to the loss in every epoch of trainings, (name, run directory).

    Raises:
        ValueError: If one of the tables is none.
    """
    return [LossTermRow(name, *term) for name, folder in runs for term in read_terms(folder)]
