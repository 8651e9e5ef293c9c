import math
from pathlib import Path

import numpy as np
import pytest

from models.discriminators import SCORES, scores
from models.perturbations import parse_variants
from models.tagger import load_taggers
from training.evaluate import (
    AucRow,
    evaluate,
    read_auc_table,
    read_roc_table,
    read_unseen_jets,
    roc_curves,
    write_auc_table,
    write_roc_table,
)
from training.metrics import auc
from training.shards import TrainingData

VARIANTS = parse_variants("raw,noise:0.1,fgsm:0.3")


@pytest.fixture(scope="module")
def rows(finished_run: Path, training_data: Path) -> list[AucRow]:
    return evaluate([finished_run], data=training_data, variants=VARIANTS)


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
    assert row.auc == pytest.approx(auc(values[labels < 2], values[labels == 3]))
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
    output = next(row for row in some if row.score == "b")
    assert output.n_signal + output.n_background == 300
    assert len(read_unseen_jets(training_data, max_jets=300).labels) == 300


def test_the_noise_of_a_jet_does_not_depend_on_its_company(finished_run: Path, training_data: Path) -> None:
    results = [
        evaluate(
            [finished_run], data=training_data, variants=VARIANTS[1:2], epochs=[2], max_jets=300, seed=seed
        )
        for seed in (1, 1, 2)
    ]
    assert results[0] == results[1]
    assert results[0] != results[2]


def test_tables_survive_writing(rows: list[AucRow], tmp_path: Path) -> None:
    rows = [*rows, AucRow("a", 1, "raw", "b", math.nan, 0, 5)]
    write_auc_table(rows, tmp_path / "tables" / "auc.csv")
    assert read_auc_table(tmp_path / "tables" / "auc.csv")[:-1] == rows[:-1]
    assert math.isnan(read_auc_table(tmp_path / "tables" / "auc.csv")[-1].auc)


def test_roc_curves_are_of_the_last_epoch_and_enclose_the_area(
    rows: list[AucRow], finished_run: Path, training_data: Path, tmp_path: Path
) -> None:
    points = roc_curves([finished_run], data=training_data, variants=VARIANTS[:1], points=300)
    assert {(point.epoch, point.variant) for point in points} == {(2, "raw")}
    area = next(row.auc for row in rows if (row.epoch, row.variant, row.score) == (2, "raw", "BvsL"))
    curve = [point for point in points if point.score == "BvsL"]
    enclosed = np.trapezoid([0, *(p.efficiency for p in curve)], [0, *(p.mistag for p in curve)])
    assert enclosed == pytest.approx(area, abs=0.005)
    write_roc_table(points, tmp_path / "roc.csv")
    assert read_roc_table(tmp_path / "roc.csv") == points


def test_another_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "auc.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"auc\.csv: not a table of AucRow"):
        read_auc_table(tmp_path / "auc.csv")
    with pytest.raises(FileNotFoundError, match="make it first"):
        read_auc_table(tmp_path / "absent.csv")


def test_progress_counts_predictions(finished_run: Path, training_data: Path) -> None:
    calls: list[tuple[int, int]] = []
    evaluate(
        [finished_run],
        data=training_data,
        variants=VARIANTS,
        max_jets=50,
        progress=lambda *call: calls.append(call),
    )
    assert calls == [(done, 6) for done in range(1, 7)]
