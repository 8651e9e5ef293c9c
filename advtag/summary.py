"""What `advtag demo` prints at its end: divergence, performance and purity, each as one small table."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from advtag.production import Comparison
from advtag.tables import show
from models.discriminators import SCORES

if TYPE_CHECKING:
    from datamc.divergence import DivergenceRow
    from training.evaluate import AucRow


def show_summary(found: Comparison, areas: Sequence["AucRow"]) -> None:
    """Print the tables of the last epoch."""
    show(purity_rows(found), title="Flavours of the selected jets (simulation)", as_json=False)
    show(auc_rows(areas), title="AUC on unseen jets, last epoch", as_json=False)
    for selection in found.results:
        show(
            divergence_rows(found.divergence, selection),
            title=f"{selection}: KL(data ‖ simulation), last epoch, 1e-4 nats, ± half the 68 % band",
            as_json=False,
        )


def purity_rows(found: Comparison) -> list[dict[str, Any]]:
    """Return one row a selection with the fraction of each flavour, in per cent."""
    from datamc.normalisation import purity_table

    rows: dict[str, dict[str, Any]] = {}
    for row in purity_table(found.results.values()):
        view = "" if row.view == "OS+SS" else f" ({row.view})"
        columns = rows.setdefault(row.selection, {"selection": f"{row.selection}{view}"})
        columns[row.group] = f"{100 * row.fraction:.1f} ± {100 * row.error:.1f} %"
    return list(rows.values())


def auc_rows(areas: Sequence["AucRow"]) -> list[dict[str, Any]]:
    """Return one row a score and tagger: raw AUC, and what each distortion costs."""
    last = {area.tagger: area.epoch for area in sorted(areas, key=lambda area: area.epoch)}
    rows = []
    for score in dict.fromkeys(area.score for area in areas):
        for tagger, epoch in last.items():
            of_tagger = {
                area.variant: area.auc
                for area in areas
                if (area.score, area.tagger, area.epoch) == (score, tagger, epoch)
            }
            costs = {
                f"loss, {variant}": f"{of_tagger['raw'] - area:.4f}"
                for variant, area in of_tagger.items()
                if variant != "raw"
            }
            rows.append({"score": score, "tagger": tagger, "raw": f"{of_tagger['raw']:.4f}"} | costs)
    return rows


def divergence_rows(divergence: Iterable["DivergenceRow"], selection: str) -> list[dict[str, Any]]:
    """Return one row a score and tagger of a selection: the divergence of each variant, in 1e-4 nats.

    One column is what statistics alone are expected to give, for the raw inputs.
    """
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for row in sorted(divergence, key=lambda row: row.epoch):
        if row.selection != selection:
            continue
        start = {"score": row.score, "tagger": row.tagger, "statistics alone": f"{1e4 * row.offset:.0f}"}
        columns = rows.setdefault((row.score, row.tagger), start)
        text = f"{1e4 * row.kl:.0f} ± {1e4 * (row.high - row.low) / 2:.0f}"
        # Epochs come in order, so the last one stays.
        columns[row.variant] = text if row.status == "ok" else row.status
    return sorted(rows.values(), key=lambda columns: SCORES.index(columns["score"]))
