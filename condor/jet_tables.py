"""The tables of jets that jobs of `process --columns` leave beside their results."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

from condor.folder import output_path
from condor.manifest import Manifest
from processors.jet_table import join_rows, table_path
from storage.files import sha256

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


def is_as_written(path: Path, digest: str | None) -> bool:
    """Say whether a table holds the very bytes that the job wrote, by the digest in its result."""
    try:
        now = path.stat()
        return digest is not None and _digest(path, now.st_size, now.st_mtime_ns) == digest
    except OSError:
        return False


@lru_cache(maxsize=100_000)
def _digest(path: Path, size: int, time: int) -> str:  # noqa: ARG001
    """Return the SHA-256 of a file in a state, so that one that does not change is read once."""
    return sha256(path)


def merge_tables(
    manifest: Manifest, folder: Path, selection: str, jobs: Sequence[int], out: Path
) -> dict[str, str]:
    """Join the tables of jobs, in their order, to one per dataset: the same as of a local run.

    Returns:
        The SHA-256 of the table of each dataset.

    Raises:
        ValueError: If a table is damaged or has other columns.
    """
    parts: dict[str, list[Path]] = {}
    for job in jobs:
        for dataset, path in table_paths(manifest, folder, job).items():
            if path.is_file():  # a job whose files were all declared lost has none
                parts.setdefault(dataset, []).append(path)
    return {
        dataset: join_rows(paths, table_path(out / f"{selection}_jets", dataset))
        for dataset, paths in parts.items()
    }
