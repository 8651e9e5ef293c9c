"""Two commands with one output at once: the second says so in a sentence, and leaves everything as it is."""

import json
import multiprocessing
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from advtag.cli import main
from advtag.samples import add_to_fileset
from simulation import read_sample_info
from simulation.fixture import fixture_files
from storage.files import held_file, one_writer

FORK = multiprocessing.get_context("fork")
CONFIGS = Path(__file__).parents[2] / "configs"

FOLDERS = {
    "process": "process --selection dy --fileset good.json --out out",
    "process again": "process --selection dy --fileset good.json --out out --resume --columns",
    "skim": "skim --selection dy --fileset good.json --out out",
    "evaluate": "evaluate runs --data data --out out",
    "fit": "fit results --out out",
    "toys": "fit --toys 2 --out out",
    "plot": "plot results --out out",
    "demo": "demo --out out --scale 0.02",
    "study": f"study {CONFIGS / 'defences.yaml'} --out out",
    "validate-simulation": "validate-simulation dy.root --out out",
    "true-scale-factors": "true-scale-factors --fileset good.json --taggers pretrained --out out",
}
FILES = {
    "simulate": ("simulate dy --events 1 --out out.root", "out.root"),
    "collect": ("collect --selection dy --fileset both.json --out out", "out.rows"),
    "divergence": ("divergence results --out out.csv", "out.csv"),
    "report": ("report results --out out.html", "out.html"),
    "report beside the results": ("report results", "results/report.html"),
    "side by side": ("report --compare a b --out out.html", "out.html"),
}


def hold(manager: AbstractContextManager[None], pipe: Connection) -> None:
    with manager:
        pipe.send("held")
        pipe.recv()


@pytest.fixture
def held() -> Iterator[Callable[[AbstractContextManager[None]], None]]:
    """Another process that writes somewhere until the test ends."""
    pipe, other = FORK.Pipe()
    processes = []

    def start(manager: AbstractContextManager[None]) -> None:
        processes.append(FORK.Process(target=hold, args=(manager, other), daemon=True))
        processes[0].start()
        assert pipe.recv() == "held"

    yield start
    for process in processes:
        process.kill()
        process.join()


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], tuple[int, str]]:
    monkeypatch.chdir(tmp_path)
    shutil.copy(fixture_files()["dy"], tmp_path / "dy.root")
    mc = {"is_data": False, "process": "dy", "cross_section_pb": 2.0, "simulated": True}
    data = {"is_data": True, "process": "data", "luminosity_pb": 1.0, "primary_dataset": "DoubleMuon"}
    dataset = {"files": ["dy.root"], "metadata": mc}
    Path("good.json").write_text(json.dumps({"dy": dataset}))
    Path("both.json").write_text(json.dumps({"dy": dataset, "d": {"files": ["d.root"], "metadata": data}}))

    def run_command(line: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["advtag", *line.split()])
        with pytest.raises(SystemExit) as end:
            main()
        return int(end.value.code or 0), capsys.readouterr().err.strip().splitlines()[-1]

    return run_command


Run = Callable[[str], tuple[int, str]]
Held = Callable[[AbstractContextManager[None]], None]


def everything_below(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


@pytest.mark.parametrize("command", FOLDERS)
def test_a_folder_has_one_writer(run: Run, held: Held, tmp_path: Path, command: str) -> None:
    held(one_writer(Path("out")))
    before = everything_below(tmp_path)
    code, said = run(FOLDERS[command])
    assert code == 1
    assert said.startswith("Error: ")
    assert "out: another process is writing into it (process " in said
    assert everything_below(tmp_path) == before


@pytest.mark.parametrize("command", FILES)
def test_a_file_has_one_writer(run: Run, held: Held, tmp_path: Path, command: str) -> None:
    line, output = FILES[command]
    held(held_file(Path(output)))
    before = everything_below(tmp_path)
    code, said = run(line)
    assert code == 1
    assert said.startswith(f"Error: {output}: another process is making it (process ")
    assert everything_below(tmp_path) == before


def test_a_failed_command_leaves_no_folder(run: Run, tmp_path: Path) -> None:
    before = everything_below(tmp_path)
    for line in ("report nowhere", "divergence nowhere", "plot nowhere", "fit nowhere", "export nowhere"):
        assert run(line)[0] == 1
    assert everything_below(tmp_path) == before


def add(fileset: Path, file: Path, start: Callable[[], object]) -> None:
    start()
    add_to_fileset(fileset, [file])


def test_all_that_add_to_a_fileset_are_in_it(tmp_path: Path) -> None:
    files = [tmp_path / f"{n}.root" for n in range(4)]
    for file in files:
        shutil.copy(fixture_files()["dy"], file)
    read_sample_info(files[0])  # imports what takes long
    barrier = FORK.Barrier(4)
    processes = [FORK.Process(target=add, args=(tmp_path / "f.json", file, barrier.wait)) for file in files]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 4
    listed = json.loads((tmp_path / "f.json").read_text())
    assert {name for dataset in listed.values() for name in dataset["files"]} == {file.name for file in files}
    assert {path.name for path in tmp_path.iterdir()} == {"f.json", *(file.name for file in files)}
