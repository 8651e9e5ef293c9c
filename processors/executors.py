"""Where chunks are processed: in this process, in a pool of processes, or on a dask cluster.

They all run the same function on the same chunks, and the sum is made here, each chunk taken once. What they
add to coffea's own: an error of a worker arrives as it was raised, the others stop then; a worker that dies
is replaced; a chunk that cannot be read is read again, and can be declared lost; a chunk that an earlier run
has finished is not processed again; progress is told to a callback.
"""

import logging
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, get_args

from coffea.processor import accumulate
from coffea.processor.executor import ExecutorBase, WorkItem

from events.open_trees import close_tree
from processors.pool import MAX_DEATHS, Pool, WorkerError, place_of, sentence_of_deaths
from processors.worker import ChunkTask, Limits, Usage
from storage.processes import interrupts_held_back, require_semaphores

ExecutorName = Literal["iterative", "futures", "dask"]
Report = Callable[[int], None]
"""Called with the number of events of each chunk that is done."""
Task = Callable[[WorkItem], Any]
Results = Iterator[tuple[WorkItem, Any]]

_SAME = ("awkward", "coffea", "uproot")
"""Packages of which a dask cluster has to have our versions, besides Python and what dask itself needs."""
_LOGS_OF_DASK = ("distributed", "tornado.application", "asyncio")
_NOTHING = logging.CRITICAL + 1


class Store(Protocol):
    """Keeps what finished chunks returned."""

    def load(self, item: WorkItem) -> Any | None:
        """Return what a chunk returned in an earlier run, or None."""
        ...

    def save(self, item: WorkItem, result: Any) -> Any:
        """Keep what a chunk returned; return what of it is to be added up."""
        ...


class Where(Protocol):
    """A place where chunks are processed."""

    def run(self, items: Sequence[WorkItem], task: Task) -> Results:
        """Yield each item with what the task returns, in any order."""
        ...


def require_executor(name: ExecutorName, *, workers: int, address: str | None) -> None:
    """Raise unless there is such an executor here, as far as that can be said before it is started.

    Args:
        name: As `open_executor` takes it.
        workers: Number of processes.
        address: Of a dask scheduler, or None.

    Raises:
        ValueError: If the name is unknown, there are no workers, or no scheduler has such an address.
        OSError: If this machine cannot have a cluster of its own.
    """
    if name not in get_args(ExecutorName):
        raise ValueError(f"unknown executor '{name}': choose from {', '.join(get_args(ExecutorName))}")
    if workers < 1:
        raise ValueError(f"{workers} workers: at least one is needed")
    if address is not None:
        _require_address(address)
    elif name == "dask":
        require_semaphores("take --executor futures or iterative")


def _require_address(address: str) -> None:
    scheme, _, rest = address.rpartition("://")
    if scheme in ("", "tcp", "tls") and not re.fullmatch(r".+:\d+", rest):
        raise ValueError(
            f"dask address {address}: no port: give one such as {scheme or 'tcp'}://{rest.strip(':')}:8786"
        )


@contextmanager
def open_executor(
    name: ExecutorName,
    *,
    workers: int = 1,
    address: str | None = None,
    limits: Limits | None = None,
    store: Store | None = None,
    report: Report,
    branches: frozenset[str] = frozenset(),
) -> Iterator["Chunks"]:
    """Yield an executor of coffea's Runner.

    Args:
        name: `iterative` (this process), `futures` (a pool of processes on this machine, kept for the next
            run) or `dask`.
        workers: Number of processes.
        address: Of a dask scheduler; None starts a cluster on this machine.
        limits: What a worker does about files that cannot be read, and how much memory it may take.
        store: Where finished chunks are kept for a run that continues this one; None keeps none.
        report: Called after each chunk.
        branches: What a chunk reads of its file; where it fails, they tell whether the file is damaged.

    Raises:
        ValueError: If `require_executor` finds no such executor, or the cluster does not fit.
        OSError: If the cluster does not answer, or this machine can have none.
        WorkerError: If workers died again and again.
    """
    require_executor(name, workers=workers, address=address)
    options: dict[str, Any] = {
        "limits": limits or Limits(),
        "store": store,
        "report": report,
        "branches": branches,
    }
    if name == "dask":
        with _dask_client(workers, address) as client:
            yield Chunks(where=DaskCluster(client), status=False, **options)
    else:
        yield Chunks(where=Pool(workers) if name == "futures" else Here(), status=False, **options)


