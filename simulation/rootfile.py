"""ROOT files: columns in, trees out, complete or not at all."""

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import awkward as ak
import numpy as np
import uproot

from simulation.nanoaod import Collection, Columns
from simulation.provenance import METADATA_KEY
from storage.files import held_file
from storage.trees import make_tree, replaced_root_file

EVENTS_PER_CLUSTER = 5000


def _jagged(collections: Sequence[Collection]) -> ak.Array:
    counts = np.concatenate([collection.counts for collection in collections])
    names = collections[0].fields
    return ak.zip(
        {
            name: ak.unflatten(np.concatenate([part.fields[name] for part in collections]), counts)
            for name in names
        },
        depth_limit=2,
    )


def joined(parts: Sequence[Columns]) -> dict[str, Any]:
    """Return consecutive columns as arrays that uproot writes: one array a branch, one a collection.

    Several values per event become lists with a counter (`nPSWeight`), as NanoAOD has them.
    """
    arrays: dict[str, Any] = {}
    for name in parts[0].events:
        column = np.concatenate([part.events[name] for part in parts])
        arrays[name] = ak.from_regular(ak.Array(column)) if column.ndim > 1 else column
    for name in parts[0].collections:
        arrays[name] = _jagged([part.collections[name] for part in parts])
    return arrays


class NanoFile:
    """A file that grows by batches of events; it appears under its name only when all went well.

    Memory stays flat: events are written in clusters of `EVENTS_PER_CLUSTER`, whatever the size of the
    batches.

    Example:
        >>> with NanoFile(path) as file:
        ...     file.extend(columns)
        ...     file.finish(trees, metadata)
    """

    def __init__(self, path: Path, titles: Mapping[str, str] | None = None) -> None:
        self.path = path
        self._titles = titles or {}
        self.n_events = 0
        self._open = ExitStack()
        self._pending: list[Columns] = []
        self._n_pending = 0
        self._blocks: set[tuple[int, int]] = set()
        self._begun = False

    def __enter__(self) -> Self:
        self._open.enter_context(held_file(self.path))
        self._file = self._open.enter_context(replaced_root_file(self.path, uproot.ZSTD(1)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, traceback)

    def extend(self, columns: Columns) -> None:
        """Add events."""
        self._pending.append(columns)
        n_events = len(columns.events["event"])
        self.n_events += n_events
        self._n_pending += n_events
        self._blocks |= set(
            zip(columns.events["run"].tolist(), columns.events["luminosityBlock"].tolist(), strict=True)
        )
        if self._n_pending >= EVENTS_PER_CLUSTER:
            self._write()

    def _write(self) -> None:
        arrays = joined(self._pending)
        if not self._begun:
            make_tree(self._file, "Events", arrays, self._titles)
            self._begun = True
        self._file["Events"].extend(arrays)
        self._pending, self._n_pending = [], 0

    def finish(self, runs: dict[str, Any], metadata: dict[str, Any]) -> None:
        """Write the last events, the trees Runs and LuminosityBlocks, and how the file was made."""
        if self._pending:
            self._write()
        blocks = np.array(sorted(self._blocks), dtype=np.uint32).reshape(-1, 2)
        for name, tree in (
            ("Runs", runs),
            ("LuminosityBlocks", {"run": blocks[:, 0], "luminosityBlock": blocks[:, 1]}),
        ):
            make_tree(self._file, name, tree, {})
            self._file[name].extend(tree)
        self._file[METADATA_KEY] = json.dumps(metadata)
