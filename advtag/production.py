"""What a production left on disk, read back for the commands that compare."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from advtag.progress import ProgressCallback, say
from storage.wording import few

if TYPE_CHECKING:
    from datamc.agreement import Agreement
    from datamc.area_errors import AreaErrors
    from datamc.divergence import DivergenceRow
    from datamc.fit import FitCard
    from datamc.one_production import Named
    from datamc.reference_curve import Areas
    from datamc.results import Result
    from datamc.scale_factors import ScaleFactors
    from training.evaluate import AucDifferenceRow, AucRow, RocRow


class Comparison(NamedTuple):
    """Results by selection, and what was computed from them."""

    results: dict[str, "Result"]
    divergence: list["DivergenceRow"]
    scale_factors: list["ScaleFactors"]
    agreement: "Agreement"
    """The divergence again, with differences of trainings and, if areas are known, all at equal AUC."""
    null: list["DivergenceRow"]
    """The divergence of null data; empty without."""


def compare(
    results: dict[str, "Result"],
    *,
    coarse: bool,
    replicas: int = 200,
    evaluation: Path | None = None,
    null: "Mapping[str, Result] | None" = None,
    progress: ProgressCallback | None = None,
) -> Comparison:
    """Return the divergence of every score and, where all three selections are there, the scale factors.

    Args:
        results: By selection.
        coarse: Whether the scale factors are solved in few large cells.
        replicas: Bootstrap replicas of the divergence's band.
        evaluation: Folder of `advtag evaluate`, for the comparison at equal AUC; None for none.
        null: Results of null data, by selection.
        progress: Called with the steps done and their total.
    """
    from datamc.agreement import agreement, divergence_table
    from datamc.planes import FIT_SELECTIONS

    areas = noised_areas(evaluation)
    measured = agreement(
        results,
        n_bootstrap=replicas,
        seed=1,
        areas=areas,
        area_errors=area_errors(evaluation),
        progress=progress,
    )
    chance = divergence_table(null, n_bootstrap=replicas, seed=1) if null else []
    fitted = solve_all(results, coarse=coarse) if set(FIT_SELECTIONS) <= set(results) else []
    return Comparison(results, measured.divergence, fitted, measured, chance)


def noised_areas(evaluation: Path | None) -> "Areas":
    """Return the AUC with noise of all checkpoints from a folder of `advtag evaluate`; empty without."""
    from datamc.reference_curve import read_noised_areas

    return {} if evaluation is None else read_noised_areas(evaluation / "noised_areas.csv")


def area_errors(evaluation: Path | None) -> "AreaErrors":
    """Return the errors of differences of areas from a folder of `advtag evaluate`; empty without."""
    from datamc.area_errors import read_area_errors

    return {} if evaluation is None else read_area_errors(evaluation / "auc_differences.csv")


def write_agreement(
    found: "Agreement", path: Path, *, null: "Sequence[DivergenceRow] | None" = None
) -> list[Path]:
    """Write the divergence as CSV and the other tables beside it; return all paths.

    These are `differences.csv`, `reference_curve.csv`, `equal_auc.csv` and, of a null data set, `null.csv`.
    """
    from datamc.differences import write_differences
    from datamc.divergence import write_divergence
    from datamc.reference_curve import write_curve, write_equal_auc

    others = [path.with_name(f"{name}.csv") for name in ("differences", "reference_curve", "equal_auc")]
    write_divergence(found.divergence, path)
    write_differences(found.differences, others[0])
    write_curve(found.curve, others[1])
    write_equal_auc(found.equal_auc, others[2])
    if null is not None:
        others.append(path.with_name("null.csv"))
        write_divergence(null, others[-1])
    return [path, *others]


def last_epochs(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of each tagger's last epoch: what a person looks at first."""
    last: dict[str, int] = {}
    for row in rows:
        last[row["tagger"]] = max(row["epoch"], last.get(row["tagger"], 0))
    return [row for row in rows if row["epoch"] == last[row["tagger"]]]


