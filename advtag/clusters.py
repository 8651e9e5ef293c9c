"""Dask clusters at a site, for as long as a command runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from advtag.progress import say


def require_dask(executor: str, address: str | None) -> None:
    """Raise if a scheduler of dask is named that nothing would be sent to.

    Raises:
        ValueError: If so.
    """
    if address is not None and executor != "dask":
        raise ValueError(f"--dask-address {address}: goes with --executor dask, not {executor}")


@contextmanager
def opened(site: str, executor: str, workers: int, address: str | None, out: Path) -> Iterator[str]:
    """Yield the address of the scheduler of a cluster whose workers are jobs at a site.

    Args:
        site: The name of a site, or the path of a profile.
        executor: What is to run there; only dask can.
        workers: How many jobs.
        address: Of another cluster, which must not be given, too.
        out: Folder of the results; what the workers say goes into one within.

    Raises:
        ValueError: If the options do not go together, or the site has no such cluster.
    """
    from condor.clusters import LOGS, open_cluster
    from condor.sites import read_site

    if executor != "dask" or address is not None:
        raise ValueError(f"--site {site}: goes with --executor dask, without --dask-address")
    with open_cluster(read_site(site), workers=workers, logs=out / LOGS) as cluster:
        said = f"what they say: {out / LOGS}; dashboard: {cluster.dashboard}"
        say(f"{workers} dask workers asked for at {site}; {said}")
        yield cluster.address
