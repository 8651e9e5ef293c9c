import json
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processors.luminosity import certified, read_golden_json

MAX = 2**32 - 1
"""The largest section that 32 bits hold."""


def sections(pairs: list[tuple[int, int]]) -> ak.Array:
    run, section = zip(*pairs, strict=True)
    return ak.Array({"run": np.array(run, np.uint32), "luminosityBlock": np.array(section, np.uint32)})


def certified_pairs(path: Path, text: str, pairs: list[tuple[int, int]]) -> set[tuple[int, int]]:
    path.write_text(text)
    mask = certified(sections(pairs), read_golden_json(path))
    assert mask is not None
    return {pair for pair, is_certified in zip(pairs, mask, strict=True) if is_certified}


NEAR = [(run, section) for run in (1, 2, 3) for section in range(12)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('{"2": [[1, 3]]}', {(2, 1), (2, 2), (2, 3)}),
        ('{"2": [[8, 9], [1, 2]]}', {(2, 1), (2, 2), (2, 8), (2, 9)}),  # out of order
        ('{"2": [[1, 9], [3, 4]]}', {(2, section) for section in range(1, 10)}),  # nested
        ('{"2": [[1, 5], [4, 9]]}', {(2, section) for section in range(1, 10)}),  # overlapping
        ('{"2": [[1, 4], [5, 9]]}', {(2, section) for section in range(1, 10)}),  # touching
        ('{"2": [[0, 2]]}', {(2, 0), (2, 1), (2, 2)}),  # from 0
        ('{"2": [[0, 0], [11, 11]]}', {(2, 0), (2, 11)}),
        ('{"2": [[1, 2]], "2": [[8, 8]]}', {(2, 1), (2, 2), (2, 8)}),  # a run twice
        ('{"2": [[1, 2]], "02": [[8, 8]]}', {(2, 1), (2, 2), (2, 8)}),  # a run twice, in two ways
        ('{"3": [[1, 1]], "1": [[2, 2]]}', {(3, 1), (1, 2)}),  # runs out of order
        ('{"2": [], "3": [[4, 4]]}', {(3, 4)}),  # a run of which nothing is certified
        ('{"2": [[5.0, 6.0]]}', {(2, 5), (2, 6)}),  # whole numbers as a table calculator writes them
        (f'{{"2": [[10, {MAX}]]}}', {(2, 10), (2, 11)}),
        ("{}", set()),
    ],
)
def test_what_one_range_certifies_is_certified(
    tmp_path: Path, text: str, wanted: set[tuple[int, int]]
) -> None:
    assert certified_pairs(tmp_path / "golden.json", text, NEAR) == wanted


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('{"2": [[9, 1]]}', r"run 2: the range \[9, 1\]"),
        ('{"2": [[1.5, 2]]}', "run 2"),
        ('{"2": [[-1, 2]]}', "run 2"),
        ('{"2": [[1]]}', "run 2"),
        ('{"2": [[1, 2, 3]]}', "run 2"),
        ('{"2": [1, 2]}', "run 2"),
        ('{"2": [["one", 2]]}', "run 2"),
        ('{"2": [[NaN, 2]]}', "run 2"),
        ('{"2": [[1, Infinity]]}', "run 2"),
        (f'{{"2": [[1, {MAX + 1}]]}}', "run 2"),
        ('{"2": {"1": 2}}', "run 2"),
        ('{"2": null}', "run 2"),
        ('{"2.0": [[1, 2]]}', "'2.0' is no run"),
        ('{"-2": [[1, 2]]}', "'-2' is no run"),
        ('{"": [[1, 2]]}', "'' is no run"),
        ('{"\u00b2": [[1, 2]]}', "is no run"),
        ("[[2, 1, 2]]", "no runs"),
        ("2", "no runs"),
        ("", "certified luminosity sections"),
        ('{"2": [[1, 2]]', "certified luminosity sections"),
        ("[" * 100_000, "certified luminosity sections"),
    ],
)
def test_what_is_no_list_of_ranges_by_run_is_refused(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "golden.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"^{path}: no list of .*{named}"):
        read_golden_json(path)


RANGES = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)).map(sorted), max_size=6)
FILES = st.lists(st.tuples(st.integers(1, 4), RANGES), max_size=6)


@given(runs=FILES)
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
def test_every_section_of_any_file_is_looked_for_by_itself(
    tmp_path: Path, runs: list[tuple[int, list[list[int]]]]
) -> None:
    text = "{" + ", ".join(f'"{run}": {json.dumps(ranges)}' for run, ranges in runs) + "}"
    pairs = [(run, section) for run in range(6) for section in range(33)]
    wanted = {
        (run, section)
        for run, section in pairs
        if any(run == listed and first <= section <= last for listed, of in runs for first, last in of)
    }
    assert certified_pairs(tmp_path / "golden.json", text, pairs) == wanted


def test_large_numbers_of_runs_and_sections_are_not_mixed_up(tmp_path: Path) -> None:
    pairs = [(run, section) for run in (1, 2, 370_000, 2**31 - 1) for section in (0, 1, 5000, MAX)]
    text = json.dumps({"1": [[0, MAX]], "370000": [[1, 5000]]})
    wanted = {(1, section) for section in (0, 1, 5000, MAX)} | {(370_000, 1), (370_000, 5000)}
    assert certified_pairs(tmp_path / "golden.json", text, pairs) == wanted


def test_a_chunk_without_events_has_none_certified(tmp_path: Path) -> None:
    path = tmp_path / "golden.json"
    path.write_text("{}")
    empty: Any = sections(NEAR)[:0]
    mask = certified(empty, read_golden_json(path))
    assert mask is not None
    assert mask.shape == (0,)
    assert certified(empty, None) is None
