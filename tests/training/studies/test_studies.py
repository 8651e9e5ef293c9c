"""One test a study, on numbers known by other means."""

import dataclasses
import math

import numpy as np
import pytest

from models.discriminators import SCORES, scores
from models.perturbations import parse_variants
from models.tagger import load_taggers
from training.evaluate import AucRatioRow, AucRow, ScoreRanks, auc_rows, evaluate
from training.history import EpochRecord, LossTerm, write_history
from training.metrics import auc
from training.scanning import read_blocks, scan
from training.shards import TrainingData
from training.studies.comparisons import label_leak_rows, reweighting_of, training_rows
from training.studies.samples import flavour_content_rows, loss_rows, loss_term_rows, reweighting_rows
from training.studies.scores import ScoreShapes
from training.studies.surface import cross_entropy, loss_surface
from training.studies.thesis import roles_of, size_factor, thesis_rows
from training.studies.transfer import Transfer, spread_epochs

VARIANTS = parse_variants("raw,fgsm:0.3")


@pytest.fixture(scope="module")
def taggers(finished_run):
    return load_taggers([finished_run])


def renamed(tagger, **changes):
    return dataclasses.replace(tagger, metadata=tagger.metadata.model_copy(update=changes))


def test_score_shapes_hold_every_jet_in_its_bin(training_data, taggers):
    shapes = ScoreShapes()
    scan(training_data, taggers[-1:], VARIANTS[:1], [shapes])
    rows = shapes.rows()
    (block,) = read_blocks(training_data)
    values = scores(taggers[-1].logits(block.raw))["CvsL"]
    for flavour, label in (("c", 2), ("udsg", 3)):
        own = [row for row in rows if (row.score, row.flavour) == ("CvsL", flavour)]
        assert sum(row.n_jets for row in own) == (block.labels == label).sum()
        expected, _ = np.histogram(values[block.labels == label], bins=50, range=(0, 1))
        assert [row.n_jets for row in own[1:]] == expected.tolist()
        assert own[0].n_jets == 0


def test_transfer_to_oneself_is_the_attack_itself(training_data, taggers):
    transfer, ranks = Transfer(taggers, variant="fgsm:0.3"), ScoreRanks()
    scan(training_data, taggers, VARIANTS, [transfer, ranks])
    own = {(row.epoch, row.score): row.auc for row in auc_rows(ranks) if row.variant == "fgsm:0.3"}
    rows = transfer.rows()
    assert len(rows) == 2 * 2 * len(SCORES)
    for row in rows:
        if row.source_epoch == row.target_epoch:
            assert row.auc == own[row.target_epoch, row.score]
    across = {(row.source_epoch, row.target_epoch): row.auc for row in rows if row.score == "BvsL"}
    (block,) = read_blocks(training_data)
    sign = taggers[0].gradient_sign(block.raw, block.labels)
    attacked = np.where(sign != 0, block.raw + np.float32(0.3) * taggers[0].scaler.std * sign, block.raw)
    values = scores(taggers[1].logits(attacked))["BvsL"]
    expected = auc(values[block.labels < 2], values[block.labels == 3])
    assert across[1, 2] == pytest.approx(expected, abs=1e-4)


def test_epochs_are_spread(taggers):
    many = [renamed(taggers[0], epoch=epoch) for epoch in range(1, 8)]
    assert [tagger.epoch for tagger in spread_epochs(many)] == [1, 4, 7]
    uneven = [renamed(taggers[0], epoch=epoch) for epoch in (1, 2, 5, 10, 15, 20)]
    assert [tagger.epoch for tagger in spread_epochs(uneven)] == [1, 10, 20]
    assert spread_epochs(taggers) == taggers


def test_reweighting_rows_keep_jets_and_weights(training_data):
    rows, jets = reweighting_rows(training_data), TrainingData(training_data).learning_jets("train")
    for label, flavour in enumerate(("b", "bb", "c", "udsg")):
        own = [row for row in rows if row.flavour == flavour]
        assert sum(row.n_jets for row in own) == (jets.labels == label).sum()
        assert sum(row.sum_weights for row in own) == pytest.approx(jets.weights.sum() / 4, rel=1e-4)


def test_flavour_shares_of_a_split_add_up_to_one(training_data):
    rows = flavour_content_rows(training_data)
    assert len(rows) == 12
    for split in ("train", "validation", "test"):
        assert sum(row.share for row in rows if row.split == split) == pytest.approx(1)


def test_losses_are_those_of_the_history(tmp_path, finished_run):
    record = EpochRecord(1, 0.1, 0.5, 0.25, 0.75, 0.9, 0.8, 1e5)
    write_history(tmp_path, [record], [LossTerm(1, 2, "mmd_outputs", 0.125)])
    trainings = [("mine", tmp_path), ("absent", tmp_path / "none")]
    assert [tuple(row) for row in loss_rows(trainings)] == [
        ("mine", 1, "train_loss", 0.5),
        ("mine", 1, "validation_loss", 0.25),
        ("mine", 1, "validation_loss_attacked", 0.75),
    ]
    assert [tuple(row) for row in loss_term_rows(trainings)] == [("mine", 1, 2, "mmd_outputs", 0.125)]
    assert {row.epoch for row in loss_rows([("a", finished_run)])} == {1, 2}
    assert loss_term_rows([("a", finished_run)]) == []
    (tmp_path / "history.csv").write_text("epoch,train_loss\nx,y\n")
    with pytest.raises(ValueError, match=r"history\.csv: not a table of EpochRecord"):
        loss_rows([("mine", tmp_path)])


