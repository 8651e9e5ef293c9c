"""Copies with fewer branches: every number of an analysis stays what it is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot

from models.perturbations import parse_variants
from models.tagger import Tagger
from processors.filesets import parse_fileset
from processors.run import run_selection
from processors.skim import skim, skimmed_fileset
from simulation.fixture import fixture_files

SELECTIONS = ("dy", "wc", "ttsemilep")


def test_a_skim_gives_the_same_results(tmp_path: Path, tagger: Callable[..., Tagger]) -> None:
    files = fixture_files()
    metadata = {"is_data": False, "process": "mc", "cross_section_pb": 2.0}
    fileset = parse_fileset(
        {name: {"files": {str(files[name]): "Events"}, "metadata": metadata} for name in ("dy", "ttsl")}
    )
    told: list[tuple[int, int]] = []
    copies = skim(
        fileset, tmp_path, selections=SELECTIONS, progress=lambda done, total: told.append((done, total))
    )
    n_dy, n_ttsl = (uproot.open(files[name])["Events"].num_entries for name in ("dy", "ttsl"))
    assert [copy.n_kept for copy in copies] == [n_dy, n_ttsl]
    assert told == [(n_dy, n_dy + n_ttsl), (n_dy + n_ttsl, n_dy + n_ttsl)]
    skimmed = skimmed_fileset(fileset, copies)
    options: dict[str, Any] = {"taggers": [tagger()], "variants": parse_variants("raw,noise:0.1,fgsm:0.1")}
    for selection in SELECTIONS:
        whole = run_selection(selection=selection, fileset=fileset, **options)
        small = run_selection(selection=selection, fileset=skimmed, **options)
        assert whole.histograms == small.histograms
        assert whole.cutflows == small.cutflows
        assert whole.datasets == small.datasets


def test_a_skim_varies_as_its_source_does(tmp_path: Path) -> None:
    """What the members of LHEScaleWeight mean is told by the title of that branch."""
    fileset = parse_fileset({"mc": [str(fixture_files()["ttsl"])]})
    skimmed = skimmed_fileset(fileset, skim(fileset, tmp_path, selections=["ttsemilep"]))
    whole, small = (
        run_selection(selection="ttsemilep", fileset=files, systematics="weight_only")
        for files in (fileset, skimmed)
    )
    assert whole.histograms == small.histograms
    sums = small.datasets["mc"].variation_sums
    assert sums == whole.datasets["mc"].variation_sums
    assert len({round(sums[name], 3) for name in ("muRUp", "muRDown", "muFUp", "muFDown")}) == 4


def test_the_trees_beside_the_events_are_copied(tmp_path: Path) -> None:
    source = fixture_files()["dy"]
    (copy,) = skim(parse_fileset({"dy": [str(source)]}), tmp_path, selections=["dy"])
    with uproot.open(source) as whole, uproot.open(copy.path) as small:
        for tree in ("Runs", "LuminosityBlocks"):
            assert small[tree].arrays().to_list() == whole[tree].arrays().to_list()
        assert str(small["advtag_simulation"]) == str(whole["advtag_simulation"])
        kept, before = set(small["Events"].keys()), set(whole["Events"].keys())
        assert kept < before
        assert {"Jet_pt", "nJet", "genWeight", "HLT_Mu17_TrkIsoVVL_Mu8_TrkIsoVVL_DZ_Mass8"} <= kept
        assert "HLT_IsoMu24" not in kept
        assert small.file.compression.name == "ZSTD"
        assert "[0] is muR=0.5" in whole["Events/LHEScaleWeight"].title
        for name in kept:
            if name.startswith(("Jet_", "PSWeight", "LHE")):
                assert small["Events"][name].title == whole["Events"][name].title
        for name in ("Jet_DeepCSV_vertexMass", "Jet_pt", "genWeight", "Muon_charge"):
            first, second = (file["Events"][name].array() for file in (whole, small))
            assert ak.array_equal(first, second, dtype_exact=True), name


def test_data_without_a_trigger_may_be_left_out(
    tmp_path: Path, make_events: Callable[..., dict[str, ak.Array]], write: Callable[..., Path]
) -> None:
    """Simulation stays whole, whatever was asked for: its sum of weights divides its cross section."""
    events = {name: make_events(100, seed=1, is_data=name == "data") for name in ("data", "mc")}
    files = {name: [str(write(tmp_path / f"{name}.root", made))] for name, made in events.items()}
    data, mc = skim(parse_fileset(files), tmp_path / "skimmed", selections=["dy"], triggered=True)
    fired = events["data"]["HLT_Mu17_TrkIsoVVL_Mu8_TrkIsoVVL_DZ_Mass8"]
    assert (data.n_kept, mc.n_kept) == (int(np.count_nonzero(fired)), 100)
    with uproot.open(data.path) as file:
        assert file["Events/event"].array().to_list() == events["data"]["event"][fired].tolist()


def test_a_damaged_file_leaves_no_copy(
    tmp_path: Path, make_events: Callable[..., dict[str, ak.Array]], write: Callable[..., Path]
) -> None:
    path = write(tmp_path / "mc.root", make_events(300, seed=4, is_data=False), cluster=50)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2000] = bytes(2000)
    path.write_bytes(bytes(content))
    with pytest.raises(OSError, match=f"^{path}: "):
        skim(parse_fileset({"mc": [str(path)]}), tmp_path / "skimmed", selections=["dy"])
    assert [file for file in (tmp_path / "skimmed").rglob("*") if file.is_file()] == []
