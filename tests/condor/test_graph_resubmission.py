"""What resubmitting does to a graph that still runs; the real graph is in test_graph.py."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[..., Any]
Stubs = Any

IDLE, RUNNING, REMOVED, COMPLETED, HELD = 1, 2, 3, 4, 5
"""JobStatus of HTCondor."""


def job(number: int, status: int, **attributes: Any) -> dict[str, Any]:
    """Return what HTCondor says of a job of the first submission."""
    return {"ClusterId": 8, "AdvtagJob": f"{number:05d}", "JobStatus": status, **attributes}


def test_a_graph_that_runs_waits_for_its_jobs_and_releases_those_that_are_held(
    invoke: Run, submit: Run, stubs: Stubs, tmp_path: Path, process: Run
) -> None:
    """Cluster 8 is DAGMan itself, whose jobs have other numbers; two of four are not handed in yet."""
    folder = submit("--graph", tmp_path / "results")
    process(folder, 0)
    dagman = {"ClusterId": 8, "JobStatus": RUNNING}
    held = {"DAGManJobId": 8, "ClusterId": 10, "HoldReason": "memory usage exceeded"}
    stubs.queue(dagman, job(1, HELD) | held)
    came = invoke("condor", "status", folder, "--json")
    assert [row["state"] for row in json.loads(came.stdout)] == [
        "done", "held", "idle", "idle", *["idle"] * 5,
    ]  # fmt: skip
    assert "submitted again as 8" in invoke("condor", "resubmit", folder).output
    assert stubs.calls("condor_rm") == []
    [edited] = stubs.calls("condor_qedit")
    assert 'AdvtagJob == "00001" RequestMemory 3000' in edited
    assert len(stubs.calls("condor_release")) == 1
    assert (
        'VARS job_00001 number="00001" selection="dy" memory="3000"' in (folder / "analysis.dag").read_text()
    )
    assert len(stubs.calls("condor_submit_dag")) == 1


def test_a_graph_that_runs_is_not_submitted_twice(
    submit: Run, stubs: Stubs, tmp_path: Path, refused: Run
) -> None:
    folder = submit("--graph", tmp_path / "results")
    stubs.queue({"ClusterId": 8, "JobStatus": RUNNING})
    stubs.history(job(0, COMPLETED, ExitCode=1, DAGManJobId=8) | {"ClusterId": 9})
    assert "its graph still runs: submit again once it has ended" in refused("condor", "resubmit", folder)
