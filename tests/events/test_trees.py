"""Nothing that a file holds is run: formulas (aliases) in it are never computed, by no reader."""

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import uproot

from events.files import FileError, open_root
from events.trees import require_equal_counts
from processors.filesets import parse_fileset
from processors.run import run_selection
from processors.skim import skim
from simulation.fixture import fixture_files
from simulation.provenance import read_provenance
from simulation.revealed import reveal
from simulation.simulate import truth_path
from simulation.validation.ranges import read_reference
from simulation.validation.reading import group_files, read_sample
from simulation.variations import read_jets as read_varied_jets
from training.reading import inspect_file, read_jets
from training.variations import assign_variations, events_fingerprint

HostileCopy = Callable[..., Path]
Read = Callable[[Path], Any]

REPOSITORY = Path(__file__).parents[2]


def formula_that_acts(path: Path) -> str:
    """A formula that makes a folder: from a function of uproot's language one reaches all of Python."""
    return f"[erf][0].__globals__['__builtins__']['__import__']('os').mkdir({str(path)!r})"


def fileset_of(path: Path) -> dict[str, Any]:
    return {"dy": {"files": {str(path): "Events"}, "metadata": {"is_data": False, "process": "dy"}}}


def process(path: Path) -> None:
    run_selection(selection="dy", fileset=fileset_of(path), systematics="weight_only")


def copy_small(path: Path) -> None:
    skim(parse_fileset(fileset_of(path)), path.parent / "skimmed", selections=["dy"], more=["*"])


def prepare_jets(path: Path) -> None:
    for _ in read_jets(inspect_file(str(path)).path, chunk_events=50):
        pass


def match_variations(path: Path) -> None:
    events_fingerprint(str(path))
    assign_variations([inspect_file(str(fixture_files()["dy"]))], [str(path)])


def reveal_truth(path: Path) -> None:
    truth_path(path).write_bytes(path.read_bytes())
    reveal(path, path.parent / "revealed.root")


def count_events(path: Path) -> None:
    with open_root(path) as file:
        assert file.tree("Events").n_events >= 0


READERS: dict[str, Read] = {
    "count": count_events,
    "process": process,
    "skim": copy_small,
    "prepare": prepare_jets,
    "variations": match_variations,
    "validation": lambda path: read_sample([path]),
    "provenance": lambda path: (read_provenance(path), group_files([path])),
    "reference": read_reference,
    "revealed": reveal_truth,
    "matched jets": lambda path: read_varied_jets(path, "pt", "mass"),
}

HIDDEN = {
    "what all need": ["Jet_pt", "event"],
    "inputs of taggers": ["Jet_DeepCSV_vertexMass", "Jet_hadronFlavour"],
    "what may be absent": [
        "Jet_jetId", "Jet_puId", "Jet_nBHadrons", "Jet_phi", "Jet_nominalIdx", "Muon_genPartFlav",
        "Flag_goodVertices", "PSWeight", "LHEScaleWeight", "genWeight", "HLT_Mu17_TrkIsoVVL_Mu8_TrkIsoVVL",
    ],
}  # fmt: skip


class Hostile(NamedTuple):
    """A file with formulas, and the folder that they make where they are run."""

    path: Path
    mark: Path


@pytest.fixture(scope="module", params=HIDDEN)
def hostile(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, hostile_copy: HostileCopy
) -> Hostile:
    folder = tmp_path_factory.mktemp("hostile")
    mark = folder / "was_run"
    formula = formula_that_acts(mark)
    names = HIDDEN[request.param]
    path = hostile_copy(fixture_files()["dy"], folder / "dy.root", without=names, formula=formula)
    with uproot.open(path) as file:
        assert file["Events"].aliases == dict.fromkeys(names, formula)
        with pytest.raises(TypeError, match="None"):
            file["Events"].arrays(names[:1])
    assert mark.exists(), "the formula does nothing where it is run, so the tests would show nothing"
    mark.rmdir()
    return Hostile(path, mark)


