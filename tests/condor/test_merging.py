"""Outputs of jobs become one result: resumed, bounded in memory, nothing lost or mixed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from condor import merging
from condor.manifest import Manifest
from datamc.results import read_result

Run = Callable[..., Any]
Stubs = Any


def table(came: Any) -> dict[int, dict[str, Any]]:
    return {int(row["job"]): row for row in json.loads(came.stdout)}


def test_a_merge_that_was_interrupted_goes_on(
    invoke: Run, submit: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, process: Run
) -> None:
    """Groups of two: the second is interrupted, and the first is not read again afterwards."""
    folder = submit()
    process(folder)
    monkeypatch.setattr(merging, "_GROUP", 2)
    read: list[int] = []

    def named(manifest: Manifest, folder: Path, number: int) -> Any:
        read.append(number)
        if read == [0, 1, 2]:
            raise KeyboardInterrupt
        return original(manifest, folder, number)

    original = merging._named
    monkeypatch.setattr(merging, "_named", named)
    assert invoke("condor", "merge", folder, "--out", tmp_path / "merged").exit_code != 0
    assert not (tmp_path / "merged" / "dy.zip").exists()
    assert invoke("condor", "merge", folder, "--out", tmp_path / "merged").exit_code == 0
    assert read == [0, 1, 2, 2, 3]
    assert not (folder / "merging").exists()
    assert read_result(tmp_path / "merged" / "dy.zip").datasets["dy"].n_events == 200


def test_a_merge_holds_two_results_at_a_time(
    invoke: Run, submit: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, process: Run
) -> None:
    folder = submit()
    process(folder)
    together: list[int] = []

    def merge(results: Any) -> Any:
        together.append(len(results))
        return original(results)

    original = merging.merge_results
    monkeypatch.setattr(merging, "merge_results", merge)
    assert invoke("condor", "merge", folder, "--out", tmp_path / "merged").exit_code == 0
    assert set(together) == {2}


def test_outputs_of_another_configuration_are_not_merged(
    submit: Run, tmp_path: Path, refused: Run, process: Run
) -> None:
    folder = submit()
    process(folder, 0, 1, 2)
    process(folder, 3, seed=6)
    said = refused("condor", "merge", folder, "--out", tmp_path / "merged")
    assert "results of different configurations do not add up: 'seed' is 5 in one" in said


def test_an_output_that_is_damaged_by_the_time_of_the_merge_is_found(
    submit: Run, tmp_path: Path, refused: Run, process: Run
) -> None:
    folder = submit()
    process(folder)
    path = folder / "00002" / "output" / "dy.zip"
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 200] = bytes(200)
    path.write_bytes(content)
    said = refused("condor", "merge", folder, "--out", tmp_path / "merged")
    assert "1 of 4 jobs have no good output, first 00002 (output is damaged" in said
    assert not (tmp_path / "merged").exists()


def test_missing_jobs_are_declared_lost_where_that_is_allowed(
    invoke: Run, submit: Run, tmp_path: Path, process: Run
) -> None:
    folder = submit()
    process(folder, 0, 1, 3)
    came = invoke("condor", "merge", folder, "--out", tmp_path / "merged", "--allow-missing")
    assert came.exit_code == 3
    result = read_result(tmp_path / "merged" / "dy.zip")
    # 200 events in four ranges of 50: the third is lost.
    assert result.datasets["dy"].n_events == 150
    [lost] = [entry for entry in result.ledger if entry.status != "processed"]
    assert (lost.entry_start, lost.n_expected, lost.n_processed) == (100, 50, 0)
    assert "job 00002 left no output" in (lost.reason or "")


def test_tables_of_jets_are_merged_to_those_of_a_local_run(
    invoke: Run, submit: Run, fileset: Path, process: Run, tmp_path: Path
) -> None:
    folder = submit("--columns", "--seed", 5)
    process(folder, tables=True)
    assert invoke("condor", "merge", folder, "--out", tmp_path / "merged").exit_code == 0
    options = ("--selection", "dy", "--fileset", fileset, "--columns", "--seed", 5)
    assert invoke("process", *options, "--executor", "iterative", "--out", tmp_path / "local").exit_code == 0
    merged, local = (tmp_path / name / "dy_jets" / "dy.parquet" for name in ("merged", "local"))
    import pyarrow.parquet

    assert pyarrow.parquet.read_table(merged).equals(pyarrow.parquet.read_table(local))
    table_of_one = folder / "00001" / "output" / "dy_jets" / "dy.parquet"
    table_of_one.write_bytes(table_of_one.read_bytes()[:-50])
    found = table(invoke("condor", "status", folder, "--json"))
    assert found[1]["reason"] == "table of jets of dy is missing, damaged or truncated"
