"""Several trainings side by side, one process each, with a progress bar each."""

import multiprocessing
import queue
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from advtag.progress import ProgressCallback

if TYPE_CHECKING:
    from training.config import TrainConfig

Message = tuple[str, int, int]
"""A training's name, the steps done and their total."""


def train_side_by_side(
    configs: Sequence["TrainConfig"], *, n_processes: int, progress: Mapping[str, ProgressCallback]
) -> list[Path]:
    """Return the run directories of trainings that run, or go on, at the same time.

    Args:
        configs: One a training; their names differ.
        n_processes: At most so many at once.
        progress: For each name the callback of its bar.

    Raises:
        ValueError: What a training raises; the others finish first and keep their checkpoints.
    """
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, ProcessPoolExecutor(n_processes, mp_context=context) as pool:
        messages: queue.Queue[Message] = manager.Queue()
        futures = [pool.submit(_train, config, messages) for config in configs]
        while not all(future.done() for future in futures):
            _pass_on(messages, progress, timeout=0.2)
        _pass_on(messages, progress, timeout=0.0)
        return [future.result() for future in futures]


def _train(config: "TrainConfig", messages: "queue.Queue[Message]") -> Path:
    """Train in a process of its own; what was complete before is kept."""
    from training.train import train

    return train(
        config,
        resume=config.output.exists(),
        progress=lambda done, total: messages.put((config.name, done, total)),
    )


def _pass_on(
    messages: "queue.Queue[Message]", progress: Mapping[str, ProgressCallback], *, timeout: float
) -> None:
    """Move the bars by all messages that are there, waiting for the first at most `timeout` seconds."""
    try:
        while True:
            name, done, total = messages.get(timeout=timeout) if timeout else messages.get_nowait()
            progress[name](done, total)
    except queue.Empty:
        return
