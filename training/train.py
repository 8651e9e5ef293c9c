"""The training loop.

A run is a pure function of its configuration and data, on one kind of machine: a resumed training is bit by
bit the one that never stopped, also when it was stopped in the middle of an epoch.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NoReturn

import torch

from models.network import TaggerNetwork
from storage.files import one_writer
from training.attacks import Perturbation
from training.batches import Batch, ShuffledTrainingJets, StoredJets, seed_of
from training.checkpoints import (
    Learner,
    Position,
    Run,
    newest_state,
    open_run,
    restore,
    save_checkpoint,
    save_interrupted,
)
from training.composition import Sources, methods_of, read_sources
from training.config import TrainConfig
from training.history import EpochRecord, LossTerm, read_history, read_terms, write_history
from training.interruption import Interrupted, Interruption, noted_signals
from training.logs import EpochLog, epoch_log
from training.losses import focal_loss
from training.methods import Method, modules_of
from training.passes import Passes
from training.schedules import is_exhausted, learning_rate
from training.shards import TrainingData
from training.stored_weights import is_finite
from training.validation import validate
from training.workers import ALONE, Workers, joined_workers, local_rank

Progress = Callable[[int, int], None]
"""Called with the jets done and their total, in all epochs."""

_log = logging.getLogger(__name__)
_REPORT_EVERY = 0.2
"""Seconds between two calls of the progress."""


def train(config: TrainConfig, *, resume: bool = False, progress: Progress | None = None) -> Path:
    """Train a tagger and return its run directory, with checkpoint, tagger and attack of each epoch.

    After SIGTERM or SIGUSR1 the step is finished, the state kept, and the process ends with exit code 143 or
    138. Under `torchrun` every process works on its share of each batch.

    Args:
        config: The run card.
        resume: Go on where the run directory ends, or start if there is nothing in it.
        progress: Called with the jets done and their total, some times a second.

    Raises:
        FileNotFoundError: If the training data are missing, or what a method reads.
        ValueError: If the run directory holds another training, or one that `resume` was not asked for; if
            the training data, unlabelled jets or a teacher are empty, broken, or do not fit; or if the loss
            stops being finite.
        OSError: If a file cannot be written; what was complete before is kept.
        Interrupted: After a signal.
    """
    data = TrainingData(config.data)
    if data.n_jets("train") == 0:
        raise ValueError(f"{config.data}: holds no jet to train on: prepare more files")
    device = _device(config)
    with ExitStack() as stack:
        workers = stack.enter_context(joined_workers(device))
        if workers.is_first:
            data.require_intact("train", "validation")
        sources = read_sources(config, data, device)
        run = Run(
            config.output, config, sources.scaler, data.manifest.fingerprint,
            sources.fingerprints, sources.adapted_on,
        )  # fmt: skip
        if workers.is_first:
            stack.enter_context(one_writer(run.folder))
            open_run(run, resume=resume)
        workers.wait()
        stack.enter_context(_own_torch_state(config, device))
        interruption = stack.enter_context(noted_signals())
        log = stack.enter_context(epoch_log(run, is_on=workers.is_first and config.tensorboard))
        training = _Training(run, data, sources, device=device, workers=workers, interruption=interruption)
        training.complete(log, progress if workers.is_first else None)
    return run.folder


class _Training:
    """The state of a training and the steps that change it."""

    def __init__(
        self,
        run: Run,
        data: TrainingData,
        sources: Sources,
        *,
        device: torch.device,
        workers: Workers,
        interruption: Interruption,
    ) -> None:
        self._run, self._config, self._workers, self._device = run, run.config, workers, device
        self._interruption, self._n_jets = interruption, data.n_jets("train")
        config = run.config
        self._network = TaggerNetwork(dropout=config.dropout, bf16=_needs_autocast(config, device)).to(device)
        if config.compile:
            self._network.compile()
        self._methods = methods_of(config, sources, device)
        modules = modules_of(self._methods)
        parameters = [*self._network.parameters(), *modules.parameters()]
        self._optimizer = torch.optim.Adam(parameters, lr=config.learning_rate, fused=True)
        self._learner = Learner(self._network, modules, self._optimizer)
        self._attack = Perturbation(
            config.validation_attack, scaler=run.scaler, loss_input=config.loss_input, device=device
        )
        self._jets = ShuffledTrainingJets(
            data, batch_size=config.batch_size, window_shards=config.window_shards, seed=config.seed,
            device=device, workers=workers, with_partners=config.needs_partners,
        )  # fmt: skip
        self._validation_jets = StoredJets(data, "validation", device=device)
        state = newest_state(run.folder)
        self._position = Position(1, [])
        if state:
            self._position = restore(run, state, self._learner, device=device)
        first = self._position.epoch
        self._history = [record for record in read_history(run.folder) if record.epoch < first]
        self._terms = [term for term in read_terms(run.folder) if term.epoch < first]

    def complete(self, log: EpochLog, progress: Progress | None) -> None:
        """Train the epochs that are left, or until the patience is exhausted."""
        first = self._position.epoch
        while (epoch := self._position.epoch) <= self._config.epochs:
            if is_exhausted(self._config, self._history):
                if progress and epoch > first:
                    progress((epoch - 1) * self._n_jets, (epoch - 1) * self._n_jets)
                return
            losses, speed = self._train_epoch(progress)
            terms = self._finish_epoch(losses, speed)
            log(self._history[-1], terms)
            _log.info("%s: %s", self._config.name, self._history[-1])
            if progress:
                progress(*self._jets_done(epoch, 1.0))

    def _train_epoch(self, progress: Progress | None) -> tuple[list[float], float]:
        """Take the steps that are left of an epoch; return the means of `train_step`'s losses, and jets/s."""
        epoch, losses = self._position
        n_batches, n_before = self._jets.n_batches(epoch), len(losses)
        self._network.train()
        start = time.perf_counter()
        reported = -math.inf
        for batch in self._jets.batches(epoch, start=n_before):
            done = len(losses)
            torch.manual_seed(seed_of(self._config.seed, epoch, done, self._workers.rank))
            rate = learning_rate(self._config, epoch, (done + 0.5) / n_batches)
            for group in self._optimizer.param_groups:
                group["lr"] = rate
            step = (epoch - 1) * n_batches + done
            found = train_step(
                self._network, self._optimizer, batch, self._config,
                methods=self._methods, step=step, workers=self._workers,
            )  # fmt: skip
            losses.append(found)
            self._stop_if_told()
            if progress and time.perf_counter() - reported > _REPORT_EVERY:
                reported = time.perf_counter()
                progress(*self._jets_done(epoch, len(losses) / n_batches))
        means = torch.stack(losses).mean(dim=0).tolist()
        n_jets = self._n_jets * (n_batches - n_before) / n_batches
        return means, n_jets / (time.perf_counter() - start)

    def _jets_done(self, epoch: int, share: float) -> tuple[int, int]:
        return round((epoch - 1 + share) * self._n_jets), self._config.epochs * self._n_jets

    def _stop_if_told(self) -> None:
        """Keep the state and raise `Interrupted` if a signal came, to any of the processes."""
        received = self._interruption.received
        if self._workers.number > 1:
            # All must leave after the same step, or those that stay wait for the others for ever.
            received = int(self._workers.largest(torch.tensor(received, device=self._device)))
        if not received:
            return
        if self._workers.is_first:
            with _said_where(self._run, "the state"):
                save_interrupted(self._run, self._position, self._learner)
        raise Interrupted(received)

    def _stop_at_broken_numbers(self, what: str, rate: float) -> NoReturn:
        """End the training without writing the epoch."""
        kept = self._position.epoch - 1
        raise ValueError(
            f"{self._config.output}: {what}: lower learning_rate ({rate}); "
            + (f"epochs 1 to {kept} are kept" if kept else "no epoch was complete")
        )

    def _finish_epoch(self, losses: Sequence[float], speed: float) -> list[LossTerm]:
        """Validate, write the files of an epoch, and return its terms."""
        epoch, config = self._position.epoch, self._config
        loss, *added = losses
        rate = learning_rate(config, epoch, 0.5)
        if not math.isfinite(loss):
            self._stop_at_broken_numbers(f"the loss of epoch {epoch} is {loss}", rate)
        if not is_finite([self._network.state_dict(), self._learner.modules.state_dict()]):
            self._stop_at_broken_numbers(f"the weights after epoch {epoch} are not finite", rate)
        found = validate(
            self._network, self._validation_jets, config, self._attack, after_batch=self._stop_if_told
        )
        self._history.append(EpochRecord(epoch, rate, loss, *found, speed))
        terms = [
            LossTerm(epoch, number, method.term, value)
            for number, (method, value) in enumerate(zip(self._methods, added, strict=True), start=1)
            if method.term
        ]
        self._terms += terms
        if self._workers.is_first:
            with _said_where(self._run, f"epoch {epoch}"):
                write_history(self._run.folder, self._history, self._terms)
                save_checkpoint(self._run, epoch, self._learner)
        self._position = Position(epoch + 1, [])
        return terms


