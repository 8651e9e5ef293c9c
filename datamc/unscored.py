"""Checkpoints without a result: jets that got no score, and what follows from it.

A jet whose outputs are no finite numbers is filled below 0. Data and simulation then agree in that bin
whatever the jets look like: nothing may be called agreement that rests on it.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamc.histograms import (
    DATA_VARIANT,
    NOMINAL,
    Floats,
    chosen_cells,
    scenarios_of,
    scores_of,
)
from datamc.records import Result
from datamc.scenarios import Scenario

MOST_UNSCORED = 0.1
"""Largest share of jets without a score, in data or simulation, that a computed tagger may have.

Its divergence is too small by about this share, which is below most errors. A tagger read from the files may
have more: files hold jets to which CMS's taggers give no score.
"""


_NEARLY_ALL = 1 - 1e-9


class Unscored(NamedTuple):
    """The jets without a score of one checkpoint and variant; NaN where there are no jets at all."""

    data: float
    """Share of the jets in data."""
    mc: float
    """Share in simulation, jets counted with the squares of their weights (which never cancel)."""


def unscored_shares(result: Result) -> dict[Scenario, Unscored]:
    """Return the share of jets without a score of every checkpoint and variant, at nominal weights."""
    points = scenarios_of(result)
    if not points:
        return {}
    histogram = result.histograms[scores_of(result)[0]]
    below = np.append(True, np.append(histogram.axes["value"].edges[1:] <= 1e-9, False))
    is_data = np.array([result.datasets[name].is_data for name in histogram.axes["dataset"]], dtype=bool)
    shares = {}
    for point in points:
        recorded = _jets(result, point._replace(variant=DATA_VARIANT))[is_data]
        simulated = _jets(result, point)[~is_data]
        shares[point] = Unscored(_share(recorded, below), _share(simulated, below))
    return shares


def without_result(result: Result) -> dict[Scenario, str]:
    """Return the checkpoints and variants that have no result, each with the reason."""
    computed = {(each["name"], each["epoch"]) for each in result.config.get("taggers") or ()}
    shares = unscored_shares(result)
    is_known = ~np.isnan(np.array(list(shares.values())).reshape(-1, 2)).all(axis=0)
    reasons = {}
    for point, own in shares.items():
        most = MOST_UNSCORED if point[:2] in computed else _NEARLY_ALL
        if any(np.isnan(share) and known for share, known in zip(own, is_known, strict=True)):
            reasons[point] = "some of its histograms were never filled: process it again"
        elif (largest := np.nanmax(own)) > most:
            some = "no jet" if largest == 1 else f"{100 * (1 - largest):.3g} % of the jets"
            role = "data" if own.data == largest else "simulation"
            outputs = "the outputs" if largest == 1 else "the outputs for the others"
            reasons[point] = (
                f"{some} in {role} got a score, {outputs} are no finite numbers: train or export it again"
            )
    return reasons


def scenarios_with_result(result: Result) -> list[Scenario]:
    """Return every (tagger, epoch, variant) that has a result, in the order of `scenarios_of`."""
    without = without_result(result)
    return [point for point in scenarios_of(result) if point not in without]


def no_result_sentences(results: Iterable[Result]) -> list[str]:
    """Return what is left out everywhere, a sentence per checkpoint and reason."""
    found: dict[tuple[str, int, str], dict[str, list[str]]] = {}
    for result in results:
        for point, reason in without_result(result).items():
            by_selection = found.setdefault((point.tagger, point.epoch, reason), {})
            by_selection.setdefault(result.selection, []).append(point.variant)
    sentences = []
    for (tagger, epoch, reason), by_selection in found.items():
        variants = list(dict.fromkeys(name for names in by_selection.values() for name in names))
        sentences.append(
            f"{tagger}, epoch {epoch} ({', '.join(variants)}) has no result in {', '.join(by_selection)}: "
            f"{reason}"
        )
    return sentences


def _jets(result: Result, point: Scenario) -> Floats:
    """Return squared weights by dataset and bin, shape `(n_datasets, n_bins + 2)`; zeros if never filled."""
    histogram = result.histograms[scores_of(result)[0]]
    cells = chosen_cells(histogram, {**point._asdict(), "systematic": NOMINAL})
    # (dataset, flavour, sign, bin)
    return np.asarray(cells["variance"].sum(axis=(1, 2)))[: len(histogram.axes["dataset"])]


def _share(jets: Floats, below: NDArray[np.bool_]) -> float:
    total = float(jets.sum())
    return float(jets[:, below].sum()) / total if total != 0 else float("nan")
