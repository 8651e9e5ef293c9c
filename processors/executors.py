"""Where chunks are processed: in this process, in a pool of processes, or on a dask cluster.

They all run the same function on the same chunks. What they add to coffea's own: an error of a worker arrives
as it was raised, the others stop then, a chunk that cannot be read can be declared lost, and progress is told
to a callback.
"""

import concurrent.futures
import logging
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, get_args

from coffea.processor import DaskExecutor, accumulate
from coffea.processor.executor import ExecutorBase, WorkItem

from processors.reading import ReadError, reading

log = logging.getLogger(__name__)

ExecutorName = Literal["iterative", "futures", "dask"]
Report = Callable[[int], None]
"""Called with the number of events of each chunk that is done."""

_IDLE_SECONDS = 300
_TELLING_SECONDS = 10


class WorkerError(ValueError):
    """A worker process that died."""


@contextmanager
def open_executor(
    name: ExecutorName,
    *,
    workers: int = 1,
    address: str | None = None,
    skip_unreadable: bool = False,
    report: Report,
) -> Iterator[ExecutorBase]:
    """Yield an executor of coffea's Runner.

    Args:
        name: `iterative` (this process), `futures` (a pool of processes on this machine, kept for the next
            run) or `dask`.
        workers: Number of processes.
        address: Of a dask scheduler; None starts a cluster on this machine.
        skip_unreadable: Whether a chunk that cannot be read is declared lost, as `{"lost": {(dataset, file):
            {reason}}}` in place of what the processor returns, instead of ending everything.
        report: Called after each chunk.

    Raises:
        ValueError: If the name is unknown, or there are no workers.
        WorkerError: If a worker died.
    """
    if name not in get_args(ExecutorName):
        raise ValueError(f"unknown executor '{name}': choose from {', '.join(get_args(ExecutorName))}")
    if workers < 1:
        raise ValueError(f"{workers} workers: at least one is needed")
    if name == "dask":
        with _dask_client(workers, address) as client:
            yield DaskChunks(
                client=_ReportingClient(client, report),
                skip_unreadable=skip_unreadable,
                status=False,
                retries=0,
            )
    else:
        pool = _process_pool(workers) if name == "futures" else None
        yield LocalChunks(pool=pool, report=report, skip_unreadable=skip_unreadable, status=False)


def raise_original(function: Callable[[Any], Any], item: Any) -> Any:
    """Return `function(item)`; an error that coffea wrapped is raised as it was."""
    try:
        return function(item)
    except Exception as error:
        log.debug("a chunk failed", exc_info=error)
        original: BaseException = error
    while type(original) is Exception and original.__cause__ is not None:
        original = original.__cause__
    # What lies behind may not survive the way from a worker, and the error would be lost with it.
    original.__cause__ = original.__context__ = None
    raise original


@dataclass
class _Original:
    """`raise_original` of a function, in a form that travels to workers.

    What cannot be opened (coffea does that, outside of the processor) or read is one sentence, or a loss.
    """

    function: Callable[[Any], Any]
    skip_unreadable: bool

    def __call__(self, item: Any) -> Any:
        return raise_original(self._read, item)

    def _read(self, item: Any) -> Any:
        chunk = item[0] if isinstance(item, tuple) else item  # on dask the processor comes with it
        try:
            with reading(chunk.filename):
                return self.function(item)
        except ReadError as error:
            if not self.skip_unreadable:
                raise
            return {"out": {"lost": {(chunk.dataset, chunk.filename): {str(error)}}}, "processed": {chunk}}


@dataclass
class LocalChunks(ExecutorBase):
    """Runs chunks one by one, or in a pool of processes; results are added as they come."""

    pool: concurrent.futures.Executor | None = None
    report: Report | None = None
    skip_unreadable: bool = False

    def __call__(
        self, items: Sequence[WorkItem], function: Callable[[WorkItem], Any], accumulator: Any
    ) -> tuple[Any, int]:
        """Return the sum of the results of all items, and 0 as coffea expects of success."""
        for item, result in self._results(items, _Original(function, self.skip_unreadable)):
            accumulator = accumulate([result], accumulator)
            if self.report is not None:
                self.report(len(item))
        return accumulator, 0

    def _results(
        self, items: Iterable[WorkItem], function: Callable[[WorkItem], Any]
    ) -> Iterator[tuple[WorkItem, Any]]:
        if self.pool is None:
            yield from ((item, function(item)) for item in items)
            return
        pending = {self.pool.submit(function, item): item for item in items}
        try:
            while pending:
                done, _ = concurrent.futures.wait(pending, return_when=concurrent.futures.FIRST_COMPLETED)
                for future in done:
                    yield pending.pop(future), future.result()
        except concurrent.futures.BrokenExecutor as error:
            raise WorkerError(
                "a worker process died, most likely for lack of memory: use fewer workers or smaller chunks"
            ) from error
        finally:
            for future in pending:
                future.cancel()


@dataclass
class DaskChunks(DaskExecutor):
    """coffea's executor for dask, with errors as they were raised."""

    skip_unreadable: bool = False

    def __call__(
        self, items: Sequence[WorkItem], function: Callable[[WorkItem], Any], accumulator: Any
    ) -> Any:
        """Return the sum of the results of all items, and 0 as coffea expects of success."""
        try:
            with warnings.catch_warnings():
                # The taggers travel once to the cluster; a few megabytes are what they are.
                warnings.filterwarnings("ignore", message="Sending large graph")
                answer = super().__call__(items, _Original(function, self.skip_unreadable), accumulator)
            self.client.wait_until_told()
            return answer
        except RuntimeError as error:
            if "KilledWorker" not in str(error):
                raise
            raise WorkerError(
                "a dask worker died again and again, most likely for lack of memory: use a smaller chunk size"
            ) from error


class _ReportingClient:
    """A dask client that tells of every finished chunk."""

    def __init__(self, client: Any, report: Report) -> None:
        self._client = client
        self._report = report
        self._told: list[threading.Event] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def map(self, function: Callable[[Any], Any], items: Sequence[Any], **options: Any) -> list[Any]:
        """Submit as the client does; items that are no chunks (partial sums) are not told of."""
        futures: list[Any] = self._client.map(function, items, **options)
        for future, item in zip(futures, items, strict=True):
            if isinstance(item, tuple) and isinstance(item[0], WorkItem):
                future.add_done_callback(self._teller(len(item[0])))
        return futures

    def wait_until_told(self) -> None:
        """Return when the last chunk has been told of; dask does that from its own threads, a little late."""
        for told in self._told:
            told.wait(_TELLING_SECONDS)

    def _teller(self, n_events: int) -> Callable[[Any], None]:
        told = threading.Event()
        self._told.append(told)

        def tell(future: Any) -> None:
            if future.status == "finished":
                self._report(n_events)
            told.set()

        return tell


def _process_pool(workers: int) -> concurrent.futures.Executor:
    from loky import get_reusable_executor  # type: ignore[import-untyped]

    # A fresh pool costs seconds of imports, so the last one is taken again where it fits.
    pool: concurrent.futures.Executor = get_reusable_executor(max_workers=workers, timeout=_IDLE_SECONDS)
    return pool


@contextmanager
def _dask_client(workers: int, address: str | None) -> Iterator[Any]:
    from distributed import Client, LocalCluster

    if address is not None:
        with Client(address, set_as_default=False) as client:
            yield client
        return
    with (
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address="127.0.0.1:0",  # any free port: another cluster may be running
            silence_logs=logging.ERROR,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client
