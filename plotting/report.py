"""One HTML file that shows a production to a person: opens from disk, needs no network, trusts no string."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from datamc.differences import DifferenceRow
from datamc.divergence import DivergenceRow
from datamc.histograms import taggers_of
from datamc.history import history_rows
from datamc.records import Result
from datamc.reference_curve import CurvePoint, EqualAucRow
from datamc.scale_factors import ScaleFactors
from datamc.unscored import no_result_sentences
from plotting.details import details
from plotting.json_numbers import embedded_json
from plotting.null_data import null_sentence
from plotting.pages import packaged, rendered
from plotting.payload import fitting_epochs, fitting_planes, report_payload
from plotting.performance import cost, equal_auc_sentence, robustness_sentences
from plotting.report_stacks import collect_stacks
from plotting.style import SIMULATED, is_simulated, variant_label
from plotting.summary import CLAIM, agreement_sentences, epoch_sentences, headline
from plotting.tables import (
    auc_tables,
    divergence_tables,
    equal_auc_tables,
    scale_factor_tables,
    verdict_tables,
)
from plotting.tagging import AucDifferenceRow, AucRow, RocRow, roc_curves_of
from storage.files import replaced_file

SCRIPTS = ("charts.js", "stacks.js", "epochs.js", "planes.js", "report.js")
"""In the order they run, as one module: each sees the names of the others."""


INDEPENDENT = (
    "Errors treat the two trainings as independent; they see the same events, so the true error is likely "
    "smaller."
)
"""Said where no differences were measured on shared events."""


def write_report(
    path: Path,
    *,
    results: Mapping[str, Result],
    divergence: Sequence[DivergenceRow] = (),
    null: Sequence[DivergenceRow] = (),
    differences: Sequence[DifferenceRow] = (),
    curve: Sequence[CurvePoint] = (),
    equal_auc: Sequence[EqualAucRow] = (),
    scale_factors: Sequence[ScaleFactors] = (),
    auc_rows: Sequence[AucRow] = (),
    roc_rows: Sequence[RocRow] = (),
    auc_differences: Sequence[AucDifferenceRow] = (),
    title: str = "Tagger agreement between data and simulation",
) -> Path:
    """Write the report of a production and return its path.

    Whether the page says "simulated" is read from the results, not from an argument.

    Args:
        path: The HTML file.
        results: One result per selection.
        divergence: As `datamc.divergence` computes them; the summary is made from these rows.
        null: The same of null data, simulated like the simulation; none is fine.
        differences: Of divergences on the same events; without them trainings are taken as independent.
        curve: The reference training with noise on its output: agreement against performance.
        equal_auc: Divergences over those of the reference at the same AUC.
        scale_factors: One per training, epoch and variant; none is fine.
        auc_rows: Areas under ROC curves; none is fine.
        roc_rows: Points of ROC curves; none is fine.
        auc_differences: Of areas on the same jets; without them areas are taken as independent.
        title: The page's heading.
    """
    page = render_report(
        results=results,
        divergence=divergence,
        null=null,
        differences=differences,
        curve=curve,
        equal_auc=equal_auc,
        scale_factors=scale_factors,
        auc_rows=auc_rows,
        roc_rows=roc_rows,
        auc_differences=auc_differences,
        title=title,
    )
    with replaced_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8", newline="\n")
    return path


def render_report(
    *,
    results: Mapping[str, Result],
    divergence: Sequence[DivergenceRow],
    null: Sequence[DivergenceRow],
    differences: Sequence[DifferenceRow],
    curve: Sequence[CurvePoint],
    equal_auc: Sequence[EqualAucRow],
    scale_factors: Sequence[ScaleFactors],
    auc_rows: Sequence[AucRow],
    roc_rows: Sequence[RocRow],
    auc_differences: Sequence[AucDifferenceRow],
    title: str,
) -> str:
    """Return the page's HTML; arguments as `write_report`."""
    epochs = fitting_epochs(results, scale_factors)
    stacks = collect_stacks(results, scale_factors=scale_factors, epochs=epochs)
    simulated = is_simulated(list(results.values()))
    kind = _kind(results, simulated=simulated)
    payload = report_payload(
        stacks,
        divergence=divergence,
        null=null,
        curve=curve,
        auc_rows=auc_rows,
        roc_curves=roc_curves_of(roc_rows),
        scale_factors=fitting_planes(scale_factors),
        history=history_rows(scale_factors),
        simulated=simulated,
    ) | {"kind": kind}
    scripts = [_plotly(), "\n".join(packaged(name) for name in SCRIPTS)]
    return rendered(
        "report.html",
        title=title,
        simulated=simulated,
        kind=kind,
        data_name="simulated events in the role of data" if simulated else "recorded data",
        headline=headline(divergence, differences),
        cost=cost(auc_rows, auc_differences),
        lead=_what_was_run(results, payload),
        summary=_summary(divergence, differences, auc_rows, auc_differences),
        verdicts=verdict_tables(divergence, differences),
        equal_auc=equal_auc_tables(equal_auc),
        trivial_loss=equal_auc_sentence(equal_auc),
        left_out_points=no_result_sentences(results.values()),
        claim=f"{CLAIM:g}",
        paired_note=_error_note(differences),
        has_curve=bool(curve),
        null_sentence=null_sentence(divergence, null),
        has_bands=bool(stacks.bands),
        has_after=bool(stacks.after),
        divergence=divergence_tables(divergence, differences),
        auc=auc_tables(auc_rows),
        has_planes=bool(scale_factors),
        plane_tables=scale_factor_tables(scale_factors),
        details=details(results),
        left_out=any(epoch not in epochs for result in results.values() for _, epoch in taggers_of(result)),
        numbers=Markup(embedded_json(payload)),
        plotly=Markup(scripts[0]),
        script=Markup(scripts[1]),
        script_hashes=Markup(" ".join(_hash(script) for script in scripts)),
    )


