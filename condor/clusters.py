"""A dask cluster whose workers are jobs of a site's batch system, by dask-jobqueue."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from condor.folder import clean_environment
from condor.sites import Site
from condor.submissions import require_plain

LOGS: Final = "dask_logs"
_LOST_AFTER: Final = "5s"
"""How long a worker may be away until another one is asked for."""


class Cluster(NamedTuple):
    """Where a dask cluster is reached."""

    address: str
    dashboard: str


@contextmanager
def open_cluster(site: Site, *, workers: int, logs: Path) -> Iterator[Cluster]:
    """Yield a cluster that has asked for its workers, one thread each; a worker that dies is replaced.

    Args:
        site: Where the workers run; its `dask_options` go to dask-jobqueue as they are.
        workers: How many jobs.
        logs: Folder for what the workers say.

    Raises:
        ValueError: If dask-jobqueue is not installed, or takes none of the options.
        OSError: If the batch system refuses.
    """
    import dask

    kind = _kind(site)
    try:
        cluster = kind(**options_of(site, logs))
    except TypeError as error:
        raise ValueError(f"site {site.name}: dask_options: {error}: see dask-jobqueue's manual") from error
    with dask.config.set({"distributed.deploy.lost-worker-timeout": _LOST_AFTER}), cluster:
        cluster.adapt(minimum_jobs=workers, maximum_jobs=workers)
        yield Cluster(cluster.scheduler_address, cluster.dashboard_link)


def options_of(site: Site, logs: Path) -> dict[str, Any]:
    """Return the arguments of dask-jobqueue's cluster.

    Raises:
        ValueError: If the workers of this site cannot see the environment of the scheduler, or a folder has a
            name that a script does not take as it is.
    """
    if site.environment.kind != "prefix":
        raise ValueError(
            f"site {site.name}: dask workers share the environment of their scheduler: give a prefix both "
            "see, not a tarball or container"
        )
    prefix = Path(site.environment.path or sys.prefix)
    # dask-jobqueue writes both into its script as they are.
    for folder in (prefix, logs):
        require_plain(folder)
    options: dict[str, Any] = {
        "cores": 1,
        "processes": 1,
        "memory": f"{site.request.memory_mb}MiB",
        "python": str(prefix / "bin" / "python"),
        "job_script_prologue": clean_environment(site),
        "log_directory": str(logs.resolve()),
        "local_directory": None,
        "death_timeout": 600,
    }
    queue = site.queue_for(site.request.minutes)
    if site.scheduler == "slurm":
        options |= {
            "queue": queue.name if queue else None,
            "walltime": f"{site.request.minutes // 60:02d}:{site.request.minutes % 60:02d}:00",
            "job_extra_directives": [f"--{key}={value}" for key, value in site.lines.items()],
        }
    else:
        from condor.htcondor import queue_value

        named = {site.queue_key: queue_value(queue)} if queue else {}
        options |= {"disk": f"{site.request.disk_mb}MiB", "job_extra_directives": {**named, **site.lines}}
    return options | site.dask_options


def _kind(site: Site) -> Any:
    try:
        import dask_jobqueue
    except ModuleNotFoundError as error:
        raise ValueError("dask on a batch system needs dask-jobqueue: pip install 'advtag[batch]'") from error
    return dask_jobqueue.SLURMCluster if site.scheduler == "slurm" else dask_jobqueue.HTCondorCluster
