"""Jobs take along every file that a tagger is made of."""

import shutil
from pathlib import Path

import onnx
import pytest

from advtag.staging import parse_process
from condor.folder import hashes_of
from models.tagger import load_taggers, run_folders


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run directory whose first tagger keeps its weights in files beside it."""
    (basic,) = run_folders([Path("pretrained:basic")])
    folder = tmp_path / "my_run"
    folder.mkdir()
    for path in basic.glob("epoch_*.onnx"):
        shutil.copy(path, folder)
    model = onnx.load(folder / "epoch_001_tagger.onnx")
    options = {"save_as_external_data": True, "location": "beside.data", "size_threshold": 0}
    onnx.save_model(model, folder / "epoch_001_tagger.onnx", **options)
    return folder


@pytest.mark.parametrize("name", ["", "epoch_001_tagger.onnx"])
def test_a_tagger_comes_with_its_attack_and_the_weights_beside(run: Path, name: str, tmp_path: Path) -> None:
    """Given by folder or by file: copied to the names of a job, it is the same tagger."""
    options = ["--taggers", str(run / name), "--epochs", "1"] if not name else ["--taggers", str(run / name)]
    command = parse_process(selection="dy", fileset=tmp_path / "fileset.json", others=options)
    inputs = tmp_path / "inputs"
    for staged in command.staged:
        (inputs / staged.name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(staged.source, inputs / staged.name)
    place = command.words[command.words.index("--taggers") + 1].format(inputs=inputs)
    (there,), (here,) = load_taggers([Path(place)]), load_taggers([run], epochs=[1])
    assert there == here
    assert there.attack_bytes is not None
    assert {Path(staged).name for staged in hashes_of(command.staged)} == {
        "epoch_001_tagger.onnx",
        "epoch_001_attack.onnx",
        "beside.data",
    }
