"""Trainings with each method, from the run card to the tagger."""

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from models.event_split import EventSplit
from models.features import IS_INTEGER, N_FEATURES
from models.network import TaggerNetwork
from models.tagger import load_taggers
from models.unlabelled import UnlabelledJets, write_unlabelled
from models.variants import parse_variant
from training.adaptation import GradientReversal, MmdHidden, MmdOutputs
from training.attacks import in_proportion_to
from training.batches import StoredJets
from training.checkpoints import checkpoint_path, export, load_checkpoint, read_run
from training.composition import methods_of, read_sources
from training.config import TrainConfig
from training.distillation import Distilled
from training.history import read_history, read_terms
from training.interruption import Interrupted
from training.methods import Consistency, Method, Perturbed, modules_of
from training.paired_methods import Augmented, PairConsistency
from training.penalty import ScaleFactorPenalty
from training.shards import TrainingData
from training.train import train

MakeConfig = Callable[..., TrainConfig]
CPU = torch.device("cpu")
METHODS = ["mmd_outputs", "mmd_hidden", "gradient_reversal", "scale_factor_penalty", "distillation"]


@pytest.fixture
def cards(
    unlabelled_folder: Path, signed_folder: Path, finished_run: Path
) -> Callable[..., list[dict[str, object]]]:
    """Cards of methods, with what they read and short ramps."""

    def make(*methods: str, **changes: object) -> list[dict[str, object]]:
        adapting = {
            "unlabelled": [str(unlabelled_folder), str(signed_folder)],
            "jets": 32,
            "ramp_epochs": 0.5,
        }
        return [
            {"method": method}
            | ({"teacher": str(finished_run)} if method == "distillation" else adapting)
            | changes
            for method in methods
        ]

    return make


def all_of(folder: Path, epoch: int) -> dict[str, torch.Tensor]:
    """Parameters of network and methods, and the optimiser's moments."""
    state = load_checkpoint(checkpoint_path(folder, epoch))
    moments = {
        f"{number} {name}": value
        for number, entry in state["optimizer"]["state"].items()
        for name, value in entry.items()
    }
    return state["network"] | state["modules"] | moments


def assert_same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    assert left.keys() == right.keys()
    assert all(torch.equal(tensor, right[name]) for name, tensor in left.items())


def signalled_at(n_jets: int) -> Callable[[int, int], None]:
    """A progress that sends this process SIGTERM once so many jets are done."""
    sent: list[int] = []

    def progress(done: int, total: int) -> None:
        if done >= n_jets and not sent:
            sent.append(total)
            os.kill(os.getpid(), signal.SIGTERM)

    return progress


