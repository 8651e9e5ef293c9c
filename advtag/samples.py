"""Filesets of simulated samples: files are named from where the fileset lies, so the folder can be moved."""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from advtag.progress import say
from storage.files import held_file, write_text
from storage.wording import few

if TYPE_CHECKING:
    from processors.filesets import Fileset
    from simulation import SampleInfo


def tell_what_cannot_be_scaled(files: "Fileset") -> None:
    """Say which simulation has no cross section, before work is put into what cannot be compared."""
    without = [
        name
        for name, dataset in files.items()
        if (known := dataset.metadata) is not None and not known.is_data and known.cross_section_pb is None
    ]
    if without:
        say(
            f"{few(without, joint=', ')}: simulation without cross_section_pb: no fit, figure or divergence "
            "can be made of it; add it to the fileset first",
            heading="Warning:",
            style="bold",
        )


def write_fileset(samples: Iterable["SampleInfo"], path: Path) -> None:
    """Write what `advtag process` reads: simulation by process, data by primary dataset.

    Raises:
        ValueError: If the processes of a primary dataset do not have the same luminosity.
    """
    from simulation import fileset_of

    folder = path.parent.resolve()
    named = [replace(sample, path=_seen_from(folder, sample.path)) for sample in samples]
    write_text(path, json.dumps(fileset_of(named), indent=2) + "\n")


def add_to_fileset(path: Path, added: Iterable[Path]) -> None:
    """List simulated files in a fileset, beside the simulated files that it lists already.

    Several processes may add to one fileset: each waits until another has added.

    Raises:
        ValueError: If there is a file of that name that is no fileset.
    """
    from simulation import read_sample_info

    with held_file(path, wait=True):
        files = dict.fromkeys(file.resolve() for file in [*files_listed_in(path), *added])
        write_fileset([read_sample_info(file) for file in files], path)


def files_listed_in(path: Path) -> list[Path]:
    """Return the files of a fileset; none if there is no fileset yet.

    Raises:
        ValueError: If there is a file of that name that is no fileset.
    """
    from processors.filesets import read_fileset

    known = read_fileset(path) if path.exists() else {}
    return [Path(name) for dataset in known.values() for name in dataset.files]


def files_to_list(infos: Iterable["SampleInfo"], first: str) -> list[Path]:
    """Return which files of variations a fileset holds: those of the first scenario, and of the only data.

    Variations are the same events again, so there is one scenario of simulation, and one of data.
    """
    infos = list(infos)
    data = {info.scenario for info in infos if info.is_data}
    listed = {first} | (data if len(data) == 1 else set())
    return [info.path for info in infos if info.scenario in listed]


def _seen_from(folder: Path, file: Path) -> Path:
    """Return a path below the folder relative to it, any other one absolute."""
    absolute = file.resolve()
    return absolute.relative_to(folder) if absolute.is_relative_to(folder) else absolute
