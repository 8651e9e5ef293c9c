"""The training loop: basic, or on FGSM-attacked inputs.

A run is a pure function of its configuration and data, on one kind of machine: a resumed training is bit by
bit the one that never stopped.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch

from models.discriminators import scores
from models.network import TaggerNetwork
from training.attacks import evaluation_mode, fgsm
from training.batches import Batch, ShuffledTrainingJets, StoredJets
from training.checkpoints import (
    CONFIG_NAME,
    EpochRecord,
    Run,
    changed_keys,
    create_run,
    epochs_of,
    is_unused,
    read_history,
    read_run,
    restore,
    save_checkpoint,
    write_history,
)
from training.config import TrainConfig
from training.losses import focal_loss
from training.metrics import auc, split_by_truth
from training.shards import TrainingData

Progress = Callable[[int, int], None]

_log = logging.getLogger(__name__)
_VALIDATION_BATCH = 4096


class Validation(NamedTuple):
    """Unweighted loss on raw inputs, and the area of BvsL on raw and on attacked ones."""

    loss: float
    auc_raw: float
    auc_fgsm: float


def train(config: TrainConfig, *, resume: bool = False, progress: Progress | None = None) -> Path:
    """Train a tagger and return its run directory, with checkpoint, tagger and attack of each epoch.

    Args:
        config: The run card.
        resume: Continue after the last complete epoch in the run directory; start there if there is none.
        progress: Called with the epochs done and their total.

    Raises:
        FileNotFoundError: If the training data are missing.
        ValueError: If the run directory holds another training, or one that `resume` was not asked for; if
            the training data are broken; or if the loss stops being finite.
    """
    data = TrainingData(config.data)
    device = _device(config)
    run = _open_run(config, data, resume=resume)
    with _own_torch_state(config, device):
        network = TaggerNetwork(dropout=config.dropout).to(device)
        optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate, fused=True)
        jets = ShuffledTrainingJets(data, window_shards=config.window_shards, device=device)
        validation_jets = StoredJets(data.learning_jets("validation"), device)
        n_done = _restore(run, network, optimizer, device)
        history = [record for record in read_history(run.folder) if record.epoch <= n_done]
        for epoch in range(n_done + 1, config.epochs + 1):
            rate = learning_rate(config, epoch)
            start = time.perf_counter()
            loss = _train_epoch(network, optimizer, jets, config, rate=rate)
            speed = data.n_jets("train") / (time.perf_counter() - start)
            if not math.isfinite(loss):
                raise ValueError(
                    f"{config.output}: the loss of epoch {epoch} is {loss}: lower learning_rate ({rate})"
                )
            history.append(EpochRecord(epoch, rate, loss, *validate(network, validation_jets, config), speed))
            write_history(run.folder, history)
            save_checkpoint(run, epoch, network, optimizer, device)
            _log.info("%s: %s", config.name, history[-1])
            if progress:
                progress(epoch, config.epochs)
    return run.folder


def learning_rate(config: TrainConfig, epoch: int) -> float:
    """Return the learning rate of an epoch, counted from 1.

    Source:
        Thesis, Eq. 2.9, which counts epochs from 0.
    """
    return config.learning_rate / (1.0 + (epoch - 1) / config.decay_epochs)


def train_step(
    network: TaggerNetwork, optimizer: torch.optim.Optimizer, batch: Batch, config: TrainConfig
) -> torch.Tensor:
    """Take one step of the optimiser and return the batch's loss, sum(w L) / sum(w), a scalar.

    A batch is computed in pieces of `micro_batch` jets whose gradients add up, which changes the speed only.
    """
    optimizer.zero_grad()
    sum_of_weights = batch.weights.sum()
    batch_loss = torch.zeros((), device=sum_of_weights.device)
    for scaled, labels, weights, frozen in batch.pieces(config.micro_batch or config.batch_size):
        if config.method == "fgsm":
            inputs = fgsm(
                network, scaled, labels, frozen, epsilon=config.epsilon, loss_input=config.loss_input
            )
        else:
            inputs = scaled
        losses = focal_loss(network(inputs), labels, gamma=config.gamma, loss_input=config.loss_input)
        loss = (weights * losses).sum() / sum_of_weights
        loss.backward()
        batch_loss += loss.detach()
    optimizer.step()
    return batch_loss


def validate(network: TaggerNetwork, jets: StoredJets, config: TrainConfig) -> Validation:
    """Return how good the network is on jets it was not trained on; nan where a flavour is missing."""
    losses, raw, attacked, labels = [], [], [], []
    with torch.no_grad(), evaluation_mode(network):
        for batch in jets.in_order(_VALIDATION_BATCH):
            logits = network(batch.scaled)
            losses.append(focal_loss(logits, batch.labels, gamma=config.gamma, loss_input=config.loss_input))
            moved = fgsm(
                network,
                batch.scaled,
                batch.labels,
                batch.frozen,
                epsilon=config.epsilon,
                loss_input=config.loss_input,
            )
            raw.append(logits)
            attacked.append(network(moved))
            labels.append(batch.labels)
    if not losses:
        return Validation(math.nan, math.nan, math.nan)
    truth = torch.cat(labels).cpu().numpy()
    areas = []
    for logits in (raw, attacked):
        discriminator = scores(torch.cat(logits).cpu().numpy())["BvsL"]
        areas.append(auc(*split_by_truth("BvsL", discriminator, truth)))
    return Validation(float(torch.cat(losses).mean()), *areas)


def _train_epoch(
    network: TaggerNetwork,
    optimizer: torch.optim.Optimizer,
    jets: ShuffledTrainingJets,
    config: TrainConfig,
    *,
    rate: float,
) -> float:
    """Take one pass over the training jets and return the mean of the batches' losses."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    network.train()
    losses = [train_step(network, optimizer, batch, config) for batch in jets.batches(config.batch_size)]
    return float(torch.stack(losses).mean())


