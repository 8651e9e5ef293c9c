"""Smaller copies of files: the branches that selections, taggers and corrections read, compressed with ZSTD.

Files are often published in LZMA, which takes several times longer to read. All events are kept, so that sums
of weights stay what they are; the small trees beside the events are copied whole. What is left out are inputs
of other taggers, other collections of objects, and triggers.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
import uproot

from events.files import RootFile, open_root
from events.reading import reading
from events.trees import Tree
from models.features import BRANCHES
from processors import reference
from processors.filesets import Fileset
from processors.generated import with_share
from processors.opening import TRUTH_BRANCHES, PlannedFile
from processors.planning import make_plan
from processors.weights import COLLECTIONS
from selections.branches import Branches, branches_of
from selections.parameters import parameters_of
from selections.triggers import passes_trigger
from storage.names import file_name
from storage.trees import make_tree, replaced_root_file

STEP = 20_000
"""Events that are copied together, and about the size of a cluster of the copy."""
_TRIGGERS = ("HLT_", "L1_")
_INPUTS_OF_TAGGERS = "Jet_Deep"
"""Hundreds of columns, in PFNano; scores are called otherwise."""
_GENERATED = ("GenJet", "PSWeight", "LHEScaleWeight", "LHEPdfWeight")
"""What jets are smeared with, and what variations of theory are made of."""
TREES_BESIDE = ("Runs", "LuminosityBlocks")

Progress = Callable[[int, int], None]


class SkimmedFile(NamedTuple):
    """One file that was copied."""

    dataset: str
    source: str
    path: Path
    n_events: int
    n_kept: int
    bytes_before: int
    bytes_after: int


def kept_branches(
    available: Collection[str],
    selections: Sequence[str],
    *,
    profile: str = "btv20001",
    year: str = "2017",
    more: Sequence[str] = (),
) -> list[str]:
    """Return the branches of a file that a copy has, in their order.

    Args:
        available: All branches of the file.
        selections: Whose branches are kept, with all inputs of taggers and the scores of the reference.
        profile: One of `selections.parameters.PROFILES`.
        year: One of `selections.parameters.YEARS`.
        more: Patterns of further branches, e.g. ``FatJet_*``.
    """
    names = {*BRANCHES, *reference.BRANCHES, *TRUTH_BRANCHES}
    for selection in selections:
        names |= branches_of(parameters_of(selection, profile=profile, year=year)).names()
    return [
        name
        for name in available
        if name in names
        or may_be_corrected_with(name, available)
        or any(fnmatchcase(name, pattern) for pattern in more)
    ]


def may_be_corrected_with(name: str, available: Collection[str]) -> bool:
    """Return whether a correction or variation may read a branch.

    That is any branch with one value for each event (but for triggers), and any column of the objects that a
    configuration of corrections names; it need not be known beforehand.

    Args:
        name: The branch.
        available: All branches of its file.
    """
    prefix = name.partition("_")[0]
    if name.startswith((*_TRIGGERS, _INPUTS_OF_TAGGERS)):
        return False
    return f"n{prefix}" not in available or prefix in {*COLLECTIONS.values(), *_GENERATED}


def skim(
    fileset: Fileset,
    folder: Path,
    *,
    selections: Sequence[str],
    profile: str = "btv20001",
    year: str = "2017",
    more: Sequence[str] = (),
    triggered: bool = False,
    progress: Progress | None = None,
) -> list[SkimmedFile]:
    """Copy all files of a fileset and return the copies, in order; each is there whole or not at all.

    Args:
        fileset: What is copied; ranges of events are respected.
        folder: Where the copies go, in one folder per dataset.
        selections: As in `kept_branches`, like the next three.
        profile: One of `selections.parameters.PROFILES`.
        year: One of `selections.parameters.YEARS`.
        more: Patterns of further branches.
        triggered: Whether data that fired none of the selections' triggers are left out; simulation never is,
            since its sums of weights would change.
        progress: Called with (events done, all events).

    Raises:
        OSError: If files cannot be read.
        ValueError: If files are no NanoAOD, or not what their dataset is declared to be.
    """
    parameters = parameters_of("inclusive", profile=profile, year=year)
    basic = branches_of(parameters)
    plan = make_plan(fileset, parameters, Branches(basic.needed, ()))
    keep = partial(kept_branches, selections=selections, profile=profile, year=year, more=more)
    rows = [parameters_of(selection, profile=profile, year=year) for selection in selections]
    triggers = [row.triggers for row in rows] if triggered else []
    copies, done = [], 0

    def told(n_events: int) -> None:
        nonlocal done
        done += n_events
        if progress is not None:
            progress(done, plan.n_events)

    for number, file in enumerate(plan.files):
        path = folder / file_name(file.dataset) / f"{number:04d}_{file_name(Path(file.path).stem)}.root"
        with reading(file.path):
            copies.append(_copy(file, path, keep, triggers if file.is_data else [], told))
    return copies


def skimmed_fileset(fileset: Fileset, copies: Iterable[SkimmedFile]) -> Any:
    """Return the fileset of the copies as plain JSON values, each dataset with what it was declared to be."""
    content: dict[str, Any] = {}
    for copy in copies:
        dataset = content.setdefault(copy.dataset, {"files": {}})
        dataset["files"][str(copy.path.resolve())] = "Events"
        metadata = fileset[copy.dataset].metadata
        if metadata is not None:
            dataset["metadata"] = metadata.model_dump(exclude_none=True)
    return content


def _copy(
    file: PlannedFile,
    path: Path,
    keep: Callable[[Collection[str]], list[str]],
    triggers: Sequence[Any],
    told: Callable[[int], None],
) -> SkimmedFile:
    n_kept = 0
    with (
        open_root(file.path) as source,
        replaced_root_file(path, uproot.ZSTD(3)) as target,
    ):
        tree = source.tree(file.tree)
        names = _columns(tree, keep(tree.names))
        titles = {name: tree.title(name) for name in names}
        for item in file.work_items(STEP):
            events = tree.read(names, start=item.entrystart, stop=item.entrystop)
            told(len(events))
            if triggers:
                events = events[_fired(tree, triggers, item.entrystart, item.entrystop)]
            _extend(target, "Events", events, titles)
            n_kept += len(events)
        if not file.n_events:
            _extend(target, "Events", tree.read(names), titles)
        _copy_beside(source, target, share=file.n_events / file.n_in_tree if file.n_in_tree else 1.0)
    before = Path(file.path).stat().st_size if "://" not in file.path else 0
    return SkimmedFile(file.dataset, file.path, path, file.n_events, n_kept, before, path.stat().st_size)


def _columns(tree: Tree, names: Sequence[str]) -> list[str]:
    """Return those of some branches that hold numbers, for each event or for each of its objects."""
    types = tree.read(names, stop=0)
    return [name for name in names if _is_numeric(types[name].type.content)]


def _is_numeric(kind: Any) -> bool:
    if isinstance(kind, ak.types.ListType) and not kind.parameters:
        kind = kind.content
    return isinstance(kind, ak.types.NumpyType)


def _fired(tree: Tree, triggers: Sequence[Any], start: int, stop: int) -> Any:
    names = {path for groups in triggers for group in groups for path in group}
    present = [name for name in tree.names if name in names]
    if not present:
        return np.ones(stop - start, dtype=np.bool_)
    fired = tree.read(present, start=start, stop=stop)
    flags = ak.zip({"HLT": ak.zip({name.removeprefix("HLT_"): fired[name] for name in present})})
    return np.any([passes_trigger(flags, groups) for groups in triggers], axis=0)


def _copy_beside(source: RootFile, target: Any, *, share: float) -> None:
    """Copy the small trees, and what a file says of itself in plain texts.

    Args:
        source: What is copied.
        target: The copy.
        share: Which part of the events is copied; so much of the sums over all that was generated is its own.
    """
    for name, kind in source.kinds.items():
        if name in TREES_BESIDE and kind == "TTree":
            tree = source.tree(name)
            _extend(target, name, with_share(tree.read(tree.names), share), {})
        elif kind == "TObjString":
            target[name] = source.text(name)


def _extend(target: Any, name: str, arrays: ak.Array, titles: Mapping[str, str]) -> None:
    """Append to a tree; the first call makes it. Branches of one collection share one counter."""
    content = _by_collection(arrays)
    if name not in target:
        make_tree(target, name, content, titles)
    if len(arrays):
        target[name].extend(content)


def _by_collection(arrays: ak.Array) -> dict[str, Any]:
    """Return columns as uproot writes them: jagged ones of one prefix as one array of records."""
    jagged = [name for name in arrays.fields if arrays[name].ndim > 1]
    collections: dict[str, dict[str, ak.Array]] = {}
    content: dict[str, Any] = {}
    for name in arrays.fields:
        prefix, underscore, field = name.partition("_")
        if name in jagged and underscore:
            collections.setdefault(prefix, {})[field] = arrays[name]
        else:
            content[name] = arrays[name] if name in jagged else np.asarray(arrays[name])
    counted = {f"n{name}" for name in [*collections, *(name for name in content if name in jagged)]}
    content = {name: column for name, column in content.items() if name not in counted}
    return content | {name: ak.zip(fields, depth_limit=2) for name, fields in collections.items()}
