"""The taggers that come with the package work without any training."""

import re
from pathlib import Path

import awkward as ak
import numpy as np
import onnx
import pytest
import uproot
from numpy.typing import NDArray

from advtag.staging import parse_process
from models.discriminators import SCORES, scores
from models.features import BRANCHES, N_FEATURES
from models.perturbations import parse_variants, perturb
from models.tagger import Tagger, load_taggers, run_folders
from simulation.fixture import fixture_files
from simulation.reference_tagger import reference_tagger_path
from training.metrics import auc, split_by_truth

REPOSITORY = Path(__file__).parents[2]
EPOCHS = (1, 5, 20)
MAX_BYTES = 3_000_000


@pytest.fixture(scope="module")
def taggers() -> list[Tagger]:
    return load_taggers([Path("pretrained")])


@pytest.fixture(scope="module")
def jets() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Features and flavours of all simulated jets of the fixture that a training would use."""
    raw, labels = [], []
    truth = ("Jet_hadronFlavour", "Jet_nBHadrons", "Jet_pt", "Jet_eta")
    for path in fixture_files().values():
        with uproot.open(path) as file:
            columns = file["Events"].arrays(list({*BRANCHES, *truth}))
        flat = {name: np.asarray(ak.flatten(columns[name])) for name in columns.fields}
        kept = (flat["Jet_pt"] >= 20) & (np.abs(flat["Jet_eta"]) <= 2.5)
        flavour, n_b = flat["Jet_hadronFlavour"][kept], flat["Jet_nBHadrons"][kept]
        labels.append(np.select([(flavour == 5) & (n_b > 1), flavour == 5, flavour == 4], [1, 0, 2], 3))
        raw.append(np.stack([flat[name][kept] for name in BRANCHES], axis=1).astype(np.float32))
    return np.concatenate(raw), np.concatenate(labels).astype(np.int64)


def area_of_BvsL(tagger: Tagger, raw: NDArray[np.float32], labels: NDArray[np.int64]) -> float:  # noqa: N802
    return auc(*split_by_truth("BvsL", scores(tagger.logits(raw))["BvsL"], labels))


def test_both_trainings_say_what_they_are(taggers: list[Tagger]) -> None:
    expected = [(name, epoch) for name in ("adversarial", "basic") for epoch in EPOCHS]
    assert [(tagger.name, tagger.epoch) for tagger in taggers] == expected
    about = {tagger.name: (tagger.metadata.method, tagger.metadata.attack) for tagger in taggers}
    assert about == {"basic": ("basic", "raw"), "adversarial": ("fgsm", "fgsm:0.1")}
    assert len({tagger.metadata.data_fingerprint for tagger in taggers}) == 1
    assert all((tagger.metadata.gamma, tagger.metadata.loss_input) == (0, "logits") for tagger in taggers)


def test_the_model_card_names_the_data_they_were_trained_on(taggers: list[Tagger]) -> None:
    (fingerprint,) = {tagger.metadata.data_fingerprint for tagger in taggers}
    assert fingerprint[:12] in (REPOSITORY / "models" / "pretrained" / "README.md").read_text()


def test_old_runtimes_read_the_files_of_the_package() -> None:
    """Opset 13 and format 7 are of ONNX 1.8 (2020); ONNX Runtime 1.6 reads them."""
    files = [path for folder in run_folders([Path("pretrained")]) for path in folder.glob("*.onnx")]
    for path in [*files, reference_tagger_path()]:
        model = onnx.load(path)
        assert (model.opset_import[0].version, model.ir_version) == (13, 7), path


def test_one_training_and_epochs_can_be_chosen() -> None:
    found = load_taggers([Path("pretrained:basic")], epochs=[20])
    assert [tagger.label for tagger in found] == ["basic@20"]
    with pytest.raises(FileNotFoundError, match=re.escape("choose from adversarial, basic")):
        run_folders([Path("pretrained:thesis")])


def test_a_folder_of_that_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pretrained").mkdir()
    assert run_folders([Path("pretrained"), Path("runs/basic")]) == [Path("pretrained"), Path("runs/basic")]


def test_jobs_of_a_batch_system_take_their_files_along() -> None:
    options = ["--taggers", "pretrained:basic", "--epochs", "20"]
    command = parse_process(selection="dy", fileset=Path("fileset.json"), others=options)
    assert [staged.name for staged in command.staged] == [
        f"taggers_0/basic/epoch_020_{kind}.onnx" for kind in ("tagger", "attack")
    ]


def test_they_take_few_bytes() -> None:
    files = [path for folder in run_folders([Path("pretrained")]) for path in folder.iterdir()]
    assert sum(path.stat().st_size for path in files) <= MAX_BYTES


def test_every_jet_of_the_fixture_gets_scores(
    taggers: list[Tagger], jets: tuple[NDArray[np.float32], NDArray[np.int64]]
) -> None:
    raw, _ = jets
    assert raw.shape[1] == N_FEATURES
    for tagger in taggers:
        found = scores(tagger.logits(raw))
        assert all(((found[score] >= 0) & (found[score] <= 1)).all() for score in SCORES)


def test_adversarial_training_withstands_the_attack_better(
    taggers: list[Tagger], jets: tuple[NDArray[np.float32], NDArray[np.int64]]
) -> None:
    raw, labels = jets
    (attack,) = parse_variants("fgsm:0.1")
    loss = {}
    for tagger in taggers:
        if tagger.epoch == EPOCHS[-1]:
            attacked = perturb(attack, tagger, raw, labels=labels)
            loss[tagger.name] = area_of_BvsL(tagger, raw, labels) - area_of_BvsL(tagger, attacked, labels)
    assert 0 < loss["adversarial"] < loss["basic"]
