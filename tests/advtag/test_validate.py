"""The commands that check simulated events, on the samples of a small demo."""

import csv
import json
from pathlib import Path

import pytest


@pytest.mark.parametrize("command", ["validate-simulation", "true-scale-factors"])
def test_help_has_an_example(advtag, command: str) -> None:
    finished = advtag(command, "--help")
    assert f"Example: advtag {command}" in " ".join(finished.stdout.replace("│", " ").split())


def test_validation_writes_page_and_tables(advtag, production: Path, tmp_path: Path) -> None:
    finished = advtag("validate-simulation", production / "samples", "--out", tmp_path / "v", "--json")
    assert finished.returncode == 0, finished.stderr
    rows = json.loads(finished.stdout)
    names = {row["name"] for row in rows}
    assert {"reconstructed vertex, b jets", "width of the d0 pull of prompt muons"} <= names
    assert {"Data/MC of CvsB in dy: p-value", "purity of the selection dy (light jets)"} <= names
    assert not any("NaN" in line for line in finished.stdout.splitlines())
    page = (tmp_path / "v" / "validation.html").read_text()
    assert "Validation of simulated events" in page
    with (tmp_path / "v" / "checks.csv").open(newline="") as file:
        assert [row["name"] for row in csv.DictReader(file)] == [row["name"] for row in rows]
    assert {path.name for path in (tmp_path / "v").iterdir()} == {
        "validation.html", "checks.csv", "defaults.csv", "agreement.csv", "ranges.csv", "purities.csv",
        "cutflows.csv", "ratios.csv",
    }  # fmt: skip


def test_validation_takes_another_tagger(advtag, production: Path, tmp_path: Path) -> None:
    samples = sorted((production / "samples").glob("dy_*.root"))
    run = production / "runs" / "basic"
    finished = advtag("validate-simulation", *samples, "--out", tmp_path, "--tagger", run)
    assert finished.returncode == 0, finished.stderr
    page = (tmp_path / "validation.html").read_text()
    assert "CvsB in the selection dy: data over mc." in page
    with (tmp_path / "ratios.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["score"] == "CvsB"]
    # Shares of simulated jets add up to one, whatever the bins.
    assert sum(float(row["share"]) for row in rows) == pytest.approx(1)
    with (tmp_path / "cutflows.csv").open(newline="") as file:
        cuts = [row for row in csv.DictReader(file) if row["selection"] == "dy"]
    assert {row["sample"] for row in cuts} == {"dy (mc)", "DoubleMuon (data)"}
    left = [int(row["n_events"]) for row in cuts if row["sample"] == "dy (mc)"]
    assert left == sorted(left, reverse=True)
    assert left[-1] > 0


def test_strict_validation_fails_on_a_bad_number(advtag, production: Path, tmp_path: Path) -> None:
    # Against itself as data with other settings nothing is expected; tracks of top pairs are not as in CMS.
    samples = sorted((production / "samples").glob("tt_mc_*.root"))
    finished = advtag("validate-simulation", *samples, "--out", tmp_path, "--strict")
    with (tmp_path / "checks.csv").open(newline="") as file:
        bad = [row for row in csv.DictReader(file) if row["verdict"] == "fail"]
    assert (finished.returncode != 0) == bool(bad)
    if bad:
        assert f"{len(bad)} numbers are not as expected" in finished.stderr


def test_folder_without_files_is_named(advtag, tmp_path: Path) -> None:
    finished = advtag("validate-simulation", tmp_path, "--out", tmp_path / "v")
    assert finished.returncode == 1
    assert "no ROOT file there: run `advtag simulate` first" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_true_scale_factors_are_beside_the_fitted_ones(advtag, production: Path, tmp_path: Path) -> None:
    finished = advtag(
        "true-scale-factors", "--fileset", production / "samples" / "fileset.json",
        "--taggers", production / "runs" / "basic", "--epochs", "3,20", "--results", production / "results",
        "--coarse", "--workers", "1", "--out", tmp_path, "--json",
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    summary = json.loads(finished.stdout)
    assert {row["flavour"] for row in summary} == {"c", "b", "light"}
    with (tmp_path / "true_scale_factors.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["selection"] for row in rows} == {"wc", "ttsemilep", "dy"}
    assert {row["epoch"] for row in rows} == {"20"}
    assert f"1 of 2 checkpoints are left out: {production / 'results'} does not hold them" in finished.stderr
    light = [row for row in rows if row["flavour"] == "light" and row["is_own"] == "1"]
    # Data and simulation are normalised to each other, and nearly all jets of Drell-Yan events are light.
    raw = [row for row in light if row["variant"] == "raw"]
    ratio = sum(float(row["n_data"]) for row in raw) / sum(float(row["n_mc"]) for row in raw)
    assert 0.8 < ratio < 1.25


def test_table_of_true_scale_factors_fits_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    from advtag.tables import show
    from advtag.validate import _closure_table
    from datamc.closure import ClosureRow

    numbers = (0.12345, 0.23456, -1.234, 12.34, 0.0123)
    rows = [ClosureRow("adversarial", epoch, "fgsm:0.05", "light", 12, 10, *numbers) for epoch in (7, 20)]
    show(_closure_table(rows), title="last epoch", as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    expected = "adversarial fgsm:0.05 light 10/12 0.123 0.235 -1.23 12.34 0.01"
    assert [" ".join(line.split()) for line in lines].count(expected) == 1


def test_taggers_that_the_results_lack_are_left_out(advtag, production: Path, tmp_path: Path) -> None:
    shown = ["--fileset", production / "samples" / "fileset.json", "--taggers", production / "runs" / "basic"]
    # Every epoch was exported; the results hold some of them.
    given = ["--results", production / "results", "--out", tmp_path, "--epochs"]
    finished = advtag("true-scale-factors", *shown, *given, "3")
    assert finished.returncode == 1
    assert "the results hold none of these taggers: process them first, or leave" in finished.stderr
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "dy.zip").write_bytes((production / "results" / "dy.zip").read_bytes())
    finished = advtag(
        "true-scale-factors", *shown, "--results", tmp_path / "some", "--out", tmp_path / "closure"
    )
    assert finished.returncode == 1
    assert "wc and ttsemilep are missing: process first" in finished.stderr
    # It was said before any data were joined with their truth.
    assert "join data" not in finished.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["some"]


def test_true_scale_factors_need_the_truth(advtag, production: Path, tmp_path: Path) -> None:
    content = json.loads((production / "samples" / "fileset.json").read_text())
    for dataset in content.values():
        dataset["files"] = {
            str(production / "samples" / name): tree for name, tree in dataset["files"].items()
        }
    (file,) = list(content["DoubleMuon"]["files"])[:1]
    moved = tmp_path / "alone.root"
    moved.write_bytes(Path(file).read_bytes())
    content["DoubleMuon"]["files"] = {str(moved): "Events"}
    fileset = tmp_path / "fileset.json"
    fileset.write_text(json.dumps(content))
    finished = advtag(
        "true-scale-factors", "--fileset", fileset, "--taggers", production / "runs" / "basic",
        "--results", production / "results", "--out", tmp_path / "closure",
    )  # fmt: skip
    assert finished.returncode == 1
    assert "truth/alone.root: no such file" in finished.stderr
