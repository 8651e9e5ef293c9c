"""The validation as a whole, on a few simulated events."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.features import BRANCHES
from simulation import SampleInfo
from simulation.validation.checks import count_verdicts
from simulation.validation.ranges import outside_reference, range_rows, read_reference
from simulation.validation.reading import group_files, read_sample
from simulation.validation.validate import validate

Simulate = Callable[[str, str], SampleInfo]


def test_jets_of_data_get_their_flavours_from_the_truth_beside(sample: Simulate) -> None:
    read = read_sample([sample("wc", "data").path])
    assert read.is_data
    assert set(np.unique(read.jets.flavour)) <= {0, 1, 2, 3}
    assert (read.weight == 1).all()
    assert read.lifetimes is None
    assert 1 in read.muons.origin


def test_data_without_truth_are_read_and_the_lack_is_noted(sample: Simulate, tmp_path: Path) -> None:
    alone = tmp_path / "alone.root"
    shutil.copy(sample("dy", "data").path, alone)
    read = read_sample([alone])
    assert set(read.jets.flavour) == {-1}
    assert "no truth file" in read.notes[0]


def test_two_files_are_one_sample(sample: Simulate) -> None:
    path = sample("dy", "mc").path
    once, twice = read_sample([path]), read_sample([path, path])
    assert len(twice.jets.raw) == 2 * len(once.jets.raw)
    assert twice.jets.event.max() == once.jets.event.max() + len(once.weight)
    assert twice.muons.event.max() > once.muons.event.max()


def test_validation_tells_what_it_found_and_what_it_lacks(sample: Simulate) -> None:
    files = [sample(process, scenario).path for process, scenario in (("dy", "mc"), ("dy", "data"))]
    files.append(sample("qcd", "mc").path)
    steps: list[tuple[int, int]] = []
    found = validate(files, progress=lambda done, total: steps.append((done, total)))
    assert steps == [(1, 3), (2, 3), (3, 3)]
    assert found.training_mix == "qcd"
    assert found.n_events["dy (mc)"] == 150
    assert len(found.defaults) == 4 * len(BRANCHES)
    assert {row.scenario for row in found.agreement} == {"data"}
    reasons = {row.name: row.note for row in found.checks if row.verdict == "skipped"}
    assert "no files of scenario null" in reasons.values()
    assert "no real PFNano file given" in reasons.values()
    assert sum(count_verdicts(found.checks).values()) == len(found.checks)
    assert {"b", "light"} <= {spectrum.series for spectrum in found.spectra}


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such file"):
        group_files([tmp_path / "absent.root"])
    with pytest.raises(ValueError, match="no file to validate"):
        validate([])


def test_ranges_find_inputs_in_other_units(sample: Simulate) -> None:
    reference = read_reference(sample("qcd", "mc").path)
    assert outside_reference(range_rows([reference], name="mc", reference=reference, source="same")) == []
    in_mm = reference.copy()
    column = BRANCHES.index("Jet_DeepCSV_trackJetPt")
    in_mm[:, column] = np.where(in_mm[:, column] > 0, 1000 * in_mm[:, column], in_mm[:, column])
    rows = range_rows([reference], name="mc", reference=in_mm, source="other units")
    assert outside_reference(rows) == ["Jet_DeepCSV_trackJetPt"]
