"""The jets under study as a table: one row a jet, with what names it, its kinematics, weights and scores.

A chunk gives plain columns; they are written as parquet where the sum is made, so that no worker needs to
reach the folder, and joined in the order of the files at the end: the rows are the same for any executor and
chunk size.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from coffea.processor.executor import WorkItem
from numpy.typing import NDArray

from datamc.results import Scenario
from models.discriminators import SCORES
from models.perturbations import JetKeys
from processors.chunk_store import ChunkStore
from processors.histograms import Jets
from storage.files import replaced_file, sha256
from storage.names import file_name

_AS_WRITTEN: Final[dict[str, Any]] = {"compression": "zstd", "write_page_checksum": True}
_ROWS_TOGETHER: Final = 100_000
"""Rows in a group of a joined table."""

Rows = Mapping[str, NDArray[Any]]


def empty_rows(
    keys: JetKeys,
    jets: Jets,
    control: Mapping[str, NDArray[np.floating]],
    scenarios: Iterable[Scenario],
) -> dict[str, NDArray[Any]]:
    """Return the rows of the jets of a chunk, scores not yet filled: every chunk has the same columns.

    Args:
        keys: What names the jets.
        jets: Their flavour, sign and weight; nominal.
        control: Control variables, shape ``(n_jets,)`` each.
        scenarios: Whose scores will be added.
    """
    rows: dict[str, NDArray[Any]] = {name: np.asarray(values) for name, values in keys._asdict().items()}
    rows |= {name: np.asarray(values, dtype=np.float32) for name, values in control.items()}
    rows |= {"flavour": jets.flavour.astype(np.int8), "sign": jets.sign, "weight": jets.weight}
    names = [score_column(scenario, score) for scenario in scenarios for score in SCORES]
    return rows | {name: np.full(len(jets.flavour), np.nan, dtype=np.float32) for name in names}


def add_scores(
    rows: dict[str, NDArray[Any]], part: slice, scenario: Scenario, scores: Mapping[str, NDArray[np.floating]]
) -> None:
    """Write the scores of some jets into their rows."""
    for score, values in scores.items():
        rows[score_column(scenario, score)][part] = values


def score_column(scenario: Scenario, score: str) -> str:
    """Return the name of a column of scores, e.g. ``basic@12/noise:0.1/CvsL``."""
    return f"{scenario.label}/{score}"


def write_rows(rows: Rows, path: Path) -> None:
    """Write the jets of a chunk as parquet."""
    import pyarrow
    import pyarrow.parquet

    with replaced_file(path) as temporary:
        pyarrow.parquet.write_table(pyarrow.table(dict(rows)), temporary, **_AS_WRITTEN)


def join_tables(store: ChunkStore, items: Iterable[WorkItem], folder: Path) -> dict[str, str]:
    """Write one file per dataset in a folder, of what the chunks left behind, in their order.

    Returns:
        The SHA-256 of the file of each dataset.
    """
    parts: dict[str, list[Path]] = {}
    for item in items:
        path = store.rows_path(item)
        if path.is_file():  # chunks that were lost left none
            parts.setdefault(item.dataset, []).append(path)
    return {dataset: join_rows(paths, table_path(folder, dataset)) for dataset, paths in parts.items()}


def table_path(folder: Path, dataset: str) -> Path:
    """Return where the table of a dataset lies, which may have any name."""
    return folder / f"{file_name(dataset)}.parquet"


def join_rows(parts: Sequence[Path], path: Path) -> str:
    """Write parts one after the other as one parquet file, one in memory at a time.

    The bytes do not depend on how the rows were cut into parts.

    Returns:
        The SHA-256 of the file.

    Raises:
        ValueError: If a part is damaged or has other columns.
    """
    import pyarrow.parquet

    tables = map(read_rows, parts)
    first = next(tables)
    waiting = first.slice(0, 0)
    with replaced_file(path) as temporary:
        with pyarrow.parquet.ParquetWriter(temporary, first.schema, **_AS_WRITTEN) as writer:
            for part, table in zip(parts, itertools.chain([first], tables), strict=True):
                if table.schema != first.schema:
                    raise ValueError(f"{part}: has other columns than {parts[0]}: process both again")
                waiting = pyarrow.concat_tables([waiting, table])
                n_full = waiting.num_rows - waiting.num_rows % _ROWS_TOGETHER
                _write_groups(writer, waiting.slice(0, n_full))
                waiting = waiting.slice(n_full)
            _write_groups(writer, waiting)
        return sha256(temporary)


def _write_groups(writer: Any, table: Any) -> None:
    if table.num_rows:
        writer.write_table(table.combine_chunks(), _ROWS_TOGETHER)


def read_rows(path: Path) -> Any:
    """Return a table of jets, the checksums of its pages verified.

    Raises:
        ValueError: If it is damaged.
    """
    import pyarrow.parquet

    try:
        return pyarrow.parquet.read_table(path, page_checksum_verification=True)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, MemoryError) as error:
        raise ValueError(
            f"{path}: a damaged table of jets ({' '.join(str(error).split())}): process it again"
        ) from error
