"""The command that fits scale factors."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from datamc.planes import FIT_SELECTIONS
from datamc.results import read_result, write_result


def test_toys_leave_a_table_and_a_figure(advtag, tmp_path: Path) -> None:
    finished = advtag("fit", "--toys", 30, "--engine", "solve", "--out", tmp_path / "toys", "--json")
    assert finished.returncode == 0, finished.stderr
    rows = json.loads(finished.stdout)
    assert [(row["engine"], row["flavour"], row["n_toys"]) for row in rows] == [
        ("solve", flavour, 30) for flavour in ("c", "b", "light")
    ]
    with (tmp_path / "toys" / "toys.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 3
    assert {path.name for path in (tmp_path / "toys").iterdir()} == {"toys.csv", "pulls.png", "pulls.pdf"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("fit",), "nothing to fit"),
        (("fit", "none"), "none: no such result file"),
        (("fit", "--toys", "5", "--config", "none.yaml"), "no such card"),
        (("compare-scale-factors", "a.json", "b.root"), "a.json: no such file of scale factors"),
        (("process", "--selection", "dy", "--fileset", "f.json", "--out", "o"), "f.json"),
    ],
)
def test_what_is_wrong_is_one_sentence(advtag, tmp_path: Path, arguments: tuple[str, ...], told: str) -> None:
    finished = advtag(*arguments, cwd=tmp_path)
    assert finished.returncode == 1
    assert told in " ".join(finished.stderr.split())
    assert "Traceback" not in finished.stderr
    assert list(tmp_path.iterdir()) == []


def test_errors_of_the_same_events_in_two_detectors_are_called_too_large(
    advtag, production: Path, tmp_path: Path
) -> None:
    for name in FIT_SELECTIONS:
        result = read_result(production / "results" / f"{name}.zip")
        datasets = {
            key: replace(record, same_events=True) if record.is_data else record
            for key, record in result.datasets.items()
        }
        write_result(replace(result, datasets=datasets), tmp_path / f"{name}.zip")
    finished = advtag("fit", tmp_path, "--coarse")
    assert finished.returncode == 0, finished.stderr
    assert "Note: data are the events of the simulation in another detector" in finished.stderr
    assert "Note: data are" not in advtag("fit", production / "results", "--coarse", "--out", tmp_path).stderr
