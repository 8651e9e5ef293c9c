"""Data counted by their true flavours: what `advtag true-scale-factors` does, without its options."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from advtag.progress import ProgressCallback
from storage.names import file_name

if TYPE_CHECKING:
    from datamc.closure import TrueScaleFactors
    from datamc.results import Result
    from models.tagger import Tagger
    from processors.filesets import Fileset


def process_revealed(
    fileset: "Fileset",
    taggers: Sequence["Tagger"],
    *,
    joined: ProgressCallback,
    progress: Mapping[str, ProgressCallback],
    **options: Any,
) -> dict[str, "Result"]:
    """Return results that hold the data of a fileset twice: as they are, and as jets of known flavour.

    The processor is the same as for any other file: each data file is joined with its truth into a file that
    looks like simulation, for as long as this takes. There an event counts as one, so that the number of
    jets of a flavour is theirs.

    Args:
        fileset: Datasets; simulation in it is left out.
        taggers: Whose scores are filled.
        joined: Called with the data files joined with their truth, and how many there are.
        progress: By selection, of those that are processed.
        options: Of `processors.run.run_selection`.

    Raises:
        ValueError: If no data of a selection are simulated.
        FileNotFoundError: If truth is missing.
    """
    from processors.run import run_selection

    results = {}
    with tempfile.TemporaryDirectory(prefix="advtag_revealed_") as folder:
        twice = _twice(fileset, Path(folder), joined)
        for selection, moved in progress.items():
            own = _own_data(twice, selection, **made_like(options))
            result = run_selection(
                selection=selection, fileset=own, taggers=taggers, progress=moved, **options
            )
            results[selection] = _counting_jets(result)
    return results


def _twice(fileset: "Fileset", folder: Path, joined: ProgressCallback) -> dict[str, dict[str, Any]]:
    """Return the data of a fileset with, for each, a dataset of the same events with truth."""
    from simulation.revealed import reveal

    data = {
        name: (dataset, dataset.metadata)
        for name, dataset in fileset.items()
        if dataset.metadata is not None and dataset.metadata.is_data
    }
    for name, (_, metadata) in data.items():
        if not metadata.simulated:
            raise ValueError(f"{name}: recorded data have no truth: take them out of the fileset")
    n_files, n_joined = sum(len(dataset.files) for dataset, _ in data.values()), 0
    datasets: dict[str, dict[str, Any]] = {}
    for name, (dataset, metadata) in data.items():
        copies = []
        for number, path in enumerate(dataset.files):
            copies.append(reveal(Path(path), folder / f"{file_name(name)}_{number}.root"))
            n_joined += 1
            joined(n_joined, n_files)
        datasets[name] = dataset.model_dump()
        datasets[f"{name} revealed"] = {
            "files": [str(copy) for copy in copies],
            "metadata": {"is_data": False, "process": "data", "simulated": True},
            "primary_dataset": metadata.primary_dataset,
        }
    return datasets


def made_like(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the profile and the year of a configuration, as far as it tells them."""
    return {name: config[name] for name in ("profile", "year") if name in config}


def _own_data(twice: Mapping[str, dict[str, Any]], selection: str, **row: Any) -> dict[str, Any]:
    """Return the datasets of a selection's primary dataset."""
    from selections.parameters import parameters_of
    from selections.primary_datasets import names_of, starts_from

    parameters = parameters_of(selection, **row)
    own = {}
    for name, dataset in twice.items():
        metadata = dataset["metadata"]
        primary = dataset.get("primary_dataset", metadata.get("primary_dataset"))
        if starts_from(parameters, primary):
            own[name] = {"files": dataset["files"], "metadata": metadata}
    if not own:
        raise ValueError(
            f"no simulated data of {' or '.join(names_of(parameters))} for the selection {selection}: "
            "add them to the fileset"
        )
    return own


def _counting_jets(result: "Result") -> "Result":
    """Return the result with cross sections by which every event of the revealed data counts as one."""
    from datamc.histograms import luminosity_pb

    luminosity = luminosity_pb(result) or 1.0
    records = {
        name: record if record.is_data else replace(record, cross_section_pb=record.sum_weights / luminosity)
        for name, record in result.datasets.items()
    }
    return replace(result, datasets=records)


def taggers_in(results: Mapping[str, "Result"], taggers: Sequence["Tagger"]) -> list["Tagger"]:
    """Return the taggers whose scores the results of all selections of the fit hold.

    Raises:
        ValueError: If there is none, a selection is missing, or a name means another network there.
    """
    from datamc.fit import fit_points
    from datamc.one_production import networks_of, require_same_networks

    named = [(f"the result of {name}", networks_of(result)) for name, result in results.items()]
    asked = {(tagger.name, tagger.epoch): tagger.content_hash for tagger in taggers}
    require_same_networks([*named, ("--taggers", asked)])
    known = {(name, epoch) for name, epoch, _ in fit_points(results)}
    found = [tagger for tagger in taggers if (tagger.name, tagger.epoch) in known]
    if not found:
        raise ValueError("the results hold none of these taggers: process them first, or leave --results out")
    return found


def compare_with_truth(
    results: Mapping[str, "Result"],
    revealed: Mapping[str, "Result"],
    *,
    coarse: bool,
    progress: ProgressCallback | None = None,
) -> list["TrueScaleFactors"]:
    """Return the true scale factors of every revealed checkpoint, and variant, in the cells of its fit.

    Args:
        results: Data and simulation of all selections of the fit; checkpoints that are not revealed stay out.
        revealed: What `process_revealed` returns.
        coarse: Whether the cells are few and large.
        progress: Called with the fits done and their total.

    Raises:
        ValueError: If not all selections of the fit hold a revealed checkpoint.
    """
    from advtag.production import solve_all
    from datamc.cells import COARSE_BINNING, PUBLISHED_BINNING
    from datamc.closure import true_scale_factors
    from datamc.histograms import taggers_of

    binning = COARSE_BINNING if coarse else PUBLISHED_BINNING
    known = taggers_of(next(iter(revealed.values())))
    factors = solve_all(results, coarse=coarse, only=known, progress=progress)
    return [
        true_scale_factors(fitted, results=results, revealed=revealed, binning=binning) for fitted in factors
    ]