def test_cross_entropy_by_hand():
    # Equal logits: ln 4; a jet with logit ln 3 for its flavour against three zeros: p = 1/2.
    logits = np.array([[0, 0, 0, 0], [0, np.log(3), 0, 0], [np.nan, 0, 0, 0]])
    assert cross_entropy(logits, np.array([2, 1, 0])) == pytest.approx((np.log(4) + np.log(2)) / 2)


def test_the_loss_grows_along_the_attack_and_not_along_a_random_direction(training_data, taggers):
    (block,) = read_blocks(training_data)
    rows = loss_surface(taggers[-1:], block, reach=0.2, steps=3, max_jets=400)
    loss = {(round(row.along_attack, 3), round(row.along_random, 3)): row.loss for row in rows}
    assert loss[0, 0] == pytest.approx(cross_entropy(taggers[-1].logits(block.raw[:400]), block.labels[:400]))
    assert loss[-0.2, 0] < loss[0, 0] < loss[0.2, 0]
    assert abs(loss[0, 0.2] - loss[0, 0]) < 0.3 * (loss[0.2, 0] - loss[0, 0])


def test_a_leak_is_an_area_that_rises_beyond_its_error():
    ratios = [
        AucRatioRow("a", 1, "fgsm:0.1", "BvsL", 0.95, 0.9, 1.05, 0.01, 0.05, 0.01),
        AucRatioRow("a", 1, "fgsm:0.1", "CvsL", 0.92, 0.9, 1.02, 0.01, 0.02, 0.01),
        AucRatioRow("a", 1, "noise:0.1", "CvsL", 0.95, 0.9, 1.05, 0.01, 0.05, 0.01),
    ]
    rows = label_leak_rows(ratios, attacks=["fgsm:0.1"])
    assert [(row.score, row.leaks) for row in rows] == [("BvsL", 1), ("CvsL", 0)]
    assert rows[0].significance == pytest.approx(5)


def test_trainings_stand_with_their_settings(taggers, finished_run, training_data):
    areas = [AucRow(tagger.name, tagger.epoch, "raw", "BvsL", 0.9, 0.01, 5, 5) for tagger in taggers]
    (row,) = training_rows(areas, taggers, {"adversarial": reweighting_of(finished_run)})
    assert (row.epoch, row.reweighting, row.gamma) == (2, "average", taggers[-1].metadata.gamma)
    assert reweighting_of(training_data) == ""


def test_roles_of_the_thesis_are_found_by_what_was_trained(taggers):
    tagger = taggers[-1]
    chosen = [
        renamed(tagger, name="adversarial", method="fgsm", attack="fgsm:0.1", gamma=25.0),
        renamed(tagger, name="basic", method="basic", attack="raw", gamma=25.0),
        renamed(tagger, name="other", method="basic", attack="raw", gamma=2.0),
        renamed(tagger, name="level", method="basic", attack="raw", gamma=25.0),
    ]
    weighting = {"adversarial": "average", "basic": "average", "other": "average", "level": "flat"}
    roles = roles_of(chosen, weighting)
    assert roles == {
        "basic": "basic",
        "adversarial": "adversarial",
        "gamma 25": "basic",
        "gamma 2": "other",
        "flat": "level",
        "average": "basic",
    }
    # Attacked by 0.1 where the thesis has 0.01.
    assert size_factor(chosen, roles) == pytest.approx(10)


def test_the_thesis_stands_beside_ours(training_data, finished_run, taggers):
    ranks = evaluate([finished_run], data=training_data, variants=VARIANTS)
    chosen = [renamed(tagger, attack="fgsm:0.3", method="fgsm") for tagger in taggers]
    transfer = Transfer(taggers, variant="fgsm:0.3").rows()
    rows = thesis_rows(ranks, chosen, {}, transfer)
    areas = {(row.epoch, row.variant, row.score): row for row in auc_rows(ranks)}
    raw = next(row for row in rows if row.quantity == "AUC BvsL, adversarial")
    assert (raw.thesis, raw.ours) == (0.94705, areas[2, "raw", "BvsL"].auc)
    attacked = next(row for row in rows if row.phenomenon == "FGSM changes BvsL: adversarial")
    assert attacked.thesis == pytest.approx(0.9366 - 0.94705)
    assert attacked.ours == pytest.approx(areas[2, "fgsm:0.3", "BvsL"].auc - areas[2, "raw", "BvsL"].auc)
    assert attacked.ours_is == "adversarial@2 fgsm:0.3 − adversarial@2 raw"
    basic = next(row for row in rows if row.quantity == "AUC BvsL, basic")
    assert math.isnan(basic.ours)
