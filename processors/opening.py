"""One file before it is processed: can it be read, what is in it, and is it what its dataset says it is."""

import logging
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import uproot
from coffea.processor.executor import FileMeta, WorkItem

from processors.filesets import DatasetMetadata, FileEntry
from selections.branches import GENERATOR, Branches, missing

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Answer = TypeVar("Answer")

_OPENED_AT_ONCE = 16

TRUTH_BRANCHES = ("Jet_hadronFlavour", "Jet_partonFlavour", "Jet_nBHadrons", "genWeight")
"""What is read of simulation; a file may lack all of them but the first."""


class FileError(Exception):
    """Why a file cannot be read; the path is not part of the message."""


@dataclass(frozen=True)
class PlannedFile:
    """A file that will be processed.

    Attributes:
        dataset: The dataset it belongs to.
        path: Where it is.
        tree: Its tree of events.
        n_events: How many events are taken.
        uuid: ROOT's mark of the file.
        clusters: Where the clusters of what is taken begin, and its end; counted from the file's first event.
        is_data: Whether it holds data.
        dropped: Optional branches of the selection it does not have.
        replaced: Branches and what is read in their place.
        no_truth: Optional branches of simulation it does not have.
        unvaried: Branches of simulation that variations are made of and that it does not have.
    """

    dataset: str
    path: str
    tree: str
    n_events: int
    uuid: bytes
    clusters: tuple[int, ...]
    is_data: bool
    dropped: tuple[str, ...]
    replaced: tuple[tuple[str, str], ...]
    no_truth: tuple[str, ...]
    unvaried: tuple[str, ...] = ()

    @property
    def entry_start(self) -> int:
        """The first event that is taken."""
        return self.clusters[0]

    def work_items(self, chunksize: int) -> list[WorkItem]:
        """Return the chunks of the file, cut where its clusters begin."""
        clusters = [cluster - self.entry_start for cluster in self.clusters]
        metadata = {"numentries": self.n_events, "uuid": self.uuid, "clusters": clusters}
        file = FileMeta(self.dataset, self.path, self.tree, metadata)
        return [
            replace(
                item,
                entrystart=item.entrystart + self.entry_start,
                entrystop=item.entrystop + self.entry_start,
            )
            for item in file.chunks(chunksize, align_clusters=True)
        ]


def open_file(
    dataset: str, path: str, entry: FileEntry, metadata: DatasetMetadata | None, branches: Branches
) -> PlannedFile:
    """Return what a file holds.

    Args:
        dataset: The name of its dataset.
        path: Where it is, a path or a URL.
        entry: What is taken of it.
        metadata: What the fileset says of the dataset, if anything.
        branches: What will be read.

    Raises:
        FileError: If it is absent, truncated, no ROOT file, or lacks the tree or the events asked for.
        ValueError: If it lacks a needed branch, or is not what its dataset is declared to be.
    """
    content = _read_header(path, entry.tree, branches)
    clusters = _taken(content["clusters"], entry)
    available = content["available"]
    _require_branches(path, branches.missing(available))
    is_data = _is_data(dataset, path, metadata, available)
    if not is_data:
        _require_branches(path, missing(branches.simulation, available))
    return PlannedFile(
        dataset=dataset,
        path=path,
        tree=entry.tree,
        n_events=clusters[-1] - clusters[0],
        uuid=content["uuid"],
        clusters=clusters,
        is_data=is_data,
        dropped=branches.dropped(available),
        replaced=branches.replaced(available),
        no_truth=() if is_data else tuple(name for name in TRUTH_BRANCHES if name not in available),
        unvaried=() if is_data else missing(branches.optional_simulation, available),
    )


def _taken(clusters: tuple[int, ...], entry: FileEntry) -> tuple[int, ...]:
    """Return the beginnings of the clusters within what is taken, from its first event to its end."""
    if entry.entries is None:
        return clusters
    start, stop = entry.entries
    if stop > clusters[-1]:
        raise FileError(f"events {start} to {stop} are asked for, but its {entry.tree} holds {clusters[-1]}")
    return (start, *(cluster for cluster in clusters if start < cluster < stop), stop)


