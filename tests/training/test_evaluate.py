import dataclasses
import math
import shutil
from pathlib import Path

import numpy as np
import pytest

import training.scanning
from models.discriminators import SCORES, scores
from models.perturbations import parse_variants
from models.tagger import Tagger, load_taggers
from training.evaluate import (
    REFERENCE,
    AucRow,
    ScoreRanks,
    auc_difference_rows,
    auc_ratio_rows,
    auc_rows,
    evaluate,
    read_auc_table,
    read_roc_table,
    reference_auc_rows,
    roc_rows,
    working_point_rows,
    write_auc_table,
    write_roc_table,
)
from training.metrics import auc
from training.scanning import Block, Checkpoint, Prediction, scan
from training.shards import TrainingData

VARIANTS = parse_variants("raw,noise:0.1,fgsm:0.3")


@pytest.fixture(scope="module")
def ranks(finished_run: Path, training_data: Path) -> ScoreRanks:
    return evaluate([finished_run], data=training_data, variants=VARIANTS)


@pytest.fixture(scope="module")
def rows(ranks: ScoreRanks) -> list[AucRow]:
    return auc_rows(ranks)


def test_there_is_a_row_per_epoch_variant_and_score(rows: list[AucRow]) -> None:
    found = {(row.epoch, row.variant, row.score) for row in rows}
    names = [variant.name for variant in VARIANTS]
    assert found == {(epoch, name, score) for epoch in (1, 2) for name in names for score in SCORES}
    assert {row.tagger for row in rows} == {"adversarial"}
    assert len(rows) == len(found)


def test_the_area_is_that_of_the_exported_tagger_on_the_test_split(
    rows: list[AucRow], finished_run: Path, training_data: Path
) -> None:
    jets = list(TrainingData(training_data).evaluation_jets())
    raw, labels = (np.concatenate([part[index] for part in jets]) for index in (0, 1))
    tagger = load_taggers([finished_run], epochs=[2])[0]
    values = scores(tagger.logits(raw))["BvsL"]
    row = next(row for row in rows if (row.epoch, row.variant, row.score) == (2, "raw", "BvsL"))
    assert row.auc == pytest.approx(auc(values[labels < 2], values[labels == 3]), abs=1e-5)
    assert (row.n_signal, row.n_background) == ((labels < 2).sum(), (labels == 3).sum())


def test_the_attack_lowers_every_discriminator(rows: list[AucRow]) -> None:
    areas = {(row.variant, row.score): row.auc for row in rows if row.epoch == 2}
    for score in ("BvsL", "CvsL"):
        assert areas["fgsm:0.3", score] < areas["raw", score]


def test_bvsc_and_cvsb_have_the_same_area(rows: list[AucRow]) -> None:
    areas = {(row.epoch, row.variant, row.score): row.auc for row in rows}
    for (epoch, variant, score), area in areas.items():
        if score == "BvsC":
            assert area == pytest.approx(areas[epoch, variant, "CvsB"], abs=1e-12)


def test_a_random_part_of_the_jets_can_be_taken(finished_run: Path, training_data: Path) -> None:
    some = evaluate([finished_run], data=training_data, variants=VARIANTS[:1], epochs=[2], max_jets=300)
    output = next(row for row in auc_rows(some) if row.score == "b")
    assert output.n_signal + output.n_background == 300


def test_the_noise_of_a_jet_does_not_depend_on_its_company(finished_run: Path, training_data: Path) -> None:
    results = [
        auc_rows(
            evaluate(
                [finished_run],
                data=training_data,
                variants=VARIANTS[1:2],
                epochs=[2],
                max_jets=300,
                seed=seed,
            )
        )
        for seed in (1, 1, 2)
    ]
    assert results[0] == results[1]
    assert results[0] != results[2]


def test_tables_survive_writing(rows: list[AucRow], tmp_path: Path) -> None:
    rows = [*rows, AucRow("a", 1, "raw", "b", math.nan, math.nan, 0, 5)]
    write_auc_table(rows, tmp_path / "tables" / "auc.csv")
    assert read_auc_table(tmp_path / "tables" / "auc.csv")[:-1] == rows[:-1]
    assert math.isnan(read_auc_table(tmp_path / "tables" / "auc.csv")[-1].auc)


def test_roc_curves_are_of_the_last_epoch_and_enclose_the_area(
    rows: list[AucRow], ranks: ScoreRanks, tmp_path: Path
) -> None:
    points = roc_rows(ranks, points=300)
    assert {(point.epoch, point.variant) for point in points} == {(2, each.name) for each in VARIANTS}
    area = next(row.auc for row in rows if (row.epoch, row.variant, row.score) == (2, "raw", "BvsL"))
    curve = [point for point in points if (point.variant, point.score) == ("raw", "BvsL")]
    enclosed = np.trapezoid([0, *(p.efficiency for p in curve)], [0, *(p.mistag for p in curve)])
    assert enclosed == pytest.approx(area, abs=0.005)
    write_roc_table(points, tmp_path / "roc.csv")
    assert read_roc_table(tmp_path / "roc.csv") == points


def test_roc_curves_of_chosen_epochs(ranks: ScoreRanks) -> None:
    first = roc_rows(ranks, [Checkpoint("adversarial", 1, "raw")])
    assert {(point.epoch, point.variant) for point in first} == {(1, "raw")}


def test_working_points_lie_on_the_curve(ranks: ScoreRanks) -> None:
    points = roc_rows(ranks, points=300)
    row = next(
        row
        for row in working_point_rows(ranks)
        if (row.epoch, row.variant, row.score, row.working_point) == (2, "raw", "BvsL", "loose")
    )
    assert row.mistag == 0.1
    near = [p for p in points if (p.variant, p.score) == ("raw", "BvsL") and abs(p.mistag - 0.1) < 0.01]
    assert row.efficiency == pytest.approx(near[0].efficiency, abs=0.03)
    assert 0 < row.threshold < 1


