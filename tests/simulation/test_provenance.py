from pathlib import Path

import pytest
import uproot

from simulation.provenance import read_provenance


def test_what_is_written_is_what_is_read(sample) -> None:
    path = sample("dy", "mc").path
    assert read_provenance(path)["request"]["process"] == "dy"


def test_other_files_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.root: no such file"):
        read_provenance(tmp_path / "absent.root")
    text = tmp_path / "text.root"
    text.write_text("nothing")
    with pytest.raises(ValueError, match=r"text\.root: not a ROOT file"):
        read_provenance(text)
    other = tmp_path / "other.root"
    with uproot.recreate(other) as file:
        file["name"] = "other"
    with pytest.raises(ValueError, match=r"other\.root: not made by this simulation"):
        read_provenance(other)
