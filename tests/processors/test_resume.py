"""Runs that were killed go on, and never with what another configuration has left behind."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
import uproot
from coffea.processor.executor import WorkItem

from datamc.results import Result
from events.reading import ReadError
from models.perturbations import parse_variants
from models.tagger import Tagger
from processors.chunk_store import ChunkStore, clear_chunks
from processors.run import run_selection


class Killed(BaseException):
    """As if the process had been killed: nothing catches it."""


@pytest.fixture(scope="module")
def taggers(tagger: Callable[..., Tagger]) -> list[Tagger]:
    return [tagger("basic", 1, seed=1)]


def run(fileset: dict[str, Any], taggers: list[Tagger], **options: Any) -> Result:
    options = {"variants": parse_variants("raw,noise:0.1"), "seed": 3, "chunksize": 100} | options
    return run_selection(selection="dy", fileset=fileset, taggers=taggers, **options)


def killed_after(n_chunks: int) -> Callable[[int, int], None]:
    def progress(done: int, _: int) -> None:
        if done >= 100 * n_chunks:
            raise Killed

    return progress


@pytest.mark.parametrize("executor", ["iterative", "futures"])
def test_a_killed_run_goes_on_and_ends_as_an_undisturbed_one(
    fileset: dict[str, Any],
    taggers: list[Tagger],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    executor: Any,
) -> None:
    """Six chunks of 100 events; two are done when the first run is killed, four are left for the second."""
    folder = tmp_path / "chunks"
    with pytest.raises(Killed):
        run(fileset, taggers, keep_chunks=folder, executor=executor, progress=killed_after(2))
    done = len(list(folder.glob("*.zip")))
    assert 2 <= done < 6
    saved: list[WorkItem] = []
    save = ChunkStore.save

    def counting(self: ChunkStore, item: WorkItem, result: Any) -> Any:
        saved.append(item)
        return save(self, item, result)

    monkeypatch.setattr(ChunkStore, "save", counting)
    resumed = run(fileset, taggers, keep_chunks=folder, executor=executor)
    assert len(saved) == 6 - done
    whole = run(fileset, taggers)
    assert list(resumed.histograms) == list(whole.histograms)
    for name, histogram in whole.histograms.items():
        other = resumed.histograms[name]
        assert tuple(histogram.axes) == tuple(other.axes), name
        for part in ("value", "variance"):
            np.testing.assert_allclose(histogram.view(True)[part], other.view(True)[part], rtol=1e-12)
    assert (resumed.datasets, resumed.ledger) == (whole.datasets, whole.ledger)
    clear_chunks(folder)
    assert not folder.exists()


def raise_weights(path: Path) -> None:
    """Change generator weights where they stand, so that length and ROOT's mark of the file stay."""
    with uproot.open(path) as file:
        branch = file["Events/genWeight"]
        (start,) = (int(seek) for seek in branch.member("fBasketSeek")[: branch.num_baskets])
        length = int(branch.member("fBasketBytes")[0])
        weights = branch.array(library="np").astype(">f4")
    basket = path.read_bytes()[start : start + length]
    assert basket.count(weights.tobytes()) == 1, "write the file without compression"
    with path.open("r+b") as file:
        file.seek(start + basket.index(weights.tobytes()))
        file.write((2 * weights).tobytes())


@pytest.mark.parametrize("change", ["tagger", "seed", "variants", "golden", "file", "a number in the file"])
def test_what_has_changed_is_processed_again(
    fileset: dict[str, Any],
    taggers: list[Tagger],
    tagger: Callable[..., Tagger],
    tmp_path: Path,
    change: str,
    make_events: Callable[..., Any],
    write: Callable[..., Path],
) -> None:
    path = write(tmp_path / "mc.root", make_events(100, seed=1, is_data=False))
    files, folder = {"mc": [str(path)]}, tmp_path / "chunks"
    run(files, taggers, keep_chunks=folder)
    before = set(folder.iterdir())
    run(files, taggers, keep_chunks=folder)
    assert set(folder.iterdir()) == before
    options: dict[str, Any] = {}
    if change == "tagger":
        # The same name and epoch, other weights.
        taggers = [tagger("basic", 1, seed=2)]
    elif change == "seed":
        options["seed"] = 4
    elif change == "variants":
        options["variants"] = parse_variants("raw,noise:0.2")
    elif change == "golden":
        options["golden_json"] = tmp_path / "golden.json"
        options["golden_json"].write_text('{"299593": [[1, 1]]}')
    elif change == "file":
        write(path, make_events(100, seed=2, is_data=False))
    else:
        raise_weights(path)
    result = run(files, taggers, keep_chunks=folder, **options)
    assert len(set(folder.iterdir()) - before) == 1
    fresh = run(files, taggers, **options)
    assert result.histograms == fresh.histograms


def test_a_damaged_chunk_is_processed_again(
    fileset: dict[str, Any], taggers: list[Tagger], tmp_path: Path
) -> None:
    folder = tmp_path / "chunks"
    whole = run(fileset, taggers, keep_chunks=folder)
    for path in folder.glob("*.zip"):
        path.write_bytes(path.read_bytes()[:-100])
    assert run(fileset, taggers, keep_chunks=folder).datasets == whole.datasets


def test_rows_of_a_resumed_run_are_complete(
    fileset: dict[str, Any], taggers: list[Tagger], tmp_path: Path
) -> None:
    chunks = tmp_path / "chunks"
    options: dict[str, Any] = {"keep_chunks": chunks, "table": tmp_path / "rows"}
    with pytest.raises(Killed):
        run(fileset, taggers, **options, progress=killed_after(3))
    run(fileset, taggers, **options)
    run(fileset, taggers, table=tmp_path / "whole")
    for name in fileset:
        resumed, whole = (
            pyarrow.parquet.read_table(tmp_path / folder / f"{name}.parquet") for folder in ("rows", "whole")
        )
        assert resumed.equals(whole)


def test_what_was_lost_is_tried_again(fileset: dict[str, Any], taggers: list[Tagger], tmp_path: Path) -> None:
    """A chunk that could not be read is no finished chunk."""
    (mc,) = fileset["mc"]["files"]
    path, folder = tmp_path / "mc.root", tmp_path / "chunks"
    content = Path(mc).read_bytes()
    path.write_bytes(content)
    options: dict[str, Any] = {"keep_chunks": folder, "skip_bad_files": True}
    lost = run({"mc": [str(path)]}, taggers, **options, progress=lambda *_: path.unlink(missing_ok=True))
    assert [entry.n_processed for entry in lost.ledger] == [100]
    assert "mc: 33.33 % of its events were processed" in lost.notes
    path.write_bytes(content)
    again = run({"mc": [str(path)]}, taggers, **options)
    assert [entry.n_processed for entry in again.ledger] == [300]
    with pytest.raises(ReadError, match="damaged or gone"):
        run({"mc": [str(path)]}, taggers, seed=9, progress=lambda *_: path.unlink(missing_ok=True))