def _kind(results: Mapping[str, Result], *, simulated: bool) -> str:
    """Return what the events are, in plain words."""
    roles = [record for result in results.values() for record in result.datasets.values() if record.is_data]
    if not simulated:
        return "Recorded data"
    if all(record.simulated for record in roles):
        return f"{SIMULATED}: no recorded data on this page"
    return f"{SIMULATED} in part: some of the data are recorded, some are not"


def _error_note(differences: Sequence[DifferenceRow]) -> str:
    """Return how errors of differences were made."""
    n_blocks = max((each.n_blocks for each in differences), default=0)
    if not n_blocks:
        return INDEPENDENT
    return (
        "Errors are those of the differences, from replicas in which both trainings see the same events "
        f"({n_blocks} blocks of events)."
    )


def _summary(
    divergence: Sequence[DivergenceRow],
    differences: Sequence[DifferenceRow],
    auc_rows: Sequence[AucRow],
    auc_differences: Sequence[AucDifferenceRow],
) -> list[dict[str, Any]]:
    groups = [
        {
            "title": "Agreement between data and simulation, in words",
            "sentences": [
                *epoch_sentences(divergence, auc_rows),
                *agreement_sentences(divergence, differences),
            ],
            "open": False,
        },
        {
            "title": "Performance and robustness, in words",
            "sentences": robustness_sentences(auc_rows, auc_differences),
            "open": False,
        },
    ]
    return [group for group in groups if group["sentences"]]


def _what_was_run(results: Mapping[str, Result], payload: Mapping[str, Any]) -> str:
    # Selections read the same files: each event counts once.
    read = {
        (entry.dataset, entry.file, entry.entry_start): entry.n_processed
        for result in results.values()
        for entry in result.ledger
    }
    n_files = len({(dataset, file) for dataset, file, _ in read})
    trainings = [
        f"{item['key']} ({_count(len(item['epochs']), 'checkpoint')})" for item in payload["taggers"]
    ]
    variants = [variant_label(item["key"]) for item in payload["variants"]]
    selections = [item["name"] for item in payload["selections"]]
    parts = [
        _listed(trainings, "training"),
        _listed(selections, "selection"),
        f"Inputs of the simulation: {', '.join(variants)}." if variants else "",
        f"{_count(sum(read.values()), 'event')} read from {_count(n_files, 'file')}." if read else "",
    ]
    return " ".join(filter(None, parts))


def _listed(names: Sequence[str], noun: str) -> str:
    return f"{_count(len(names), noun)}: {', '.join(names)}." if names else ""


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}" + ("" if n == 1 else "s")


def _plotly() -> str:
    # Importing plotly takes a while, and only a report needs it.
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def _hash(script: str) -> str:
    """Name a script in the page's security policy: nothing else can run, whatever a string holds."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