def train_step(
    network: TaggerNetwork,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    config: TrainConfig,
    *,
    methods: Sequence[Method] = (),
    step: int = 0,
    workers: Workers = ALONE,
) -> torch.Tensor:
    """Take one step of the optimiser and return the batch's losses, shape ``(1 + n_methods,)``.

    The first is the whole, sum(w L) / sum(w) and what methods add; the others are what each of them adds. A
    batch is computed in pieces of `micro_batch` jets whose gradients add up, which changes the speed only.

    Args:
        network: In train mode.
        optimizer: Of its parameters, and of the modules of methods.
        batch: This process's share of the jets.
        config: The loss and the size of the pieces.
        methods: What changes the pieces, or adds to their loss.
        step: Steps before this one.
        workers: The processes that have the other shares.
    """
    optimizer.zero_grad()
    sum_of_weights = workers.add_up(batch.weights.sum())
    found = torch.zeros(1 + len(methods), device=sum_of_weights.device)
    for piece in batch.pieces(config.micro_batch or config.batch_size):
        passes = Passes(network)
        extra_losses = [method.extra_loss(passes, piece, step=step) for method in methods]
        share = piece.weights.sum() / sum_of_weights
        for method in methods:
            piece = method.batch_transform(network, piece, step=step)
        losses = focal_loss(
            passes(piece.scaled),
            piece.labels,
            gamma=config.gamma,
            alpha=config.alpha,
            loss_input=config.loss_input,
        )
        loss = (piece.weights * losses).sum() / sum_of_weights
        for number, extra_loss in enumerate(extra_losses, start=1):
            if extra_loss is not None:
                part = share * extra_loss
                found[number] += part.detach()
                loss = loss + part
        loss.backward()
        found[0] += loss.detach()
    for number, method in enumerate(methods, start=1):
        step_loss = method.step_loss(network, step=step)
        if step_loss is not None:
            step_loss = step_loss / workers.number  # all have the same, and their gradients are added up
            step_loss.backward()
            found[[0, number]] += step_loss.detach()
    workers.add_up_gradients(parameter for group in optimizer.param_groups for parameter in group["params"])
    optimizer.step()
    return workers.add_up(found)