def cutflow_rows(result: "Result") -> list[dict[str, Any]]:
    """Return one row per dataset and cut: events left and the sum of their weights; N-1 passes all others."""
    others = {
        (dataset, row.cut): row.n_events for dataset, rows in result.n_minus_one.items() for row in rows
    }
    return [
        {
            "selection": result.selection,
            "dataset": dataset,
            "cut": row.cut,
            "events": row.n_events,
            "sum of weights": row.sum_weights,
            "N-1": others.get((dataset, row.cut), row.n_events),
        }
        for dataset, rows in result.cutflows.items()
        for row in rows
    ]


def ledger_sentence(result: "Result") -> str:
    """Return what became of all events, in one line."""
    expected = sum(entry.n_expected for entry in result.ledger)
    processed = sum(entry.n_processed for entry in result.ledger)
    lost = sum(entry.n_lost for entry in result.ledger)
    text = f"{expected} events expected, {processed} processed, {lost} declared lost"
    # A file that never opened did not tell how many events it holds.
    unknown = sum(entry.status != "processed" and entry.n_expected == 0 for entry in result.ledger)
    return f"{text}, and {unknown} files of unknown content were not read" if unknown else text


def normalisation_sentence(result: "Result") -> str | None:
    """Return the factor data/MC of the selection; None without jets of both, or where it means nothing.

    Once simulation is scaled to data nothing else would show that a trigger or a luminosity is wrong. What no
    simulation can be scaled with is said here, too: the result is whole for all that.
    """
    from datamc.histograms import luminosity_pb
    from datamc.normalisation import data_over_mc, probe_jet_counts, view_of

    simulated = [dataset for dataset in result.datasets.values() if not dataset.is_data]
    try:
        is_scaled = all(each.cross_section_pb is not None for each in simulated)
        if not (simulated and is_scaled and luminosity_pb(result)) or result.config.get("jets") == "all":
            return None
        found = data_over_mc(probe_jet_counts(result), view_of(result))
    except ValueError as error:
        return f"no result can rest on this: {error}"
    if found.n_data <= 0 or found.n_mc <= 0:
        return None
    jets = f"{found.n_data:.4g} jets in data, {found.n_mc:.4g} expected"
    return f"data/MC of {result.selection} is {found.factor:.3g} ± {found.error:.2g} ({jets})"


def defaults_sentence(result: "Result") -> str | None:
    """Return how many tagger inputs of the selected jets held no value; None if no tagger was asked for."""
    if "defaults" not in result.histograms:
        return None
    counts: Any = result.histograms["defaults"].project("feature", "is_default")
    n_default, n_all = counts[:, 1].values(), counts.values().sum(axis=1)
    if not n_all.any():
        return "no jet was selected, so no tagger input was read"
    most = int(n_default.argmax())
    share = 100 * n_default[most] / n_all[most]
    return (
        f"{n_all[most]:.0f} jets got scores; {n_default.sum():.0f} of their {n_all.sum():.0f} inputs are "
        f"defaults, most often {counts.axes['feature'].value(most)} ({share:.0f} %)"
    )


def read_results(paths: Sequence[Path]) -> dict[str, "Result"]:
    """Return the results in folders or files by selection; parts of one selection are merged.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If a file is no result, or they were not made alike.
    """
    from datamc.one_production import Named, require_one_production
    from datamc.results import read_result

    files = [file for path in paths for file in (sorted(path.glob("*.zip")) if path.is_dir() else [path])]
    if not files:
        raise FileNotFoundError(
            f"{', '.join(map(str, paths))}: no result (*.zip) there: run `advtag process` first"
        )
    named = [Named(str(file), read_result(file)) for file in files]
    require_one_production(named)
    parts: dict[str, list[Named]] = {}
    for each in named:
        parts.setdefault(each.result.selection, []).append(each)
    # Always in the same order, so that tables and random numbers do not depend on the names of files.
    return {name: _merged(parts[name]) for name in sorted(parts)}


