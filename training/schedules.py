"""The learning rate over a training, and when to stop early."""

from collections.abc import Sequence
from math import cos, pi

from training.config import TrainConfig
from training.history import EpochRecord


def learning_rate(config: TrainConfig, epoch: int, progress: float = 0.0) -> float:
    r"""Return the learning rate, in an epoch counted from 1, at some point of it.

    With :math:`e` the epochs before this one, :math:`t = e` + progress, :math:`w` those of the warm-up and
    :math:`E` all of them: ``inverse`` :math:`\eta / (1 + e/d)`, constant within an epoch; ``constant``
    :math:`\eta`; ``cosine`` :math:`\frac{\eta}{2} (1 + \cos \pi \frac{t - w}{E - w})`. Before :math:`w` the
    rate is :math:`\eta\, t / w` for all of them.

    Args:
        config: The run card.
        epoch: 1 for the first.
        progress: Share of the epoch's steps that are done, 0 to 1.

    Source:
        Thesis, Eq. 2.9 (inverse); I. Loshchilov, F. Hutter, arXiv:1608.03983 (cosine).
    """
    done = epoch - 1 + progress
    if done < config.warmup_epochs:
        return config.learning_rate * done / config.warmup_epochs
    if config.schedule == "cosine":
        share = (done - config.warmup_epochs) / (config.epochs - config.warmup_epochs)
        return config.learning_rate * 0.5 * (1.0 + cos(pi * share))
    if config.schedule == "inverse":
        return config.learning_rate / (1.0 + (epoch - 1) / config.decay_epochs)
    return config.learning_rate


def is_exhausted(config: TrainConfig, history: Sequence[EpochRecord]) -> bool:
    """Tell whether `patience` epochs went by without a better `monitor` than before them.

    Losses are better when lower, areas when higher; nan is never better.
    """
    if config.patience is None or len(history) <= config.patience:
        return False
    values = [float(getattr(record, config.monitor)) for record in history]
    if config.monitor.startswith("validation_loss"):
        values = [-value for value in values]
    best = max((value for value in values if value == value), default=0.0)
    return best not in values or len(values) - 1 - values.index(best) >= config.patience
