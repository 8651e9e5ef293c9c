"""dask on both real pools: the same result as here, whether or not a worker dies."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from condor.clusters import options_of
from condor.sites import Environment, read_site
from datamc.results import read_result
from processors import executors

DYING_PYTHON = """#!/bin/bash
# Stands before the real interpreter: the first worker dies of its first chunk, as if its job had been killed.
mkdir "{marks}/$(hostname)" 2> /dev/null || exec "{python}" "$@"
exec "{python}" -c "
import os, runpy, sys
import processors.worker
processors.worker.ChunkTask.__call__ = lambda *_: os._exit(9)
module = sys.argv[2]
del sys.argv[1:3]
runpy.run_module(module, run_name='__main__', alter_sys=True)
" "$@"
"""
OPTIONS = ("--selection", "dy", "--seed", "5")


@pytest.mark.parametrize("scheduler", ["htcondor", "slurm"])
def test_dask_on_a_pool_equals_the_local_run_though_a_worker_dies(
    scheduler: str, request: pytest.FixtureRequest, advtag: str, samples: Path, tmp_path: Path
) -> None:
    pool = request.getfixturevalue(scheduler)
    python = tmp_path / "prefix" / "bin" / "python"
    python.parent.mkdir(parents=True)
    (tmp_path / "marks").mkdir()
    python.write_text(DYING_PYTHON.format(marks=tmp_path / "marks", python=sys.executable))
    python.chmod(0o755)
    site = {
        "name": "test",
        "scheduler": scheduler,
        "request": {"memory_mb": 1500, "disk_mb": 100, "minutes": 30},
        "environment": {"path": str(tmp_path / "prefix")},
        # Without a nanny, which would start a dead worker again, the job ends with its worker.
        "dask_options": {"scheduler_options": {"host": "127.0.0.1"}, "nanny": False},
    }
    (tmp_path / "site.yaml").write_text(json.dumps(site))
    files = ("--fileset", samples, *OPTIONS, "--chunksize", 100)
    dask = ("--executor", "dask", "--site", "site.yaml", "--workers", 1)
    came = pool(advtag, "process", *files, *dask, "--out", "far", cwd=tmp_path)
    assert came.returncode == 0, came.stderr
    assert (
        "1 dask workers asked for at site.yaml; what they say: far/dask_logs; dashboard: http" in came.stderr
    )
    assert list((tmp_path / "marks").iterdir()) != []
    here = pool(advtag, "process", *files, "--executor", "iterative", "--out", "here", cwd=tmp_path)
    assert here.returncode == 0, here.stderr
    far, local = (read_result(tmp_path / name / "dy.zip") for name in ("far", "here"))
    require_equal(far, local)


def require_equal(first: Any, second: Any) -> None:
    assert first.histograms.keys() == second.histograms.keys()
    for name, histogram in first.histograms.items():
        assert histogram == second.histograms[name], name
    assert first.cutflows == second.cutflows
    assert first.ledger == second.ledger


def test_a_site_says_what_its_dask_workers_ask_for(tmp_path: Path) -> None:
    lxplus = options_of(read_site("lxplus"), tmp_path)
    assert lxplus["job_extra_directives"] == {"+JobFlavour": '"longlunch"'}
    assert (lxplus["memory"], lxplus["disk"], lxplus["cores"]) == ("2000MiB", "4000MiB", 1)
    rwth = read_site("rwth").model_copy(
        update={"lines": {"account": "rwth1234"}, "dask_options": {"cores": 2}}
    )
    slurm = options_of(rwth, tmp_path)
    assert (slurm["queue"], slurm["walltime"], slurm["cores"]) == ("c23ms", "02:00:00", 2)
    assert slurm["job_extra_directives"] == ["--account=rwth1234"]


def test_dask_workers_share_the_environment_of_their_scheduler(tmp_path: Path) -> None:
    site = read_site("local").model_copy(update={"environment": Environment(kind="container", path="image")})
    with pytest.raises(ValueError, match="give a prefix both see, not a tarball or container"):
        options_of(site, tmp_path)


class OtherWorkers:
    """A client of a cluster whose worker has another version of uproot."""

    scheduler = SimpleNamespace(address="tcp://far:8786")

    def wait_for_workers(self, number: int) -> None:
        assert number == 1

    def get_versions(self, packages: tuple[str, ...]) -> dict[str, Any]:
        assert "uproot" in packages
        ours = {"packages": {"python": "3.11.7", "uproot": "5.7.0"}}
        theirs = {"packages": {"python": "3.11.7", "uproot": "5.6.0"}}
        return {"client": ours, "scheduler": ours, "workers": {"tcp://far:1": theirs}}


def test_a_cluster_of_other_versions_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^tcp://far:8786: other versions .*uproot 5.6.0 in place of 5.7.0"):
        executors._require_same_versions(OtherWorkers())


def test_a_site_goes_with_dask_alone(refused: Any, samples: Path, tmp_path: Path) -> None:
    files = ("--fileset", samples, "--selection", "dy", "--out", tmp_path / "out", "--site", "local")
    assert "goes with --executor dask, without --dask-address" in refused("process", *files)
    dask = ("--executor", "dask", "--dask-address", "tcp://far:8786")
    assert "goes with --executor dask, without --dask-address" in refused("process", *files, *dask)
