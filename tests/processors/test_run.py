from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from datamc.results import Result
from models.perturbations import parse_variants
from models.tagger import Tagger
from processors.run import run_selection

VARIANTS = parse_variants("raw,noise:0.1,fgsm:0.1")


def run(fileset: dict[str, object], taggers: list[Tagger], **options: Any) -> Result:
    options = {"selection": "dy", "variants": VARIANTS, "seed": 3} | options
    return run_selection(fileset=fileset, taggers=taggers, **options)


@pytest.fixture(scope="module")
def taggers(tagger: Callable[..., Tagger]) -> list[Tagger]:
    return [tagger("basic", 1, seed=1), tagger("basic", 2, seed=2), tagger("adversarial", 1, seed=3)]


@pytest.fixture(scope="module")
def whole(fileset: dict[str, object], taggers: list[Tagger]) -> Result:
    return run(fileset, taggers)


def require_equal(first: Result, second: Result) -> None:
    """All histograms alike: same axes, same entries, sums of weights to rounding."""
    assert list(first.histograms) == list(second.histograms)
    for name, histogram in first.histograms.items():
        other = second.histograms[name]
        assert tuple(histogram.axes) == tuple(other.axes), name
        for part in ("value", "variance"):
            np.testing.assert_allclose(
                histogram.view(flow=True)[part], other.view(flow=True)[part], rtol=1e-12, atol=1e-12
            )
    for name, rows in first.cutflows.items():
        assert [row.cut for row in rows] == [row.cut for row in second.cutflows[name]]
        assert [row.n_events for row in rows] == [row.n_events for row in second.cutflows[name]]
    assert first.ledger == second.ledger


@pytest.mark.parametrize("chunksize", [50, 170])
def test_chunk_size_changes_nothing(
    fileset: dict[str, object], taggers: list[Tagger], whole: Result, chunksize: int
) -> None:
    require_equal(run(fileset, taggers, chunksize=chunksize), whole)


def test_a_pool_of_processes_changes_nothing(
    fileset: dict[str, object], taggers: list[Tagger], whole: Result
) -> None:
    require_equal(run(fileset, taggers, chunksize=100, executor="futures", workers=2), whole)


def test_dask_changes_nothing(fileset: dict[str, object], taggers: list[Tagger], whole: Result) -> None:
    require_equal(run(fileset, taggers, chunksize=100, executor="dask", workers=2), whole)
