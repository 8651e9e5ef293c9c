import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from coffea.processor.executor import WorkItem

from datamc.results import LedgerError
from models.tagger import Tagger
from processors.executors import LocalChunks, WorkerError, open_executor, raise_original
from processors.ledger import require_all_chunks
from processors.reading import ReadError
from processors.run import run_selection

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
        LocalChunks(status=False)(ITEMS, fail, None)
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "condor"}, "unknown executor 'condor': choose from iterative, futures, dask"),
        ({"name": "futures", "workers": 0}, "0 workers"),
    ],
)
def test_wrong_options_are_answered(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message), open_executor(**options, report=lambda _: None):
        pass


def test_a_worker_that_dies_is_one_sentence() -> None:
    with (
        open_executor("futures", workers=1, report=lambda _: None) as executor,
        pytest.raises(WorkerError, match="a worker process died, most likely for lack of memory"),
    ):
        executor(ITEMS[:1], lambda _: os._exit(1), None)


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