def test_ratios_are_those_of_the_same_checkpoint(ranks: ScoreRanks, rows: list[AucRow]) -> None:
    areas = {(row.epoch, row.variant, row.score): row for row in rows}
    for ratio in auc_ratio_rows(ranks):
        distorted = areas[ratio.epoch, ratio.variant, ratio.score]
        raw = areas[ratio.epoch, "raw", ratio.score]
        assert ratio.ratio == pytest.approx(distorted.auc / raw.auc)
        assert ratio.difference == pytest.approx(distorted.auc - raw.auc)
        # The same jets: far better known than two independent areas.
        assert 0 < ratio.difference_error < math.hypot(distorted.error, raw.error)


class Halves:
    """Gives a second training to compare with: the same logits with some noise."""

    def __init__(self, ranks: ScoreRanks) -> None:
        self.ranks = ranks

    def look(self, block: Block, prediction: Prediction) -> None:
        worse = prediction.logits + np.random.default_rng(1).normal(0, 0.3, prediction.logits.shape)
        metadata = prediction.tagger.metadata.model_copy(update={"name": "worse"})
        tagger = dataclasses.replace(prediction.tagger, metadata=metadata)
        self.ranks.look(block, prediction._replace(tagger=tagger, logits=worse.astype(np.float32)))

    def end_block(self, block: Block) -> None:
        probabilities = np.full((len(block.labels), 4), 0.1, dtype=np.float32)
        probabilities[np.arange(len(block.labels)), block.labels] = 0.7
        self.ranks.end_block(block._replace(reference=probabilities))


def test_differences_are_paired_with_the_other_training_and_with_the_reference_tagger(
    finished_run: Path, training_data: Path
) -> None:
    ranks = ScoreRanks()
    halves = Halves(ranks)

    class Both(Halves):
        def look(self, block: Block, prediction: Prediction) -> None:
            ranks.look(block, prediction)
            halves.look(block, prediction)

    scan(training_data, load_taggers([finished_run]), VARIANTS[:1], [Both(ranks)])
    rows = auc_difference_rows(ranks, reference="adversarial")
    areas = {(row.tagger, row.epoch, row.score): row for row in auc_rows(ranks)}
    between = [row for row in rows if row.reference == "adversarial"]
    assert {(row.tagger, row.epoch, row.reference_epoch) for row in between} == {
        ("worse", 1, 1),
        ("worse", 2, 2),
    }
    for row in between:
        ours, theirs = (areas[name, row.epoch, row.score] for name in ("worse", "adversarial"))
        assert row.difference == pytest.approx(ours.auc - theirs.auc)
        assert 0 < row.error < math.hypot(ours.error, theirs.error)
    # A reference tagger that knows the truth has areas of 1.
    assert {row.auc for row in reference_auc_rows(ranks)} == {1.0}
    with_reference = [row for row in rows if row.reference == REFERENCE.tagger]
    assert {row.tagger for row in with_reference} == {"adversarial", "worse"}
    assert all(row.difference < 0 for row in with_reference)


def test_another_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "auc.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"auc\.csv: not a table of AucRow"):
        read_auc_table(tmp_path / "auc.csv")
    with pytest.raises(FileNotFoundError, match="make it first"):
        read_auc_table(tmp_path / "absent.csv")


def test_progress_counts_predicted_jets(finished_run: Path, training_data: Path) -> None:
    calls: list[tuple[int, int]] = []
    evaluate(
        [finished_run],
        data=training_data,
        variants=VARIANTS,
        max_jets=50,
        progress=lambda *call: calls.append(call),
    )
    assert calls == [(50 * done, 300) for done in range(1, 7)]


def test_the_result_does_not_depend_on_the_blocks(
    rows: list[AucRow], finished_run: Path, training_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = training.scanning.read_blocks
    monkeypatch.setattr(training.scanning, "read_blocks", lambda *a, **k: whole(*a, **k, block_jets=211))
    blocks = auc_rows(evaluate([finished_run], data=training_data, variants=VARIANTS))
    assert blocks == rows


def replaced_logits(monkeypatch: pytest.MonkeyPatch, *, share: float) -> None:
    """Let the first epoch give NaN for a share of the jets, and the others what they give."""
    logits = Tagger.logits

    def broken(self: Tagger, raw: np.ndarray) -> np.ndarray:
        found = logits(self, raw)
        if self.epoch == 1:
            found[: round(share * len(found))] = np.nan
        return found

    monkeypatch.setattr(Tagger, "logits", broken)


def test_outputs_that_are_not_finite_are_counted(
    finished_run: Path,
    training_data: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    replaced_logits(monkeypatch, share=0.5)
    evaluate([finished_run], data=training_data, variants=VARIANTS[:1], max_jets=200)
    assert "some of 200 jets: adversarial@1/raw 100" in caplog.text


def test_a_tagger_without_any_finite_output_is_not_evaluated(
    finished_run: Path, training_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replaced_logits(monkeypatch, share=1.0)
    with pytest.raises(ValueError, match="none of the 200 jets has a finite output of adversarial@1/raw"):
        evaluate([finished_run], data=training_data, variants=VARIANTS[:1], max_jets=200)


def test_damaged_jets_are_not_evaluated_on(finished_run: Path, training_data: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(training_data, tmp_path / "data"))
    path = data / "test" / "raw_00000.npy"
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"raw_00000.npy: damaged"):
        evaluate([finished_run], data=data, variants=VARIANTS[:1])
