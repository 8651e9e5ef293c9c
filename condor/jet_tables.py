"""The tables of jets that jobs of `process --columns` leave beside their results."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from condor.folder import output_path
from condor.manifest import Manifest
from processors.jet_table import join_rows, table_path

_OPTION: Final = "--columns"


def has_tables(manifest: Manifest) -> bool:
    """Say whether the jobs write tables."""
    return _OPTION in manifest.command


def table_paths(manifest: Manifest, folder: Path, job: int) -> dict[str, Path]:
    """Return where the table of each dataset of a job lies."""
    selection, ranges = manifest.jobs[job]
    results = output_path(folder, job, selection).parent
    datasets = dict.fromkeys(manifest.inputs[part.input].dataset for part in ranges)
    return {dataset: table_path(results / f"{selection}_jets", dataset) for dataset in datasets}


def is_readable(path: Path) -> bool:
    """Say whether a table is whole: its last bytes tell where all others are."""
    import pyarrow.parquet

    try:
        pyarrow.parquet.read_metadata(path)
    except (OSError, ValueError):
        return False
    return True


def merge_tables(manifest: Manifest, folder: Path, selection: str, jobs: Sequence[int], out: Path) -> None:
    """Join the tables of jobs, in their order, to one per dataset: the same as of a local run.

    Raises:
        ValueError: If a table is damaged or has other columns.
    """
    parts: dict[str, list[Path]] = {}
    for job in jobs:
        for dataset, path in table_paths(manifest, folder, job).items():
            if path.is_file():  # a job whose files were all declared lost has none
                parts.setdefault(dataset, []).append(path)
    for dataset, paths in parts.items():
        join_rows(paths, table_path(out / f"{selection}_jets", dataset))
