import functools
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coffea.processor.executor import WorkItem

from datamc.results import LedgerError
from events.reading import ReadError
from models.tagger import Tagger
from processors.executors import Chunks, WorkerError, open_executor
from processors.ledger import require_all_chunks
from processors.run import run_selection
from processors.worker import (
    ChunkMemoryError,
    Limits,
    again_if_unreadable,
    memory_limit,
    peak_memory_mb,
    raise_original,
)

ITEMS = [WorkItem("dy", "f.root", "Events", start, start + 10, b"") for start in (0, 10, 20)]


def wrapped_like_coffea(item: Any) -> Any:
    try:
        raise ValueError(f"f.root: no branch {item}")
    except ValueError as error:
        raise Exception("Failed processing file") from error


def test_an_error_arrives_as_it_was_raised() -> None:
    with pytest.raises(ValueError, match=r"^f.root: no branch x$"):
        raise_original(wrapped_like_coffea, "x")


def test_results_are_added_and_progress_is_told() -> None:
    told: list[int] = []
    with open_executor("iterative", report=told.append) as executor:
        total, status = executor(ITEMS, lambda item: {"n": len(item)}, None)
    assert (total, status) == ({"n": 30}, 0)
    assert told == [10, 10, 10]


def test_the_first_error_ends_a_run_in_this_process() -> None:
    seen = []

    def fail(item: WorkItem) -> None:
        seen.append(item)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        Chunks(status=False)(ITEMS, fail, None)
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "condor"}, "unknown executor 'condor': choose from iterative, futures, dask"),
        ({"name": "futures", "workers": 0}, "0 workers"),
        ({"name": "dask", "address": "myhost"}, "myhost: no port.*tcp://myhost:8786"),
        ({"name": "dask", "address": "tls://myhost:"}, "no port.*tls://myhost:8786"),
        ({"name": "dask", "address": "tcp://[::1]"}, "no port"),
    ],
)
def test_wrong_options_are_answered(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message), open_executor(**options, report=lambda _: None):
        pass


def test_a_worker_that_dies_is_one_sentence() -> None:
    with (
        open_executor("futures", workers=1, report=lambda _: None) as executor,
        pytest.raises(WorkerError, match="worker processes died 4 times, most likely for lack of memory"),
    ):
        executor(ITEMS[:1], lambda _: os._exit(1), None)


def test_dask_on_a_machine_without_semaphores_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("_multiprocessing.SemLock", read_only)
    with (
        pytest.raises(OSError, match=r"/dev/shm.*--executor futures or iterative"),
        open_executor("dask", report=lambda _: None),
    ):
        pass


def result_or_death(item: WorkItem, marker: Path) -> dict[str, int]:
    """Kill the process that runs the second item, the first time."""
    if item.entrystart == 10 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return {"n": len(item), item.entrystart: 1}


@pytest.mark.parametrize("name", ["futures", "dask"])
def test_a_killed_worker_changes_nothing(name: Any, tmp_path: Path) -> None:
    """Each chunk is taken once, whatever had been done when the worker died."""
    marker = tmp_path / "killed"
    with open_executor(name, workers=1, report=lambda _: None) as executor:
        total, _ = executor(ITEMS, functools.partial(result_or_death, marker=marker), None)
    assert marker.exists()
    assert total == {"n": 30, 0: 1, 10: 1, 20: 1}


def test_only_what_cannot_be_read_is_tried_again() -> None:
    """Two tries fail, the third does not; another error is none of the file and ends at once."""
    limits = Limits(retries=2, first_wait=0.0)
    errors: list[Exception] = [ReadError("gone"), ReadError("gone")]

    def read() -> str:
        if errors:
            raise errors.pop()
        return "content"

    assert again_if_unreadable(read, limits) == "content"
    errors += [ReadError(str(number)) for number in range(3)]
    with pytest.raises(ReadError, match=r"^0$"):
        again_if_unreadable(read, limits)
    errors += [ReadError("never reached"), ValueError("a bug")]
    with pytest.raises(ValueError, match="a bug"):
        again_if_unreadable(read, limits)
    assert len(errors) == 1


def test_a_chunk_that_needs_too_much_memory_is_one_sentence() -> None:
    megabytes = int(peak_memory_mb()) + 200
    with (
        pytest.raises(ChunkMemoryError, match=f"more than the {megabytes} MB"),
        memory_limit(megabytes),
    ):
        np.ones(1_000_000_000)
    assert len(np.ones(1000)) == 1000


def test_chunks_that_do_not_come_back_are_an_error() -> None:
    require_all_chunks(ITEMS, set(ITEMS))
    with pytest.raises(LedgerError, match="1 planned chunks did not come back and 0 came"):
        require_all_chunks(ITEMS, ITEMS[1:])


@pytest.mark.parametrize("executor", ["iterative", "futures", "dask"])
def test_an_error_in_a_worker_is_one_sentence(
    fileset: dict[str, Any], tagger: Callable[..., Tagger], tmp_path: Path, cluster: str, executor: Any
) -> None:
    """Columns in the middle of a file are read by the workers alone: damage there shows up late."""
    (path,) = fileset["mc"]["files"]
    content = bytearray(Path(path).read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2000] = bytes(2000)
    damaged = tmp_path / "damaged.root"
    damaged.write_bytes(bytes(content))
    with pytest.raises(OSError, match=f"^{damaged}: cannot be read") as caught:
        run_selection(
            selection="dy",
            fileset={"mc": [str(damaged)]},
            taggers=[tagger()],
            executor=executor,
            address=cluster,
            chunksize=100,
        )
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("executor", ["iterative", "futures"])
def test_a_file_that_is_gone_when_its_turn_comes_is_one_sentence(
    fileset: dict[str, Any], tmp_path: Path, executor: Any
) -> None:
    (mc,), (data,) = fileset["mc"]["files"], fileset["data"]["files"]
    last = tmp_path / "last.root"
    last.write_bytes(Path(data).read_bytes())

    with pytest.raises(ReadError, match=f"^{last}: cannot be read, the file is damaged or gone") as caught:
        run_selection(
            selection="dy",
            fileset={"mc": [mc], "data": [str(last)]},
            executor=executor,
            chunksize=50,
            progress=lambda *_: last.unlink(missing_ok=True),
        )
    assert "\n" not in str(caught.value)


def test_a_file_that_is_gone_when_its_turn_comes_can_be_declared_lost(
    fileset: dict[str, Any], tmp_path: Path
) -> None:
    (mc,), (data,) = fileset["mc"]["files"], fileset["data"]["files"]
    last = tmp_path / "last.root"
    last.write_bytes(Path(data).read_bytes())
    result = run_selection(
        selection="dy",
        fileset={"mc": [mc], "data": [str(last)]},
        chunksize=100,
        skip_bad_files=True,
        progress=lambda *_: last.unlink(missing_ok=True),
    )
    good, lost = result.ledger
    assert (good.status, good.n_processed) == ("processed", 300)
    assert (lost.status, lost.n_expected, lost.n_processed) == ("failed", 300, 0)
    assert "damaged or gone" in lost.reason
    assert result.datasets["data"].n_events == 0
