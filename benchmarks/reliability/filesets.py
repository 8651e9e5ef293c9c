"""Random filesets of files whose content is known, and what is right for each of them."""

import json
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np
import uproot

from benchmarks.reliability.made_files import BROKEN, damaged_inside, link, made_events, make_broken, write

LUMINOSITY = 100.0
LINKS = ("symlink", "hardlink", "copy", "rewritten")
WEIGHTS = (1.0, -1.0, 0.5, 2.25)
"""Of generated events; sums of them are exact in any order."""

SIMULATED_SIZES = (1, 23, 80, 150, 150, 0)
DATA_SIZES = (2, 60, 110, 0)


class Origin(NamedTuple):
    """A good file and what an independent reader finds in it; arrays have shape ``(n_events,)``."""

    path: Path
    is_data: bool
    weights: np.ndarray
    passes: np.ndarray

    @property
    def n_events(self) -> int:
        """How many events it holds."""
        return len(self.weights)


class Pool(NamedTuple):
    """The files of which filesets are made."""

    folder: Path
    origins: Sequence[Origin]
    damaged: Sequence[Origin]


class Listed(NamedTuple):
    """One file of a fileset.

    Attributes:
        dataset: Where it is listed.
        path: As it is listed.
        entries: The range of events that is taken, `[first, last + 1)`.
        origin: Whose events it holds; None for a file that cannot be opened.
        fault: What is wrong with it: a kind of `BROKEN`, `damaged_inside`, `beyond_its_end`, or nothing.
    """

    dataset: str
    path: Path
    entries: tuple[int, int] | None
    origin: Origin | None
    fault: str = ""

    @property
    def range(self) -> range:
        """The events of its origin that are taken."""
        if self.origin is None:
            return range(0)
        return range(*(self.entries or (0, self.origin.n_events)))


class Configuration(NamedTuple):
    """A fileset on disk, and how it is to be processed."""

    fileset: Path
    files: tuple[Listed, ...]
    skip_bad_files: bool
    chunksize: int

    @property
    def faults(self) -> tuple[Listed, ...]:
        """The files that cannot be read, or not all of them."""
        return tuple(file for file in self.files if file.fault)

    @property
    def twins(self) -> tuple[Listed, Listed] | None:
        """Two files that hold the same event, if there are any."""
        for position, first in enumerate(self.files):
            for second in self.files[:position]:
                same = first.origin is not None and first.origin is second.origin
                if same and max(first.range.start, second.range.start) < min(
                    first.range.stop, second.range.stop
                ):
                    return first, second
        return None

    @property
    def listed_twice(self) -> tuple[Listed, ...]:
        """Files that are there under two names without an event of them being taken twice.

        A dataset cannot take two ranges of one file, and an empty file may be refused as its own twin.
        """
        return tuple(
            file
            for position, first in enumerate(self.files)
            for second in self.files[:position]
            for file in (first, second)
            if first.origin is not None
            and first.origin is second.origin
            and (first.origin.n_events == 0 or first.dataset == second.dataset)
        )


