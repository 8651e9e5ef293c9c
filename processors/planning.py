"""What is to be processed: every file of a fileset opened once beforehand, and its events counted.

A job that would find its last file unreadable after an hour should not start.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from datamc.results import LedgerEntry, refuse_overlaps
from events.files import FileError
from models.features import BRANCHES
from processors.filesets import DatasetMetadata, Fileset
from processors.opening import Headers, PlannedFile, open_file, side_by_side
from selections.branches import Branches
from selections.parameters import Selection
from selections.primary_datasets import names_of, require_usable, starts_from
from storage.wording import few

T = TypeVar("T")

_WITHOUT_TRUTH = {
    "genWeight": "every event weighs 1",
    "Jet_partonFlavour": "no jet counts as pileup",
    "Jet_nBHadrons": "no jet counts as bb",
}
"""What it means that simulation lacks a branch."""


_INCLUSIVE = re.compile(r"(?P<boson>W|DY)JetsTo")
_BINNED = re.compile(r"(?P<boson>W|DY)(\d+JetsTo|JetsTo.*_(\d+J|(HT|Pt|LHEFilterPtZ|LHEFilterPtW)-\d+))")
"""Names of CMS's samples of W and Z with jets, whole and in bins of jets, HT or pT."""


class UnreadableFilesError(OSError):
    """Files of a fileset that cannot be processed; the message names all of them."""


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


def tagger_branches(branches: Branches, inputs: Sequence[str] = BRANCHES) -> Branches:
    """Return the branches of a selection and, needed, what a tagger reads: by default all 67 inputs."""
    return replace(branches, needed=tuple(dict.fromkeys([*branches.needed, *inputs])))


