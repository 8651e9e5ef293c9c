"""The commands as a user meets them: examples in the help, errors of one sentence, nothing half-written."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
import uproot

from datamc.results import Result, read_result

COMMANDS = (
    "demo", "simulate", "prepare", "train", "export", "evaluate",
    "collect", "process", "fit", "divergence", "plot", "report", "validate-simulation", "true-scale-factors",
)  # fmt: skip


def test_help_lists_every_command(advtag) -> None:
    text = advtag("--help").stdout
    assert [name for name in COMMANDS if name not in text] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_an_example(advtag, command: str) -> None:
    finished = advtag(command, "--help")
    assert finished.returncode == 0
    assert f"Example: advtag {command}" in " ".join(finished.stdout.replace("│", " ").split())


def run_process(advtag, production: Path, out: Path, *options: object, selection: str = "dy", fileset=None):
    return advtag(
        "process", "--selection", selection, "--fileset", fileset or production / "samples" / "fileset.json",
        "--taggers", production / "runs" / "basic", "--epochs", "20", "--out", out,
        "--executor", "iterative", *options,
    )  # fmt: skip


def assert_one_sentence(finished, *words: str) -> None:
    """Exit code not 0, no traceback, one line that names what is wrong."""
    assert finished.returncode != 0
    assert "Traceback" not in finished.stderr
    error = [line for line in finished.stderr.splitlines() if line.startswith("Error:")]
    assert len(error) == 1, finished.stderr
    assert [word for word in words if word not in error[0]] == [], error[0]
    assert finished.stderr.rstrip().endswith(error[0].rstrip())


@pytest.fixture
def fileset(production: Path) -> dict:
    """The fileset of the demo, its files named in full, to be broken by a test."""
    content = json.loads((production / "samples" / "fileset.json").read_text())
    for dataset in content.values():
        dataset["files"] = {
            str(production / "samples" / name): tree for name, tree in dataset["files"].items()
        }
    return content


def write_fileset(folder: Path, content: dict) -> Path:
    path = folder / "fileset.json"
    path.write_text(json.dumps(content))
    return path


def test_truncated_file_is_one_sentence(advtag, production, fileset, tmp_path) -> None:
    whole = Path(next(iter(fileset["dy"]["files"])))
    broken = tmp_path / "broken.root"
    broken.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    fileset["dy"]["files"] = {str(broken): "Events"}
    finished = run_process(advtag, production, tmp_path / "out", fileset=write_fileset(tmp_path, fileset))
    assert_one_sentence(finished, "broken.root")
    assert not list(tmp_path.glob("out/**/*"))


def test_missing_file_is_one_sentence(advtag, production, fileset, tmp_path) -> None:
    fileset["dy"]["files"] = {str(tmp_path / "nowhere.root"): "Events"}
    finished = run_process(advtag, production, tmp_path / "out", fileset=write_fileset(tmp_path, fileset))
    assert_one_sentence(finished, "nowhere.root")
    assert not list(tmp_path.glob("out/**/*"))


def test_unknown_key_of_a_fileset_is_one_sentence(advtag, production, fileset, tmp_path) -> None:
    fileset["dy"]["metadata"]["crossection"] = 1.0
    finished = run_process(advtag, production, tmp_path / "out", fileset=write_fileset(tmp_path, fileset))
    assert_one_sentence(finished, "fileset.json", "crossection")


def test_tagger_folder_without_onnx_is_one_sentence(advtag, production, tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    finished = advtag(
        "process", "--selection", "dy", "--fileset", production / "samples" / "fileset.json",
        "--taggers", tmp_path / "empty", "--out", tmp_path / "out",
    )  # fmt: skip
    assert_one_sentence(finished, "empty", "tagger.onnx")


def test_unknown_selection_and_variant_are_one_sentence_each(advtag, production, tmp_path) -> None:
    assert_one_sentence(
        run_process(advtag, production, tmp_path / "out", selection="dyjet"), "dyjet", "ttsemilep"
    )
    assert_one_sentence(
        run_process(advtag, production, tmp_path / "out", "--variants", "fsgm:0.1"), "fsgm:0.1"
    )


def test_report_of_an_empty_folder_is_one_sentence(advtag, tmp_path) -> None:
    assert_one_sentence(advtag("report", tmp_path), str(tmp_path), "advtag process")


def test_fit_without_a_selection_is_one_sentence(advtag, production, tmp_path) -> None:
    shutil.copy(production / "results" / "dy.zip", tmp_path)
    assert_one_sentence(advtag("fit", tmp_path), "wc and ttsemilep are missing")
    assert [path.name for path in tmp_path.iterdir()] == ["dy.zip"]


def test_damaged_result_is_one_sentence(advtag, production, tmp_path) -> None:
    content = (production / "results" / "dy.zip").read_bytes()
    (tmp_path / "dy.zip").write_bytes(content[: len(content) // 2])
    assert_one_sentence(advtag("divergence", tmp_path), "dy.zip")


def assert_same_histograms(first: Result, second: Result) -> None:
    assert first.histograms.keys() == second.histograms.keys()
    for name, histogram in first.histograms.items():
        other = second.histograms[name]
        assert histogram.axes == other.axes, name
        for quantity in histogram.view().dtype.names or (...,):
            np.testing.assert_allclose(
                histogram.view(flow=True)[quantity], other.view(flow=True)[quantity], rtol=1e-12, atol=1e-12
            )


def test_same_histograms_from_every_executor_and_chunk_size(advtag, production: Path, tmp_path: Path) -> None:
    options = ("--variants", "raw,noise:0.1,fgsm:0.1", "--workers", "2")
    results = {}
    for executor, chunksize in (
        ("iterative", 100_000),
        ("iterative", 1000),
        ("futures", 1000),
        ("dask", 100_000),
    ):
        out = tmp_path / f"{executor}_{chunksize}"
        finished = run_process(
            advtag,
            production,
            out,
            *options,
            "--executor",
            executor,
            "--chunksize",
            chunksize,
            selection="wc",
        )
        assert finished.returncode == 0, finished.stderr
        results[executor, chunksize] = read_result(out / "wc.zip")
    reference = results.pop(("iterative", 100_000))
    assert reference.histograms["CvsL"].sum(flow=True).value > 0
    for result in results.values():
        assert_same_histograms(reference, result)


def test_single_commands_repeat_the_demo(advtag, production: Path, tmp_path: Path) -> None:
    for name in ("dy", "wc", "ttsemilep"):
        shutil.copy(production / "results" / f"{name}.zip", tmp_path)
    for command in (("divergence",), ("fit", "--coarse"), ("report", "--coarse")):
        finished = advtag(command[0], tmp_path, *command[1:])
        assert finished.returncode == 0, finished.stderr
    assert (tmp_path / "divergence.csv").read_text() == (
        production / "results" / "divergence.csv"
    ).read_text()
    assert len(list((tmp_path / "scale_factors").glob("*.json"))) == 2 * 7 * 4
    assert (tmp_path / "report.html").is_file()


def test_two_productions_stand_side_by_side(advtag, production: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(production / "results", other / "results")
    finished = advtag("report", "--compare", production, other, "--coarse", "--out", tmp_path / "both.html")
    assert finished.returncode == 0, finished.stderr
    page = (tmp_path / "both.html").read_text(encoding="utf-8")
    # The same results twice: no difference anywhere, and the same events.
    assert "The two productions have the same divergences in all" in page
    assert "W + c (OS−SS): both read the same files of data and simulation; errors" in page
    assert_one_sentence(advtag("report"), "--compare")
    assert_one_sentence(advtag("report", other, "--compare", production, other), "either")


def test_json_is_for_machines(advtag, production: Path) -> None:
    finished = advtag("divergence", production / "results", "--replicas", "10", "--json")
    tables = json.loads(finished.stdout)
    assert {"selection", "score", "tagger", "epoch", "variant", "kl"} <= set(tables["divergence"][0])
    assert {"difference", "error", "significance", "ratio"} <= set(tables["differences"][0])


@pytest.mark.skipif(
    "ADVTAG_REAL_DATA" not in os.environ, reason="ADVTAG_REAL_DATA names no folder of real CMS files"
)
def test_real_pfnano_gets_finite_scores_from_the_taggers_of_the_demo(
    advtag, production: Path, tmp_path: Path
) -> None:
    real = Path(os.environ["ADVTAG_REAL_DATA"])
    fileset = write_fileset(tmp_path, {"qcd": [str(real / "pfnano.root")]})
    finished = run_process(
        advtag,
        production,
        tmp_path / "out",
        "--variants",
        "raw,noise:0.1,fgsm:0.1",
        selection="inclusive",
        fileset=fileset,
    )
    assert finished.returncode == 0, finished.stderr
    result = read_result(tmp_path / "out" / "inclusive.zip")
    n_jets = result.histograms["jet_pt"].sum(flow=True).value
    scores = result.histograms["BvsL"]
    assert n_jets > 0
    # Every jet has a score in [0, 1] under every variant: none is a default (below 0), none is lost to NaN.
    for variant in ("raw", "noise:0.1", "fgsm:0.1"):
        content = scores[{"variant": variant}].project("value")
        assert content.sum(flow=True).value == pytest.approx(n_jets)
        assert content[0.0j:].sum(flow=False).value == pytest.approx(n_jets)
    assert "default" in finished.stderr


@pytest.mark.skipif(
    "ADVTAG_REAL_DATA" not in os.environ, reason="ADVTAG_REAL_DATA names no folder of real CMS files"
)
def test_real_file_without_tagger_inputs_is_an_error_that_names_them(advtag, production, tmp_path) -> None:
    real = Path(os.environ["ADVTAG_REAL_DATA"])
    fileset = write_fileset(tmp_path, {"dy": [str(real / "nano_dy.root")]})
    finished = run_process(advtag, production, tmp_path / "out", fileset=fileset)
    assert_one_sentence(finished, "nano_dy.root", "Jet_DeepCSV_trackJetPt")
    cutflow = advtag("process", "--selection", "dy", "--fileset", fileset, "--out", tmp_path / "out")
    assert cutflow.returncode == 0, cutflow.stderr
    assert read_result(tmp_path / "out" / "dy.zip").cutflows["dy"][0].n_events == 40


def test_data_that_see_the_simulated_events_are_listed_with_them(advtag, tmp_path: Path) -> None:
    detectors = ("--scenario", "mc", "--scenario", "mc+efficiency_scale=0.97", "--scenario", "data_tails")
    finished = advtag(
        "simulate", "dy", "--events", "20", *detectors, "--out", "pairs", "--fileset", "pairs/f.json",
        cwd=tmp_path,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    fileset = json.loads((tmp_path / "pairs" / "f.json").read_text())
    assert {name: len(each["files"]) for name, each in fileset.items()} == {"dy": 1, "DoubleMuon": 1}
    assert fileset["DoubleMuon"]["metadata"]["same_events"] is True


def test_simulated_files_go_into_one_fileset(advtag, tmp_path: Path) -> None:
    for scenario in ("mc", "data"):
        finished = advtag(
            "simulate", "dy", "--events", "40", "--scenario", scenario, "--out", f"samples/{scenario}.root",
            "--fileset", "samples/fileset.json", cwd=tmp_path,
        )  # fmt: skip
        assert finished.returncode == 0, finished.stderr
    content = json.loads((tmp_path / "samples" / "fileset.json").read_text())
    assert {name: list(dataset["files"]) for name, dataset in content.items()} == {
        "dy": ["mc.root"],
        "DoubleMuon": ["data.root"],
    }
    finished = advtag(
        "process", "--selection", "dy", "--fileset", "samples/fileset.json", "--out", "results", cwd=tmp_path
    )
    assert finished.returncode == 0, finished.stderr


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_leaves_complete_files_only(advtag_command, tmp_path: Path, ending: signal.Signals) -> None:
    started = subprocess.Popen(
        [*advtag_command, "demo", "--scale", "0.05", "--out", "demo"],
        cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    samples = tmp_path / "demo" / "samples"
    while not list(samples.glob("*.root")):
        assert started.poll() is None
        with contextlib.suppress(subprocess.TimeoutExpired):
            started.wait(timeout=0.2)
    # A terminal sends Ctrl-C to all processes; SIGTERM goes to the command, which waits for those it started.
    (os.killpg if ending == signal.SIGINT else os.kill)(started.pid, ending)
    _, errors = started.communicate(timeout=300)
    assert started.returncode == 128 + ending
    assert "Interrupted" in errors
    assert "Traceback" not in errors
    assert [path for path in samples.rglob("*") if path.suffix != ".root" and path.is_file()] == []
    for path in samples.rglob("*.root"):
        with uproot.open(path) as file:
            assert file["Events"].num_entries > 0


def test_skipped_files_are_named_and_counted(advtag, production, fileset, tmp_path) -> None:
    fileset["dy"]["files"][str(tmp_path / "nowhere.root")] = "Events"
    path = write_fileset(tmp_path, fileset)
    finished = run_process(advtag, production, tmp_path / "out", "--skip-bad-files", fileset=path)
    assert finished.returncode == 3, finished.stderr
    assert "nowhere.root skipped" in finished.stderr
    assert "and 1 files of unknown content were not read" in finished.stderr
