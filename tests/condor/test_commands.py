"""The commands with stubs for the batch systems: what they submit, how they judge, what they merge."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from advtag.cli import app
from condor import merging
from condor.manifest import Manifest, read_manifest
from datamc.results import read_result, write_result
from processors.run import run_selection
from storage.files import sha256

IDLE, RUNNING, REMOVED, COMPLETED, HELD = 1, 2, 3, 4, 5
N_JOBS = 4
"""200 events of dy in jobs of at most 60."""

Advtag = Callable[..., Any]
Stubs = Any


def job(number: int, status: int, **attributes: Any) -> dict[str, Any]:
    """Return what HTCondor says of a job of the first submission."""
    return {"ClusterId": 8, "AdvtagJob": f"{number:05d}", "JobStatus": status, **attributes}


@pytest.fixture
def advtag() -> Advtag:
    runner = CliRunner()

    def run(*arguments: object) -> Any:
        return runner.invoke(app, list(map(str, arguments)))

    return run


@pytest.fixture(scope="session")
def fileset(restricted: Callable[..., Path]) -> Path:
    return restricted(dy=200)


@pytest.fixture
def submit(advtag: Advtag, fileset: Path, stubs: Stubs, tmp_path: Path) -> Callable[..., Path]:
    def submit(*options: object, name: str = "jobs") -> Path:
        command = ("condor", "submit", tmp_path / name, "--selection", "dy", "--fileset", fileset)
        came = advtag(*command, "--events-per-job", 60, *options)
        assert came.exit_code == 0, came.exception
        return tmp_path / name

    return submit


def process(folder: Path, *jobs: int, seed: int = 5) -> None:
    """Do what jobs do."""
    manifest = read_manifest(folder)
    for number in jobs or range(len(manifest.jobs)):
        result = run_selection(selection="dy", fileset=manifest.fileset(number), seed=seed)
        write_result(result, folder / f"{number:05d}" / "output" / "dy.zip")


def says(folder: Path, number: int, text: str) -> None:
    (folder / f"{number:05d}" / "stderr").write_text(text)


def table(came: Any) -> dict[int, dict[str, Any]]:
    return {int(row["job"]): row for row in json.loads(came.stdout)}


def refused(came: Any) -> str:
    assert came.exit_code != 0
    return f"{came.exception} {came.output}"


def test_a_dry_run_writes_and_submits_nothing_and_needs_no_pool(
    advtag: Advtag, fileset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    options = ("--selection", "dy", "--fileset", fileset, "--events-per-job", 60, "--dry-run")
    for site, line in (("lxplus", "+JobFlavour = $(flavour)"), ("rwth", "#SBATCH --partition=c23ms")):
        came = advtag("condor", "submit", tmp_path / "jobs", "--site", site, *options)
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
    advtag: Advtag, fileset: Path, stubs: Stubs, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    command = ("condor", "submit", tmp_path / "jobs", "--selection", "dy", "--fileset", fileset)
    assert message in refused(advtag(*command, *options))
    assert not (tmp_path / "jobs").exists()
    assert stubs.calls("condor_submit") == []


def test_every_bad_file_is_named_before_anything_is_submitted(
    advtag: Advtag, samples: Path, stubs: Stubs, tmp_path: Path
) -> None:
    (tmp_path / "text.root").write_text("no events")
    fileset = tmp_path / "bad.json"
    fileset.write_text(json.dumps({"dy": ["text.root", "missing.root"]}))
    came = advtag("condor", "submit", tmp_path / "jobs", "--selection", "dy", "--fileset", fileset)
    assert "text.root: " in refused(came)
    assert "missing.root: no such file" in refused(came)
    assert not (tmp_path / "jobs").exists()


def test_what_the_batch_system_refused_goes_in_with_resubmit(
    advtag: Advtag, fileset: Path, stubs: Stubs, tmp_path: Path
) -> None:
    stubs.refuse("condor_submit", "ERROR: no schedd\n")
    options = ("--selection", "dy", "--fileset", fileset, "--events-per-job", 60)
    came = advtag("condor", "submit", tmp_path / "jobs", *options)
    assert "condor_submit failed (1): ERROR: no schedd" in refused(came)
    (tmp_path / "commands" / "condor_submit.fails").unlink()
    status = advtag("condor", "status", tmp_path / "jobs", "--json")
    assert status.exit_code == 3
    assert {(row["state"], row["reason"]) for row in table(status).values()} == {
        ("planned", "never submitted")
    }
    assert "4 jobs submitted again as 8" in advtag("condor", "resubmit", tmp_path / "jobs").output


def test_each_verdict_of_htcondor(advtag: Advtag, submit: Callable[..., Path], stubs: Stubs) -> None:
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
    came = advtag("condor", "status", folder, "--json")
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
    resubmitted = advtag("condor", "resubmit", folder)
    assert "6 jobs submitted again as 9, 10" in resubmitted.output
    # Those that are held leave the queue first; 4 and 5 ran out of memory, and ask for half as much again.
    assert 'AdvtagJob == "00004" || AdvtagJob == "00008"' in stubs.calls("condor_rm")[0]
    lists = [(folder / f"jobs_{number:03d}.txt").read_text().splitlines() for number in (2, 3)]
    assert sorted(lists) == [
        ["00001 dy 2000 -", "00006 dy 2000 -", "00007 dy 2000 -", "00008 dy 2000 -"],
        ["00004 dy 3000 -", "00005 dy 3000 -"],
    ]
    again = table(advtag("condor", "status", folder, "--json"))
    assert {number: row["attempts"] for number, row in again.items() if row["attempts"] > 1} == dict.fromkeys(
        (1, 4, 5, 6, 7, 8), 2
    )
    assert again[4]["memory MB"] == 3000


def test_an_output_that_comes_while_the_queue_is_asked_counts(
    submit: Callable[..., Path], stubs: Stubs
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
    advtag: Advtag, submit: Callable[..., Path], stubs: Stubs
) -> None:
    folder = submit()
    stubs.refuse("condor_history", "not authorised")
    says(folder, 0, "Error: f.root: truncated\n")
    assert table(advtag("condor", "status", folder, "--json"))[0]["reason"] == "no output: f.root: truncated"


def test_a_pool_that_does_not_answer_is_one_sentence(
    advtag: Advtag, submit: Callable[..., Path], stubs: Stubs
) -> None:
    folder = submit()
    stubs.refuse("condor_q", "Failed to connect\n")
    assert "condor_q failed (1): Failed to connect" in refused(advtag("condor", "status", folder))


def test_a_job_that_was_removed_for_its_time_gets_twice_of_it(
    advtag: Advtag, submit: Callable[..., Path], stubs: Stubs
) -> None:
    """From lxplus: 120 minutes fit into longlunch, 240 into workday."""
    folder = submit("--site", "lxplus")
    process(folder, 1, 2, 3)
    stubs.history(
        job(0, REMOVED, RemoveReason="Job removed by SYSTEM_PERIODIC_REMOVE due to wall time exceeded")
    )
    advtag("condor", "resubmit", folder)
    assert (folder / "jobs_001.txt").read_text().splitlines()[0] == '00000 dy 2000 "longlunch"'
    assert (folder / "jobs_002.txt").read_text().splitlines() == ['00000 dy 2000 "workday"']


def test_named_jobs_run_again_alone_and_not_twice_at_once(
    advtag: Advtag, submit: Callable[..., Path], stubs: Stubs
) -> None:
    folder = submit()
    process(folder, 0, 1)
    stubs.queue(job(2, RUNNING), job(3, RUNNING))
    assert "2 jobs submitted again as 9" in advtag("condor", "resubmit", folder, "--jobs", "0,2").output
    assert 'AdvtagJob == "00002"' in stubs.calls("condor_rm")[0]
    assert (folder / "jobs_002.txt").read_text() == "00000 dy 2000 -\n00002 dy 2000 -\n"
    assert "give numbers from 0 to 3" in refused(advtag("condor", "resubmit", folder, "--jobs", "4"))


def test_nothing_is_submitted_where_nothing_failed(
    advtag: Advtag, submit: Callable[..., Path], stubs: Stubs
) -> None:
    folder = submit()
    process(folder, 0, 1, 2)
    stubs.queue(job(3, IDLE))
    status = advtag("condor", "status", folder)
    assert status.exit_code == 4
    assert "4 jobs: 3 done, 1 idle" in status.output
    assert "nothing to submit again" in advtag("condor", "resubmit", folder).output
    assert len(stubs.calls("condor_submit")) == 1


def test_slurm_with_and_without_accounts(advtag: Advtag, submit: Callable[..., Path], stubs: Stubs) -> None:
    folder = submit("--site", "rwth")
    process(folder, 3)
    stubs.answer("squeue", "8|0|RUNNING|None\n8|1|PENDING|JobHeldUser\n77|2|RUNNING|None\n")
    stubs.answer("sacct", "8_2|TIMEOUT|0:0\n8_1|PENDING|0:0\n")
    found = table(advtag("condor", "status", folder, "--json"))
    assert [(found[number]["state"], found[number]["reason"]) for number in range(4)] == [
        ("running", ""), ("held", "held: JobHeldUser"), ("failed", "timeout"), ("done", ""),
    ]  # fmt: skip
    advtag("condor", "resubmit", folder)
    # Each group in an array of its own: the one that ran out of time alone asks for more of it.
    assert stubs.calls("scancel") == ["8_1"]
    assert len(stubs.calls("sbatch")) == 3
    assert "#SBATCH --time=240" in (folder / "jobs.slurm").read_text()
    stubs.refuse("sacct", "Slurm accounting storage is disabled\n")
    stubs.answer("squeue", "")
    says(folder, 0, "slurmstepd: error: *** JOB 8 CANCELLED DUE TO TIME LIMIT ***\n")
    found = table(advtag("condor", "status", folder, "--json"))
    assert "DUE TO TIME LIMIT" in found[0]["reason"]


def test_several_folders_in_one_table(advtag: Advtag, submit: Callable[..., Path], stubs: Stubs) -> None:
    first, second = submit(), submit("--site", "rwth", name="more")
    process(first)
    process(second, 0, 1, 2)
    stubs.answer("squeue", "9|3|RUNNING|None\n")
    came = advtag("condor", "status", first, second, "--json")
    assert came.exit_code == 4
    rows = json.loads(came.stdout)
    assert [row["state"] for row in rows] == ["done"] * 7 + ["running"]
    assert {row["folder"] for row in rows} == {str(first), str(second)}


def test_a_merge_that_was_interrupted_goes_on(
    advtag: Advtag, submit: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
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
    assert advtag("condor", "merge", folder, "--out", tmp_path / "merged").exit_code != 0
    assert not (tmp_path / "merged" / "dy.zip").exists()
    assert advtag("condor", "merge", folder, "--out", tmp_path / "merged").exit_code == 0
    assert read == [0, 1, 2, 2, 3]
    assert not (folder / "merging").exists()
    assert read_result(tmp_path / "merged" / "dy.zip").datasets["dy"].n_events == 200


def test_a_merge_holds_two_results_at_a_time(
    advtag: Advtag, submit: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = submit("--events-per-job", 20)
    process(folder)
    together: list[int] = []

    def merge(results: Any) -> Any:
        together.append(len(results))
        return original(results)

    original = merging.merge_results
    monkeypatch.setattr(merging, "merge_results", merge)
    assert advtag("condor", "merge", folder, "--out", tmp_path / "merged").exit_code == 0
    assert set(together) == {2}


def test_outputs_of_another_configuration_are_not_merged(
    advtag: Advtag, submit: Callable[..., Path], tmp_path: Path
) -> None:
    folder = submit()
    process(folder, 0, 1, 2)
    process(folder, 3, seed=6)
    came = advtag("condor", "merge", folder, "--out", tmp_path / "merged")
    assert "results of different configurations do not add up: 'seed' is 5 in one" in refused(came)


def test_an_output_that_is_damaged_by_the_time_of_the_merge_is_found(
    advtag: Advtag, submit: Callable[..., Path], tmp_path: Path
) -> None:
    folder = submit()
    process(folder)
    path = folder / "00002" / "output" / "dy.zip"
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 200] = bytes(200)
    path.write_bytes(content)
    came = advtag("condor", "merge", folder, "--out", tmp_path / "merged")
    assert "1 of 4 jobs have no good output, first 00002 (output is damaged" in refused(came)
    assert not (tmp_path / "merged").exists()


def test_missing_jobs_are_declared_lost_where_that_is_allowed(
    advtag: Advtag, submit: Callable[..., Path], tmp_path: Path
) -> None:
    folder = submit()
    process(folder, 0, 1, 3)
    came = advtag("condor", "merge", folder, "--out", tmp_path / "merged", "--allow-missing")
    assert came.exit_code == 3
    result = read_result(tmp_path / "merged" / "dy.zip")
    # 200 events in four ranges of 50: the third is lost.
    assert result.datasets["dy"].n_events == 150
    [lost] = [entry for entry in result.ledger if entry.status != "processed"]
    assert (lost.entry_start, lost.n_expected, lost.n_processed) == (100, 50, 0)
    assert "job 00002 left no output" in (lost.reason or "")


def test_tables_of_jets_are_merged_to_those_of_a_local_run(
    advtag: Advtag, submit: Callable[..., Path], fileset: Path, stubs: Stubs, tmp_path: Path
) -> None:
    folder = submit("--columns", "--seed", 5)
    manifest = read_manifest(folder)
    for number in range(N_JOBS):
        output = folder / f"{number:05d}" / "output"
        result = run_selection(
            selection="dy", fileset=manifest.fileset(number), seed=5, table=output / "dy_jets"
        )
        write_result(result, output / "dy.zip")
    assert advtag("condor", "merge", folder, "--out", tmp_path / "merged").exit_code == 0
    options = ("--selection", "dy", "--fileset", fileset, "--columns", "--seed", 5)
    assert advtag("process", *options, "--executor", "iterative", "--out", tmp_path / "local").exit_code == 0
    merged, local = (tmp_path / name / "dy_jets" / "dy.parquet" for name in ("merged", "local"))
    import pyarrow.parquet

    assert pyarrow.parquet.read_table(merged).equals(pyarrow.parquet.read_table(local))
    table_of_one = folder / "00001" / "output" / "dy_jets" / "dy.parquet"
    table_of_one.write_bytes(table_of_one.read_bytes()[:-50])
    found = table(advtag("condor", "status", folder, "--json"))
    assert found[1]["reason"] == "table of jets of dy is missing, damaged or truncated"


def test_corrections_travel_with_their_tables(
    advtag: Advtag, submit: Callable[..., Path], tmp_path: Path
) -> None:
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
