import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from condor.folder import Staged, hashes_of, wrapper, write_folder
from condor.htcondor import HTCondor, variables
from condor.manifest import Input, Job, Manifest, Range, read_manifest, with_fingerprint
from condor.sites import Environment, Site, read_site
from condor.slurm import Slurm
from condor.submissions import Attempt

METADATA = {"is_data": False, "process": "dy"}


def manifest(site: Site, path: str = "/store/a.root") -> Manifest:
    return with_fingerprint(
        Manifest(
            advtag_version="1", site=site, command=("--seed", "5"), staged={}, datasets={"dy": METADATA},
            inputs=(Input("dy", path, "Events", 100),),
            jobs=(Job("dy", (Range(0, 0, 100),)), Job("wc", (Range(0, 0, 60),))),
        )
    )  # fmt: skip


def site(**values: Any) -> Site:
    return read_site("local").model_copy(update=values)


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    planned = manifest(site())
    write_folder(planned, [], tmp_path / "jobs")
    assert read_manifest(tmp_path / "jobs") == planned
    with pytest.raises(FileExistsError, match="exists: choose another folder"):
        write_folder(planned, [], tmp_path / "jobs")


def test_a_manifest_changed_by_hand_is_refused(tmp_path: Path) -> None:
    write_folder(manifest(site()), [], tmp_path / "jobs")
    path = tmp_path / "jobs" / "manifest.json"
    path.write_text(path.read_text().replace('"--seed"', '"--fool"'))
    with pytest.raises(ValueError, match="was changed after it was written"):
        read_manifest(tmp_path / "jobs")


def test_the_fingerprint_is_of_the_content_not_of_the_site() -> None:
    here, there = manifest(site()), manifest(read_site("lxplus"))
    assert here.fingerprint == there.fingerprint
    assert manifest(site(), "/store/b.root").fingerprint != here.fingerprint


def test_a_job_takes_its_range_alone(tmp_path: Path) -> None:
    write_folder(manifest(site()), [], tmp_path / "jobs")
    filesets = [
        json.loads((tmp_path / "jobs" / job / "fileset.json").read_text()) for job in ("00000", "00001")
    ]
    assert filesets[0]["dy"] == {"files": {"/store/a.root": {"tree": "Events"}}, "metadata": METADATA}
    assert filesets[1]["dy"]["files"]["/store/a.root"] == {"tree": "Events", "entries": [0, 60]}


def test_files_travel_under_names_of_their_own(tmp_path: Path) -> None:
    data = tmp_path / "a.root"
    data.write_text("events")
    planned = manifest(site(transfer="condor"), str(data))
    write_folder(planned, [], tmp_path / "jobs")
    job = tmp_path / "jobs" / "00000"
    assert list(json.loads((job / "fileset.json").read_text())["dy"]["files"]) == ["input_000000.root"]
    assert (job / "input_000000.root").read_text() == "events"
    assert variables(planned, Attempt(0, 2000, 60))["files"] == ", input_000000.root"
    # A far file is read from afar.
    assert (
        variables(manifest(site(transfer="condor"), "root://far//a.root"), Attempt(0, 2000, 60))["files"]
        == ""
    )


def test_far_files_are_copied_by_the_job_where_the_site_says_so(tmp_path: Path) -> None:
    planned = manifest(site(transfer="xrdcp"), "root://far//a.root")
    write_folder(planned, [], tmp_path / "jobs")
    assert (
        tmp_path / "jobs" / "00000" / "copies.txt"
    ).read_text() == "input_000000.root root://far//a.root\n"
    assert 'xrdcp --silent --force "$url" "$name"' in wrapper(planned)
    assert variables(planned, Attempt(0, 2000, 60))["files"] == ""


