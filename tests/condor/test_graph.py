"""From events to a report as one graph of DAGMan, on the real pool; once with a step that fails at first."""

import json
from pathlib import Path
from typing import Any

import awkward as ak
import pytest
import uproot

from benchmarks.made_tagger import made_tagger, scaler_of
from models.tagger import attack_file
from processors.opening import TRUTH_BRANCHES

SPOILED = """#!/bin/bash
# Stands before the real command: the first attempt of a job and of the fit fail.
case "$*" in
  *"--selection wc"*) mark={folder}/wc ;;
  fit*) mark={folder}/fit ;;
  *) exec "{advtag}" "$@" ;;
esac
mkdir "$mark" 2> /dev/null || exec "{advtag}" "$@"
echo "Error: the disk is on fire" >&2
exit 1
"""


def without_truth(source: str, target: Path) -> None:
    """Copy the events of a file as if they had been recorded."""
    with uproot.open(source) as file:
        events = file["Events"].arrays()
    columns: dict[str, Any] = {}
    collections: dict[str, dict[str, Any]] = {}
    for name in events.fields:
        collection, _, member = name.partition("_")
        if name in TRUTH_BRANCHES or "Gen" in collection:
            continue
        if member and f"n{collection}" in events.fields:
            collections.setdefault(collection, {})[member] = events[name]
        elif name[1:] not in collections and not (name[0] == "n" and name[1].isupper()):
            columns[name] = events[name]
    columns |= {name: ak.zip(members) for name, members in collections.items()}
    with uproot.recreate(target) as file:
        tree = file.mktree(
            "Events",
            {name: ak.type(values).content for name, values in columns.items()},
            counter_name=lambda collection: f"n{collection}",
            field_name=lambda collection, member: f"{collection}_{member}",
        )
        tree.extend(columns)


@pytest.fixture
def analysis(samples: Path, advtag: str, tmp_path: Path) -> Path:
    """A folder with simulation, the same events as data, a tagger, and a site where things fail once."""
    fileset = {name: json.loads(samples.read_text())[name] for name in ("dy", "wc", "ttsl")}
    for name, dataset in fileset.items():
        [path] = dataset["files"]
        without_truth(path, tmp_path / f"data_{name}.root")
    metadata = {"is_data": True, "simulated": True, "process": "data", "luminosity_pb": 1.0}
    fileset["data"] = {"files": [f"data_{name}.root" for name in fileset], "metadata": metadata}
    (tmp_path / "fileset.json").write_text(json.dumps(fileset))
    tagger = made_tagger("basic", 1, scaler_of(path))
    (tmp_path / "tagger").mkdir()
    onnx = tmp_path / "tagger" / "epoch_001_tagger.onnx"
    onnx.write_bytes(tagger.tagger_bytes)
    assert tagger.attack_bytes is not None
    attack_file(onnx).write_bytes(tagger.attack_bytes)
    command = tmp_path / "prefix" / "bin" / "advtag"
    command.parent.mkdir(parents=True)
    command.write_text(SPOILED.format(folder=tmp_path, advtag=advtag))
    command.chmod(0o755)
    site = {
        "name": "test", "scheduler": "htcondor", "max_retries": 0,
        "request": {"memory_mb": 1500, "disk_mb": 100, "minutes": 30},
        "environment": {"path": str(tmp_path / "prefix")},
    }  # fmt: skip
    (tmp_path / "site.yaml").write_text(json.dumps(site))
    return tmp_path


def test_a_graph_goes_on_where_it_failed_and_ends_with_the_report(
    htcondor: Any, advtag: str, analysis: Path
) -> None:
    """A job fails, then a step; each time `status` says so, and `resubmit` runs what is left."""

    def run(*arguments: object) -> Any:
        return htcondor(advtag, "condor", *arguments, cwd=analysis)

    def states() -> tuple[int, dict[str, tuple[str, str]]]:
        came = run("status", "jobs", "--watch", "--every", 1, "--json")
        return came.returncode, {row["job"]: (row["state"], row["reason"]) for row in json.loads(came.stdout)}

    options = ("--site", "site.yaml", "--fileset", "fileset.json", "--taggers", "tagger")
    submitted = run("submit", "jobs", "--selection", "dy,wc,ttsemilep", *options, "--graph", "results",
                    "--files-per-job", 100)  # fmt: skip
    assert submitted.returncode == 0, submitted.stderr
    code, found = states()
    failed = [name for name, (state, _) in found.items() if state == "failed"]
    assert code == 3
    assert len(failed) == 1
    assert found[failed[0]][1] == "exit code 1: the disk is on fire"
    assert found["merge"] == ("planned", "what it needs failed")

    again = run("resubmit", "jobs")
    assert again.returncode == 0, again.stderr
    assert "1 jobs submitted again" in again.stderr
    code, found = states()
    assert code == 3
    assert found["merge"] == ("done", "")
    assert found["fit"] == ("failed", "the disk is on fire")
    assert {found[name][0] for name in ("plot", "report")} == {"planned"}

    assert run("resubmit", "jobs").returncode == 0
    code, found = states()
    assert {state for state, _ in found.values()} == {"done"}
    assert code == 0
    assert "<html" in (analysis / "results" / "report.html").read_text()[:200]
