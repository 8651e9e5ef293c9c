"""Jets without scores: what is left out everywhere, and that nothing is made of what does not exist."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from datamc.agreement import agreement
from datamc.fit import fit_history, fit_points
from datamc.histograms import scenarios_of, taggers_of
from datamc.methods import method_study
from datamc.records import Result
from datamc.scenarios import Scenario
from datamc.unscored import no_result_sentences, scenarios_with_result, unscored_shares, without_result
from plotting.figures import plot_results
from plotting.report_stacks import collect_stacks
from plotting.summary import epoch_sentences, headline

BROKEN = Scenario("adversarial", 3, "raw")
FIRST_BIN_FROM_ZERO = 11
"""Of a score's histogram with its underflow: ten bins lie between -0.2 and 0."""


def without_scores(
    result: Result, share: float = 1.0, *, tagger: str = BROKEN.tagger, epoch: int = BROKEN.epoch
) -> Result:
    """Return the result with a share of the jets of one checkpoint in the bin of the defaults.

    So does a tagger leave them whose outputs are NaN.
    """
    histograms = {name: histogram.copy() for name, histogram in result.histograms.items()}
    for histogram in histograms.values():
        if "tagger" not in histogram.axes.name:
            continue
        names = list(histogram.axes.name)
        n_values = len(names) - names.index("systematic") - 1
        view = histogram.view(flow=True)
        place = [slice(None)] * len(names)
        place[names.index("tagger")] = list(histogram.axes["tagger"]).index(tagger)
        place[names.index("epoch")] = list(histogram.axes["epoch"]).index(epoch)
        for field in ("value", "variance"):
            cells = view[field][tuple(place)]
            moved = share * cells.sum(axis=tuple(range(cells.ndim - n_values, cells.ndim)))
            cells *= 1 - share
            cells[(..., 1) if n_values == 1 else (..., 0, 0)] += moved
    config = result.config | {
        "taggers": [{"name": name, "epoch": at, "sha256": "0" * 64} for name, at in taggers_of(result)]
    }
    return replace(result, histograms=histograms, config=config)


def without_points(result: Result, kept: Callable[[Scenario], bool]) -> Result:
    """Return the result with empty cells where a point is not to be kept, as an axis product leaves them."""
    histograms = {name: histogram.copy() for name, histogram in result.histograms.items()}
    for histogram in histograms.values():
        if "tagger" in histogram.axes.name:
            names = list(histogram.axes.name)
            for point in (each for each in scenarios_of(result) if not kept(each)):
                place = [slice(None)] * len(names)
                for name, category in point._asdict().items():
                    place[names.index(name)] = list(histogram.axes[name]).index(category)
                histogram.view(flow=True)[tuple(place)] = np.zeros((), histogram.view().dtype)
    return replace(result, histograms=histograms)


@pytest.mark.parametrize("share", [1.0, 0.3])
def test_a_tagger_without_scores_has_no_result_and_agrees_with_nothing(
    results: dict[str, Result], share: float
) -> None:
    broken = {name: without_scores(result, share) for name, result in results.items()}
    for result in broken.values():
        assert {point.variant for point in without_result(result)} == {"raw", "noise:0.1", "fgsm:0.1"}
        assert {point[:2] for point in without_result(result)} == {BROKEN[:2]}
    found = agreement(broken, n_bootstrap=0)
    statuses = {row.status for row in found.divergence if (row.tagger, row.epoch) == BROKEN[:2]}
    assert statuses == {"no_scores"}
    assert all(row.kl == 0 for row in found.divergence if row.status != "ok")
    assert not any(BROKEN[:2] in (row[4:6], row[6:8]) for row in found.differences)
    assert "agrees better" not in headline([row for row in found.divergence if row.epoch == 3])
    assert not any(
        "epoch 3" in text for name, text in epoch_sentences(found.divergence) if BROKEN.tagger in name
    )
    assert BROKEN[:2] not in {point[:2] for point in fit_points(broken)}
    sentences = no_result_sentences(broken.values())
    assert len(sentences) == (1 if share == 1 else len(sentences))
    assert all("adversarial, epoch 3" in text and "dy" in " ".join(sentences) for text in sentences)


def test_unscored_jets_are_counted(results: dict[str, Result]) -> None:
    # 2 % of the made-up jets have the default score; of the others 5 % lose theirs.
    expected = 0.02 + 0.05 * 0.98
    shares = unscored_shares(without_scores(results["dy"], 0.05))
    assert shares[BROKEN].data == pytest.approx(expected, abs=0.006)
    assert shares[BROKEN].mc == pytest.approx(expected, abs=0.006)
    assert shares[Scenario("basic", 3, "raw")].mc == pytest.approx(0.02, abs=0.005)


def test_a_tagger_of_the_files_may_leave_jets_without_a_score(results: dict[str, Result]) -> None:
    assert without_result(results["dy"]) == {}
    half = replace(without_scores(results["dy"], 0.5), config={})
    assert without_result(half) == {}
    assert without_result(replace(without_scores(results["dy"], 1.0), config={}))


def test_nothing_but_broken_taggers_is_one_sentence(make_result: Callable[..., Result]) -> None:
    broken = {
        name: without_scores(make_result(name, taggers=["basic"], epochs=[3], plane=True), tagger="basic")
        for name in ("dy", "wc", "ttsemilep")
    }
    with pytest.raises(ValueError, match=r"nothing to fit: basic, epoch 3 .* no finite numbers"):
        fit_points(broken)


def test_a_study_does_not_rest_on_a_broken_training(results: dict[str, Result]) -> None:
    broken = without_scores(results["dy"])
    with pytest.raises(ValueError, match=r"dy: adversarial, epoch 3: no jet in data got a score"):
        method_study(broken, scenario="data", methods={"basic": ["basic"], "x": ["adversarial"]}, areas={})


def test_what_was_never_filled_does_not_exist(results: dict[str, Result], tmp_path: Path) -> None:
    def kept(point: Scenario) -> bool:
        return point.variant == "raw" if point.tagger == "basic" else point.epoch == 1

    some = {name: without_points(result, kept) for name, result in results.items()}
    there = [point for point in scenarios_of(results["dy"]) if kept(point)]
    assert scenarios_of(some["dy"]) == scenarios_with_result(some["dy"]) == there
    # basic: raw at both epochs; adversarial: one epoch, three variants
    assert len(there) == 5
    rows = agreement(some, n_bootstrap=0).divergence
    assert {(row.tagger, row.epoch, row.variant) for row in rows} == set(there)
    factors = fit_history(some)
    assert [(each.tagger, each.epoch, each.variant) for each in factors] == there
    assert {key[2:5] for key in collect_stacks(some).before} == set(there)
    written = plot_results({"dy": some["dy"]}, tmp_path, scores=["CvsL"], formats=["png"])
    # basic has no attacked inputs: one stack; adversarial has two
    assert sorted(path.name for path in written) == [
        "stack_dy_CvsL_adversarial_1_fgsm-0.1.png",
        "stack_dy_CvsL_adversarial_1_raw.png",
        "stack_dy_CvsL_basic_3_raw.png",
    ]
