"""What `advtag demo` prints at its end: purity, performance and divergence, each as one small table."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import typer

from advtag.production import Comparison, last_epochs
from advtag.tables import as_json_text, show

if TYPE_CHECKING:
    from datamc.differences import DifferenceRow
    from datamc.divergence import DivergenceRow
    from datamc.history import HistoryRow
    from datamc.toys import ToyRow
    from training.evaluate import AucRow


def show_summary(found: Comparison, areas: Sequence["AucRow"], *, as_json: bool) -> None:
    """Print the numbers of the last epoch as tables, or as one JSON object with all their digits."""
    from datamc.normalisation import purity_table

    if as_json:
        tables: dict[str, Iterable[Any]] = {
            "purity": purity_table(found.results.values()),
            "auc": areas,
            "divergence": found.divergence,
        }
        rows = {name: [row._asdict() for row in table] for name, table in tables.items()}
        rows = {name: last_epochs(table) if name != "purity" else table for name, table in rows.items()}
        typer.echo(as_json_text(rows))
        return
    show(purity_rows(found), title="Flavours of the selected jets (simulation)", as_json=False)
    show(auc_rows(areas), title="AUC on unseen jets, last epoch", as_json=False)
    show_divergence(found.divergence)


def show_divergence(rows: Sequence["DivergenceRow"]) -> None:
    """Print a table per selection with the divergence at the last epoch."""
    for selection in dict.fromkeys(row.selection for row in rows):
        show(
            divergence_rows(rows, selection),
            title=f"{selection}: KL(data ‖ simulation), last epoch, 1e-4 nats, ± half the 68 % band",
            as_json=False,
        )


def show_differences(rows: Sequence["DifferenceRow"]) -> None:
    """Print the clearest differences of trainings at their last epochs, and how many chance would bring.

    BvsC is left out: it is 1 - CvsB, and would count the same difference twice.
    """
    from datamc.differences import expected_by_chance

    last: dict[str, int] = {}
    for row in rows:
        for tagger, epoch in ((row.tagger, row.epoch), (row.reference, row.reference_epoch)):
            last[tagger] = max(epoch, last.get(tagger, epoch))
    chosen = [r for r in rows if r.variant == "raw" and r.measure == "kl"]
    chosen = [r for r in chosen if (r.epoch, r.reference_epoch) == (last[r.tagger], last[r.reference])]
    chosen = sorted((r for r in chosen if r.score != "BvsC"), key=lambda row: -abs(row.significance))
    if chosen:
        clear = sum(abs(row.significance) >= 2 for row in chosen)
        show(
            [
                {
                    "selection": row.selection, "score": row.score,
                    "difference": f"{row.tagger} - {row.reference}",
                    "epochs": _epochs(row),
                    "KL, 1e-4": f"{1e4 * row.difference:.1f} ± {1e4 * row.error:.1f}",
                    "sigma": row.significance,
                    "ratio": f"{row.ratio:.2f} ± {row.ratio_error:.2f}" if row.ratio_error else None,
                }
                for row in chosen[:8]
            ],
            title=f"Clearest differences beyond statistics, last epoch: {clear} of {len(chosen)} by 2 sigma, "
            f"{expected_by_chance(chosen):.1f} expected by chance",
            as_json=False,
        )  # fmt: skip


def _epochs(row: "DifferenceRow") -> str:
    """Return the epoch of both trainings, or of each where they differ."""
    same = row.epoch == row.reference_epoch
    return str(row.epoch) if same else f"{row.epoch} - {row.reference_epoch}"


def history_rows(history: Sequence["HistoryRow"]) -> list[dict[str, Any]]:
    """Return one row a tagger, variant and flavour: how far the scale factors are from 1, last epoch."""
    rows = last_epochs([row._asdict() for row in history])
    return [
        {
            "tagger": row["tagger"],
            "variant": row["variant"],
            "flavour": row["flavour"],
            "cells measured": f"{row['n_ok']} of {row['n_cells']}",
            "mean |SF - 1|": row["mean_deviation"] if row["n_ok"] else None,
            "error": row["error"] if row["n_ok"] else None,
            "statistics alone": row["expected"] if row["n_ok"] else None,
            "excess": row["excess"] if row["n_ok"] else None,
        }
        for row in rows
    ]


def toy_rows(rows: Sequence["ToyRow"]) -> list[dict[str, Any]]:
    """Return one row an engine and flavour: mean and width of the pulls with their errors."""
    return [
        {
            "engine": row.engine,
            "flavour": row.flavour,
            "ok": f"{row.n_ok} of {row.n_toys}",
            "true": row.true,
            "mean": row.mean,
            "pull mean": f"{row.pull_mean:.3f} ± {row.pull_mean_error:.3f}",
            "pull width": f"{row.pull_width:.3f} ± {row.pull_width_error:.3f}",
            "within 1": row.within_one,
        }
        for row in rows
    ]


def comparison_rows(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one row a flavour: how far two files of scale factors are apart."""
    return [
        {
            "flavour": row["flavour"],
            "bins": row["n_bins"],
            "left at 1": f"{row['n_left_at_one']}, {row['n_left_at_one_second']}",
            "bad errors": row["n_bad_errors"],
            "mean": row["mean_difference"],
            "rms": row["rms_difference"],
            "pull mean": row["pull_mean"],
            "pull width": row["pull_width"],
            "default": row["default_difference"],
        }
        for row in rows
    ]