@pytest.mark.parametrize("method", METHODS)
def test_a_training_with_a_method_goes_on_bit_by_bit_from_anywhere(
    train_config: MakeConfig,
    cards: Callable[..., list[dict[str, object]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
) -> None:
    monkeypatch.setattr("training.train._REPORT_EVERY", -1.0)
    changes: dict[str, Any] = {"methods": cards(method), "epochs": 2}
    whole = train(train_config(output=tmp_path / "whole", **changes))
    parts = train_config(output=tmp_path / "parts", **changes)
    n_jets = TrainingData(parts.data).n_jets("train")
    for place in (0.5, 1.5):
        with pytest.raises(Interrupted):
            train(parts, resume=True, progress=signalled_at(round(place * n_jets)))
    train(parts, resume=True)
    for epoch in (1, 2):
        assert_same(all_of(whole, epoch), all_of(parts.output, epoch))
    without_speed = [[record[:-1] for record in read_history(folder)] for folder in (whole, parts.output)]
    assert without_speed[0] == without_speed[1]
    terms = read_terms(whole)
    assert read_terms(parts.output) == terms
    assert [(term.epoch, term.number, term.name) for term in terms] == [(1, 1, method), (2, 1, method)]
    assert all(np.isfinite(term.value) and term.value for term in terms)
    plain = train(train_config(output=tmp_path / "plain", epochs=1))
    state = load_checkpoint(checkpoint_path(plain, 1))["network"]
    changed = all_of(whole, 1)
    assert not torch.equal(state["head.weight"], changed["head.weight"])


@pytest.mark.parametrize("method", METHODS)
def test_the_tagger_of_every_method_is_its_network(
    train_config: MakeConfig,
    cards: Callable[..., list[dict[str, object]]],
    tmp_path: Path,
    training_data: Path,
    method: str,
) -> None:
    folder = train(train_config(methods=cards(method), epochs=1))
    tagger = load_taggers([folder])[-1]
    raw = next(TrainingData(training_data).evaluation_jets()).raw[:300]
    network = TaggerNetwork().eval()
    network.load_state_dict(load_checkpoint(checkpoint_path(folder, 1))["network"])
    scaled, _ = tagger.scaler.scale(raw)
    with torch.no_grad():
        expected = network(torch.from_numpy(scaled)).numpy()
    np.testing.assert_allclose(tagger.logits(raw), expected, atol=2e-4, rtol=1e-4)
    assert tagger.metadata.method == method
    assert tagger.metadata.adapted_on == (None if method == "distillation" else "0.25:1")
    basic = train(train_config(output=tmp_path / "basic", epochs=1))
    shapes = []
    for run in (basic, folder):
        session = onnxruntime.InferenceSession(run / "epoch_001_tagger.onnx")
        shapes.append(
            [(node.name, node.shape, node.type) for node in session.get_inputs() + session.get_outputs()]
        )
    assert shapes[0] == shapes[1]
    before = (folder / "epoch_001_tagger.onnx").read_bytes()
    export(folder)
    assert (folder / "epoch_001_tagger.onnx").read_bytes() == before


def test_methods_come_in_the_written_order_and_attacks_last(
    train_config: MakeConfig, cards: Callable[..., list[dict[str, object]]]
) -> None:
    config = train_config(
        attack="fgsm:0.1",
        methods=cards("distillation", "gradient_reversal", weight=0.5) + cards("mmd_outputs", weight=5.0),
    )
    assert config.method == "fgsm+distillation+gradient_reversal+mmd_outputs"
    methods = methods_of(config, read_sources(config, TrainingData(config.data), CPU), CPU)
    assert [type(method) for method in methods] == [Distilled, GradientReversal, MmdOutputs, Perturbed]
    # two folders: two classifiers of (100 x 64 + 64) + (64 + 1) parameters, those of the second method
    modules = modules_of(methods)
    assert list(modules) == ["1"]
    assert sum(parameter.numel() for parameter in modules.parameters()) == 2 * (100 * 64 + 64 + 64 + 1)


def test_what_adds_to_the_loss_has_a_name_in_the_table_of_terms() -> None:
    kinds = [Augmented, Perturbed, PairConsistency, Consistency, Distilled]
    kinds += [MmdOutputs, MmdHidden, GradientReversal, ScaleFactorPenalty]
    for kind in kinds:
        adds = kind.extra_loss is not Method.extra_loss or kind.step_loss is not Method.step_loss
        assert (kind.term is not None) == adds, kind
    terms = [kind.term for kind in kinds if kind.term]
    assert len(set(terms)) == len(terms) == 7


def test_all_methods_fit_together(train_config: MakeConfig, cards: Callable[..., Any]) -> None:
    config = train_config(
        attack="fgsm:0.1", mix=0.5, methods=cards(*METHODS, weight=0.5), epochs=1, micro_batch=100
    )
    folder = train(config)
    assert all(np.isfinite(number) for number in read_history(folder)[-1])
    assert [term[1:3] for term in read_terms(folder)] == list(enumerate(METHODS, start=1))
    assert load_taggers([folder])[-1].metadata.method == "fgsm+mix+" + "+".join(METHODS)


def test_the_classifiers_are_in_the_checkpoints_and_not_in_the_tagger(
    train_config: MakeConfig, cards: Callable[..., list[dict[str, object]]]
) -> None:
    folder = train(train_config(methods=cards("gradient_reversal", width=8), epochs=2))
    states = [load_checkpoint(checkpoint_path(folder, epoch))["modules"] for epoch in (1, 2)]
    assert [tuple(tensor.shape) for tensor in states[0].values()] == 2 * [(8, 100), (8,), (1, 8), (1,)]
    assert not torch.equal(states[0]["0.0.0.weight"], states[1]["0.0.0.weight"])


def test_mmd_brings_the_outputs_together(
    train_config: MakeConfig,
    cards: Callable[..., Any],
    tmp_path: Path,
    unlabelled_jets: Callable[..., UnlabelledJets],
) -> None:
    jets = unlabelled_jets(shift=0.8)
    write_unlabelled(jets, tmp_path / "far")
    distances = []
    for name, methods in (
        ("basic", []),
        ("mmd", cards("mmd_outputs", weight=3.0, jets=128, unlabelled=[str(tmp_path / "far")])),
    ):
        folder = train(train_config(output=tmp_path / name, methods=methods, epochs=4))
        logits = load_taggers([folder])[-1].logits(jets.features)
        log_odds = logits[:, 0] - logits[:, 3]
        spread = log_odds.std()
        distances.append(abs(log_odds[jets.is_data].mean() - log_odds[~jets.is_data].mean()) / spread)
    assert distances[1] < 0.6 * distances[0]


def test_moved_jets_are_the_same_and_other_jets_are_not(
    train_config: MakeConfig,
    cards: Callable[..., Any],
    unlabelled_folder: Path,
    signed_folder: Path,
    tmp_path: Path,
) -> None:
    def config(folder: Path, epochs: int = 1) -> TrainConfig:
        return train_config(methods=cards("mmd_outputs", unlabelled=[str(folder)]), epochs=epochs)

    train(config(unlabelled_folder))
    moved = Path(shutil.copytree(unlabelled_folder, tmp_path / "moved"))
    train(config(moved, epochs=2), resume=True)
    with pytest.raises(ValueError, match="its methods had other unlabelled jets or another teacher"):
        train(config(signed_folder, epochs=3), resume=True)
    changed = train_config(methods=cards("mmd_outputs", unlabelled=[str(moved)], weight=9.0), epochs=3)
    with pytest.raises(ValueError, match="other settings \\(methods: "):
        train(changed, resume=True)


def test_another_teacher_is_another_training(
    train_config: MakeConfig, cards: Callable[..., Any], tmp_path: Path
) -> None:
    teacher = train(train_config(output=tmp_path / "teacher", epochs=1))
    methods = cards("distillation", teacher=str(teacher))
    train(train_config(methods=methods, epochs=1))
    train(train_config(output=tmp_path / "teacher", epochs=2), resume=True)  # its last epoch is another now
    with pytest.raises(ValueError, match="another teacher than are there now"):
        train(train_config(methods=methods, epochs=2), resume=True)
    train(
        train_config(
            methods=cards("distillation", teacher=str(teacher), epoch=1), epochs=1, output=tmp_path / "b"
        )
    )


def test_splits_of_events_must_agree_and_are_inherited_from_a_teacher(
    train_config: MakeConfig,
    cards: Callable[..., Any],
    tmp_path: Path,
    unlabelled_folder: Path,
    unlabelled_jets: Callable[..., UnlabelledJets],
) -> None:
    write_unlabelled(unlabelled_jets(split="0.5:1"), tmp_path / "other")
    both = cards("mmd_outputs", unlabelled=[str(unlabelled_folder), str(tmp_path / "other")])
    with pytest.raises(ValueError, match=r"of the events 0\.25:1, .*other of 0\.5:1: collect both"):
        train(train_config(methods=both))
    assert not (tmp_path / "run").exists()
    only = cards("mmd_outputs", unlabelled=[str(tmp_path / "other")])
    teacher = train(train_config(methods=only, output=tmp_path / "teacher", epochs=1))
    student = train(
        train_config(
            methods=cards("distillation", teacher=str(teacher)), output=tmp_path / "student", epochs=1
        )
    )
    assert read_run(student).adapted_on == EventSplit(0.5).name
    content = json.loads((student / "config.json").read_text())
    assert content["adapted_on"] == "0.5:1"
    assert len(content["method_fingerprints"]) == 1


def test_missing_jets_are_one_sentence(
    train_config: MakeConfig, cards: Callable[..., Any], tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere: holds no unlabelled\.json"):
        train(train_config(methods=cards("mmd_hidden", unlabelled=[str(tmp_path / "nowhere")])))


def test_per_feature_sizes_by_hand() -> None:
    movable = np.flatnonzero(~IS_INTEGER)
    shifts = np.zeros(N_FEATURES)
    shifts[movable] = 1.0
    shifts[movable[0]], shifts[movable[1]], shifts[movable[2]] = 0.0, 2.0, 3.0
    shifts[IS_INTEGER] = 7.0
    variant = in_proportion_to(parse_variant("fgsm:0.1"), shifts)
    # 62 features that may move: 0 + 2 + 3 + 59 = 64 in sum, mean 64 / 62
    expected = np.where(IS_INTEGER, 0.0, shifts) * 62 / 64
    np.testing.assert_allclose(variant.feature_factors(), expected, rtol=1e-6)
    assert (variant.kind, variant.size) == ("fgsm", 0.1)


def test_a_feature_with_long_tails_does_not_take_all() -> None:
    movable = np.flatnonzero(~IS_INTEGER)
    shifts = np.where(IS_INTEGER, 0.0, 1.0)
    shifts[movable[0]] = 1000.0
    factors = in_proportion_to(parse_variant("fgsm:0.1"), shifts).feature_factors()
    # 1000 * 62 / 1061 = 58.4 is cut to 4, the others have 62 / 1061 = 0.05844; 4 + 61 * 0.05844 = 7.5646
    assert factors[movable[0]] == pytest.approx(4 * 62 / 7.5646, rel=1e-4)
    assert factors[movable].mean() == pytest.approx(1.0)


@pytest.mark.parametrize("bad", [0.0, np.nan, -1.0])
def test_shifts_that_say_nothing_are_an_error(bad: float) -> None:
    with pytest.raises(ValueError, match="variations shift no feature, or by what is no number"):
        in_proportion_to(parse_variant("fgsm:0.1"), np.full(N_FEATURES, bad))


def test_attacks_that_follow_shifts_move_each_feature_by_its_own(train_config: MakeConfig) -> None:
    config = train_config(attack="fgsm:0.1", attack_factors="shifts")
    sources = read_sources(config, TrainingData(config.data), CPU)
    with pytest.raises(ValueError, match="attack_factors: shifts needs jets with variations"):
        methods_of(config, sources._replace(shifts=None), CPU)
    shifts = np.linspace(0.0, 2.0, N_FEATURES)
    (method,) = methods_of(config, sources._replace(shifts=tuple(shifts)), CPU)
    factors = in_proportion_to(config.attack, shifts).feature_factors()
    torch.manual_seed(1)
    network = TaggerNetwork()
    batch = next(StoredJets(TrainingData(config.data), "train", device=CPU).in_order(200))
    moved = method.batch_transform(network, batch, step=0)
    steps = (moved.scaled - batch.scaled).abs().numpy()
    expected = np.where(batch.frozen.numpy(), 0.0, 0.1 * factors)
    np.testing.assert_allclose(steps, expected, atol=1e-5)


def test_a_run_of_before_there_were_methods_goes_on(train_config: MakeConfig, tmp_path: Path) -> None:
    whole = train(train_config(output=tmp_path / "whole", epochs=2))
    old = train(train_config(output=tmp_path / "old", epochs=1))
    path = checkpoint_path(old, 1)
    state = load_checkpoint(path)
    config = json.loads(state["config"])
    del state["modules"], state["method_fingerprints"], config["methods"], config["attack_factors"]
    torch.save(state | {"config": json.dumps(config)}, path)
    content = json.loads((old / "config.json").read_text())
    del content["method_fingerprints"], content["adapted_on"]
    (old / "config.json").write_text(json.dumps(content | {"config": config}))
    train(train_config(output=old, epochs=2), resume=True)
    assert_same(all_of(whole, 2), all_of(old, 2))
