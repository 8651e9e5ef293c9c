"""Several trainings side by side, one process each, with a progress bar each."""

import multiprocessing
import os
import queue
import signal
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, Any

from advtag.progress import ProgressCallback
from storage.processes import (
    ProcessDiedError,
    end_with_parent,
    interrupts_held_back,
    require_semaphores,
)

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
        n_processes: At most so many at once; one is this process.
        progress: For each name the callback of its bar.

    Raises:
        ValueError: What a training raises; the others finish first and keep their checkpoints.
        ProcessDiedError: If a training was ended from outside.
        OSError: If processes cannot work side by side on this machine.
    """
    if n_processes == 1:
        return _train_here(configs, progress)
    require_semaphores("take one process, --jobs 1")
    context = multiprocessing.get_context("spawn")
    messages: queue.Queue[Message] = context.Queue()  # type: ignore[assignment]
    with ProcessPoolExecutor(n_processes, context, _start_process, (messages,)) as pool:
        with interrupts_held_back():
            futures = {config.name: pool.submit(_train_in_process, config) for config in configs}
        try:
            while not all(future.done() for future in futures.values()):
                _pass_on(messages, progress, timeout=0.2)
        except BaseException:
            _end_all(list(futures.values()))
            raise
        _pass_on(messages, progress, timeout=0.0)
        return [_result_of(name, future) for name, future in futures.items()]


def _train_here(configs: Sequence["TrainConfig"], progress: Mapping[str, ProgressCallback]) -> list[Path]:
    """Train one after the other; the first error is raised when all others are done."""
    made, errors = [], []
    for config in configs:
        try:
            made.append(_train(config, progress[config.name]))
        except Exception as error:
            errors.append(error)
    if errors:
        raise errors[0]
    return made


def _result_of(name: str, future: "Future[Path]") -> Path:
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise ProcessDiedError(
            f"training {name}: its process, or one beside it, was ended from outside (out of memory?): start "
            "again, complete epochs are kept"
        ) from error


def _end_all(futures: "Sequence[Future[Path]]") -> None:
    """End all trainings as a batch system does: each keeps its state after the step that it is in."""
    for future in futures:
        future.cancel()
    for process in multiprocessing.active_children():
        process.terminate()


_messages: Any = None
"""In a process that trains, the queue that its progress goes to."""


def _start_process(messages: Any) -> None:
    global _messages  # it reaches the processes of a pool only as these start
    _messages = messages
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()


def _train_in_process(config: "TrainConfig") -> Path:
    try:
        return _train(config, lambda done, total: _messages.put((config.name, done, total)))
    except SystemExit as end:
        os._exit(end.code if isinstance(end.code, int) else 1)  # a pool would go on with the next one


def _train(config: "TrainConfig", progress: ProgressCallback) -> Path:
    """Train; what was complete before is kept."""
    from training.train import train

    return train(config, resume=config.output.exists(), progress=progress)


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
