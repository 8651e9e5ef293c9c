"""Numbers of the first version on the events that come with the package: a refactoring keeps them.

`kept_numbers.npz` was written by version 0.1 with `python tests/packaging/test_kept_numbers.py FILE`. Whoever
changes a number on purpose writes the file anew and says why in the commit.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from models.tagger import load_taggers
from models.variants import parse_variants
from processors.run import run_selection
from simulation.fixture import fixture_files

KEPT = Path(__file__).with_name("kept_numbers.npz")
SELECTIONS = {"dy": "dy", "wc": "wc", "ttsemilep": "ttsl", "inclusive": "ttsl"}
SCORES = ("b", "bb", "c", "udsg", "BvsL", "BvsC", "CvsB", "CvsL")
SHARE_OF_JETS = 0.005
"""Share of jets that may change a bin between processors, whose last bits differ."""


def processed(folder: Path) -> dict[str, np.ndarray]:
    """Return cutflows, histograms and scores of all selections, by name."""
    taggers = load_taggers([Path("pretrained")], epochs=[20])
    variants = parse_variants("raw,noise:0.1,fgsm:0.1")
    numbers: dict[str, Any] = {}
    for selection, process in SELECTIONS.items():
        result = run_selection(
            selection=selection,
            fileset={process: [str(fixture_files()[process])]},
            taggers=taggers,
            variants=variants,
            table=folder / selection,
        )
        rows = [(row.n_events, row.sum_weights, row.sum_weights2) for row in result.cutflows[process]]
        numbers[f"{selection}/cutflow"] = np.array(rows, dtype=np.float64)
        for name, histogram in result.histograms.items():
            numbers[f"{selection}/histogram/{name}"] = histogram.project(
                *(axis.name for axis in histogram.axes if axis.name not in ("dataset", "sign", "systematic"))
            ).values(flow=True)
        jets = pq.read_table(folder / selection / f"{process}.parquet")
        columns = [name for name in jets.column_names if name.rpartition("/")[2] in SCORES]
        numbers[f"{selection}/scores"] = np.stack([jets[name].to_numpy() for name in columns], axis=1)
    return numbers


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    return processed(tmp_path_factory.mktemp("kept"))


@pytest.fixture(scope="module")
def kept() -> dict[str, np.ndarray]:
    with np.load(KEPT) as file:
        return dict(file)


@pytest.mark.parametrize("selection", SELECTIONS)
def test_cutflows_are_those_of_the_first_version(
    selection: str, numbers: dict[str, np.ndarray], kept: dict[str, np.ndarray]
) -> None:
    np.testing.assert_array_equal(numbers[f"{selection}/cutflow"], kept[f"{selection}/cutflow"])


@pytest.mark.parametrize("selection", SELECTIONS)
def test_scores_are_those_of_the_first_version(
    selection: str, numbers: dict[str, np.ndarray], kept: dict[str, np.ndarray]
) -> None:
    now, then = numbers[f"{selection}/scores"], kept[f"{selection}/scores"]
    assert now.shape == then.shape
    # A gradient of nearly 0 may change its sign with the last bits of a processor.
    moved = np.abs(now - then) > 1e-4
    assert moved.any(axis=1).mean() <= SHARE_OF_JETS


def test_histograms_are_those_of_the_first_version(
    numbers: dict[str, np.ndarray], kept: dict[str, np.ndarray]
) -> None:
    names = [name for name in kept if "/histogram/" in name]
    assert {name for name in numbers if "/histogram/" in name} >= set(names)
    for name in names:
        moved = np.abs(numbers[name] - kept[name]).sum() / 2
        assert moved <= SHARE_OF_JETS * kept[name].sum(), name


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        np.savez_compressed(sys.argv[1], **processed(Path(scratch)))
