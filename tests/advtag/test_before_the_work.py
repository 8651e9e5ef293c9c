"""What can be known is said before the work: where to write, what is installed, what contradicts."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from advtag import interruption
from advtag.application import app
from advtag.application import run as run_command

REPOSITORY = Path(__file__).parents[2]
READ_ONLY = {"status", "resubmit"}
"""Commands that write nothing of their own where the user says: jobs folders hold what they change."""

Run = Callable[..., None]


def run(*arguments: object) -> None:
    """Call the command line as far as errors: they come as they are raised."""
    app(args=[str(argument) for argument in arguments], prog_name="advtag", standalone_mode=False)


def commands() -> set[str]:
    """The names of all commands, those of groups too."""
    import typer.main

    top: Any = typer.main.get_command(app)
    groups = {name: command for name, command in top.commands.items() if hasattr(command, "commands")}
    names = {name for name in top.commands if name not in groups}
    return names | {f"{name} {inner}" for name, group in groups.items() for inner in group.commands}


@pytest.fixture
def written(tmp_path: Path) -> dict[str, list[list[object]]]:
    """Every command that writes, with an output below a file and with inputs that are not there."""
    (tmp_path / "file").touch()
    out, none = tmp_path / "file" / "out", tmp_path / "none"
    prepare, train = tmp_path / "prepare.yaml", tmp_path / "train.yaml"
    prepare.write_text(yaml.safe_dump({"inputs": [f"{none}.root"], "output": str(out)}))
    train.write_text(yaml.safe_dump({"name": "basic", "data": str(none), "output": str(out)}))
    select = ["--selection", "dy", "--fileset", none]
    return {
        "simulate": [
            ["simulate", "dy", "--events", 10, "--out", out / "dy.root"],
            ["simulate", "dy", "--events", 10, "--out", out],
            ["simulate", "dy", "--events", 10, "--out", tmp_path / "new", "--fileset", out / "fs.json"],
        ],
        "validate-simulation": [["validate-simulation", none, "--out", out]],
        "prepare": [["prepare", prepare]],
        "train": [["train", train]],
        "export": [["export", out]],
        "evaluate": [["evaluate", none, "--data", none, "--out", out]],
        "collect": [["collect", *select, "--out", out]],
        "skim": [["skim", *select, "--out", out]],
        "process": [["process", *select, "--out", out, "--taggers", none]],
        "fit": [
            ["fit", none, "--out", out],
            ["fit", tmp_path / "file" / "none.zip"],
            ["fit", "--toys", 5, "--out", out],
        ],
        "compare-scale-factors": [["compare-scale-factors", none, none, "--out", out / "c.csv"]],
        "true-scale-factors": [
            ["true-scale-factors", "--fileset", none, "--out", out, "--taggers", none],
        ],
        "divergence": [
            ["divergence", none, "--out", out / "d.csv"],
            ["divergence", tmp_path / "file" / "none.zip"],
        ],
        "plot": [["plot", none, "--out", out], ["plot", tmp_path / "file" / "none.zip"]],
        "report": [
            ["report", none, "--out", out / "r.html"],
            ["report", tmp_path / "file" / "none.zip"],
            ["report", "--compare", none, none, "--out", out / "r.html"],
        ],
        "demo": [["demo", "--out", out]],
        "study": [["study", REPOSITORY / "configs" / "defences.yaml", "--out", out]],
        "condor submit": [["condor", "submit", out, *select]],
        "condor merge": [["condor", "merge", none, "--out", out]],
        "slurm process": [["slurm", "process", out, *select, "--site", "rwth"]],
        "slurm merge": [["slurm", "merge", none, "--out", out]],
        "slurm train": [["slurm", "train", none, out]],
    }  # fmt: skip


def test_every_command_that_writes_looks_first_whether_it_may(
    written: dict[str, list[list[object]]], tmp_path: Path
) -> None:
    assert set(written) == {name for name in commands() if name.split()[-1] not in READ_ONLY}
    before = sorted(tmp_path.rglob("*"))
    for lines in written.values():
        for line in lines:
            with pytest.raises((ValueError, OSError), match=rf"{tmp_path / 'file'}: a file, where a folder"):
                run(*line)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "line",
    [
        ("divergence", "none", "--out"),
        ("report", "none", "--out"),
        ("report", "--compare", "none", "none2", "--out"),
        ("compare-scale-factors", "none", "none", "--out"),
    ],
)
def test_a_folder_is_no_file(line: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a folder, where a file is to be written"):
        run(*line, tmp_path)


def test_an_engine_that_is_not_installed_is_said_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in [each for each in sys.modules if each.startswith(("datamc.likelihood", "iminuit"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "iminuit", None)  # as if it were not there
    for line in (
        ("fit", "--toys", 100_000, "--out", tmp_path / "toys"),
        ("fit", "--toys", 100_000, "--engine", "likelihood", "--out", tmp_path / "toys"),
        ("fit", tmp_path / "none", "--engine", "likelihood", "--out", tmp_path / "sf"),
    ):
        with pytest.raises(ValueError, match=r"the likelihood needs iminuit: pip install 'advtag\[fit\]'"):
            run(*line)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (("fit", "none", "--toys", 5), "--toys"),
        (("fit", "--toys", 5, "--workspaces"), "--toys"),
        (("fit", "none", "--engine", "iterative", "--workspaces"), "iteration has no likelihood"),
        (("report", "--compare", "a", "b", "--null", "c"), "--compare"),
        (("report", "--compare", "a", "b", "--evaluation", "c"), "--compare"),
        (("evaluate", "none", "--data", "none", "--features", "vertexMass"), "--features"),
        (("evaluate", "none", "--data", "none", "--studies", "all", "--features", "vertexMas"), "vertexMas"),
        (("evaluate", "none", "--data", "none", "--pdf"), "--pdf"),
        (
            ("collect", "--selection", "dy", "--fileset", "none", "--out", "o", "--dask-address", "a:1"),
            "dask",
        ),
    ],
)
def test_options_that_contradict_are_refused(
    line: tuple[object, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=said):
        run(*line)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def fileset(tmp_path: Path) -> Path:
    """A fileset of files that are not there: whatever opens one fails otherwise."""
    path = tmp_path / "fileset.json"
    datasets = {
        "dy": {"files": ["dy.root"], "metadata": {"is_data": False, "process": "dy"}},
        "tt": {"files": ["tt.root"], "metadata": {"is_data": False, "process": "tt", "cross_section_pb": 1}},
        "DoubleMuon": {"files": ["data.root"], "metadata": {"is_data": True, "process": "data"}},
    }
    path.write_text(json.dumps(datasets))
    return path


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--variants", "raw,fgsm:0.1"), "fgsm:0.1 without a tagger"),
        (("--variants", "noise:0.1", "--reference-tagger"), "noise:0.1 without a tagger"),
        (("--sf-systematic", "total_up"), "--apply-sf"),
        (("--dask-address", "host:8786"), "--executor dask"),
    ],
)
def test_process_refuses_what_it_cannot_do(
    options: tuple[str, ...], said: str, fileset: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=said):
        run("process", "--selection", "dy", "--fileset", fileset, "--out", tmp_path / "out", *options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", [["process"], ["condor", "submit"]])
def test_a_missing_cross_section_is_said_before_files_are_opened(
    command: list[str], fileset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = [tmp_path / "jobs"] if command[0] == "condor" else ["--out", tmp_path / "out"]
    with pytest.raises((OSError, ValueError), match=r"\.root"):
        run(*command, *out, "--selection", "dy", "--fileset", fileset)
    said = capsys.readouterr().err
    assert "Warning: dy: simulation without cross_section_pb" in said
    assert "tt" not in said.split("cross_section_pb")[0]


def test_what_was_kept_is_said_where_something_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("advtag.interruption._PLACES", [])
    interruption.keeps(tmp_path / "run", "epoch_*.pt", advice="go on with --resume")

    def interrupted(*_: object, **__: object) -> None:
        raise SystemExit(128 + 2)  # as shells have it after Ctrl-C

    monkeypatch.setattr("advtag.application.app", interrupted)
    for is_kept in (False, True):
        if is_kept:
            (tmp_path / "run").mkdir()
            (tmp_path / "run" / "epoch_001.pt").touch()
        assert run_command([]) == 130
        said = " ".join(capsys.readouterr().err.split())
        assert "Interrupted: " in said
        assert ("kept in" in said) == is_kept
        assert ("go on with --resume" in said) == is_kept
