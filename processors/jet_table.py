"""The jets under study as a table: one row a jet, with what names it, its kinematics, weights and scores.

A chunk gives plain columns; they are written as parquet where the sum is made, so that no worker needs to
reach the folder, and joined in the order of the files at the end: the rows are the same for any executor and
chunk size.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from storage.files import replaced_file

Rows = Mapping[str, NDArray[Any]]


def score_column(tagger: str, epoch: int, variant: str, score: str) -> str:
    """Return the name of a column of scores, e.g. ``basic@12/noise:0.1/CvsL``."""
    return f"{tagger}@{epoch}/{variant}/{score}"


def write_rows(rows: Rows, path: Path) -> None:
    """Write the jets of a chunk as parquet."""
    import pyarrow
    import pyarrow.parquet

    with replaced_file(path) as temporary:
        pyarrow.parquet.write_table(pyarrow.table(dict(rows)), temporary, compression="zstd")


def join_rows(parts: Sequence[Path], path: Path) -> int:
    """Write parts one after the other as one parquet file, one in memory at a time; return the rows."""
    import pyarrow.parquet

    n_rows = 0
    with replaced_file(path) as temporary:
        schema = pyarrow.parquet.read_schema(parts[0])
        with pyarrow.parquet.ParquetWriter(temporary, schema, compression="zstd") as writer:
            for part in parts:
                table = pyarrow.parquet.read_table(part)
                n_rows += int(table.num_rows)
                if table.num_rows:
                    writer.write_table(table)
    return n_rows