def test_an_address_reaches_xrdcp_as_it_is_and_begins_no_line_of_its_own(tmp_path: Path) -> None:
    """The wrapper runs as it is, with commands that write their words down."""
    tools = tmp_path / "prefix" / "bin"
    tools.mkdir(parents=True)
    for name in ("xrdcp", "advtag"):
        (tools / name).write_text(f'#!/bin/bash\nprintf "{name} %s\\0" "$@"\n')
        (tools / name).chmod(0o755)
    address = "root://far//a b;touch OWNED $(touch OWNED) 'c'.root"
    here = site(transfer="xrdcp", environment=Environment(path=str(tmp_path / "prefix")))
    write_folder(manifest(here, address), [], tmp_path / "jobs")
    finished = subprocess.run(
        ["bash", "../run_job.sh", "dy", "../inputs"], cwd=tmp_path / "jobs" / "00000",
        env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert finished.stdout.split("\0")[2:4] == [f"xrdcp {address}", "xrdcp input_000000.root"]
    assert not list(tmp_path.rglob("OWNED"))
    with pytest.raises(ValueError, match="an address is one line"):
        write_folder(manifest(here, "root://far//a.root\nx root://far//b"), [], tmp_path / "others")
    assert not (tmp_path / "others").exists()


def test_files_that_lie_here_travel_where_far_ones_are_copied(tmp_path: Path) -> None:
    (tmp_path / "a.root").write_text("events")
    planned = manifest(site(transfer="xrdcp"), str(tmp_path / "a.root"))
    write_folder(planned, [], tmp_path / "jobs")
    assert (tmp_path / "jobs" / "00000" / "copies.txt").read_text() == ""
    assert (tmp_path / "jobs" / "00000" / "input_000000.root").read_text() == "events"
    assert variables(planned, Attempt(0, 2000, 60))["files"] == ", input_000000.root"
    # On SLURM there is nothing that would take it along: all nodes see it.
    assert not manifest(site(transfer="xrdcp", scheduler="slurm"), "/a.root").is_copied(0)


def test_inputs_of_all_jobs_are_staged_without_states_of_trainings(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for name in ("epoch_001_tagger.onnx", "epoch_001.pt", ".hidden"):
        (run / name).write_text(name)
    staged = [Staged(run, "taggers_0/run")]
    assert list(hashes_of(staged)) == ["taggers_0/run/epoch_001_tagger.onnx"]
    write_folder(manifest(site()), staged, tmp_path / "jobs")
    assert [path.name for path in (tmp_path / "jobs" / "inputs").rglob("*") if path.is_file()] == [
        "epoch_001_tagger.onnx"
    ]


def test_the_exit_code_of_a_job_is_that_of_the_command(tmp_path: Path) -> None:
    """The wrapper runs as it is, with a command that prints what it sees and ends with 7."""
    (tmp_path / "prefix" / "bin").mkdir(parents=True)
    command = tmp_path / "prefix" / "bin" / "advtag"
    command.write_text(
        '#!/bin/bash\necho "${PYTHONPATH-unset} $PYTHONSAFEPATH $OMP_NUM_THREADS $*"\nexit 7\n'
    )
    command.chmod(0o755)
    here = site(environment=Environment(path=str(tmp_path / "prefix")))
    planned = manifest(here)
    planned = planned.model_copy(update={"command": ("--taggers", "{inputs}/taggers_0/run", "--name", "a b")})
    write_folder(planned, [], tmp_path / "jobs")
    finished = subprocess.run(
        ["bash", "../run_job.sh", "dy", "../inputs"], cwd=tmp_path / "jobs" / "00000",
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": "/decoy"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert finished.returncode == 7
    assert finished.stdout == (
        "unset 1 1 process --selection dy --fileset fileset.json --out output --executor iterative "
        f"--submission {planned.fingerprint} --taggers ../inputs/taggers_0/run --name a b\n"
    )


@pytest.mark.parametrize(
    "name",
    ["my runs", "$(touch OWNED)", "`touch OWNED`", "a;touch OWNED", "'", '"', "a&&touch OWNED",
     "a\ntouch OWNED", "*", "a|touch OWNED", "$HOME", "a\\", "~", "{a,b}", "!x", "#x",
     "runs$(touch${IFS}OWNED)"],
)  # fmt: skip
def test_names_of_files_reach_a_job_as_they_are_and_run_nothing(name: str, tmp_path: Path) -> None:
    """The wrapper runs as it is, with a command that writes its words down, each ended by a zero byte."""
    (tmp_path / "prefix" / "bin").mkdir(parents=True)
    command = tmp_path / "prefix" / "bin" / "advtag"
    command.write_text('#!/bin/bash\nprintf "%s\\0" "$@"\n')
    command.chmod(0o755)
    planned = manifest(site(environment=Environment(path=str(tmp_path / "prefix"))))
    words = ("--taggers", f"{{inputs}}/taggers_0/{name}", "--name", name)
    write_folder(planned.model_copy(update={"command": words}), [], tmp_path / "jobs")
    finished = subprocess.run(
        ["bash", "../run_job.sh", "dy", "../inputs"], cwd=tmp_path / "jobs" / "00000",
        env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert finished.stdout.split("\0")[-5:-1] == ["--taggers", f"../inputs/taggers_0/{name}", "--name", name]
    assert not list(tmp_path.rglob("OWNED"))


def test_the_queue_is_the_first_that_is_long_enough() -> None:
    planned = manifest(read_site("lxplus"))
    assert variables(planned, Attempt(1, 3000, 100)) == {
        "number": "00001", "selection": "wc", "memory": "3000", "flavour": '"longlunch"', "files": "",
    }  # fmt: skip
    # NAF's is a number of seconds.
    assert variables(manifest(read_site("naf")), Attempt(0, 2000, 170))["flavour"] == "10800"


def test_descriptions_ask_for_what_the_site_says(tmp_path: Path) -> None:
    condor = HTCondor().describe(manifest(read_site("lpc"), "root://far//a.root"), tmp_path / "jobs", [])
    assert "use_x509userproxy = true" in condor
    assert "container_image = /cvmfs/unpacked.cern.ch" in condor
    assert "transfer_input_files = fileset.json, " in condor
    slurm = Slurm().describe(manifest(read_site("rwth")), tmp_path / "jobs", [Attempt(0, 3000, 90)])
    assert "#SBATCH --partition=c23ms" in slurm
    assert "#SBATCH --mem=3000M" in slurm
    assert "#SBATCH --time=90" in slurm


def test_a_folder_that_no_submit_description_takes_is_refused(tmp_path: Path) -> None:
    for system, name in ((HTCondor(), "a b"), (Slurm(), "a,b")):
        with pytest.raises(ValueError, match="batch systems do not take such a name"):
            system.describe(manifest(site()), tmp_path / name, [Attempt(0, 1000, 60)])


def test_a_container_is_given_to_the_batch_system_or_started_by_the_job(tmp_path: Path) -> None:
    image = Environment(kind="container", path="/cvmfs/images/advtag")
    condor = HTCondor().describe(manifest(site(environment=image)), tmp_path / "jobs", [])
    assert "universe = container\ncontainer_image = /cvmfs/images/advtag\n" in condor
    planned = manifest(site(scheduler="slurm", environment=image))
    folder = tmp_path / "jobs"
    slurm = Slurm().describe(planned, folder, [Attempt(0, 1000, 60)])
    assert f'apptainer exec --bind {folder} /cvmfs/images/advtag bash ../run_job.sh "$selection"' in slurm


def test_a_packed_environment_is_unpacked_used_and_cleared_away(tmp_path: Path) -> None:
    """The archive is found beside the job, or where the profile says; the job's exit code stays its own."""
    packed = tmp_path / "packed" / "bin"
    packed.mkdir(parents=True)
    (packed / "activate").write_text('PATH="$environment/bin:$PATH"; echo "$never_set"\n')
    (packed / "advtag").write_text('#!/bin/bash\necho "$0" > used; exit 7\n')
    (packed / "advtag").chmod(0o755)
    archive = tmp_path / "environment.tar.gz"
    subprocess.run(["tar", "-czf", archive, "-C", packed.parent, "."], check=True)
    (tmp_path / "scratch").mkdir()
    planned = manifest(site(environment=Environment(kind="tarball", path=str(archive))))
    write_folder(planned, [], tmp_path / "jobs")
    for moved in (archive, tmp_path / "jobs" / "00000" / archive.name):
        archive.rename(moved)
        archive = moved
        finished = subprocess.run(
            ["bash", "../run_job.sh", "dy", "../inputs"], cwd=tmp_path / "jobs" / "00000", check=False,
            env={"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path / "scratch")}, capture_output=True,
        )  # fmt: skip
        assert finished.returncode == 7
        used = (tmp_path / "jobs" / "00000" / "used").read_text().strip()
        assert used.startswith(str(tmp_path / "scratch"))
        assert list((tmp_path / "scratch").iterdir()) == []


def test_a_site_may_set_up_its_environment_with_variables_that_are_not_set(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "advtag"
    command.write_text('#!/bin/bash\nexit "$code"\n')
    command.chmod(0o755)
    here = site(setup=('export code="${1:+5}$MANPATH"',), environment=Environment(path=str(tmp_path)))
    write_folder(manifest(here), [], tmp_path / "jobs")
    finished = subprocess.run(
        ["bash", "../run_job.sh", "dy", "../inputs"], cwd=tmp_path / "jobs" / "00000", check=False,
        env={"PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert finished.returncode == 5
