import json
from pathlib import Path
from typing import Any

import pytest

from processors.filesets import FileEntry, parse_fileset, read_fileset
from processors.run import run_selection

DATASET: dict[str, Any] = {"files": {"dy.root": "Events"}, "metadata": {"is_data": False, "process": "dy"}}


def with_metadata(**values: Any) -> dict[str, Any]:
    return {"dy": DATASET | {"metadata": DATASET["metadata"] | values}}


def test_relative_paths_start_from_the_folder_of_the_fileset(tmp_path: Path) -> None:
    files = {"dy.root": "Events", "/elsewhere/a.root": "Events", "root://eos.cern.ch//b.root": "Events"}
    path = tmp_path / "fileset.json"
    path.write_text(json.dumps({"dy": DATASET | {"files": files}}))
    found = list(read_fileset(path)["dy"].files)
    assert found == [str(tmp_path / "dy.root"), "/elsewhere/a.root", "root://eos.cern.ch//b.root"]


def test_a_list_of_files_is_a_dataset_without_metadata() -> None:
    dataset = parse_fileset({"dy": ["a.root", "b.root"]})["dy"]
    assert dataset.files == {"a.root": FileEntry(tree="Events"), "b.root": FileEntry(tree="Events")}
    assert dataset.metadata is None


def test_a_file_may_be_taken_in_part() -> None:
    files = {"a.root": {"entries": [100, 250]}, "b.root": {"tree": "tree"}}
    dataset = parse_fileset({"dy": DATASET | {"files": files}})["dy"]
    assert [entry.entries for entry in dataset.files.values()] == [(100, 250), None]
    assert [entry.tree for entry in dataset.files.values()] == ["Events", "tree"]


def test_a_fileset_that_was_read_can_be_given_again() -> None:
    fileset = parse_fileset({"dy": DATASET})
    assert parse_fileset(fileset) == fileset


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (with_metadata(xsec=1.0), r"unknown key 'xsec' in dy.metadata: choose from is_data, process"),
        ({"dy": {"files": {"a.root": {"entries": [5, 5]}}}}, r"\[5, 5\] is no range of events"),
        (
            {"dy": {"files": {"a.root": {"steps": []}}}},
            r"unknown key 'steps' in dy.files.a.root: choose from tree, e",
        ),
        ({"dy": DATASET | {"tree": "Events"}}, r"unknown key 'tree' in dy: choose from files, metadata"),
        ({"dy": {"metadata": DATASET["metadata"]}}, r"no key 'files' in dy"),
        (with_metadata(cross_section_pb=-1.0), r"dy.metadata.cross_section_pb: .*greater than 0"),
        (with_metadata(cross_section_pb=float("inf")), r"dy.metadata.cross_section_pb: .*finite"),
        (
            with_metadata(same_events=True),
            r"dy.metadata: same_events is for simulated data alone",
        ),
        (with_metadata(is_data="perhaps"), r"dy.metadata.is_data: "),
        ({}, r"no dataset in it"),
        ([], r"no dataset in it"),
        ({"../../up": DATASET}, r"dataset '../../up': '..' leads out of a folder"),
        ({"/A/../B\x1b": DATASET}, r"dataset '/A/../B\\x1b': '..' leads out"),
    ],
)
def test_a_wrong_fileset_is_one_sentence(tmp_path: Path, content: object, message: str) -> None:
    path = tmp_path / "fileset.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message) as caught:
        read_fileset(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_json_is_said_so(tmp_path: Path) -> None:
    path = tmp_path / "fileset.json"
    path.write_text("{")
    with pytest.raises(ValueError, match="not a JSON file"):
        read_fileset(path)
    with pytest.raises(FileNotFoundError, match="no such fileset"):
        read_fileset(tmp_path / "absent.json")


@pytest.mark.parametrize(
    ("text", "twice"),
    [
        # Of two datasets of one name JSON readers keep the last, and the first would be lost unnoticed.
        ('{"dy": ["a.root"], "dy": ["b.root"]}', "dy"),
        ('{"dy": {"files": {"a.root": "Events", "a.root": "Events"}}}', "a.root"),
        ('{"dy": ["a.root", "b.root", "a.root"]}', "a.root"),
        ('{"dy": ["a.root", "./a.root"]}', "a.root"),
    ],
)
def test_what_is_listed_twice_is_refused(tmp_path: Path, text: str, twice: str) -> None:
    path = tmp_path / "fileset.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"{twice} listed twice: list it once") as caught:
        read_fileset(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_link_to_itself_is_a_file_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "loop.root").symlink_to("loop.root")
    path = tmp_path / "fileset.json"
    path.write_text(json.dumps({"dy": ["loop.root"]}))
    with pytest.raises(OSError, match=r"loop\.root: "):
        run_selection(selection="dy", fileset=read_fileset(path))
