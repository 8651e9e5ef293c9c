"""A tree kept open for the chunks that follow: read once, and never taken for another one."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import uproot
from coffea.processor.executor import WorkItem

from events.open_trees import close_tree, open_tree, runner_options
from events.reading import ReadError
from processors.jet_inputs import read_jets
from simulation.rewriting import extend_events, grouped


def write_events(path: Path, values: list[list[float]], *, baskets: int = 1) -> WorkItem:
    import awkward as ak

    with uproot.recreate(path, compression=None) as file:
        for part in np.array_split(np.arange(len(values)), baskets):
            jets = ak.Array([values[event] for event in part])
            columns = ak.Array({"nJet": ak.num(jets), "Jet_pt": jets})
            extend_events(file, grouped({name: columns[name] for name in columns.fields}))
    return WorkItem("mc", str(path), "Events", 0, len(values), b"")


def tree_of(item: WorkItem) -> uproot.TTree:
    """Open the file of a chunk as coffea does."""
    return uproot.open({item.filename: None}, **runner_options([item.filename]))["Events"]


def test_the_chunks_of_a_file_share_a_tree(tmp_path: Path) -> None:
    item = write_events(tmp_path / "f.root", [[1.0], [2.0]])
    with open_tree(item):
        first = tree_of(item)
    with open_tree(item):
        assert tree_of(item) is first
    close_tree()
    assert first.file.closed
    with open_tree(item):
        assert tree_of(item) is not first
    close_tree()


def test_a_file_that_was_written_again_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "f.root"
    before = write_events(path, [[1.0], [1234.5]])
    with open_tree(before):
        assert tree_of(before)["Jet_pt"].array().tolist() == [[1.0], [1234.5]]
    # The same bytes but for one number: ROOT's mark of the file stays.
    old, new = (np.array(number, dtype=">f8").tobytes() for number in (1234.5, 5432.1))
    content = path.read_bytes()
    assert content.count(old) == 1
    path.write_bytes(content.replace(old, new))
    os.utime(path, ns=(1, 1))
    with open_tree(before):
        assert tree_of(before)["Jet_pt"].array().tolist() == [[1.0], [5432.1]]
    close_tree()


def test_bytes_are_counted_for_each_chunk(tmp_path: Path) -> None:
    item = write_events(tmp_path / "f.root", [[1.0] * 100] * 10)
    counts = []
    for _ in range(2):
        with open_tree(item) as read_bytes:
            tree_of(item)["Jet_pt"].array()
            counts.append(read_bytes())
    close_tree()
    # 1000 numbers of 8 bytes; the first chunk also reads what the file says of itself.
    assert counts[0] > counts[1] > 1000 * 8


def test_a_file_that_fails_is_not_kept(tmp_path: Path) -> None:
    item = write_events(tmp_path / "f.root", [[1.0]])
    trees = []

    def fail() -> None:
        with open_tree(item):
            trees.append(tree_of(item))
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        fail()
    assert trees[0].file.closed


def test_jets_are_found_in_their_baskets(tmp_path: Path) -> None:
    values = [[100.0 * event + jet for jet in range(event % 4)] for event in range(40)]
    item = write_events(tmp_path / "f.root", values, baskets=10)
    entry, jet = np.array([1, 2, 2, 15, 39]), np.array([0, 0, 1, 2, 1])
    tree = uproot.open(item.filename)["Events"]
    assert tree["Jet_pt"].num_baskets == 10
    assert read_jets(tree, ["Jet_pt"], entry=entry, jet=jet).tolist() == [[100, 200, 201, 1502, 3901]]
    with pytest.raises(ReadError, match="baskets of Jet_pt do not hold all its events"):
        read_jets(tree, ["Jet_pt"], entry=np.array([2, 40]), jet=np.array([0, 0]))
    with pytest.raises(ReadError, match="different numbers"):
        read_jets(tree, ["Jet_pt"], entry=np.array([2]), jet=np.array([2]))


STAYS_OPEN = """
import sys, threading
from coffea.processor.executor import WorkItem
from events.open_trees import open_tree

def read():
    with open_tree(WorkItem("mc", sys.argv[1], "Events", 0, 2, b"")):
        pass

thread = threading.Thread(target=read)
thread.start()
thread.join()
read()
"""


def test_an_interpreter_ends_with_files_still_open(tmp_path: Path) -> None:
    """Threads that read a file can only be joined before the interpreter ends, in Python 3.13."""
    item = write_events(tmp_path / "f.root", [[1.0], [2.0]])
    finished = subprocess.run(
        [sys.executable, "-c", STAYS_OPEN, item.filename],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (finished.returncode, finished.stderr) == (0, "")
