"""The attacks of training, of the workers, and of an independent library are the same."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from art.attacks.evasion import FastGradientMethod, ProjectedGradientDescent
from art.estimators.classification import PyTorchClassifier

from models.features import IS_INTEGER, N_FEATURES, default_mask
from models.network import TaggerNetwork
from models.perturbations import JetKeys, gaussian_noise, perturb
from models.tagger import Tagger, load_taggers
from models.variants import parse_variant
from training.attacks import Perturbation, frozen_cells, gradient_sign
from training.checkpoints import checkpoint_path, load_checkpoint
from training.shards import TrainingData

N_JETS = 400


@pytest.fixture(scope="module")
def tagger(finished_run: Path) -> Tagger:
    return load_taggers([finished_run])[-1]


@pytest.fixture(scope="module")
def network(finished_run: Path) -> TaggerNetwork:
    network = TaggerNetwork()
    network.load_state_dict(load_checkpoint(checkpoint_path(finished_run, 2))["network"])
    return network.eval()


@pytest.fixture(scope="module")
def raw_and_labels(training_data: Path) -> tuple[np.ndarray, np.ndarray]:
    jets = next(TrainingData(training_data).evaluation_jets())
    return jets.raw[:N_JETS], jets.labels[:N_JETS].astype(np.int64)


@pytest.fixture
def shared_noise(monkeypatch: pytest.MonkeyPatch) -> tuple[JetKeys, np.ndarray]:
    """Lets training draw the noise that the workers have for these jets."""
    index = np.arange(N_JETS)
    keys = JetKeys(index * 0 + 1, index * 0 + 1, index // 5, index % 5)
    noise = gaussian_noise(1, keys)
    monkeypatch.setattr(torch, "randn_like", lambda _: torch.from_numpy(noise.copy()))
    return keys, noise


@pytest.mark.parametrize(
    "text",
    [
        "noise:0.1",
        "sign_noise:0.1",
        "fgsm:0.1",
        "noise_fgsm:0.05:0.1",
        "pgd:0.1:steps=4",
        "noise:0.1:restrict=0.05",
        "fgsm:0.1:restrict=0.05",
        "pgd:0.1:steps=4:restrict=0.05",
        "fgsm:0.1:track=0.5:SV=0",
        "pgd:0.2:steps=3:track=0.5:pt=0",
    ],
)
def test_training_and_workers_perturb_alike(
    text: str,
    tagger: Tagger,
    network: TaggerNetwork,
    raw_and_labels: tuple[np.ndarray, np.ndarray],
    shared_noise: tuple[JetKeys, np.ndarray],
) -> None:
    raw, labels = raw_and_labels
    variant = parse_variant(text)
    scaled, mask = tagger.scaler.scale(raw)
    in_training = Perturbation(variant, scaler=tagger.scaler)(
        network, torch.from_numpy(scaled), torch.from_numpy(labels), frozen_cells(torch.from_numpy(mask))
    ).numpy()
    moved = perturb(variant, tagger, raw, keys=shared_noise[0], labels=labels, seed=1)
    by_workers, _ = tagger.scaler.scale(moved)
    # Only a gradient within rounding of zero may have another sign; with more steps it leads elsewhere.
    assert np.isclose(by_workers, in_training, atol=1e-3).mean() > 0.999
    frozen = mask | IS_INTEGER
    assert np.array_equal(in_training[frozen].view(np.uint32), scaled[frozen].view(np.uint32))
    assert not np.array_equal(in_training, scaled)


def test_the_attack_file_has_the_signs_of_autograd(
    tagger: Tagger, network: TaggerNetwork, raw_and_labels: tuple[np.ndarray, np.ndarray]
) -> None:
    raw, labels = raw_and_labels
    scaled, _ = tagger.scaler.scale(raw)
    movable = ~(default_mask(raw) | IS_INTEGER)
    in_torch = gradient_sign(network, torch.from_numpy(scaled), torch.from_numpy(labels)).numpy()
    assert (tagger.gradient_sign(raw, labels) == in_torch)[movable].mean() > 0.9999


def test_finite_differences_have_the_signs_of_the_attack_file(
    tagger: Tagger, network: TaggerNetwork, raw_and_labels: tuple[np.ndarray, np.ndarray]
) -> None:
    raw, labels = raw_and_labels[0][:20], torch.from_numpy(raw_and_labels[1][:20])
    scaled = torch.from_numpy(tagger.scaler.scale(raw)[0]).double()
    precise = TaggerNetwork().double().eval()
    precise.load_state_dict(network.state_dict())

    def loss(features: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(precise(features), labels, reduction="none")

    signs = tagger.gradient_sign(raw, labels.numpy())
    n_compared = 0
    with torch.no_grad():
        for feature in range(N_FEATURES):
            step = torch.zeros(N_FEATURES, dtype=torch.float64)
            step[feature] = 1e-6
            up, down = loss(scaled + step) - loss(scaled), loss(scaled) - loss(scaled - step)
            # Smooth where both sides agree: no ReLU switches in between.
            smooth = ((up - down).abs() < 1e-3 * up.abs()).numpy() & (signs[:, feature] != 0)
            assert (up.sign().numpy() == signs[:, feature])[smooth].all()
            n_compared += smooth.sum()
    assert n_compared > 0.9 * np.count_nonzero(signs)


@pytest.fixture(scope="module")
def library(network: TaggerNetwork) -> PyTorchClassifier:
    return PyTorchClassifier(
        network, torch.nn.CrossEntropyLoss(), input_shape=(N_FEATURES,), nb_classes=4, device_type="cpu"
    )


@pytest.mark.parametrize(
    ("text", "attack"),
    [
        ("fgsm:0.1", lambda library: FastGradientMethod(library, eps=0.1)),
        (
            "pgd:0.1:steps=5:step=0.03",
            lambda library: ProjectedGradientDescent(
                library, eps=0.1, eps_step=0.03, max_iter=5, num_random_init=0, verbose=False
            ),
        ),
    ],
)
def test_attacks_are_those_of_the_adversarial_robustness_toolbox(
    text: str, attack: Callable[..., FastGradientMethod], library: PyTorchClassifier, network: TaggerNetwork
) -> None:
    scaled = torch.randn(N_JETS, N_FEATURES, generator=torch.Generator().manual_seed(3))
    labels = torch.arange(N_JETS) % 4
    expected = attack(library).generate(scaled.numpy(), np.eye(4, dtype=np.float32)[labels.numpy()])
    ours = Perturbation(parse_variant(text))(
        network, scaled, labels, torch.zeros(N_JETS, N_FEATURES, dtype=torch.bool)
    )
    assert np.isclose(ours.numpy(), expected, atol=1e-6).mean() > 0.9999
    assert np.abs(expected - scaled.numpy()).max() == pytest.approx(0.1, rel=1e-4)
