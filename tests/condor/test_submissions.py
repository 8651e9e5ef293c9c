"""Jobs that were handed in are never taken for lost, nor for failed, whatever the commands answer."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from condor import handing_in
from condor.commands import BatchError, run_json
from condor.submissions import read_submissions

Run = Callable[..., Any]
Stubs = Any

GREETING = "Querying the pool: 3 schedds of 12\n[info] your jobs go to the partition of your group\n\n"


def states(came: Any) -> list[str]:
    return [row["state"] for row in json.loads(came.stdout)]


def condor_job(number: int, status: object, **attributes: Any) -> dict[str, Any]:
    return {"ClusterId": 8, "AdvtagJob": f"{number:05d}", "JobStatus": status, **attributes}


def tag_of(folder: Path) -> str:
    return read_submissions(folder)[-1].tag


@pytest.mark.parametrize(
    ("command", "answer", "number"),
    [
        ("condor_submit", f"{GREETING}4711.0 - 4711.3\n", "4711"),
        ("condor_submit", "4711.0 - 4711.3\nSee you in 2027.\n", "4711"),
        ("sbatch", f"{GREETING}4711\n", "4711"),
        ("sbatch", "4711;haswell\n", "4711;haswell"),
        ("sbatch", f"{GREETING}4711;haswell-2.far\n", "4711;haswell-2.far"),
    ],
)
def test_the_number_is_found_whatever_else_is_printed(
    submit: Run, stubs: Stubs, command: str, answer: str, number: str
) -> None:
    stubs.say_number(command, answer)
    folder = submit("--site", "local" if command == "condor_submit" else "rwth")
    assert [each.id for each in read_submissions(folder)] == [number]


def test_jobs_without_a_number_are_found_by_their_tag_and_not_started_again(
    invoke: Run, submit: Run, stubs: Stubs, refused: Run, fileset: Path, tmp_path: Path
) -> None:
    """The batch system takes the jobs and prints a greeting alone: they are in the queue all the same."""
    stubs.say_number("condor_submit", GREETING)
    options = ("--selection", "dy", "--fileset", fileset, "--events-per-job", 60)
    assert "no number" in refused("condor", "submit", tmp_path / "jobs", *options)
    stubs.queue(*(condor_job(number, 2) for number in range(4)))
    assert states(invoke("condor", "status", tmp_path / "jobs", "--json")) == ["running"] * 4
    assert any(tag_of(tmp_path / "jobs") in call for call in stubs.calls("condor_q"))
    assert "nothing to submit again" in invoke("condor", "resubmit", tmp_path / "jobs").output
    assert [each.id for each in read_submissions(tmp_path / "jobs")] == ["8"]


@pytest.mark.parametrize("site", ["local", "rwth"])
def test_a_submission_that_is_killed_before_its_number_is_noted_is_not_repeated(
    invoke: Run,
    submit: Run,
    stubs: Stubs,
    fileset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    site: str,
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(handing_in, "note_number", killed)
    folder = tmp_path / "jobs"
    options = ("--selection", "dy", "--fileset", fileset, "--events-per-job", 60, "--site", site)
    assert invoke("condor", "submit", folder, *options).exit_code != 0
    monkeypatch.undo()
    monkeypatch.setenv("PATH", stubs.path)
    assert [each.id for each in read_submissions(folder)] == [""]
    if site == "local":
        assert f'= "{tag_of(folder)}"' in (folder / "jobs.sub").read_text()
        stubs.queue(*(condor_job(number, 1) for number in range(4)))
    else:
        assert f"#SBATCH --job-name=advtag-{tag_of(folder)}\n" in (folder / "jobs.slurm").read_text()
        stubs.answer("squeue", "".join(f"8|{number}|PENDING|Priority\n" for number in range(4)))
        stubs.answer("squeue", f"5|other\n8|advtag-{tag_of(folder)}\n", only_with="%F|%j")
    assert states(invoke("condor", "status", folder, "--json")) == ["idle"] * 4
    assert "nothing to submit again" in invoke("condor", "resubmit", folder).output
    assert len(stubs.calls("condor_submit") + stubs.calls("sbatch")) == 1


def test_what_never_went_in_is_submitted_later(
    invoke: Run, stubs: Stubs, fileset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    from condor.htcondor import HTCondor

    monkeypatch.setattr(HTCondor, "submit", killed)
    options = ("--selection", "dy", "--fileset", fileset, "--events-per-job", 60)
    assert invoke("condor", "submit", tmp_path / "jobs", *options).exit_code != 0
    monkeypatch.undo()
    monkeypatch.setenv("PATH", stubs.path)
    assert states(invoke("condor", "status", tmp_path / "jobs", "--json")) == ["planned"] * 4
    assert "4 jobs submitted again as 8" in invoke("condor", "resubmit", tmp_path / "jobs").output


def test_a_submission_in_progress_is_neither_lost_nor_planned(
    invoke: Run, submit: Run, stubs: Stubs, refused: Run
) -> None:
    """Another process holds the folder, and has not got its number yet."""
    folder = submit()
    [noted] = read_submissions(folder)
    handing_in.write_submissions(folder, [noted.model_copy(update={"id": ""})])
    holder = (
        "import sys; from pathlib import Path; from storage.files import one_writer\n"
        "with one_writer(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        came = invoke("condor", "status", folder, "--json")
        assert (states(came), came.exit_code) == (["unknown"] * 4, 4)
        assert "another process" in refused("condor", "resubmit", folder)
        assert other.stdin is not None
        other.stdin.close()
    assert states(invoke("condor", "status", folder, "--json")) == ["planned"] * 4


def test_two_submissions_do_not_share_a_folder(
    submit: Run, refused: Run, fileset: Path, stubs: Stubs
) -> None:
    folder = submit()
    said = refused("condor", "submit", folder, "--selection", "dy", "--fileset", fileset)
    assert "exists" in said
    assert len(stubs.calls("condor_submit")) == 1


def test_each_status_of_htcondor(invoke: Run, submit: Run, stubs: Stubs) -> None:
    """Values of JobStatus of HTCondor's manual: 6 transfers its output, 7 is suspended, 0 and 12 are none."""
    folder = submit("--events-per-job", 20)
    expected = {1: "idle", 2: "running", 3: "failed", 4: "failed", 5: "held", 6: "running", 7: "running"}
    unknown: dict[object, str] = {0: "unknown", 12: "unknown", "2": "unknown"}
    stubs.queue(*(condor_job(job, status) for job, status in enumerate([*expected, *unknown])))
    came = invoke("condor", "status", folder, "--json")
    assert states(came) == [*expected.values(), *unknown.values()]
    invoke("condor", "resubmit", folder)
    assert [line[:5] for line in (folder / "jobs_002.txt").read_text().splitlines()] == [
        "00002", "00003", "00004",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "total"),
    [
        ("", ""),  # a command that never asked
        ("", "Total for query: 4 jobs; 0 completed, 4 idle\n"),  # no list, though there are jobs
        ("WARNING: the collector is slow\n", "Total for query: 0 jobs; 0 completed\n"),
    ],
)
def test_a_queue_that_names_no_jobs_and_does_not_say_so_is_not_believed(
    submit: Run, stubs: Stubs, refused: Run, answer: str, total: str
) -> None:
    folder = submit()
    stubs.answer("condor_q", answer)
    stubs.answer("condor_q", total, only_with="-totals")
    for command in ("status", "resubmit"):
        assert "condor_q" in refused("condor", command, folder)
    assert len(stubs.calls("condor_submit")) == 1


