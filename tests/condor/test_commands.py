"""The commands with stubs for the batch systems: what they submit, and how they judge."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from condor.manifest import read_manifest
from datamc.results import read_result
from models.metadata import METADATA_KEY
from models.tagger import PRETRAINED, run_folders, tagger_files
from storage.files import sha256

Run = Callable[..., Any]
Stubs = Any

IDLE, RUNNING, REMOVED, COMPLETED, HELD = 1, 2, 3, 4, 5
"""JobStatus of HTCondor."""


def says(folder: Path, number: int, text: str) -> None:
    (folder / f"{number:05d}" / "stderr").write_text(text)


def table(came: Any) -> dict[int, dict[str, Any]]:
    return {int(row["job"]): row for row in json.loads(came.stdout)}


def job(number: int, status: int, **attributes: Any) -> dict[str, Any]:
    """Return what HTCondor says of a job of the first submission."""
    return {"ClusterId": 8, "AdvtagJob": f"{number:05d}", "JobStatus": status, **attributes}


def test_a_dry_run_writes_and_submits_nothing_and_needs_no_pool(
    invoke: Run, fileset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    options = ("--selection", "dy", "--fileset", fileset, "--events-per-job", 60, "--dry-run")
    for site, line in (("lxplus", "+JobFlavour = $(flavour)"), ("rwth", "#SBATCH --partition=c23ms")):
        came = invoke("condor", "submit", tmp_path / "jobs", "--site", site, *options)
        assert came.exit_code == 0
        assert line in came.stdout
        assert "4 jobs (4 dy) on 1 files, 4 parts in all; nothing was written or submitted" in came.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--variants", "raw", "--speed", "9"), "No such option"),
        (("--workers", "3"), "--workers: the batch system decides that"),
        (("--taggers", "nowhere"), "--taggers nowhere: no such file or folder"),
        (("--selection", "dyjets"), "unknown selection 'dyjets'"),
        (("--site", "rwth", "--graph", "results"), "graphs are HTCondor's"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_written(
    fileset: Path, stubs: Stubs, tmp_path: Path, options: tuple[str, ...], message: str, refused: Run
) -> None:
    command = ("condor", "submit", tmp_path / "jobs", "--selection", "dy", "--fileset", fileset)
    assert message in refused(*command, *options)
    assert not (tmp_path / "jobs").exists()
    assert stubs.calls("condor_submit") == []


def test_every_bad_file_is_named_before_anything_is_submitted(
    samples: Path, stubs: Stubs, tmp_path: Path, refused: Run
) -> None:
    (tmp_path / "text.root").write_text("no events")
    fileset = tmp_path / "bad.json"
    fileset.write_text(json.dumps({"dy": ["text.root", "missing.root"]}))
    said = refused("condor", "submit", tmp_path / "jobs", "--selection", "dy", "--fileset", fileset)
    assert "text.root: " in said
    assert "missing.root: no such file" in said
    assert not (tmp_path / "jobs").exists()


def test_what_the_batch_system_refused_goes_in_with_resubmit(
    invoke: Run, fileset: Path, stubs: Stubs, tmp_path: Path, refused: Run
) -> None:
    stubs.refuse("condor_submit", "ERROR: no schedd\n")
    options = ("--selection", "dy", "--fileset", fileset, "--events-per-job", 60)
    said = refused("condor", "submit", tmp_path / "jobs", *options)
    assert "condor_submit failed (1): ERROR: no schedd" in said
    (tmp_path / "commands" / "condor_submit.fails").unlink()
    status = invoke("condor", "status", tmp_path / "jobs", "--json")
    assert status.exit_code == 3
    assert {(row["state"], row["reason"]) for row in table(status).values()} == {
        ("planned", "never submitted")
    }
    assert "4 jobs submitted again as 8" in invoke("condor", "resubmit", tmp_path / "jobs").output


def test_each_verdict_of_htcondor(invoke: Run, submit: Run, stubs: Stubs, process: Run) -> None:
    """Ten jobs of 20 events, each with another fate."""
    folder = submit("--events-per-job", 20)
    process(folder, 0, 6, 7, 9)
    says(folder, 1, "Traceback\nError: the disk is on fire\n")
    says(folder, 5, "slurmstepd: error: Detected 1 oom_kill event\n")
    (folder / "00006" / "output" / "dy.zip").write_bytes(
        (folder / "00006" / "output" / "dy.zip").read_bytes()[:-900]
    )
    shutil.copyfile(folder / "00000" / "output" / "dy.zip", folder / "00007" / "output" / "dy.zip")
    stubs.queue(
        job(2, RUNNING), job(3, IDLE),
        job(4, HELD, HoldReason="memory usage exceeded", HoldReasonCode=34, HoldReasonSubCode=102),
        job(8, HELD, HoldReason="Transfer failed: no such file", HoldReasonCode=13),
    )  # fmt: skip
    stubs.history(
        job(1, COMPLETED, ExitCode=1),
        job(5, COMPLETED, ExitBySignal=True, ExitSignal=9),
        # Of a job that was there before under the same number the newest counts.
        job(5, COMPLETED, ExitCode=4),
        job(6, COMPLETED, ExitCode=0), job(7, COMPLETED, ExitCode=0),
    )  # fmt: skip
    came = invoke("condor", "status", folder, "--json")
    assert came.exit_code == 3
    assert {number: (row["state"], row["reason"]) for number, row in table(came).items()} == {
        0: ("done", ""),
        1: ("failed", "exit code 1: the disk is on fire"),
        2: ("running", ""),
        3: ("idle", ""),
        4: ("held", "held: memory usage exceeded"),
        5: ("failed", "killed by signal 9: slurmstepd: error: Detected 1 oom_kill event"),
        6: ("failed", "output is damaged or truncated"),
        7: ("failed", "output tells of other files than the manifest"),
        8: ("held", "held: Transfer failed: no such file"),
        9: ("done", ""),
    }
    resubmitted = invoke("condor", "resubmit", folder)
    assert "6 jobs submitted again as 9, 10" in resubmitted.output
    # Those that are held leave the queue first; 4 and 5 ran out of memory, and ask for half as much again.
    assert 'AdvtagJob == "00004" || AdvtagJob == "00008"' in stubs.calls("condor_rm")[0]
    lists = [(folder / f"jobs_{number:03d}.txt").read_text().splitlines() for number in (2, 3)]
    assert sorted(lists) == [
        ["00001 dy 2000 -", "00006 dy 2000 -", "00007 dy 2000 -", "00008 dy 2000 -"],
        ["00004 dy 3000 -", "00005 dy 3000 -"],
    ]
    again = table(invoke("condor", "status", folder, "--json"))
    assert {number: row["attempts"] for number, row in again.items() if row["attempts"] > 1} == dict.fromkeys(
        (1, 4, 5, 6, 7, 8), 2
    )
    assert again[4]["memory MB"] == 3000


def test_an_output_that_comes_while_the_queue_is_asked_counts(
    submit: Run, stubs: Stubs, process: Run
) -> None:
    """The queue no longer has the job, which was not done a moment before: its output is looked at again."""
    from condor.htcondor import HTCondor
    from condor.judging import judge_jobs

    folder = submit()
    process(folder, 1, 2, 3)

    class Late(HTCondor):
        def states(self, *arguments: Any) -> Any:
            process(folder, 0)
            return super().states(*arguments)

    assert {each.state for each in judge_jobs(read_manifest(folder), folder, Late())} == {"done"}


def test_a_history_that_cannot_be_asked_leaves_the_words_of_the_job(
    invoke: Run, submit: Run, stubs: Stubs
) -> None:
    folder = submit()
    stubs.refuse("condor_history", "not authorised")
    says(folder, 0, "Error: f.root: truncated\n")
    assert table(invoke("condor", "status", folder, "--json"))[0]["reason"] == "no output: f.root: truncated"


def test_a_pool_that_does_not_answer_is_one_sentence(submit: Run, stubs: Stubs, refused: Run) -> None:
    folder = submit()
    stubs.refuse("condor_q", "Failed to connect\n")
    assert "condor_q failed (1): Failed to connect" in refused("condor", "status", folder)


def test_a_job_that_was_removed_for_its_time_gets_twice_of_it(
    invoke: Run, submit: Run, stubs: Stubs, process: Run
) -> None:
    """From lxplus: 120 minutes fit into longlunch, 240 into workday."""
    folder = submit("--site", "lxplus")
    process(folder, 1, 2, 3)
    stubs.history(
        job(0, REMOVED, RemoveReason="Job removed by SYSTEM_PERIODIC_REMOVE due to wall time exceeded")
    )
    invoke("condor", "resubmit", folder)
    assert (folder / "jobs_001.txt").read_text().splitlines()[0] == '00000 dy 2000 "longlunch"'
    assert (folder / "jobs_002.txt").read_text().splitlines() == ['00000 dy 2000 "workday"']


def test_named_jobs_run_again_alone_and_not_twice_at_once(
    invoke: Run, submit: Run, stubs: Stubs, refused: Run, process: Run
) -> None:
    folder = submit()
    process(folder, 0, 1)
    stubs.queue(job(2, RUNNING), job(3, RUNNING))
    assert "2 jobs submitted again as 9" in invoke("condor", "resubmit", folder, "--jobs", "0,2").output
    assert 'AdvtagJob == "00002"' in stubs.calls("condor_rm")[0]
    assert (folder / "jobs_002.txt").read_text() == "00000 dy 2000 -\n00002 dy 2000 -\n"
    assert "give numbers from 0 to 3" in refused("condor", "resubmit", folder, "--jobs", "4")


def test_nothing_is_submitted_where_nothing_failed(
    invoke: Run, submit: Run, stubs: Stubs, process: Run
) -> None:
    folder = submit()
    process(folder, 0, 1, 2)
    stubs.queue(job(3, IDLE))
    status = invoke("condor", "status", folder)
    assert status.exit_code == 4
    assert "4 jobs: 3 done, 1 idle" in status.output
    assert "nothing to submit again" in invoke("condor", "resubmit", folder).output
    assert len(stubs.calls("condor_submit")) == 1


def test_slurm_with_and_without_accounts(invoke: Run, submit: Run, stubs: Stubs, process: Run) -> None:
    folder = submit("--site", "rwth")
    process(folder, 3)
    stubs.answer("squeue", "8|0|RUNNING|None\n8|1|PENDING|JobHeldUser\n77|2|RUNNING|None\n")
    stubs.answer("sacct", "8_2|TIMEOUT|0:0\n8_1|PENDING|0:0\n")
    found = table(invoke("condor", "status", folder, "--json"))
    assert [(found[number]["state"], found[number]["reason"]) for number in range(4)] == [
        ("running", ""), ("held", "held: JobHeldUser"), ("failed", "timeout"), ("done", ""),
    ]  # fmt: skip
    invoke("condor", "resubmit", folder)
    # Each group in an array of its own: the one that ran out of time alone asks for more of it.
    assert stubs.calls("scancel") == ["8_1"]
    assert len(stubs.calls("sbatch")) == 3
    assert "#SBATCH --time=240" in (folder / "jobs.slurm").read_text()
    stubs.refuse("sacct", "Slurm accounting storage is disabled\n")
    stubs.answer("squeue", "")
    says(folder, 0, "slurmstepd: error: *** JOB 8 CANCELLED DUE TO TIME LIMIT ***\n")
    found = table(invoke("condor", "status", folder, "--json"))
    assert "DUE TO TIME LIMIT" in found[0]["reason"]


def test_several_folders_in_one_table(invoke: Run, submit: Run, stubs: Stubs, process: Run) -> None:
    first, second = submit(), submit("--site", "rwth", name="more")
    process(first)
    process(second, 0, 1, 2)
    stubs.answer("squeue", "9|3|RUNNING|None\n")
    came = invoke("condor", "status", first, second, "--json")
    assert came.exit_code == 4
    rows = json.loads(came.stdout)
    assert [row["state"] for row in rows] == ["done"] * 7 + ["running"]
    assert {row["folder"] for row in rows} == {str(first), str(second)}


def test_corrections_travel_with_their_tables(submit: Run, tmp_path: Path) -> None:
    """Two tables of one name in two folders, one of them elsewhere: each finds its own place."""
    from processors.corrections import read_corrections
    from selections.parameters import SELECTIONS

    card = {"weights": []}
    for number, folder in enumerate(("here/POG", str(tmp_path / "there"))):
        path = tmp_path / folder / "table.json"
        path.parent.mkdir(parents=True)
        data = {"nodetype": "formula", "expression": str(number), "parser": "TFormula", "variables": []}
        correction = {
            "name": "flat", "version": 1, "inputs": [{"name": "pt", "type": "real"}],
            "output": {"name": "w", "type": "real"}, "data": data,
        }  # fmt: skip
        path.write_text(json.dumps({"schema_version": 2, "corrections": [correction]}))
        file = str(path) if number else "POG/table.json"
        card["weights"].append(
            {
                "name": f"w{number}",
                "file": file,
                "correction": "flat",
                "object": "jet",
                "inputs": {"pt": "pt"},
            }
        )
    source = tmp_path / "here" / "corrections.yaml"
    source.write_text(json.dumps(card))
    folder = submit("--corrections", source)
    [staged] = folder.glob("inputs/corrections_0/*.yaml")
    moved, original = (read_corrections(path, selections=SELECTIONS) for path in (staged, source))
    assert moved.as_config() == original.as_config()
    manifest = read_manifest(folder)
    assert manifest.staged == {
        str(path.relative_to(folder / "inputs")): sha256(path)
        for path in (folder / "inputs").rglob("*")
        if path.is_file()
    }


def test_a_decoy_beside_a_job_changes_nothing(submit: Run, stubs: Stubs, tmp_path: Path) -> None:
    """The wrapper runs the real command: modules of our names lie in its folder and on PYTHONPATH."""
    folder = submit()
    for place in (folder / "00000", tmp_path):
        for name in ("models", "datamc", "numpy"):
            (place / f"{name}.py").write_text("raise SystemExit('the decoy was imported')\n")
    command = ["bash", "../run_job.sh", "dy", "../inputs"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    finished = subprocess.run(
        command, cwd=folder / "00000", env=environment, capture_output=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    assert read_result(folder / "00000" / "output" / "dy.zip").datasets["dy"].n_events == 50


def test_watching_outlives_a_batch_system_that_is_away_for_a_while(
    submit: Run,
    stubs: Stubs,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    process: Run,
) -> None:
    from advtag import job_folders

    folder = submit()
    process(folder, 1, 2, 3)
    stubs.queue(job(0, RUNNING))
    naps: list[float] = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 1:
            stubs.refuse("condor_q", "no answer")
        else:
            (stubs.folder / "condor_q.fails").unlink()
            process(folder, 0)

    monkeypatch.setattr(job_folders.time, "sleep", nap)
    look = job_folders.watch([folder], every=7)
    assert {each.state for _, each in look.jobs} == {"done"}
    assert naps == [7, 7]
    assert "condor_q failed (1): no answer; asking again." in capsys.readouterr().err


def test_jobs_hold_out_the_events_that_their_taggers_were_adapted_to(
    submit: Run, refused: Run, fileset: Path, tmp_path: Path
) -> None:
    """Taggers say it themselves; what is given on the line must cover it."""
    basic = next(folder for folder in run_folders([Path(PRETRAINED)]) if folder.name == "basic")
    model = onnx.load(tagger_files(basic, None)[-1])
    (entry,) = [each for each in model.metadata_props if each.key == METADATA_KEY]
    entry.value = json.dumps(json.loads(entry.value) | {"adapted_on": "0.333:1"})
    onnx.save(model, tmp_path / "adapted.onnx")
    options = ("--taggers", tmp_path / "adapted.onnx")
    assert read_manifest(submit(*options)).command[-2:] == ("--held-out", "0.333:1")
    more = read_manifest(submit(*options, "--held-out", "0.5:1", name="more"))
    assert more.command[-2:] == ("--held-out", "0.5:1")
    assert "--held-out" not in read_manifest(submit("--taggers", basic, name="basic")).command
    command = ("condor", "submit", tmp_path / "none", "--selection", "dy", "--fileset", fileset, *options)
    assert "0.333:1 and 0.2:1 is held out" in refused(*command, "--held-out", "0.2:1")
    assert not (tmp_path / "none").exists()