def side_by_side(function: Callable[[Item], Answer], items: Iterable[Item]) -> Iterator[Answer]:
    """Yield what a function returns of each item, in order; an error of one leaves out those not yet begun.

    Files are opened in this way, which hides the time that far ones take to answer.
    """
    threads = ThreadPoolExecutor(_OPENED_AT_ONCE)
    try:
        yield from threads.map(function, items)
    finally:
        threads.shutdown(cancel_futures=True)


def count_events(path: str, tree: str) -> int:
    """Return how many events the tree of a file holds.

    Raises:
        FileError: If it is absent, truncated, no ROOT file or lacks the tree.
    """
    with _opened(path, tree) as opened:
        return int(opened.num_entries)


def _read_header(path: str, tree_name: str, branches: Branches) -> dict[str, Any]:
    with _opened(path, tree_name) as tree:
        n_events = int(tree.num_entries)
        offsets = tree.common_entry_offsets(filter_name=branches.names().__contains__)
        return {
            "n_events": n_events,
            "uuid": tree.file.fUUID,
            "available": frozenset(tree.keys(full_paths=False)),
            "clusters": clusters_of(offsets, n_events),
        }


def clusters_of(offsets: Sequence[int], n_events: int) -> tuple[int, ...]:
    """Return where clusters begin, and the end; the whole file is one where its branches do not agree.

    In a damaged file they may agree on nonsense, by which events would be left out without a word.
    """
    is_sound = list(offsets[:1]) == [0] and offsets[-1] == n_events
    if is_sound and all(first < last for first, last in pairwise(offsets)):
        return tuple(offsets)
    return (0, n_events)


@contextmanager
def _opened(path: str, tree_name: str) -> Iterator[Any]:
    """Yield a tree; whatever is wrong with its file is a `FileError`."""
    _require_whole(path)
    try:
        with uproot.open({path: None}) as file:
            tree = file[tree_name]
            if not isinstance(tree, uproot.TTree):
                raise FileError(f"its {tree_name} is no TTree")
            yield tree
    except uproot.KeyInFileError as error:
        raise FileError(f"it holds no tree {tree_name}") from error
    except FileError:
        raise
    except Exception as error:  # a damaged file fails in any place of the format
        log.debug("cannot open %s", path, exc_info=True)
        cause = next(iter(str(error).splitlines()), "").rstrip(" :,.") or type(error).__name__
        raise FileError(f"not a readable ROOT file ({cause})") from error


def _require_whole(path: str) -> None:
    if "://" in path:
        return
    if not Path(path).is_file():
        raise FileError("no such file")
    size = Path(path).stat().st_size
    if size < (expected := _declared_size(path)):
        raise FileError(f"truncated, {size} of {expected} bytes are there")


def _declared_size(path: str) -> int:
    """Return how long a ROOT file says it is, in bytes.

    Source:
        The header of ROOT's TFile: "root", version, begin of data (32 bits each), then the end of the file,
        in 64 bits from version 1000000 on.
    """
    with Path(path).open("rb") as file:
        header = file.read(20)
    if len(header) < 20 or not header.startswith(b"root"):
        raise FileError("not a ROOT file")
    (version,) = struct.unpack(">i", header[4:8])
    large = version >= 1_000_000
    (end,) = struct.unpack(">q", header[12:20]) if large else struct.unpack(">i", header[12:16])
    return int(end)


def _require_branches(path: str, missing: tuple[str, ...]) -> None:
    if not missing:
        return
    noun = "branch" if len(missing) == 1 else "branches"
    kind = (
        "PFNano" if any(name.startswith(("Jet_DeepCSV", "Jet_btagDeep")) for name in missing) else "NanoAOD"
    )
    raise ValueError(f"{path}: no {noun} {', '.join(missing)}: is this a {kind} file?")


def _is_data(dataset: str, path: str, metadata: DatasetMetadata | None, available: frozenset[str]) -> bool:
    generator = [branch for branch in GENERATOR if branch in available]
    is_data = not generator if metadata is None else metadata.is_data
    if is_data and generator:
        raise ValueError(
            f"{path}: dataset {dataset} is declared data but holds {' and '.join(generator)}: "
            "set is_data to false"
        )
    if not is_data and "Jet_hadronFlavour" not in available:
        what = f"has {generator[0]}" if generator else "is declared simulation"
        mend = "take files with the flavour of jets" if generator else "set is_data to true"
        raise ValueError(f"{path}: dataset {dataset} {what} but holds no Jet_hadronFlavour: {mend}")
    return is_data
