"""The tables of `advtag divergence` on the demo: all are there, and belong together."""

from pathlib import Path
from typing import Any

from advtag import compare
from datamc.differences import read_differences
from datamc.divergence import read_divergence
from datamc.reference_curve import read_curve, read_equal_auc


def test_all_tables_are_written_and_belong_together(advtag, production: Path, tmp_path: Path) -> None:
    results = production / "results"
    finished = advtag(
        "divergence", results / "dy.zip", "--evaluation", production / "evaluation",
        "--null", results / "dy.zip", "--replicas", "20", "--out", tmp_path / "divergence.csv",
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    assert "expected by chance" in " ".join(finished.stdout.split())
    rows = read_divergence(tmp_path / "divergence.csv")
    assert {row.n_blocks for row in rows} == {32}
    # The same data as null data: the same table.
    assert read_divergence(tmp_path / "null.csv") == rows
    differences = read_differences(tmp_path / "differences.csv")
    assert {row.measure for row in differences} == {"kl", "kl_equal", "js", "emd", "auc"}
    assert {(row.tagger, row.reference) for row in differences} == {("adversarial", "basic")}
    values = {row[1:5]: row.kl for row in rows}
    without_noise = [p for p in read_curve(tmp_path / "reference_curve.csv") if p.sigma == 0]
    assert without_noise
    for point in without_noise:
        if point.measure == "kl":
            assert abs(point.value - values[point.score, "basic", point.epoch, "raw"]) < 1e-9
    at_own_auc = read_equal_auc(tmp_path / "equal_auc.csv")
    assert {row.tagger for row in at_own_auc} == {"basic", "adversarial"}


def test_the_demo_leaves_the_tables(production: Path) -> None:
    for name in ("divergence", "differences", "reference_curve", "equal_auc"):
        assert len((production / "results" / f"{name}.csv").read_text().splitlines()) > 1


def test_null_data_and_areas_reach_report_and_figures(production: Path, tmp_path: Path, monkeypatch) -> None:
    dy = production / "results" / "dy.zip"
    options = {"evaluation": production / "evaluation", "null": [dy], "out": tmp_path}
    drawn: dict[str, Any] = {}
    monkeypatch.setattr("plotting.figures.plot_results", lambda *_, **given: drawn.update(given) or [])
    compare.plot([dy], **options)
    assert drawn["curve"]
    assert drawn["auc_rows"]
    # The same data as null data: the same divergences.
    assert drawn["null"] == drawn["divergence"]
    shown: dict[str, Any] = {}
    monkeypatch.setattr("plotting.report.write_report", lambda path, **given: shown.update(given) or path)
    compare.report([dy], **options | {"out": tmp_path / "report.html"})
    assert shown["null"] == shown["divergence"] == drawn["null"]
    assert shown["curve"] == drawn["curve"]
