"""Real jobs on real pools: eight of them, four of which go wrong, each in another way."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from pyarrow.parquet import read_table

from datamc.results import Result, read_result

Run = Callable[..., Any]

FAILS, DIES, HOGS, TRUNCATES = "00001", "00003", "00004", "00006"
MISBEHAVING = """#!/bin/bash
# Stands before the real command, and spoils the first attempt of some jobs.
number=$(basename "$PWD")
[ -n "${{_CONDOR_JOB_AD-}}" ] && number=$(sed -n 's/^AdvtagJob = "\\(.*\\)"/\\1/p' "$_CONDOR_JOB_AD")
[ -e "{marks}/$number" ] && exec "{advtag}" "$@"
touch "{marks}/$number"
case $number in
  {fails}) echo "Error: the disk is on fire" >&2; exit 1 ;;
  {dies}) kill -9 $$ ;;
  {hogs}) exec "{python}" -c "import time; hog = bytearray(2_000_000_000); time.sleep(60)" ;;
  {truncates}) "{advtag}" "$@"; truncate --size=-1000 output/dy.zip; exit 0 ;;
  *) exec "{advtag}" "$@" ;;
esac
"""
OPTIONS = ("--selection", "dy", "--seed", "5", "--columns")


class Story(NamedTuple):
    """What the commands said, in order, and where things are."""

    pool: str
    folder: Path
    submitted: Any
    first: Any
    merged_early: Any
    resubmitted: Any
    second: Any
    again: Any
    merged: Any
    local: Any


def states(came: Any) -> dict[str, dict[str, Any]]:
    return {row["job"]: row for row in json.loads(came.stdout)}


@pytest.fixture(scope="module")
def fileset(restricted: Callable[..., Path]) -> Path:
    """Three datasets of 200, 200 and 140 events: eight jobs of at most 80."""
    return restricted(dy=200, wc=200, ttsl=140)


@pytest.fixture(scope="module", params=["htcondor", "slurm"])
def story(
    request: pytest.FixtureRequest, advtag: str, fileset: Path, tmp_path_factory: pytest.TempPathFactory
) -> Story:
    pool: Run = request.getfixturevalue(request.param)
    folder = tmp_path_factory.mktemp("story")
    (folder / "marks").mkdir()
    (folder / "prefix" / "bin").mkdir(parents=True)
    script = folder / "prefix" / "bin" / "advtag"
    script.write_text(
        MISBEHAVING.format(
            marks=folder / "marks", advtag=advtag, python=sys.executable,
            fails=FAILS, dies=DIES, hogs=HOGS, truncates=TRUNCATES,
        )
    )  # fmt: skip
    script.chmod(0o755)
    site = {
        "name": "test",
        "scheduler": request.param,
        "max_retries": 0,
        "request": {"memory_mb": 1000, "disk_mb": 100, "minutes": 30},
        "environment": {"path": str(folder / "prefix")},
    }
    (folder / "site.yaml").write_text(json.dumps(site))

    def run(*arguments: object) -> Any:
        return pool(advtag, *arguments, cwd=folder)

    events = ("--fileset", fileset, *OPTIONS)
    watch = ("condor", "status", "jobs", "--watch", "--every", 1, "--json")
    return Story(
        request.param,
        folder,
        submitted=run("condor", "submit", "jobs", "--site", "site.yaml", *events, "--events-per-job", 80),
        first=run(*watch),
        merged_early=run("condor", "merge", "jobs", "--out", "early"),
        resubmitted=run("condor", "resubmit", "jobs"),
        second=run(*watch),
        again=run("condor", "resubmit", "jobs", "--jobs", "0"),
        merged=(run(*watch), run("condor", "merge", "jobs", "--out", "merged"))[1],
        local=run("process", *events, "--executor", "iterative", "--out", "local"),
    )  # fmt: skip


def test_status_names_each_failure_with_its_reason(story: Story) -> None:
    assert story.submitted.returncode == 0, story.submitted.stderr
    assert story.first.returncode == 3
    found = states(story.first)
    assert [row["state"] for job, row in found.items() if job not in (FAILS, DIES, HOGS, TRUNCATES)] == [
        "done"
    ] * 4
    # SLURM without accounting forgets exit codes; what the job said is there all the same.
    code = {"htcondor": "exit code 1", "slurm": "no output"}[story.pool]
    assert found[FAILS]["reason"] == f"{code}: the disk is on fire"
    assert "killed" in found[DIES]["reason"].lower()
    assert found[HOGS]["state"] == {"htcondor": "held", "slurm": "failed"}[story.pool]
    assert "memory" in found[HOGS]["reason"].lower()
    assert "output is damaged or truncated" in found[TRUNCATES]["reason"]


def test_incomplete_jobs_are_not_merged(story: Story) -> None:
    assert story.merged_early.returncode == 1
    assert "4 of 8 jobs have no good output, first 00001" in story.merged_early.stderr
    assert not (story.folder / "early").exists()


def test_the_four_run_again_and_no_other(story: Story) -> None:
    assert story.resubmitted.returncode == 0, story.resubmitted.stderr
    assert "4 jobs submitted again" in story.resubmitted.stderr
    found = states(story.second)
    assert story.second.returncode == 0
    assert {job for job, row in found.items() if row["attempts"] == 2} == {FAILS, DIES, HOGS, TRUNCATES}
    assert {job: row["memory MB"] for job, row in found.items() if row["memory MB"] != 1000} == {HOGS: 1500}


def test_merged_jobs_are_the_local_run(story: Story) -> None:
    assert story.again.returncode == 0
    assert story.merged.returncode == 0, story.merged.stderr
    assert story.local.returncode == 0, story.local.stderr
    merged, local = (read_result(story.folder / name / "dy.zip") for name in ("merged", "local"))
    require_equal(merged, local)
    assert sum(entry.n_processed for entry in merged.ledger) == 540
    assert len(merged.ledger) == 8


def test_merged_tables_are_those_of_the_local_run_jet_by_jet(story: Story) -> None:
    merged, local = (
        {path.name: read_table(path) for path in (story.folder / name / "dy_jets").iterdir()}
        for name in ("merged", "local")
    )
    assert set(merged) == {"dy.parquet", "wc.parquet", "ttsl.parquet"}
    assert merged == local
    assert len(merged["dy.parquet"]) > 0


def require_equal(first: Result, second: Result) -> None:
    """Same categories in whatever order, same entries, same cutflows and sums of weights."""
    assert set(first.histograms) == set(second.histograms)
    for name, histogram in first.histograms.items():
        other = second.histograms[name]
        for part in histogram.view().dtype.names or (...,):
            np.testing.assert_allclose(
                in_the_order_of(histogram, other)[part],
                other.view()[part],
                rtol=1e-12,
                atol=1e-12,
                err_msg=name,
            )
    assert {name: record.n_events for name, record in first.datasets.items()} == {
        name: record.n_events for name, record in second.datasets.items()
    }
    for name, record in first.datasets.items():
        assert record.sum_weights == pytest.approx(second.datasets[name].sum_weights, rel=1e-12)
    for name, rows in first.cutflows.items():
        assert [(row.cut, row.n_events) for row in rows] == [
            (row.cut, row.n_events) for row in second.cutflows[name]
        ]


def in_the_order_of(histogram: Any, other: Any) -> Any:
    """Return the entries of a histogram with its categories in the order of another."""
    view = histogram.view()
    for number, (own, wanted) in enumerate(zip(histogram.axes, other.axes, strict=True)):
        assert own.name == wanted.name
        if own.traits.ordered:
            assert own == wanted
        else:
            assert set(own) == set(wanted)
            view = view.take([list(own).index(each) for each in wanted], axis=number)
    return view
