"""Names in files are data: whatever a dataset or tagger is called, files stay where they belong."""

import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from advtag.cli import main
from advtag.processing import _write
from datamc.corrections import file_stem
from datamc.results import read_result
from processors.filesets import parse_fileset
from processors.run import run_selection
from simulation.fixture import fixture_files
from storage.names import figure_name, file_name

LEAD_OUT = ("../../victim/settings", "..", "con/../aux")
"""Refused in a fileset; results of others may hold them."""
NAMES = (
    "dy",
    "DY",
    "/DYJetsToLL/Run2017-v1/NANOAODSIM",
    "two\nlines and\ttabs ..",
    "\x1b]0;owned\x07/settings",
    "$(touch owned); `touch owned`",
    "/DYJetsToLL/Run2017-v1_NANOAODSIM",
    ".",
    ".hidden",
    "Ω µµ",
    "x" * 300,
    *LEAD_OUT,
)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    work = tmp_path / "deep" / "er" / "work"
    work.mkdir(parents=True)
    monkeypatch.chdir(work)

    def run_command(*line: str) -> None:
        monkeypatch.setattr(sys, "argv", ["advtag", *line])
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code in (0, None)

    return run_command


@pytest.fixture
def fileset() -> dict[str, Any]:
    """The worst names, each for events of its own."""
    metadata = {"is_data": False, "process": "mc", "cross_section_pb": 2.0, "simulated": True}
    files = list(fixture_files().values())
    return {
        name: {"files": {str(file): "Events"}, "metadata": metadata}
        for name, file in zip(NAMES[2 : 2 + len(files)], files, strict=True)
    }


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_tables_of_jets_lie_in_the_output_each_with_its_own_events(
    run: Callable[..., None],
    fileset: dict[str, Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("fs.json").write_text(json.dumps(fileset))
    capsys.readouterr()
    run("process", "--selection", "inclusive", "--fileset", "fs.json", "--executor", "iterative",
        "--columns", "--out", "out")  # fmt: skip
    printed = capsys.readouterr()
    assert all(line.isprintable() for line in (printed.out + printed.err).split("\n"))
    assert "settings" in printed.out
    tables = {path: pyarrow.parquet.read_table(path) for path in Path("out/inclusive_jets").iterdir()}
    assert {path.name for path in tables} == {f"{file_name(name)}.parquet" for name in fileset}
    cutflows = read_result(Path("out/inclusive.zip")).cutflows
    for name, rows in cutflows.items():
        table = tables[Path("out/inclusive_jets", f"{file_name(name)}.parquet")]
        assert len(set(table["event"].to_pylist())) == rows[-1].n_events > 0
    work = Path.cwd().relative_to(tmp_path)
    assert files_below(tmp_path) == {
        f"{work}/{name}" for name in ("fs.json", "out/inclusive.zip", *(str(path) for path in tables))
    }


@pytest.mark.parametrize("name", LEAD_OUT)
def test_a_dataset_whose_name_leads_out_of_a_folder_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="leads out of a folder"):
        parse_fileset({name: ["a.root"]})


def test_copies_lie_in_the_output(run: Callable[..., None], fileset: dict[str, Any], tmp_path: Path) -> None:
    Path("fs.json").write_text(json.dumps(fileset))
    run("skim", "--selection", "dy", "--fileset", "fs.json", "--out", "out")
    listed = json.loads(Path("out/fileset.json").read_text())
    assert list(listed) == list(fileset)
    copies = [Path(file) for dataset in listed.values() for file in dataset["files"]]
    assert len(set(copies)) == len(fileset)
    assert files_below(tmp_path / "deep" / "er" / "work" / "out") == {
        "fileset.json", *(f"{copy.parent.name}/{copy.name}" for copy in copies),
    }  # fmt: skip
    assert len(files_below(tmp_path)) == len(fileset) + 2


def test_luminosity_files_lie_in_the_output(tmp_path: Path) -> None:
    fileset = parse_fileset({"dy": [str(fixture_files()["dy"])]})
    result = run_selection(selection="dy", fileset=fileset)
    renamed = replace(
        result,
        datasets=dict.fromkeys(NAMES, result.datasets["dy"]),
        sections={name: {str(n): [[1, 2]]} for n, name in enumerate(NAMES)},
    )
    _write(renamed, tmp_path / "a" / "out", chunks=None)
    folder = tmp_path / "a" / "out" / "dy_sections"
    assert files_below(tmp_path) == {
        "a/out/dy.zip", *(f"a/out/dy_sections/{file_name(name)}.json" for name in NAMES),
    }  # fmt: skip
    for n, name in enumerate(NAMES):
        assert json.loads((folder / f"{file_name(name)}.json").read_text()) == {str(n): [[1, 2]]}


@pytest.mark.parametrize(
    "name_of", [lambda name: file_stem(name, 3, "raw"), lambda name: file_stem("basic", 3, name), figure_name]
)
def test_files_of_taggers_and_variants_are_plain_and_differ(name_of: Callable[[str], str]) -> None:
    made = [name_of(name) for name in (*NAMES, "raw", "fgsm:0.1", "pgd:0.1:steps=5")]
    assert len(set(made)) == len(made)
    assert [name for name in made if not re.fullmatch(r"[A-Za-z0-9_+@][A-Za-z0-9_.+@=-]*", name)] == []
    assert all(len(name) < 200 for name in made)


def test_files_of_usual_taggers_and_variants_are_called_as_ever() -> None:
    assert file_stem("basic", 20, "raw") == "basic_epoch_020_raw"
    assert file_stem("adv.s1", 1, "noise_fgsm:0.1:0.05") == "adv.s1_epoch_001_noise_fgsm_0.1_0.05"
    assert file_stem("b", 1, "pgd:0.1:steps=5:step=0.05") == "b_epoch_001_pgd_0.1_steps=5_step=0.05"
    assert figure_name("stack", "dy", "CvsL", "basic", 20, "fgsm:0.1") == "stack_dy_CvsL_basic_20_fgsm-0.1"
    assert figure_name("s", "pgd:0.1:steps=5") == "s_pgd-0.1-steps-5"