def _open_run(config: TrainConfig, data: TrainingData, *, resume: bool) -> Run:
    """Return the run of a new or resumed training, its directory made.

    Raises:
        ValueError: If the directory holds another training, or one not to be resumed.
    """
    run = Run(config.output, config, data.scaler(), data.manifest.fingerprint)
    if is_unused(config.output):
        create_run(run)
        return run
    if not (config.output / CONFIG_NAME).is_file():
        raise ValueError(f"{config.output}: exists and is no run directory: choose another 'output'")
    found = read_run(config.output)
    changed = changed_keys(found.config, config)
    if changed:
        raise ValueError(
            f"{config.output}: holds a training with other settings ({', '.join(changed)}): "
            "choose another 'output'"
        )
    if found.data_fingerprint != run.data_fingerprint:
        raise ValueError(
            f"{config.output}: was trained on other data than {config.data}: choose another 'output'"
        )
    if epochs_of(config.output) and not resume:
        raise ValueError(
            f"{config.output}: already holds {len(epochs_of(config.output))} epochs of this training: "
            "resume it, or choose another 'output'"
        )
    create_run(run)
    return run


def _restore(run: Run, network: TaggerNetwork, optimizer: torch.optim.Optimizer, device: torch.device) -> int:
    """Set network, optimiser and random numbers to the last complete epoch and return it; 0 if none."""
    epochs = epochs_of(run.folder)
    if not epochs:
        return 0
    state = restore(run, epochs[-1], network, optimizer, device=device)
    torch.set_rng_state(state["random_state"].cpu())
    if device.type == "cuda" and state["random_state_cuda"] is not None:
        torch.cuda.set_rng_state(state["random_state_cuda"].cpu(), device)
    return epochs[-1]


def _device(config: TrainConfig) -> torch.device:
    if config.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if config.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device: cuda was asked for, but torch sees no GPU: use cpu or auto")
    return torch.device(config.device)


@contextmanager
def _own_torch_state(config: TrainConfig, device: torch.device) -> Iterator[None]:
    """Seed torch and set its threads for the training, and give the caller back what it had."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.set_num_threads(config.threads)
        torch.manual_seed(config.seed)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