def make_plan(
    fileset: Fileset,
    parameters: Selection,
    branches: Branches,
    *,
    skip_bad_files: bool = False,
    may_lose_all: bool = False,
    headers: Headers | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Plan:
    """Return what is to be processed, after opening every file.

    Data of a primary dataset that is not the selection's are left out and noted.

    Args:
        fileset: The datasets.
        parameters: The row of the selection.
        branches: What will be read.
        skip_bad_files: Whether files that cannot be read are declared lost instead of ending everything.
        may_lose_all: Whether nothing may be left of the files, as of those of one job of many.
        headers: What was read of files for another selection, and is not read again; new ones are added.
        progress: Called with (files opened, all files).

    Raises:
        UnreadableFilesError: If files are absent, truncated or hold no such tree.
        ValueError: If a file lacks a needed branch, is there twice or is not what its dataset is declared to
            be, the files of a dataset are not alike, a primary dataset is unknown, or nothing is left.
    """
    wanted, notes = datasets_of(fileset, parameters)
    plan = Plan(notes=notes)
    _add_files(plan, wanted, branches, {} if headers is None else headers, progress)
    if plan.lost and not skip_bad_files:
        n_files = len(plan.lost) + len(plan.files)
        of_many = f"{len(plan.lost)} of {n_files} files cannot be read: " if len(plan.lost) > 1 else ""
        complaints = few([f"{entry.file}: {entry.reason}" for entry in plan.lost])
        raise UnreadableFilesError(
            f"{of_many}{complaints}: mend the fileset, or ask for files that cannot be read to be skipped"
        )
    if not plan.files and not may_lose_all:
        skipped = [f"{entry.dataset}: {entry.file} skipped, {entry.reason}" for entry in plan.lost]
        raise ValueError(f"nothing to process ({few([*plan.notes, *skipped])}): check the fileset")
    refuse_overlaps(file.range for file in plan.files)
    _refuse_mixed_weights(plan.files)
    plan.notes += _primary_dataset_notes(plan.datasets, parameters)
    plan.notes += _branch_notes(plan.files)
    plan.notes += _overlap_notes(plan.datasets)
    return plan


def datasets_of(fileset: Fileset, parameters: Selection) -> tuple[Fileset, list[str]]:
    """Return the datasets that a selection starts from, and one sentence for each that is left out.

    Whoever plans the work of a selection, here or in jobs, asks this.

    Args:
        fileset: The datasets.
        parameters: The row of the selection, of the year in question.

    Raises:
        ValueError: If a primary dataset is unknown or of another year, or all data would be left out.
    """
    data = {name: one.metadata for name, one in fileset.items() if one.metadata and one.metadata.is_data}
    left_out: dict[str, str] = {}
    for name, metadata in data.items():
        try:
            require_usable(parameters, metadata.primary_dataset)
        except ValueError as error:
            raise ValueError(f"dataset {name}: {error}") from None
        if not starts_from(parameters, metadata.primary_dataset):
            left_out[name] = f"it holds {metadata.primary_dataset} data"
    starts = f"the selection {parameters.name} starts from {' or '.join(names_of(parameters))}"
    if left_out and len(left_out) == len(data):
        held = few([f"{name} of {data[name].primary_dataset}" for name in left_out])
        raise ValueError(
            f"nothing to process in data ({held}): {starts} in {parameters.year}: "
            "check primary_dataset in the fileset, and the year, or leave these datasets out"
        )
    wanted = {name: dataset for name, dataset in fileset.items() if name not in left_out}
    return wanted, [f"{name}: left out, {reason} and {starts}" for name, reason in left_out.items()]


def _add_files(
    plan: Plan,
    fileset: Fileset,
    branches: Branches,
    headers: Headers,
    progress: Callable[[int, int], None] | None,
) -> None:
    def opened(file: tuple[str, str]) -> PlannedFile | LedgerEntry:
        name, path = file
        dataset = fileset[name]
        entry = dataset.files[path]
        try:
            return open_file(name, path, entry, dataset.metadata, branches, headers=headers)
        except FileError as problem:
            start = entry.entries[0] if entry.entries else 0
            return LedgerEntry(name, path, 0, 0, "skipped", problem.reason, start)

    files = [(name, path) for name, dataset in fileset.items() for path in dataset.files]
    for done, planned in enumerate(side_by_side(opened, files), 1):
        if progress is not None:
            progress(done, len(files))
        if isinstance(planned, LedgerEntry):
            plan.lost.append(planned)
            continue
        plan.files.append(planned)
        name = planned.dataset
        known = plan.datasets.setdefault(
            name, fileset[name].metadata or DatasetMetadata(is_data=planned.is_data, process=name)
        )
        if known.is_data != planned.is_data:
            raise ValueError(
                f"{planned.path}: dataset {name} holds both data and simulation: split it into two datasets"
            )


def _refuse_mixed_weights(files: Sequence[PlannedFile]) -> None:
    """Raise if some files of a dataset have generator weights and others would weigh 1 per event."""
    first_of: dict[str, PlannedFile] = {}
    for file in files:
        if file.is_bare:
            continue
        first = first_of.setdefault(file.dataset, file)
        if ("genWeight" in file.no_truth) != ("genWeight" in first.no_truth):
            raise ValueError(
                f"{file.path}: of genWeight, dataset {file.dataset} has files with and without it: "
                "split it into two datasets"
            )


def _primary_dataset_notes(datasets: Mapping[str, DatasetMetadata], parameters: Selection) -> list[str]:
    return [
        f"{name}: data of an unknown primary dataset, taken for {parameters.primary_dataset}"
        for name, metadata in datasets.items()
        if metadata.is_data and metadata.primary_dataset is None and parameters.primary_dataset is not None
    ]


def _overlap_notes(datasets: Mapping[str, DatasetMetadata]) -> list[str]:
    """Return what an inclusive sample seems to hold twice; names are all there is to tell it by."""
    simulated = [name for name, metadata in datasets.items() if not metadata.is_data]
    notes = []
    for name in simulated:
        inclusive = _INCLUSIVE.match(name)
        if inclusive is None or _BINNED.match(name):
            continue
        boson = inclusive["boson"]
        parts = [one for one in simulated if (found := _BINNED.match(one)) and found["boson"] == boson]
        if parts:
            notes.append(
                f"{name}: by its name it holds the events of {', '.join(parts)}, too, which would count "
                "twice: list one or the others"
            )
    return notes


def _branch_notes(files: Sequence[PlannedFile]) -> list[str]:
    """Return what a dataset lacks, each thing in one sentence."""
    notes = []
    for name in dict.fromkeys(file.dataset for file in files):
        own = [file for file in files if file.dataset == name]
        if bare := [file.path for file in own if file.is_bare]:
            notes.append(f"{name}: {len(bare)} of {len(own)} files hold no event and no branch ({few(bare)})")
        dropped = _union(file.dropped for file in own)
        if dropped:
            without = f"{sum(bool(file.dropped) for file in own)} of {len(own)} files"
            notes.append(f"{name}: {without} without {', '.join(dropped)}: not required there")
        replaced = _union(file.replaced for file in own)
        notes += [f"{name}: {other} read in place of {branch}" for branch, other in replaced]
        no_truth = _union(file.no_truth for file in own)
        notes += [f"{name}: without {branch}, {_WITHOUT_TRUTH[branch]}" for branch in no_truth]
        unvaried = _union(file.unvaried for file in own)
        notes += [f"{name}: without {branch}, what is made of it varies nothing" for branch in unvaried]
    return notes


def _union(parts: Iterable[Iterable[T]]) -> list[T]:
    return list(dict.fromkeys(one for part in parts for one in part))
