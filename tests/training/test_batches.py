from pathlib import Path

import numpy as np
import pytest
import torch

from training.batches import ShuffledTrainingJets, StoredJets
from training.shards import LearningJets, TrainingData

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(training_data: Path) -> TrainingData:
    return TrainingData(training_data)


@pytest.mark.parametrize("window_shards", [None, 1, 2])
def test_an_epoch_holds_every_jet_once(data: TrainingData, window_shards: int | None) -> None:
    jets = ShuffledTrainingJets(data, window_shards=window_shards, device=CPU)
    features = torch.cat([batch.scaled for batch in jets.batches(100)]).numpy()
    expected = data.learning_jets("train").features.astype(np.float32)
    assert (np.sort(features[:, 1]) == np.sort(expected[:, 1])).all()
    assert len(features) == data.n_jets("train")


@pytest.mark.parametrize("window_shards", [None, 1])
def test_each_epoch_has_another_order_and_the_seed_decides_it(
    data: TrainingData, window_shards: int | None
) -> None:
    def first_batch() -> torch.Tensor:
        return next(jets.batches(100)).scaled

    jets = ShuffledTrainingJets(data, window_shards=window_shards, device=CPU)
    torch.manual_seed(1)
    first, second = first_batch(), first_batch()
    torch.manual_seed(1)
    assert torch.equal(first, first_batch())
    assert not torch.equal(first, second)


def test_batches_are_of_nearly_equal_size(data: TrainingData) -> None:
    jets = StoredJets(data.learning_jets("train"), CPU)
    sizes = [len(batch.labels) for batch in jets.shuffled(1000)]
    assert max(sizes) <= 1000
    assert max(sizes) - min(sizes) <= 1
    assert len(sizes) == -(-len(jets) // 1000)


def test_a_window_without_a_jet_gives_no_batch(data: TrainingData) -> None:
    nothing = LearningJets(*(array[:0] for array in data.learning_jets("train")))
    assert list(StoredJets(nothing, CPU).shuffled(100)) == []


def test_a_batch_keeps_jets_together_and_freezes_integers(data: TrainingData) -> None:
    jets = data.learning_jets("train")
    stored = StoredJets(jets, CPU)
    indices = torch.tensor([7, 3, 100])
    batch = stored.select(indices)
    assert torch.equal(batch.scaled, torch.from_numpy(jets.features[indices].astype(np.float32)))
    assert batch.labels.tolist() == jets.labels[indices].tolist()
    assert batch.weights.tolist() == jets.weights[indices].tolist()
    assert (batch.frozen.numpy() >= jets.mask[indices]).all()
    assert batch.frozen.numpy().all(axis=0).sum() >= 5


def test_pieces_put_together_are_the_batch(data: TrainingData) -> None:
    batch = next(StoredJets(data.learning_jets("train"), CPU).in_order(100))
    pieces = list(batch.pieces(33))
    assert [len(piece.labels) for piece in pieces] == [33, 33, 33, 1]
    for index, tensor in enumerate(batch):
        assert torch.equal(torch.cat([piece[index] for piece in pieces]), tensor)
