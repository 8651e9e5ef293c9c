"""What `advtag process` does about files it cannot read, and what it leaves behind."""

import json
from pathlib import Path

import pyarrow.parquet
import pytest
import uproot

from datamc.histograms import luminosity_pb
from datamc.results import read_result
from simulation.fixture import fixture_files
from simulation.rewriting import extend_events, grouped

TRUTH = ("genWeight", "Jet_hadronFlavour", "Jet_partonFlavour", "Jet_nBHadrons", "Jet_nCHadrons")


@pytest.fixture(scope="module")
def data_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The events of the package without what only simulation has, named as data."""
    path = tmp_path_factory.mktemp("data") / "good.root"
    with uproot.open(fixture_files()["dy"]) as whole, uproot.recreate(path) as file:
        kept = [name for name in whole["Events"].keys() if name not in TRUTH]  # noqa: SIM118
        columns = whole["Events"].arrays(kept)
        extend_events(file, grouped({name: columns[name] for name in columns.fields}))
    return path


@pytest.fixture
def fileset(data_file: Path, tmp_path: Path) -> Path:
    """One good file and three bad ones."""
    truncated, text = tmp_path / "truncated.root", tmp_path / "text.root"
    truncated.write_bytes(data_file.read_bytes()[:5000])
    text.write_text("no ROOT file at all")
    files = [data_file, truncated, text, tmp_path / "absent.root"]
    metadata = {"is_data": True, "process": "data", "primary_dataset": "DoubleMuon", "luminosity_pb": 1000.0}
    path = tmp_path / "fileset.json"
    path.write_text(
        json.dumps({"data": {"files": dict.fromkeys(map(str, files), "Events"), "metadata": metadata}})
    )
    return path


def test_bad_files_stop_a_run_before_it_writes_anything(advtag, fileset: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    finished = advtag("process", "--selection", "dy", "--fileset", fileset, "--out", out, "--resume")
    assert finished.returncode == 1
    (error,) = [line for line in finished.stderr.splitlines() if line.startswith("Error:")]
    assert all(f"{name}.root: " in error for name in ("truncated", "text", "absent"))
    assert "good.root" not in error
    assert not out.exists()


def test_skipped_files_are_declared_lost_and_the_exit_code_says_so(
    advtag, fileset: Path, tmp_path: Path
) -> None:
    """One file of four is left: all events known, so that the luminosity counts for a quarter."""
    out = tmp_path / "results"
    finished = advtag(
        "process", "--selection", "dy", "--fileset", fileset, "--out", out,
        "--executor", "iterative", "--skip-bad-files", "--resume", "--retries", "0",
    )  # fmt: skip
    assert finished.returncode == 3, finished.stderr
    result = read_result(out / "dy.zip")
    fates = {Path(entry.file).name: (entry.status, entry.reason) for entry in result.ledger}
    assert fates["good.root"] == ("processed", "")
    assert fates["absent.root"] == ("skipped", "no such file")
    assert fates["text.root"] == ("skipped", "not a ROOT file")
    assert fates["truncated.root"][0] == "skipped"
    assert "truncated, 5000 of" in fates["truncated.root"][1]
    assert result.datasets["data"].n_events == uproot.open(fixture_files()["dy"])["Events"].num_entries
    assert luminosity_pb(result) == 250.0
    told = " ".join(finished.stderr.split())
    assert "data: 25 % of its events were processed, its luminosity counts for as much" in told
    # The finished chunk is kept, for when the files are mended.
    assert len(list((out / "chunks" / "dy").glob("*.zip"))) == 1


def test_a_complete_run_leaves_no_chunks_behind(advtag, data_file: Path, tmp_path: Path) -> None:
    fileset, out = tmp_path / "fileset.json", tmp_path / "results"
    fileset.write_text(json.dumps({"data": [str(data_file)]}))
    finished = advtag(
        "process", "--selection", "dy", "--fileset", fileset, "--out", out,
        "--executor", "iterative", "--resume", "--columns",
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    result = read_result(out / "dy.zip")
    assert sorted(path.name for path in out.iterdir()) == ["dy.zip", "dy_jets", "dy_sections"]
    assert json.loads((out / "dy_sections" / "data.json").read_text()) == {
        run: [list(pair) for pair in ranges] for run, ranges in result.sections["data"].items()
    }
    assert [path.name for path in (out / "dy_jets").iterdir()] == ["data.parquet"]
    assert result.usage["peak_memory_mb"] > 50
    table = pyarrow.parquet.read_table(out / "dy_jets" / "data.parquet")
    assert len(table) == result.cutflows["data"][-1].n_events > 50
    assert "jet_pt" in table.column_names


def test_the_factor_of_data_over_simulation_is_told(advtag, data_file: Path, tmp_path: Path) -> None:
    """Data and simulation are the same events: 2 pb x N/pb expect 2 N of N events, a factor of 1/2."""
    n_events = uproot.open(data_file)["Events"].num_entries
    content = {
        "data": {"files": [str(data_file)], "metadata": {
            "is_data": True, "process": "data", "primary_dataset": "DoubleMuon", "luminosity_pb": n_events,
        }},
        "mc": {"files": [str(fixture_files()["dy"])], "metadata": {
            "is_data": False, "process": "dy", "cross_section_pb": 2.0,
        }},
    }  # fmt: skip
    fileset = tmp_path / "fileset.json"
    fileset.write_text(json.dumps(content))
    options = ("--fileset", fileset, "--out", tmp_path / "results", "--executor", "iterative")
    finished = advtag("process", "--selection", "dy", *options)
    assert finished.returncode == 0, finished.stderr
    assert "data/MC of dy is 0.5 ±" in " ".join(finished.stderr.split())


def test_what_cannot_be_written_or_selected_is_told_before_anything_is_read(
    advtag, data_file: Path, tmp_path: Path
) -> None:
    fileset, occupied = tmp_path / "fileset.json", tmp_path / "occupied"
    fileset.write_text(json.dumps({"data": [str(data_file)]}))
    occupied.write_text("")
    for command, selection, out, complaint in (
        ("process", "dy", occupied, "occupied: a file, where a folder for the output is wanted"),
        ("skim", "dy", occupied, "occupied: a file, where a folder for the output is wanted"),
        ("process", "dy,dyjet", tmp_path / "results", "unknown selection 'dyjet'"),
    ):
        finished = advtag(command, "--selection", selection, "--fileset", fileset, "--out", out)
        assert finished.returncode == 1
        assert complaint in " ".join(finished.stderr.split())
    assert not (tmp_path / "results").exists()