def _merged(parts: "Sequence[Named]") -> "Result":
    """Return the sum of the parts of one selection; an error names their files."""
    from datamc.results import merge_results

    try:
        return merge_results([part.result for part in parts])
    except ValueError as error:
        raise ValueError(f"{few([part.name for part in parts], joint=', ')}: {error}") from error


def read_null(paths: Sequence[Path] | None, results: "Mapping[str, Result]") -> "dict[str, Result]":
    """Return the results of null data by selection, made like `results`; empty without paths.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If a file is no result, or they were not made alike.
    """
    from datamc.one_production import Named, require_same_settings

    if not paths:
        return {}
    null = read_results(paths)
    own = [Named(f"the result of {name}", result) for name, result in results.items()]
    chance = [Named(f"the null data of {name}", result) for name, result in null.items()]
    require_same_settings([*own, *chance])
    return null


def tell_what_has_no_result(results: "Mapping[str, Result]") -> None:
    """Say which checkpoints and variants are left out since jets got no scores."""
    from datamc.unscored import no_result_sentences

    for sentence in no_result_sentences(results.values()):
        say(sentence, heading="Note:")


class Evaluation(NamedTuple):
    """Tables of `advtag evaluate`: areas, points of ROC curves, and differences of areas on the same jets."""

    areas: list["AucRow"]
    curves: list["RocRow"]
    differences: list["AucDifferenceRow"]


def read_evaluation(folder: Path | None) -> Evaluation:
    """Return the tables that `advtag evaluate` left in a folder; without a folder they are empty."""
    if folder is None:
        return Evaluation([], [], [])
    from training.evaluate import read_auc_difference_table, read_auc_table, read_roc_table

    return Evaluation(
        read_auc_table(folder / "auc.csv"),
        read_roc_table(folder / "roc.csv"),
        read_auc_difference_table(folder / "auc_differences.csv"),
    )


def beside(paths: Sequence[Path]) -> Path:
    """Return the folder for what is made of results, if the user names none: that of the first."""
    return paths[0] if paths[0].is_dir() else paths[0].parent


def solve_all(
    results: "Mapping[str, Result]",
    *,
    coarse: bool,
    card: "FitCard | None" = None,
    only: Collection[tuple[str, int]] | None = None,
    progress: ProgressCallback | None = None,
) -> list["ScaleFactors"]:
    """Return the scale factors of every checkpoint and variant that all three selections hold.

    Those of some checkpoints (tagger, epoch) alone if they are given.

    Raises:
        ValueError: If a selection of the fit is missing, or there is no such checkpoint.
    """
    from datamc.fit import card_for, fit_history

    return fit_history(results, card=card_for(card, coarse=coarse), only=only, progress=progress)


def write_scale_factors(
    results: "Mapping[str, Result]", factors: Sequence["ScaleFactors"], folder: Path
) -> None:
    """Write per checkpoint and variant a correction, all of the fit, and histograms; and tables of all."""
    from datamc.corrections import file_stem, provenance_of, write_correctionlib
    from datamc.history import HistoryRow, history_rows
    from datamc.scale_factor_files import write_root
    from datamc.scale_factor_files import write_scale_factors as write_npz
    from datamc.scale_factors import ScaleFactorRow, scale_factor_rows
    from datamc.yields import YieldRow, yield_rows
    from storage.tables import write_table

    provenance = provenance_of(list(results.values()))
    for each in factors:
        stem = file_stem(each.tagger, each.epoch, each.variant)
        write_correctionlib(each, folder / f"{stem}.json", provenance=provenance)
        write_npz(each, folder / f"{stem}.npz")
        write_root(each, folder / f"{stem}.root")
    write_table(history_rows(factors), folder / "history.csv", kind=HistoryRow)
    cells = [row for each in factors for row in scale_factor_rows(each)]
    write_table(cells, folder / "scale_factors.csv", kind=ScaleFactorRow)
    write_table([row for each in factors for row in yield_rows(each)], folder / "yields.csv", kind=YieldRow)