@pytest.mark.parametrize("reader", READERS)
def test_no_reader_runs_what_a_file_holds(
    tmp_path: Path, hostile: Hostile, monkeypatch: pytest.MonkeyPatch, reader: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a formula was looked at")

    for method in ("free_symbols", "compute_expressions"):
        monkeypatch.setattr(uproot.language.python.PythonLanguage, method, refuse)
    path = tmp_path / "dy.root"
    path.write_bytes(hostile.path.read_bytes())
    complaint = ""
    try:
        READERS[reader](path)
    except (ValueError, OSError) as error:
        complaint = str(error)
    assert not hostile.mark.exists()
    assert "\n" not in complaint
    assert "dy" in complaint or not complaint


def test_branches_are_read_by_name_in_the_order_asked_for() -> None:
    path = fixture_files()["dy"]
    with open_root(path) as file:
        tree = file.tree("Events")
        events = tree.read(["Jet_pt", "event", "nJet"], start=10, stop=20)
        whole = tree.column("event")
        steps = [len(part) for part in tree.steps(["run"], 100)]
    with uproot.open(path) as file:
        known = file["Events"].arrays(["Jet_pt", "event"], entry_start=10, entry_stop=20)
    assert events.fields == ["Jet_pt", "event", "nJet"]
    assert events["Jet_pt"].tolist() == known["Jet_pt"].tolist()
    assert events["event"].tolist() == known["event"].tolist() == whole[10:20].tolist()
    assert np.array_equal(whole, np.arange(1, 231))
    assert steps == [100, 100, 30]


@pytest.mark.parametrize("name", ["Jet_none", "Jet_pt + 1", "sqrt(Jet_pt)", "Jet_pt/Jet_pt", "*"])
def test_what_is_no_branch_is_not_read(name: str) -> None:
    with open_root(fixture_files()["dy"]) as file:
        tree = file.tree("Events")
        for read in (tree.column, tree.title, lambda wanted: tree.read(["event", wanted])):
            with pytest.raises(FileError, match=r"dy.root: it holds no branch "):
                read(name)


def opens_for_reading(path: Path) -> list[str]:
    """The calls of a file that reach into a ROOT file without the door."""
    own_ways = {"open", "iterate", "concatenate", "lazy", "dask", "num_entries"}
    return [
        f"{path.relative_to(REPOSITORY)}:{node.lineno}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "uproot"
        and node.attr in own_ways
    ]


def test_only_the_door_opens_files_for_reading() -> None:
    packages = sorted(path.parent for path in REPOSITORY.glob("*/__init__.py"))
    files = [path for package in packages for path in package.rglob("*.py")]
    found = {name for path in files for name in opens_for_reading(path)}
    assert found
    assert {name for name in found if not name.startswith("events/")} == set()


def test_a_formula_is_no_way_around_the_door() -> None:
    """`arrays` and `iterate` of uproot compute formulas: outside of the door nobody calls them."""
    packages = sorted(
        path.parent for path in REPOSITORY.glob("*/__init__.py") if path.parent.name != "events"
    )
    calls = [
        f"{path.relative_to(REPOSITORY)}:{node.lineno}"
        for package in packages
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("arrays", "iterate")
    ]
    assert calls == []


def counts(**numbers: list[int]) -> dict[str, Any]:
    return {name: np.array(values) for name, values in numbers.items()}


def test_branches_of_a_collection_that_disagree_are_a_damaged_file() -> None:
    sound = counts(Jet_pt=[2, 0], Jet_eta=[2, 0], Muon_pt=[0, 1], PSWeight=[4, 4], LHEWeight=[9, 9])
    require_equal_counts(sound, "f.root")
    with pytest.raises(FileError, match=r"^f\.root: Jet_pt and Jet_eta "):
        require_equal_counts(sound | counts(Jet_eta=[1, 1]), "f.root")


def test_a_damaged_branch_is_named(tmp_path: Path) -> None:
    """One basket of one branch is overwritten: the rest of the file is sound."""
    path = tmp_path / "f.root"
    path.write_bytes(fixture_files()["dy"].read_bytes())
    with uproot.open(path) as file:
        branch = file["Events/Jet_eta"]
        start, length = int(branch.member("fBasketSeek")[0]), int(branch.member("fBasketBytes")[0])
    content = bytearray(path.read_bytes())
    content[start + 100 : start + length] = b"\x07" * (length - 100)
    path.write_bytes(content)
    with open_root(path) as file:
        tree = file.tree("Events")
        tree.require_sound(["Jet_pt", "nJet", "Muon_pt", "not there"], start=0, stop=230)
        with pytest.raises(FileError, match=r"f.root: Jet_eta: not a readable ROOT file"):
            tree.require_sound(["Jet_pt", "Jet_eta"], start=0, stop=230)
