"""Random filesets: events and weights add up to an independent count, or a file is named."""

from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from benchmarks.reliability.accounting import WITH_LOSSES, judge
from benchmarks.reliability.filesets import Configuration, Pool, make_pool, random_configuration
from benchmarks.reliability.trials import Ended
from datamc.results import write_result
from processors.filesets import read_fileset
from processors.run import run_selection


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    """Good files of known content, and damaged ones."""
    return make_pool(tmp_path_factory.mktemp("pool"))


def processed(configuration: Configuration, folder: Path) -> tuple[Ended, Path]:
    """What the command does, in this process: its exit code, its sentence and its result."""
    path = folder / "dy.zip"
    try:
        result = run_selection(
            selection="dy",
            fileset=read_fileset(configuration.fileset),
            chunksize=configuration.chunksize,
            skip_bad_files=configuration.skip_bad_files,
        )
    except (ValueError, OSError) as error:
        return Ended(1, "", f"Error: {error}"), path
    write_result(result, path)
    lost = any(entry.status != "processed" for entry in result.ledger)
    return Ended(WITH_LOSSES if lost else 0, "", ""), path


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(rng=st.randoms(use_true_random=True, note_method_calls=False))
def test_nothing_is_lost_or_counted_twice(
    rng: Random, pool: Pool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("case")
    configuration = random_configuration(rng, pool, folder)
    what, problems = judge(configuration, *processed(configuration, folder))
    assert problems == [], (what, configuration.files)
