from pathlib import Path

import numpy as np
import pytest
import torch

from models.features import IS_INTEGER, index_of
from training.batches import Batch, Partner, ShuffledTrainingJets, StoredJets, joined, seed_of
from training.shards import TrainingData
from training.workers import Workers

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(training_data: Path) -> TrainingData:
    return TrainingData(training_data)


def shuffled(data: TrainingData, batch_size: int = 100, **settings: object) -> ShuffledTrainingJets:
    return ShuffledTrainingJets(data, batch_size=batch_size, device=CPU, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("window_shards", [None, 1, 2])
def test_an_epoch_holds_every_jet_once(data: TrainingData, window_shards: int | None) -> None:
    jets = shuffled(data, window_shards=window_shards)
    batches = list(jets.batches(1))
    features = torch.cat([batch.scaled for batch in batches]).numpy()
    expected = data.learning_jets("train").features.astype(np.float32)
    assert (np.sort(features[:, 1]) == np.sort(expected[:, 1])).all()
    assert len(features) == data.n_jets("train")
    assert len(batches) == jets.n_batches(1)


@pytest.mark.parametrize("window_shards", [None, 1])
def test_each_epoch_has_another_order_and_the_seed_decides_it(
    data: TrainingData, window_shards: int | None
) -> None:
    def first_batch(epoch: int, seed: int = 1) -> torch.Tensor:
        return next(shuffled(data, window_shards=window_shards, seed=seed).batches(epoch)).scaled

    assert torch.equal(first_batch(1), first_batch(1))
    assert not torch.equal(first_batch(1), first_batch(2))
    assert not torch.equal(first_batch(1), first_batch(1, seed=2))


@pytest.mark.parametrize("window_shards", [None, 1])
@pytest.mark.parametrize("start", [1, 15, 16, 40])
def test_an_epoch_can_begin_in_the_middle(data: TrainingData, window_shards: int | None, start: int) -> None:
    jets = shuffled(data, window_shards=window_shards)
    whole, rest = list(jets.batches(3)), list(jets.batches(3, start))
    assert len(rest) == max(0, len(whole) - start)
    for one, other in zip(whole[start:], rest, strict=True):
        assert torch.equal(one.scaled, other.scaled)


def test_workers_share_each_batch(data: TrainingData) -> None:
    whole = shuffled(data).batches(1)
    parts = [shuffled(data, workers=Workers(rank, 3)).batches(1) for rank in range(3)]
    for batch, *shares in zip(whole, *parts, strict=True):
        together = joined(*shares)
        assert sorted(together.weights.tolist()) == sorted(batch.weights.tolist())
        assert max(len(share.labels) for share in shares) - min(len(share.labels) for share in shares) <= 1


def test_batches_are_of_nearly_equal_size(data: TrainingData) -> None:
    sizes = [len(batch.labels) for batch in shuffled(data, batch_size=1000).batches(1)]
    assert max(sizes) <= 1000
    assert max(sizes) - min(sizes) <= 1
    assert len(sizes) == -(-data.n_jets("train") // 1000)


def test_no_shard_gives_no_batch(data: TrainingData) -> None:
    assert list(StoredJets(data, "train", [], device=CPU).in_order(100)) == []


def test_a_batch_keeps_jets_together_and_freezes_defaults_and_integers(data: TrainingData) -> None:
    jets = data.learning_jets("train")
    batch = StoredJets(data, "train", device=CPU).select(torch.arange(len(jets.labels)))
    assert torch.equal(batch.scaled, torch.from_numpy(jets.features.astype(np.float32)))
    assert (batch.labels.numpy() == jets.labels).all()
    assert (batch.weights.numpy() == jets.weights).all()
    assert (batch.frozen.numpy() == (jets.mask | IS_INTEGER)).all()


def test_pieces_put_together_are_the_batch(data: TrainingData) -> None:
    batch = next(StoredJets(data, "train", device=CPU).in_order(100))
    pieces = list(batch.pieces(33))
    assert [len(piece.labels) for piece in pieces] == [33, 33, 33, 1]
    whole = joined(*pieces)
    assert whole.partner is None
    for left, right in zip(whole[:4], batch[:4], strict=True):
        assert torch.equal(left, right)


def test_partners_stay_with_their_jets_in_pieces(data: TrainingData) -> None:
    jets = next(StoredJets(data, "train", device=CPU).in_order(10))
    batch = jets._replace(partner=Partner(jets.scaled + 1, jets.frozen_bits))
    *pieces, last = batch.pieces(4)
    assert last.partner is not None
    assert torch.equal(last.partner.scaled, batch.scaled[8:] + 1)
    assert torch.equal(last.partner.frozen, batch.frozen[8:])
    whole = joined(*pieces, last)
    assert whole.partner is not None
    assert torch.equal(whole.partner.scaled, batch.scaled + 1)
    assert joined(batch, jets).partner is None


def test_seeds_of_other_places_are_others() -> None:
    seeds = {seed_of(seed, epoch, batch) for seed in (1, 2) for epoch in (1, 2) for batch in range(50)}
    assert len(seeds) == 200
    assert all(0 <= seed < 2**64 for seed in seeds)


@pytest.fixture(scope="module")
def varied(varied_data: Path) -> TrainingData:
    return TrainingData(varied_data)


def drawn_variations(data: TrainingData, batch: Batch) -> torch.Tensor:
    """Which variation each jet's partner is; 2 where there is none."""
    assert batch.partner is not None
    scaler, name = data.scaler(), index_of("Jet_DeepCSV_trackJetPt")
    own, partner = (
        features[:, name].double() * float(scaler.std[name]) + float(scaler.mean[name])
        for features in (batch.scaled, batch.partner.scaled)
    )
    # Jets are named n, and n + 0.25 and n + 0.5 in their variations.
    fourths = ((partner - own) * 4).round()
    assert ((fourths >= 0) & (fourths <= 2)).all()
    return torch.where(fourths == 0, 2, fourths - 1)


@pytest.mark.parametrize("window_shards", [None, 1])
def test_each_jets_partner_is_drawn_from_its_own_variations(
    varied: TrainingData, window_shards: int | None
) -> None:
    jets = shuffled(varied, with_partners=True, window_shards=window_shards)
    drawn = torch.cat([drawn_variations(varied, batch) for batch in jets.batches(1)])
    shares = torch.bincount(drawn.long(), minlength=3) / len(drawn)
    # A tenth of each variation's jets is lost; 0.05 is 3.5 sigma of the share of a variation.
    assert shares[0].item() == pytest.approx(0.45, abs=0.05)
    assert shares[1].item() == pytest.approx(0.45, abs=0.05)


def test_partners_keep_the_frozen_cells_of_their_own_detector(varied: TrainingData) -> None:
    stored = StoredJets(varied, "train", [0], device=CPU, with_partners=True)
    jets, number = torch.tensor([5, 3, 5]), torch.tensor([1, 0, 0])
    partner = stored.select(jets, number).partner
    assert partner is not None
    features, bits = varied.variations(0)
    mask = np.unpackbits(bits, axis=2, count=67).astype(bool)
    assert (partner.scaled.numpy() == features[[5, 3, 5], [1, 0, 0]]).all()
    assert (partner.frozen.numpy() == (mask[[5, 3, 5], [1, 0, 0]] | IS_INTEGER)).all()


@pytest.mark.parametrize("window_shards", [None, 1])
@pytest.mark.parametrize("start", [1, 5, 6])
def test_partners_are_the_same_if_an_epoch_begins_in_the_middle(
    varied: TrainingData, window_shards: int | None, start: int
) -> None:
    jets = shuffled(varied, with_partners=True, window_shards=window_shards)
    whole, rest = list(jets.batches(3)), list(jets.batches(3, start))
    for one, other in zip(whole[start:], rest, strict=True):
        assert one.partner is not None
        assert other.partner is not None
        assert torch.equal(one.partner.scaled, other.partner.scaled)
        assert torch.equal(one.partner.frozen_bits, other.partner.frozen_bits)


def test_partners_are_drawn_anew_in_each_epoch_and_for_each_seed(varied: TrainingData) -> None:
    def by_jet(epoch: int, seed: int = 1) -> list[float]:
        batches = list(shuffled(varied, with_partners=True, seed=seed).batches(epoch))
        order = torch.cat([batch.scaled[:, 1] for batch in batches]).argsort()
        return torch.cat([drawn_variations(varied, batch) for batch in batches])[order].tolist()

    assert by_jet(1) == by_jet(1)
    assert by_jet(1) != by_jet(2)
    assert by_jet(1) != by_jet(1, seed=2)


def test_the_order_of_jets_is_that_without_partners(varied: TrainingData) -> None:
    with_partners = shuffled(varied, with_partners=True).batches(1)
    for plain, paired in zip(shuffled(varied).batches(1), with_partners, strict=True):
        assert plain.partner is None
        assert torch.equal(plain.scaled, paired.scaled)


def test_workers_share_the_partners_of_a_batch(varied: TrainingData) -> None:
    whole = next(shuffled(varied, with_partners=True).batches(1)).partner
    parts = [
        next(shuffled(varied, with_partners=True, workers=Workers(rank, 2)).batches(1)).partner
        for rank in range(2)
    ]
    assert whole is not None
    for rank, part in enumerate(parts):
        assert part is not None
        assert torch.equal(part.scaled, whole.scaled[rank::2])


def test_partners_of_data_that_hold_none_are_refused(data: TrainingData) -> None:
    with pytest.raises(ValueError, match="as other detectors see them: prepare again with 'variations'"):
        shuffled(data, with_partners=True)