@dataclass
class Chunks(ExecutorBase):
    """Runs chunks somewhere and adds up what they return, as it comes."""

    where: Where = field(default_factory=lambda: Here())
    limits: Limits = field(default_factory=Limits)
    store: Store | None = None
    report: Report | None = None
    branches: frozenset[str] = frozenset()
    total: "TotalUsage" = field(default_factory=lambda: TotalUsage())

    def __call__(self, items: Sequence[WorkItem], function: Task, accumulator: Any) -> tuple[Any, int]:
        """Return the sum of the results of all items, and 0 as coffea expects of success."""
        # By dataset first: a histogram that lacks some categories is added a thousand times slower.
        sums: dict[str, Any] = {}
        for item, result in self._results(items, ChunkTask(function, self.limits, self.branches)):
            sums[item.dataset] = accumulate([result], sums.get(item.dataset))
            if self.report is not None:
                self.report(len(item))
        return accumulate(sums.values(), accumulator), 0

    def _results(self, items: Sequence[WorkItem], task: Task) -> Results:
        waiting = []
        for item in items:
            known = None if self.store is None else self.store.load(item)
            if known is None:
                waiting.append(item)
            else:
                yield item, known
        for item, (result, usage) in self.where.run(waiting, task):
            self.total.add(usage)
            yield item, result if self.store is None else self.store.save(item, result)


@dataclass
class TotalUsage:
    """The most memory that any worker ever took, in MiB, and the bytes all of them read.

    coffea's copies of an executor share it.
    """

    peak_memory_mb: float = 0.0
    read_bytes: int = 0

    def add(self, usage: Usage) -> None:
        """Add what a chunk took."""
        self.peak_memory_mb = max(self.peak_memory_mb, usage.peak_memory_mb)
        self.read_bytes += usage.read_bytes


class Here:
    """This process: one chunk after the other."""

    def run(self, items: Sequence[WorkItem], task: Task) -> Results:
        """Yield each item with what the task returns, in order."""
        try:
            yield from ((item, task(item)) for item in items)
        finally:
            close_tree()


@dataclass(frozen=True)
class DaskCluster:
    """The workers of a dask cluster; dask itself runs the chunks of a dead worker on another one."""

    client: Any

    def run(self, items: Sequence[WorkItem], task: Task) -> Results:
        """Yield each item with what the task returns.

        Raises:
            WorkerError: If too many workers died of one chunk.
        """
        from distributed import KilledWorker, as_completed

        with warnings.catch_warnings():
            # The taggers travel once to the cluster; a few megabytes are what they are.
            warnings.filterwarnings("ignore", message="Sending large graph")
            # A task that returns the processor, and not data handed out, since dask can make it again.
            shared = self.client.submit(_itself, task, pure=False)
            pending = {self.client.submit(_apply, shared, item, pure=False): item for item in items}
        try:
            for future in as_completed(list(pending), loop=self.client.loop):
                item = pending.pop(future)
                try:
                    result = future.result()
                except KilledWorker as error:
                    raise WorkerError(f"{place_of(item)}: {sentence_of_deaths(MAX_DEATHS + 1)}") from error
                yield item, result
                future.release()
        finally:
            self.client.cancel([*pending, shared])


def _itself(value: Any) -> Any:
    return value


def _apply(task: Task, item: WorkItem) -> Any:
    return task(item)


def _require_same_versions(client: Any) -> None:
    """Wait for the first worker, and raise unless scheduler and workers have the versions of this process.

    Raises:
        ValueError: If they have not; what differs is named.
    """
    client.wait_for_workers(1)
    found = client.get_versions(packages=_SAME)
    own = found["client"]["packages"]
    for there in (found["scheduler"], *found["workers"].values()):
        different = [
            f"{name} {there['packages'].get(name)} in place of {version}"
            for name, version in own.items()
            if there["packages"].get(name) != version
        ]
        if different:
            raise ValueError(
                f"{client.scheduler.address}: other versions there than here ({', '.join(different)}): "
                "start its scheduler and workers from this environment"
            )


@contextmanager
def _silent_dask() -> Iterator[None]:
    """Let dask log nothing: what goes wrong arrives as an error, and its logs are tracebacks."""
    before = {name: logging.getLogger(name).level for name in _LOGS_OF_DASK}
    try:
        for name in before:
            logging.getLogger(name).setLevel(_NOTHING)
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


@contextmanager
def _dask_client(workers: int, address: str | None) -> Iterator[Any]:
    """Yield the client of a cluster that is there, or of one on this machine.

    Raises:
        ValueError: If other versions are there.
        OSError: If nothing answers.
    """
    from distributed import Client, LocalCluster

    if address is not None:
        with _silent_dask(), Client(address, set_as_default=False) as client:
            _require_same_versions(client)
            yield client
        return
    with _silent_dask():
        with interrupts_held_back():
            local = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                dashboard_address="127.0.0.1:0",  # any free port: another cluster may be running
                silence_logs=_NOTHING,
            )
        with local as cluster, Client(cluster, set_as_default=False) as client:
            yield client
