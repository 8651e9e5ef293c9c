"""One file before it is processed: can it be read, what is in it, and is it what its dataset says it is."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from coffea.processor.executor import FileMeta, WorkItem

from datamc.results import EventRange
from events.files import FileError, open_root
from events.identity import State, identity_of, state_of
from events.open_trees import planned_file
from processors.filesets import DatasetMetadata, FileEntry
from processors.generated import Sums, generated_for
from selections.branches import GENERATOR, Branches, missing

Item = TypeVar("Item")
Answer = TypeVar("Answer")

_OPENED_AT_ONCE = 16

Headers = dict[tuple[str, str], "dict[str, Any] | FileError"]
"""What was found in files, by path and tree; clusters as the first selection that asked needs them."""

TRUTH_BRANCHES = ("Jet_hadronFlavour", "Jet_partonFlavour", "Jet_nBHadrons", "genWeight")
"""What is read of simulation; a file may lack all of them but the first."""


@dataclass(frozen=True)
class PlannedFile:
    """A file that will be processed.

    Attributes:
        dataset: The dataset it belongs to.
        path: Where it is.
        tree: Its tree of events.
        n_events: How many events are taken.
        uuid: ROOT's mark of the file.
        identity: What its tree has in common with those of copies: see `events.identity`.
        state: In which state the file system had it, if it is a local one.
        clusters: Where the clusters of what is taken begin, and its end; counted from the file's first event.
        is_data: Whether it holds data.
        n_in_tree: How many events it holds in all.
        dropped: Optional branches of the selection it does not have.
        replaced: Branches and what is read in their place.
        no_truth: Optional branches of simulation it does not have.
        unvaried: Branches of simulation that variations are made of and that it does not have.
        generated: Sums over all that was generated for it; None if that is no more than it holds.
        is_bare: Whether it holds no event and not even the branches, as a job leaves it that kept nothing.
        n_in_tree: How many events the tree holds.
    """

    dataset: str
    path: str
    tree: str
    n_events: int
    uuid: bytes
    identity: str
    state: State | None
    clusters: tuple[int, ...]
    is_data: bool
    n_in_tree: int
    dropped: tuple[str, ...] = ()
    replaced: tuple[tuple[str, str], ...] = ()
    no_truth: tuple[str, ...] = ()
    unvaried: tuple[str, ...] = ()
    generated: Sums | None = None
    is_bare: bool = False

    @property
    def entry_start(self) -> int:
        """The first event that is taken."""
        return self.clusters[0]

    @property
    def range(self) -> EventRange:
        """The events that are taken."""
        return EventRange(
            self.identity, self.entry_start, self.entry_start + self.n_events, self.dataset, self.path
        )

    def work_items(self, chunksize: int) -> list[WorkItem]:
        """Return the chunks of the file, cut where its clusters begin; a bare one has none."""
        if self.is_bare:
            return []
        clusters = [cluster - self.entry_start for cluster in self.clusters]
        metadata = {"numentries": self.n_events, "uuid": self.uuid, "clusters": clusters}
        metadata |= planned_file(self.identity, self.state)
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
    dataset: str,
    path: str,
    entry: FileEntry,
    metadata: DatasetMetadata | None,
    branches: Branches,
    *,
    headers: Headers,
) -> PlannedFile:
    """Return what a file holds.

    Args:
        dataset: The name of its dataset.
        path: Where it is, a path or a URL.
        entry: What is taken of it.
        metadata: What the fileset says of the dataset, if anything.
        branches: What will be read.
        headers: What is known of files already; new ones are added.

    Raises:
        FileError: If it is absent, truncated, no ROOT file, or lacks the tree or the events asked for.
        ValueError: If it lacks a needed branch, or is not what its dataset is declared to be.
    """
    content = _header(path, entry.tree, branches, headers)
    clusters = _taken(path, content["clusters"], entry)
    available = content["available"]
    whole: dict[str, Any] = {
        "dataset": dataset,
        "path": path,
        "tree": entry.tree,
        "n_events": clusters[-1] - clusters[0],
        "uuid": content["uuid"],
        "identity": content["identity"],
        "state": content["state"],
        "clusters": clusters,
        "n_in_tree": content["clusters"][-1],
    }
    if not whole["n_in_tree"] and branches.missing(available):
        if metadata is None:
            raise FileError(path, "it holds no event and lacks branches, which would say whether it is data")
        return PlannedFile(**whole, is_data=metadata.is_data, generated=content["generated"], is_bare=True)
    _require_branches(path, branches.missing(available))
    is_data = _is_data(dataset, path, metadata, available)
    if not is_data:
        _require_branches(path, missing(branches.simulation, available))
    return PlannedFile(
        **whole,
        is_data=is_data,
        dropped=branches.dropped(available),
        replaced=branches.replaced(available),
        no_truth=() if is_data else tuple(name for name in TRUTH_BRANCHES if name not in available),
        unvaried=() if is_data else branches.unvaried(available),
        generated=None if is_data else content["generated"],
    )


def _taken(path: str, clusters: tuple[int, ...], entry: FileEntry) -> tuple[int, ...]:
    """Return the beginnings of the clusters within what is taken, from its first event to its end."""
    if entry.entries is None:
        return clusters
    start, stop = entry.entries
    if stop > clusters[-1]:
        raise FileError(
            path, f"events {start} to {stop} are asked for, but its {entry.tree} holds {clusters[-1]}"
        )
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


def _header(path: str, tree: str, branches: Branches, headers: Headers) -> dict[str, Any]:
    """Return what a file holds, read if it is not among `headers`, where it is put then."""
    key = (path, tree)
    if key not in headers:
        try:
            headers[key] = _read_header(path, tree, branches)
        except FileError as error:
            headers[key] = error
    found = headers[key]
    if isinstance(found, FileError):
        raise found
    return found


def _read_header(path: str, tree_name: str, branches: Branches) -> dict[str, Any]:
    state = state_of(path)
    with open_root(path) as file:
        tree = file.tree(tree_name)
        return {
            "state": state,
            "uuid": file.uuid,
            "identity": identity_of(file, tree),
            "available": frozenset(tree.names),
            "clusters": tree.clusters(branches.names().__contains__),
            "generated": generated_for(file, tree),
        }


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
