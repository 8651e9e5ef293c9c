"""Several processes that train one network together, each on its share of every batch.

`torchrun` starts them, one a GPU, and tells each its rank in the environment.
"""

import importlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import distributed


class Workers(NamedTuple):
    """Which of how many processes this one is."""

    rank: int = 0
    number: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes files and reports."""
        return self.rank == 0

    def share(self, indices: torch.Tensor) -> torch.Tensor:
        """Return this process's part of a batch, every n-th jet."""
        return indices[self.rank :: self.number]

    def add_up(self, tensor: torch.Tensor) -> torch.Tensor:
        """Replace a tensor by its sum over the processes, in place, and return it."""
        if self.number > 1:
            distributed.all_reduce(tensor)
        return tensor

    def largest(self, tensor: torch.Tensor) -> torch.Tensor:
        """Replace a tensor by its largest value in any process, in place, and return it."""
        if self.number > 1:
            distributed.all_reduce(tensor, distributed.ReduceOp.MAX)
        return tensor

    def add_up_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Replace the gradients by their sums over the processes.

        All in one message, once a step of the optimiser. torch's DistributedDataParallel hooks into each
        backward pass instead, and so would add up those of micro-batches and attacks, too.
        """
        if self.number == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        joint = self.add_up(torch.cat([gradient.flatten() for gradient in gradients]))
        for gradient, part in zip(gradients, joint.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def wait(self) -> None:
        """Return when all processes have come here."""
        if self.number > 1:
            distributed.barrier()


ALONE = Workers()
"""A training in a single process."""


def local_rank() -> int:
    """Return the number of this process on its machine, which is that of its GPU; 0 without `torchrun`."""
    return int(os.environ.get("LOCAL_RANK", "0"))


@contextmanager
def joined_workers(device: torch.device) -> Iterator[Workers]:
    """Yield this process among those that `torchrun` started; it is alone if there was no `torchrun`."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Workers()
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    # Functions of this module have the group of the moment of their import as a default argument, and an
    # optimiser's first step imports them: a group made before would stay in there, its threads would outlive
    # the destruction below, and one that drops a tensor while the interpreter ends aborts the process
    # ("terminate called without an active exception").
    importlib.import_module("torch.distributed.nn")
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Workers(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()
