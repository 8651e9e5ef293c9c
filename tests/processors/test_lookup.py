import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from processors.lookup import read_lookup

BINNING: dict[str, Any] = {
    "nodetype": "binning",
    "input": "pt",
    "edges": [20.0, 50.0, 100.0],
    "content": [0.9, 0.8],
    "flow": "error",
}


def correction(data: Any, inputs: tuple[tuple[str, str], ...] = (("pt", "real"),)) -> dict[str, Any]:
    return {
        "name": "sf",
        "version": 1,
        "inputs": [{"name": name, "type": kind} for name, kind in inputs],
        "output": {"name": "weight", "type": "real"},
        "data": data,
    }


def write(path: Path, *corrections: dict[str, Any]) -> Path:
    text = json.dumps({"schema_version": 2, "corrections": list(corrections)}).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


@pytest.mark.parametrize("name", ["sf.json", "sf.json.gz"])
@pytest.mark.parametrize("flow", ["error", "clamp", 0.0, 1.0])
def test_a_look_up_outside_a_table_is_that_at_its_edge(tmp_path: Path, name: str, flow: Any) -> None:
    lookup = read_lookup(write(tmp_path / name, correction(BINNING | {"flow": flow})), "sf")
    values = lookup.evaluate({"pt": np.array([5.0, 20.0, 49.0, 50.0, 99.0, 100.0, 1e6])}, 7)
    assert values.tolist() == [0.9, 0.9, 0.9, 0.8, 0.8, 0.8, 0.8]


def test_no_object_is_looked_up_nowhere(tmp_path: Path) -> None:
    lookup = read_lookup(write(tmp_path / "sf.json", correction(BINNING)), "sf")
    assert lookup.evaluate({"pt": np.empty(0)}, 0).shape == (0,)


def test_a_table_without_inputs_per_object_gives_each_object_the_same(tmp_path: Path) -> None:
    data = {"nodetype": "category", "input": "year", "content": [{"key": "2017", "value": 0.7}]}
    lookup = read_lookup(write(tmp_path / "sf.json", correction(data, (("year", "string"),))), "sf")
    assert lookup.evaluate({"year": "2017"}, 3).tolist() == [0.7, 0.7, 0.7]
    assert lookup.missing_key({"year": "2017"}) is None
    assert lookup.missing_key({"year": "2018"}) == "no year '2018': choose from 2017"


def test_a_missing_file_or_correction_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"puWeights\.json: no such file of corrections"):
        read_lookup(tmp_path / "puWeights.json", "sf")
    path = write(tmp_path / "sf.json", correction(BINNING))
    with pytest.raises(ValueError, match="no correction 'NUM_TightID' in it: choose from sf"):
        read_lookup(path, "NUM_TightID")


@pytest.mark.parametrize("content", [b"nonsense", b"{}", b"\x1f\x8b nonsense", b'{"schema_version": 1}'])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "sf.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"sf\.json: not a"):
        read_lookup(path, "sf")


def test_a_table_that_does_not_fit_its_schema_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "sf.json", correction({"nodetype": "binning", "input": "eta", "edges": [0, 1]}))
    with pytest.raises(ValueError, match="correction 'sf' is not valid"):
        read_lookup(path, "sf")
