"""The blocks of events: which event is in which, what is filled, and that nothing depends on chunks."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datamc.results import Result, Scenario, merge_results, read_result, write_result
from models.discriminators import SCORES
from models.perturbations import JetKeys, parse_variants
from models.tagger import Tagger
from processors.blocks import (
    PREFIX,
    affordable_blocks,
    block_edges,
    block_histogram,
    blocks_of_events,
    fill_blocks,
)
from processors.extras import Extras
from processors.histograms import SCORE_BINNING, Jets
from processors.run import run_selection

N_BLOCKS = 16
RAW = Scenario("basic", 1, "raw")


def keys(n_jets: int, *, jet: int = 0) -> JetKeys:
    number = np.arange(n_jets, dtype=np.uint64)
    return JetKeys(np.full(n_jets, 7), number // 50, number, np.full(n_jets, jet))


def run(fileset: dict[str, Any], taggers: list[Tagger], **options: Any) -> Result:
    variants = parse_variants("raw,fgsm:0.1")
    extras = Extras(blocks=N_BLOCKS)
    return run_selection(
        selection="dy", fileset=fileset, taggers=taggers, variants=variants, extras=extras, **options
    )


@pytest.fixture(scope="module")
def taggers(tagger: Callable[..., Tagger]) -> list[Tagger]:
    return [tagger("basic", 1, seed=1), tagger("adversarial", 1, seed=3)]


@pytest.fixture(scope="module")
def whole(fileset: dict[str, Any], taggers: list[Tagger]) -> Result:
    return run(fileset, taggers)


def test_all_jets_of_an_event_are_in_its_block_and_blocks_are_equally_full() -> None:
    block = blocks_of_events(keys(16_000), N_BLOCKS)
    np.testing.assert_array_equal(block, blocks_of_events(keys(16_000, jet=3), N_BLOCKS))
    np.testing.assert_array_equal(block[100:300], blocks_of_events(keys(300), N_BLOCKS)[100:])
    # 1000 +- 31 each: chi2 of 15 degrees of freedom, below 37.7 in 99.9 %
    counts = np.bincount(block, minlength=N_BLOCKS)
    assert ((counts - 1000) ** 2 / 1000).sum() < 37.7


def test_the_bins_of_the_scores_are_sums_of_those_of_the_blocks() -> None:
    n_bins, low, high = SCORE_BINNING
    distance = np.abs(block_edges()[:, np.newaxis] - np.linspace(low, high, n_bins + 1)).min(axis=0)
    assert distance.max() < 1e-9
    assert (np.diff(block_edges()) > 0).all()


def test_a_jet_is_filled_with_its_weight_by_block_sign_and_score() -> None:
    histogram = block_histogram("dy", 4, [RAW])
    sign, weight = np.array([1, 1, -1], np.int8), np.array([2.0, 0.5, 3.0])
    jets = Jets("dy", np.array([4, 5, 0]), sign, weight)
    fill_blocks(histogram, jets, np.array([3, 0, 3]), np.array([1.0, -0.1, 0.5]), RAW)
    cells = histogram.view()[0, :, :, 0]
    assert cells[3, 0, -1] == 2.0
    assert cells[0, 0].sum() == 0.5
    assert cells[3, 1].sum() == 3.0
    assert cells.sum() == 5.5


@pytest.mark.parametrize("score", SCORES)
def test_the_sum_of_the_blocks_is_the_histogram_of_the_score(whole: Result, score: str) -> None:
    blocks, histogram = whole.histograms[PREFIX + score], whole.histograms[score]
    axes = ("dataset", "sign", "tagger", "epoch", "variant")
    np.testing.assert_allclose(
        blocks.project(*axes).view(), histogram.project(*axes).values(), rtol=1e-9, atol=1e-9
    )
    assert len(blocks.axes["block"]) == N_BLOCKS


@pytest.mark.parametrize("options", [{"chunksize": 50}, {"executor": "futures", "workers": 2}])
def test_chunks_and_executors_change_no_block(
    fileset: dict[str, Any], taggers: list[Tagger], whole: Result, options: dict[str, Any]
) -> None:
    other = run(fileset, taggers, **options)
    for score in SCORES:
        one, two = (result.histograms[PREFIX + score] for result in (whole, other))
        assert tuple(one.axes) == tuple(two.axes)
        np.testing.assert_allclose(one.view(), two.view(), rtol=1e-12, atol=1e-12)


def test_two_halves_are_the_whole_and_survive_their_files(
    fileset: dict[str, Any], taggers: list[Tagger], whole: Result, tmp_path: Path
) -> None:
    halves = []
    for number, entries in enumerate(([0, 150], [150, 300])):
        files = {
            name: dataset | {"files": {path: {"entries": entries} for path in dataset["files"]}}
            for name, dataset in fileset.items()
        }
        path = tmp_path / f"{number}.zip"
        write_result(run(files, taggers), path)
        halves.append(read_result(path))
    merged = merge_results(halves)
    for score in SCORES:
        one, two = merged.histograms[PREFIX + score], whole.histograms[PREFIX + score]
        np.testing.assert_allclose(one.view(), two.view(), rtol=1e-12, atol=1e-12)


def test_data_that_are_the_simulated_events_are_known_by_their_result(
    fileset: dict[str, Any], taggers: list[Tagger], whole: Result, tmp_path: Path
) -> None:
    marked = {
        name: dataset | {"metadata": dataset["metadata"] | {"same_events": True, "simulated": True}}
        if dataset["metadata"]["is_data"]
        else dataset
        for name, dataset in fileset.items()
    }
    path = tmp_path / "same.zip"
    write_result(run(marked, taggers), path)
    assert read_result(path).same_events
    assert not whole.same_events
    own = merge_results([read_result(path)])
    own.datasets["data"] = replace(own.datasets["data"], same_events=False)
    with pytest.raises(ValueError, match="same_events is False in one result and True in another"):
        merge_results([own, read_result(path)])


def test_blocks_become_fewer_until_they_fit() -> None:
    assert affordable_blocks(32, scenarios=6, scores=8) == 32
    # 2 signs x 78 bins x 8 bytes x 8 x 1200 = 11.4 MB a block: 16 fit into 192 MB, 32 do not
    assert affordable_blocks(32, scenarios=1200, scores=8) == 16
    assert affordable_blocks(32, scenarios=12_000, scores=8) == 0
    assert affordable_blocks(0, scenarios=1, scores=8) == 0
