"""What is to be processed: every file opened once beforehand, and its events, branches and kind written down.

A job that would find its last file unreadable after an hour should not start.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uproot
from coffea.processor.executor import FileMeta, WorkItem

from datamc.results import LedgerEntry
from models.features import BRANCHES
from processors.filesets import Dataset, DatasetMetadata, Fileset
from selections.branches import FLAVOUR, GENERATOR, Branches
from selections.parameters import Selection

log = logging.getLogger(__name__)

GENERATOR_BRANCHES = (*FLAVOUR, "genWeight")


class UnreadableFilesError(OSError):
    """Files of a fileset that cannot be processed; the message names all of them."""


@dataclass(frozen=True)
class PlannedFile:
    """A file that will be processed."""

    dataset: str
    path: str
    tree: str
    n_events: int
    uuid: bytes
    clusters: tuple[int, ...]
    is_data: bool
    dropped: tuple[str, ...]
    replaced: tuple[tuple[str, str], ...]

    def work_items(self, chunksize: int) -> list[WorkItem]:
        """Return the chunks of the file, cut where its clusters begin."""
        metadata = {"numentries": self.n_events, "uuid": self.uuid, "clusters": list(self.clusters)}
        file = FileMeta(self.dataset, self.path, self.tree, metadata)
        return list(file.chunks(chunksize, align_clusters=True))


@dataclass
class Plan:
    """The files that will be processed, the events known to be lost, and what the user should hear."""

    files: list[PlannedFile] = field(default_factory=list)
    datasets: dict[str, DatasetMetadata] = field(default_factory=dict)
    lost: list[LedgerEntry] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def n_events(self) -> int:
        """Events that will be processed."""
        return sum(file.n_events for file in self.files)


def tagger_branches(branches: Branches) -> Branches:
    """Return the branches of a selection and, needed, all inputs of a tagger."""
    needed = tuple(dict.fromkeys([*branches.needed, *BRANCHES]))
    return Branches(needed, branches.optional, branches.triggers)


def make_plan(
    fileset: Fileset, parameters: Selection, branches: Branches, *, skip_bad_files: bool = False
) -> Plan:
    """Return what is to be processed, after opening every file.

    Data of a primary dataset that is not the selection's are left out and noted.

    Args:
        fileset: The datasets.
        parameters: The row of the selection.
        branches: What will be read.
        skip_bad_files: Whether files that cannot be read are declared lost instead of ending everything.

    Raises:
        UnreadableFilesError: If files are absent, truncated or hold no such tree.
        ValueError: If a file lacks a needed branch, a dataset is not what its files say, or nothing is left.
    """
    plan = Plan()
    for name, dataset in fileset.items():
        if (reason := _other_primary_dataset(dataset, parameters)) is not None:
            plan.notes.append(f"{name}: left out, {reason}")
            continue
        _plan_dataset(plan, name, dataset, branches)
    if plan.lost and not skip_bad_files:
        complaints = "; ".join(f"{entry.file}: {entry.reason}" for entry in plan.lost)
        raise UnreadableFilesError(
            f"{complaints}: mend the fileset, or ask for files that cannot be read to be skipped"
        )
    if not plan.files:
        raise ValueError(_nothing_left(plan))
    plan.notes += [*(f"{entry.dataset}: {entry.file} skipped, {entry.reason}" for entry in plan.lost)]
    plan.notes += _branch_notes(plan.files)
    return plan


def _other_primary_dataset(dataset: Dataset, parameters: Selection) -> str | None:
    metadata = dataset.metadata
    if metadata is None or not metadata.is_data or metadata.primary_dataset is None:
        return None
    if parameters.primary_dataset in (None, metadata.primary_dataset):
        return None
    return (
        f"it holds {metadata.primary_dataset} data and the selection {parameters.name} "
        f"starts from {parameters.primary_dataset}"
    )


def _plan_dataset(plan: Plan, name: str, dataset: Dataset, branches: Branches) -> None:
    for path, tree in dataset.files.items():
        try:
            planned = _open_file(name, path, tree, dataset.metadata, branches)
        except _FileError as problem:
            plan.lost.append(LedgerEntry(name, path, 0, 0, "skipped", str(problem)))
            continue
        plan.files.append(planned)
        known = plan.datasets.setdefault(
            name, dataset.metadata or DatasetMetadata(is_data=planned.is_data, process=name)
        )
        if known.is_data != planned.is_data:
            raise ValueError(
                f"{path}: dataset {name} holds both data and simulation: split it into two datasets"
            )


class _FileError(Exception):
    """Why a file cannot be read."""


def _open_file(
    dataset: str, path: str, tree_name: str, metadata: DatasetMetadata | None, branches: Branches
) -> PlannedFile:
    if "://" not in path and not Path(path).is_file():
        raise _FileError("no such file")
    try:
        with uproot.open({path: None}) as file:
            _refuse_truncated(path, file.file.fEND)
            tree = file[tree_name]
            available = frozenset(tree.keys(full_paths=False))
            clusters = tuple(tree.common_entry_offsets(filter_name=branches.names().__contains__))
            n_events, uuid = int(tree.num_entries), file.file.fUUID
    except uproot.KeyInFileError as error:
        raise _FileError(f"it holds no tree {tree_name}") from error
    except _FileError:
        raise
    except Exception as error:  # a damaged file fails in any place of the format
        log.debug("cannot open %s", path, exc_info=True)
        raise _FileError(f"not a readable ROOT file ({type(error).__name__})") from error
    _refuse_missing(path, branches.missing(available))
    is_data = _is_data(dataset, path, metadata, available)
    return PlannedFile(
        dataset,
        path,
        tree_name,
        n_events,
        uuid,
        clusters if clusters and clusters[-1] == n_events else (0, n_events),
        is_data,
        branches.dropped(available),
        branches.replaced(available),
    )


def _refuse_truncated(path: str, expected_size: int) -> None:
    if "://" in path:
        return
    size = Path(path).stat().st_size
    if size < expected_size:
        raise _FileError(f"truncated, {size} of {expected_size} bytes are there")


def _refuse_missing(path: str, missing: Sequence[str]) -> None:
    if not missing:
        return
    noun = "branch" if len(missing) == 1 else "branches"
    hint = (
        "is this a PFNano file?" if any("DeepCSV" in name for name in missing) else "is this a NanoAOD file?"
    )
    raise ValueError(f"{path}: no {noun} {', '.join(missing)}: {hint}")


def _is_data(dataset: str, path: str, metadata: DatasetMetadata | None, available: frozenset[str]) -> bool:
    generator = [branch for branch in GENERATOR if branch in available]
    if metadata is None:
        return not generator
    if metadata.is_data and generator:
        raise ValueError(
            f"{path}: dataset {dataset} is declared data but holds {' and '.join(generator)}: "
            "set is_data to false"
        )
    if not metadata.is_data and "Jet_hadronFlavour" not in available:
        raise ValueError(
            f"{path}: dataset {dataset} is declared simulation but holds no Jet_hadronFlavour: "
            "set is_data to true"
        )
    return metadata.is_data


def _branch_notes(files: Sequence[PlannedFile]) -> list[str]:
    """Return one sentence for each dataset and kind of substitution."""
    notes: dict[str, None] = {}
    by_dataset: Mapping[str, list[PlannedFile]] = {
        name: [file for file in files if file.dataset == name]
        for name in dict.fromkeys(f.dataset for f in files)
    }
    for name, own in by_dataset.items():
        dropped = dict.fromkeys(branch for file in own for branch in file.dropped)
        if dropped:
            n_files = sum(bool(file.dropped) for file in own)
            notes[
                f"{name}: {n_files} of {len(own)} files without {', '.join(dropped)}: not required there"
            ] = None
        for branch, other in dict.fromkeys(pair for file in own for pair in file.replaced):
            notes[f"{name}: {other} read in place of {branch}"] = None
    return list(notes)


def _nothing_left(plan: Plan) -> str:
    reasons: list[Any] = plan.notes or [f"{entry.file}: {entry.reason}" for entry in plan.lost]
    return f"nothing to process ({'; '.join(reasons)}): check the fileset"
