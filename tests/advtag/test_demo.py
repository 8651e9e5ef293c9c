"""From nothing to a report: the demo leaves every stage's output, and says what it is."""

import csv
import json
import zipfile
from pathlib import Path

import pytest

from datamc.results import read_result
from training.evaluate import read_auc_table

SELECTIONS = ("dy", "wc", "ttsemilep")


def test_every_stage_leaves_its_output(production: Path) -> None:
    assert (production / "samples" / "fileset.json").is_file()
    assert (production / "training_data" / "manifest.json").is_file()
    for name in ("basic", "adversarial"):
        checkpoints = sorted((production / "runs" / name).glob("epoch_*.pt"))
        assert len(checkpoints) == 20
        for checkpoint in checkpoints:
            assert checkpoint.with_name(f"{checkpoint.stem}_tagger.onnx").is_file()
            assert checkpoint.with_name(f"{checkpoint.stem}_attack.onnx").is_file()
    assert (production / "report.html").stat().st_size < 15e6
    assert list((production / "results" / "figures").glob("*.png"))


@pytest.mark.parametrize("selection", SELECTIONS)
def test_results_hold_every_score_checkpoint_and_variant(production: Path, selection: str) -> None:
    result = read_result(production / "results" / f"{selection}.zip")
    result.check_ledger()
    axes = result.histograms["CvsB"].axes
    assert set(axes["tagger"]) == {"basic", "adversarial"}
    assert set(axes["epoch"]) == {1, 2, 4, 7, 10, 15, 20}
    assert set(axes["variant"]) == {"raw", "noise:0.1", "fgsm:0.05", "fgsm:0.1"}
    assert all(record.simulated for record in result.datasets.values())


def test_data_of_the_demo_are_called_simulated(production: Path) -> None:
    page = (production / "report.html").read_text()
    assert "Simulated events" in page
    assert "Preliminary" not in page


def test_divergence_has_a_row_for_every_combination(production: Path) -> None:
    with (production / "results" / "divergence.csv").open() as file:
        rows = list(csv.DictReader(file))
    # 3 selections x 8 scores x 2 trainings x 7 epochs x 4 variants
    assert len(rows) == 3 * 8 * 2 * 7 * 4
    assert all(float(row["low"]) <= float(row["kl"]) <= float(row["high"]) for row in rows)


def test_scale_factors_exist_for_every_checkpoint_and_variant(production: Path) -> None:
    files = list((production / "results" / "scale_factors").glob("*.json"))
    assert len(files) == 2 * 7 * 4
    assert json.loads(files[0].read_text())["schema_version"] == 2


def test_areas_cover_both_trainings_and_all_variants(production: Path) -> None:
    rows = read_auc_table(production / "evaluation" / "auc.csv")
    assert {(row.tagger, row.variant) for row in rows} == {
        (tagger, variant)
        for tagger in ("basic", "adversarial")
        for variant in ("raw", "noise:0.1", "fgsm:0.05", "fgsm:0.1")
    }


def test_table_at_the_end_shows_both_trainings_in_all_selections(production: Path) -> None:
    text = (production / "demo_output.txt").read_text()
    for word in (*SELECTIONS, "basic", "adversarial", "BvsL", "CvsB", "raw", "noise:0.1", "fgsm:0.1"):
        assert word in text


def test_nothing_at_rest_is_a_pickle(production: Path) -> None:
    """A torch checkpoint holds a pickle of tensors that `weights_only` reads; nothing else may."""
    for path in production.rglob("*"):
        if path.is_file() and path.suffix != ".pt":
            assert path.read_bytes()[:2] != b"\x80\x04", path
            if zipfile.is_zipfile(path):
                assert not [name for name in zipfile.ZipFile(path).namelist() if name.endswith(".pkl")]


def test_demo_does_not_make_again_what_is_complete(advtag, production: Path) -> None:
    files = [
        *production.glob("samples/*.root"),
        *production.glob("runs/*/*.pt"),
        *production.glob("training_data/**/*"),
    ]
    before = {path: path.stat().st_mtime_ns for path in files}
    assert before
    finished = advtag("demo", "--scale", "0.03", "--out", production.name, cwd=production.parent)
    assert finished.returncode == 0, finished.stderr
    assert {path: path.stat().st_mtime_ns for path in files} == before


def test_demo_of_another_scale_needs_another_folder(advtag, production: Path) -> None:
    finished = advtag("demo", "--scale", "0.04", "--out", production)
    assert finished.returncode == 1
    assert "holds a demo of scale 0.03, not 0.04: choose another --out" in finished.stderr