def purity_rows(found: Comparison) -> list[dict[str, Any]]:
    """Return one row a selection and view of the signs, with the fraction of each flavour in per cent."""
    from datamc.normalisation import purity_table

    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for row in purity_table(found.results.values()):
        view = "" if row.view == "OS+SS" else f" {row.view}"
        columns = rows.setdefault((row.selection, row.view), {"selection": f"{row.selection}{view}"})
        columns[row.group] = f"{100 * row.fraction:.1f} ± {100 * row.error:.1f} %"
    return list(rows.values())


def auc_rows(areas: Sequence["AucRow"]) -> list[dict[str, Any]]:
    """Return one row a score and tagger: raw AUC, and what each distortion costs, at the last epoch."""
    raw = {_place(area): area.auc for area in areas if area.variant == "raw"}
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for area in sorted(areas, key=_place):
        start = {"score": area.score, "tagger": area.tagger}
        columns = rows.setdefault((area.score, area.tagger), start)
        # Epochs come in order, so the last one stays.
        if area.variant == "raw":
            columns["raw"] = f"{area.auc:.4f}"
        else:
            columns[f"loss, {area.variant}"] = f"{raw[_place(area)] - area.auc:.4f}"
    return list(rows.values())


def divergence_rows(divergence: Iterable["DivergenceRow"], selection: str) -> list[dict[str, Any]]:
    """Return one row a score and tagger of a selection: the divergence of each variant, in 1e-4 nats.

    One column is what statistics alone are expected to give, for the raw inputs.
    """
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for row in sorted(divergence, key=_place):
        if row.selection != selection:
            continue
        start = {"score": row.score, "tagger": row.tagger, "statistics alone": ""}
        columns = rows.setdefault((row.score, row.tagger), start)
        text = f"{1e4 * row.kl:.0f} ± {1e4 * (row.high - row.low) / 2:.0f}"
        # Epochs come in order, so the last one stays.
        columns[row.variant] = text if row.status == "ok" else row.status
        if row.variant == "raw":
            columns["statistics alone"] = f"{1e4 * row.offset:.0f}"
    return list(rows.values())


def _place(row: "AucRow | DivergenceRow") -> tuple[int, bool, str, int]:
    """Return where a row stands: scores in their own order, the basic training first, epochs in order."""
    from models.discriminators import SCORES

    return SCORES.index(row.score), row.tagger != "basic", row.tagger, row.epoch