@contextmanager
def _said_where(run: Run, what: str) -> Iterator[None]:
    """Say of an error of the disk what could not be written, and what to do."""
    try:
        yield
    except OSError as error:
        raise OSError(
            f"{run.folder}: cannot write {what} ({error.strerror or error}): "
            "make room, then resume; what was complete is kept"
        ) from error


def _device(config: TrainConfig) -> torch.device:
    if config.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device: cuda was asked for, but torch sees no GPU: use cpu or auto")
    if config.device == "cpu" or not torch.cuda.is_available():
        if config.compile:
            raise ValueError("compile: true is for GPUs, a processor gains nothing by it: leave it out")
        return torch.device("cpu")
    return torch.device("cuda", local_rank())


def _needs_autocast(config: TrainConfig, device: torch.device) -> bool:
    return config.precision == "bf16" and device.type == "cuda"


@contextmanager
def _own_torch_state(config: TrainConfig, device: torch.device) -> Iterator[None]:
    """Seed torch, set threads and precision for the training, and give the caller back what it had."""
    threads = torch.get_num_threads()
    matmul: Any = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]  # torch makes it at import
    precision = matmul.fp32_precision
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.set_num_threads(config.threads)
        if config.precision == "bf16" and device.type == "cpu":
            matmul.fp32_precision = "bf16"
        torch.manual_seed(config.seed)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            matmul.fp32_precision = precision
