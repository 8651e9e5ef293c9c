"""What a training reports of each epoch beside its tables."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from training.checkpoints import Run
from training.history import EpochRecord, LossTerm

EpochLog = Callable[[EpochRecord, Sequence[LossTerm]], None]
"""Called after each complete epoch, with its terms."""


def _log_nothing(record: EpochRecord, terms: Sequence[LossTerm]) -> None:
    del record, terms


@contextmanager
def epoch_log(run: Run, *, is_on: bool) -> Iterator[EpochLog]:
    """Yield what writes epochs for TensorBoard below the run directory, or nothing where it is off.

    Raises:
        ValueError: If it is on and tensorboard is not installed.
    """
    if not is_on:
        yield _log_nothing
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ValueError(
            "tensorboard: is not installed: pip install 'advtag[tensorboard]', or leave that key out"
        ) from error
    with SummaryWriter(run.folder / "tensorboard") as writer:

        def log(record: EpochRecord, terms: Sequence[LossTerm]) -> None:
            for name, value in record._asdict().items():
                writer.add_scalar(name, value, record.epoch)
            for term in terms:
                writer.add_scalar(f"terms/{term.number}_{term.name}", term.value, record.epoch)
            writer.flush()

        yield log
