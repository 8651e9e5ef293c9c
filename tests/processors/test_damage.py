"""Corrupted bytes in a file: an error, or the right numbers; never wrong ones."""

from pathlib import Path

import numpy as np
import pytest

from datamc.results import Result
from models.tagger import Tagger
from processors.opening import clusters_of
from processors.run import run_selection
from simulation.fixture import fixture_files

N_TRIALS = 15


def run(path: Path, tagger: Tagger) -> Result:
    return run_selection(selection="dy", fileset={"mc": [str(path)]}, taggers=[tagger])


def test_corrupted_bytes_never_give_wrong_numbers(tmp_path: Path, tagger) -> None:
    """The file is compressed in LZMA, which has check sums; some bytes of it are replaced at random."""
    source = fixture_files()["dy"]
    content, network = source.read_bytes(), tagger()
    truth = run(source, network)
    path = tmp_path / "damaged.root"
    outcomes = []
    for seed in range(N_TRIALS):
        rng = np.random.default_rng(seed)
        n_bytes = int(rng.choice([1, 4, 100]))
        start = int(rng.integers(0, len(content) - n_bytes))
        path.write_bytes(content[:start] + rng.bytes(n_bytes) + content[start + n_bytes :])
        try:
            result = run(path, network)
        except (OSError, ValueError) as error:
            outcomes.append("many lines" if "\n" in str(error) else "error")
        else:
            assert result.histograms == truth.histograms, seed
            assert result.datasets == truth.datasets, seed
            outcomes.append("right")
    assert {"error", "right"} == set(outcomes)


@pytest.mark.parametrize(
    ("offsets", "n_events", "clusters"),
    [
        ([0, 100, 300], 300, (0, 100, 300)),
        ([300], 300, (0, 300)),  # seen in a damaged file: its events were left out without a word
        ([0, 200, 100, 300], 300, (0, 300)),
        ([0, 100], 300, (0, 300)),
        ([], 300, (0, 300)),
        ([0], 0, (0,)),
        ([], 0, (0, 0)),
    ],
)
def test_clusters_that_leave_out_events_are_not_believed(
    offsets: list[int], n_events: int, clusters: tuple[int, ...]
) -> None:
    assert clusters_of(offsets, n_events) == clusters