def make_pool(folder: Path) -> Pool:
    """Make the good files, each with events of its own, and those that break in the middle."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(11)
    origins, damaged = [], []
    sizes = [(False, size) for size in SIMULATED_SIZES] + [(True, size) for size in DATA_SIZES]
    for number, (is_data, size) in enumerate(sizes):
        weights = np.ones(size) if is_data else rng.choice(WEIGHTS, size)
        if number == 2:  # these cancel
            weights = np.tile([1.0, -1.0], size // 2)
        path = folder / f"{'data' if is_data else 'mc'}_{number}.root"
        columns = made_events(size, first=1000 * (number + 1), is_data=is_data, weights=weights)
        origins.append(_count(write(path, columns, cluster=(7, 30, 64)[number % 3]), is_data=is_data))
    for number, is_data in ((20, False), (21, True)):
        path = folder / f"{'data' if is_data else 'mc'}_damaged.root"
        columns = made_events(120, first=1000 * number, is_data=is_data, weights=np.ones(120))
        origin = _count(write(path, columns, cluster=40), is_data=is_data)
        damaged_inside(path)
        damaged.append(origin)
    return Pool(folder, origins, damaged)


def _count(path: Path, *, is_data: bool) -> Origin:
    """Return what a file holds, read with uproot alone."""
    with uproot.open(path) as file:
        tree = file["Events"]
        n_muons = tree["nMuon"].array(library="np")
        weights = np.ones(len(n_muons)) if is_data else tree["genWeight"].array(library="np")
    return Origin(path, is_data, weights.astype(np.float64), n_muons == 2)


def random_configuration(rng: Random, pool: Pool, folder: Path) -> Configuration:
    """Make a fileset of some files of the pool in an empty folder."""
    files: list[Listed] = []
    free = list(pool.origins)
    rng.shuffle(free)
    datasets = rng.sample([("first", False), ("second", False), ("recorded", True)], rng.randint(1, 3))
    for name, is_data in datasets:
        mine = [origin for origin in free if origin.is_data == is_data][: rng.randint(1, 3)]
        for origin in mine:
            free.remove(origin)
            files += _taken(rng, name, origin, folder, others=[d for d, kind in datasets if kind == is_data])
        files += _broken(rng, name, pool, folder, is_data=is_data)
    if rng.random() < 0.25:
        files += _twin(rng, files, datasets, folder)
    return Configuration(
        _write(folder / "fileset.json", files, dict(datasets)), tuple(files),
        skip_bad_files=rng.random() < 0.6, chunksize=rng.choice((17, 40, 100, 1000)),
    )  # fmt: skip


def _taken(rng: Random, name: str, origin: Origin, folder: Path, *, others: Sequence[str]) -> list[Listed]:
    """Return a file whole, a range of it, or its two parts under two names in two datasets."""
    how = rng.choice(("whole", "whole", "range", "parts"))
    if how == "whole" or origin.n_events < 2:
        return [Listed(name, origin.path, None, origin)]
    cut = rng.randint(1, origin.n_events - 1)
    first = Listed(name, origin.path, (0, cut), origin)
    elsewhere = [other for other in others if other != name]
    if how == "range" or not elsewhere:
        return [first]
    kind = rng.choice(LINKS[:3])
    path = link(kind, origin.path, folder / f"part_{kind}_{origin.path.name}")
    return [first, Listed(rng.choice(elsewhere), path, (cut, origin.n_events), origin)]


def _broken(rng: Random, name: str, pool: Pool, folder: Path, *, is_data: bool) -> list[Listed]:
    """Return some files that cannot be read: in three quarters of all datasets none."""
    if rng.random() < 3 / 4:
        return []
    whole = next(origin for origin in pool.origins if origin.is_data == is_data and origin.n_events > 40)
    found = []
    for kind in rng.sample([*BROKEN, "damaged_inside", "beyond_its_end"], rng.randint(1, 2)):
        path = folder / f"{name}_{kind}.root"
        match kind:
            case "damaged_inside":
                origin = next(origin for origin in pool.damaged if origin.is_data == is_data)
                found.append(Listed(name, origin.path, None, origin, kind))
            case "beyond_its_end":
                # Its own copy, with events that nothing else lists.
                columns = made_events(10, first=90_000 + is_data, is_data=is_data, weights=np.ones(10))
                write(path, columns, cluster=10)
                found.append(Listed(name, path, (0, 11), None, kind))
            case _:
                found.append(Listed(name, make_broken(kind, path, whole.path), None, None, kind))
    return found


def _twin(
    rng: Random, files: Sequence[Listed], datasets: Sequence[tuple[str, bool]], folder: Path
) -> list[Listed]:
    """Return one of the files under another name, in its own or another dataset of its kind."""
    good = [file for file in files if file.origin is not None and not file.fault]
    if not good:
        return []
    file = rng.choice(good)
    kind = rng.choice(LINKS)
    path = link(kind, file.origin.path, folder / f"twin_{kind}_{file.origin.path.name}")
    name = rng.choice([name for name, is_data in datasets if is_data == file.origin.is_data])
    entries = rng.choice((None, file.entries))
    return [Listed(name, path, entries, file.origin)]


def _write(path: Path, files: Sequence[Listed], is_data: dict[str, bool]) -> Path:
    content = {}
    for file in files:
        data = is_data[file.dataset]
        metadata = {"is_data": data, "simulated": True, "process": "data" if data else "dy"}
        metadata |= {"luminosity_pb": LUMINOSITY} if data else {"cross_section_pb": 7.0}
        dataset = content.setdefault(file.dataset, {"files": {}, "metadata": metadata})
        taken = "Events" if file.entries is None else {"tree": "Events", "entries": list(file.entries)}
        dataset["files"][str(file.path)] = taken
    path.write_text(json.dumps(content, indent=1))
    return path
