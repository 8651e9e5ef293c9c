"""All commands that read YAML or JSON, with files that others made badly."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from advtag.cli import main

TWICE, DEEP, LATIN_1, NAN, FOLDER, CUT_OFF = "twice", "deep", "latin-1", "nan", "folder", "cut off"

YAML: dict[str, bytes | None] = {
    TWICE: b"name: a\nouter: {key: 1, key: 2}\n",
    DEEP: b"name: " + b"[" * 100 + b"]" * 100,
    LATIN_1: b"name: caf\xe9\n",
    NAN: b"name: {inner: .nan}\n",
    CUT_OFF: b"name: {inner: ",
    FOLDER: None,
}
JSON: dict[str, bytes | None] = {
    TWICE: b'{"name": "a", "outer": {"key": 1, "key": 2}}',
    DEEP: b'{"name": ' + b"[" * 100 + b"]" * 100 + b"}",
    LATIN_1: b'{"name": "caf\xe9"}',
    NAN: b'{"name": {"inner": NaN}}',
    CUT_OFF: b'{"name": {"inner": ',
    FOLDER: None,
}
WORDS = {
    TWICE: "key",
    DEEP: "64 levels deep",
    LATIN_1: "UTF-8",
    NAN: "inner: got nan: write a finite number",
    CUT_OFF: "line 1",
    FOLDER: "a folder, where a",
}

COMMANDS = {
    "prepare": "prepare CARD.yaml",
    "train": "train CARD.yaml",
    "study": "study CARD.yaml",
    "slurm train": "slurm train CARD.yaml jobs",
    "scenario": "simulate dy --events 1 --scenario CARD.yaml --out new.root",
    "listed with": "simulate dy --events 1 --fileset CARD.json --out new.root",
    "fit": "fit no_results --config CARD.yaml",
    "corrections": "process --selection dy --fileset good.json --corrections CARD.yaml --out out",
    "sections": "process --selection dy --fileset good.json --golden-json CARD.json --out out",
    "process": "process --selection dy --fileset CARD.json --out out",
    "skim": "skim --selection dy --fileset CARD.json --out out",
    "collect": "collect --selection dy --fileset CARD.json --out out",
    "true-scale-factors": "true-scale-factors --fileset CARD.json --taggers pretrained --out out",
    "condor submit": "condor submit jobs --selection dy --fileset CARD.json --site local",
    "condor site": "condor submit jobs --selection dy --fileset good.json --site CARD.yaml",
    "corrections of jobs": "condor submit jobs --selection dy --fileset good.json --site local "
    "--corrections CARD.yaml",
    "slurm process": "slurm process jobs --selection dy --fileset CARD.json --site rwth",
}

OTHERWISE = {("sections", TWICE), ("sections", NAN)}
"""A run may be there twice; of what is no run it is said that it is none."""


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], tuple[int, str]]:
    monkeypatch.chdir(tmp_path)

    def run_command(line: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["advtag", *line.split()])
        with pytest.raises(SystemExit) as end:
            main()
        return int(end.value.code or 0), capsys.readouterr().err

    return run_command


@pytest.mark.parametrize("wrong", WORDS)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_bad_document_is_one_sentence_that_names_it(
    run: Callable[[str], tuple[int, str]], tmp_path: Path, command: str, wrong: str
) -> None:
    name = "CARD.yaml" if "CARD.yaml" in COMMANDS[command] else "CARD.json"
    content = (YAML if name.endswith("yaml") else JSON)[wrong]
    if content is None:
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).write_bytes(content)
    metadata = {"is_data": True, "process": "data", "luminosity_pb": 1.0, "primary_dataset": "DoubleMuon"}
    (tmp_path / "good.json").write_text(json.dumps({"d": {"files": ["a.root"], "metadata": metadata}}))
    code, said = run(COMMANDS[command])
    assert code == 1
    sentence = said.strip().splitlines()[-1]  # behind a progress bar
    assert sentence.startswith(f"Error: {name}: ")
    assert WORDS[wrong] in sentence or (command, wrong) in OTHERWISE
    # Nothing was begun.
    assert {path.name for path in tmp_path.iterdir()} == {name, "good.json"}