def test_a_warning_before_the_list_of_jobs_is_no_part_of_it(invoke: Run, submit: Run, stubs: Stubs) -> None:
    folder = submit()
    listed = json.dumps([condor_job(number, 2) for number in range(4)])
    stubs.answer("condor_q", f"WARNING: no token\n[warning] 2 pools\n{listed}\nbye\n")
    assert states(invoke("condor", "status", folder, "--json")) == ["running"] * 4


@pytest.mark.parametrize("answer", ["[1, 2]", '{"ClusterId": 8}', "[{", "no jobs"])
def test_an_answer_that_is_no_list_of_jobs_is_one_sentence(stubs: Stubs, answer: str) -> None:
    stubs.answer("condor_q", answer)
    with pytest.raises(BatchError, match="condor_q: its answer is no list of jobs"):
        run_json(["condor_q"])


def test_accounts_that_say_more_than_the_queue(invoke: Run, submit: Run, stubs: Stubs) -> None:
    """The queue has forgotten the array; elements that have not begun are one line of accounts."""
    folder = submit("--site", "rwth")
    stubs.answer("squeue", "")
    stubs.answer("sacct", "Accounts of last night\n8_[2-3%1]|PENDING|0:0\n8_0|RUNNING|0:0\n8_1|FAILED|2:0\n")
    assert states(invoke("condor", "status", folder, "--json")) == ["running", "failed", "idle", "idle"]


def test_accounts_stand_in_for_a_queue_that_does_not_answer(
    invoke: Run, submit: Run, stubs: Stubs, refused: Run
) -> None:
    folder = submit("--site", "rwth")
    stubs.refuse("squeue", "slurm_load_jobs error: Unable to contact slurm controller\n")
    assert "Unable to contact" in refused("condor", "resubmit", folder)
    stubs.answer("sacct", "8_0|RUNNING|0:0\n8_1|FAILED|2:0\n")
    came = invoke("condor", "status", folder, "--json")
    assert states(came) == ["running", "failed", "unknown", "unknown"]
    assert "1 jobs submitted again" in invoke("condor", "resubmit", folder).output


def test_another_cluster_of_a_federation_is_asked_for_its_jobs(
    invoke: Run, submit: Run, stubs: Stubs
) -> None:
    stubs.say_number("sbatch", "4711;haswell\n")
    folder = submit("--site", "rwth")
    stubs.answer("squeue", "CLUSTER: haswell\n" + "".join(f"4711|{n}|RUNNING|None\n" for n in range(4)))
    assert states(invoke("condor", "status", folder, "--json")) == ["running"] * 4
    invoke("condor", "resubmit", folder, "--jobs", "1,2")
    assert all("--clusters=haswell" in call for call in stubs.calls("squeue") + stubs.calls("sacct"))
    assert stubs.calls("scancel") == ["--clusters=haswell 4711_1 4711_2"]


def test_an_unknown_state_waits_for_a_person(invoke: Run, submit: Run, stubs: Stubs) -> None:
    folder = submit("--site", "rwth")
    stubs.answer("squeue", "".join(f"8|{number}|HIBERNATING|None\n" for number in range(4)))
    came = invoke("condor", "status", folder, "--json")
    assert (states(came), came.exit_code) == (["unknown"] * 4, 4)
    assert "HIBERNATING" in json.loads(came.stdout)[0]["reason"]
    assert "nothing to submit again" in invoke("condor", "resubmit", folder).output
