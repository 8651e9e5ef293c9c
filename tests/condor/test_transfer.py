"""No shared file system: all that a job needs travels with it, its environment too."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from datamc.results import read_result

ELSEWHERE = """#!/bin/bash
# As on a machine that does not see the folder of the submission: an empty one lies over it.
exec unshare --user --map-root-user --mount bash -c '
  mount -t tmpfs none "{hidden}" && [ -z "$(ls "{hidden}")" ] || exit 99
  exec "{advtag}" "$@"
' advtag "$@"
"""


def test_a_job_sees_nothing_of_the_machine_it_was_submitted_from(
    htcondor: Any, advtag: str, samples: Path, tmp_path: Path
) -> None:
    here = tmp_path / "here"
    packed = tmp_path / "packed" / "bin"
    for folder in (here, packed):
        folder.mkdir(parents=True)
    (packed / "activate").write_text('export PATH="$environment/bin:$PATH"\n')
    (packed / "advtag").write_text(ELSEWHERE.format(hidden=here, advtag=advtag))
    (packed / "advtag").chmod(0o755)
    subprocess.run(["tar", "-czf", here / "environment.tar.gz", "-C", packed.parent, "."], check=True)
    [source] = json.loads(samples.read_text())["dy"]["files"]
    shutil.copyfile(source, here / "dy.root")
    metadata = json.loads(samples.read_text())["dy"]["metadata"]
    fileset = {"dy": {"files": {"dy.root": {"tree": "Events", "entries": [0, 200]}}, "metadata": metadata}}
    (here / "fileset.json").write_text(json.dumps(fileset))
    (here / "golden.json").write_text("{}")
    site = {
        "name": "test", "scheduler": "htcondor", "transfer": "condor", "max_retries": 0,
        "request": {"memory_mb": 1500, "disk_mb": 100, "minutes": 30},
        "environment": {"kind": "tarball", "path": "environment.tar.gz"},
    }  # fmt: skip
    (here / "site.yaml").write_text(json.dumps(site))

    def run(*arguments: object) -> Any:
        came = htcondor(advtag, *arguments, cwd=here)
        assert came.returncode == 0, came.stdout + came.stderr

    files = ("--fileset", "fileset.json", "--selection", "dy", "--golden-json", "golden.json")
    run("condor", "submit", "jobs", "--site", "site.yaml", *files, "--events-per-job", 100)
    run("condor", "status", "jobs", "--watch", "--every", 1, "--all")
    run("condor", "merge", "jobs", "--out", "merged")
    result = read_result(here / "merged" / "dy.zip")
    # The ledger tells of the file by the name it has here.
    assert [(entry.file, entry.n_processed) for entry in result.ledger] == [(str(here / "dy.root"), 100)] * 2
