r"""Replicas of data and simulation, the same events in all of them, and the errors that follow.

Where a result holds its scores by blocks of events, a replica gives half of the blocks, drawn by chance, more
weight and the others less: :math:`1 \pm 1/2`. The same blocks are chosen for every score, tagger, epoch and
variant, so that replicas of two of them move together as the values would, and any function of several values
(a difference, a ratio) has its own error. No block is ever without weight, so no bin becomes empty that was
not. Each replica has a mirror with all signs turned. What is odd under it comes from the linear part of a
measure, what is even from its curvature:

.. math:: V = V_\mathrm{odd} - V_\mathrm{even}

since the histograms have fluctuated already before they fluctuate in replicas: of a quadratic form with the
variance :math:`T + Q` (:math:`T` where nothing but noise is measured), the odd part varies by :math:`2 T + Q`
and the even one by :math:`T`. The mean of the even part is what statistics add to the measure.

Source:
    R. E. Fay, Proc. Survey Research Methods Section, ASA (1989) 212; McCarthy, Rev. Int. Stat. Inst. 37
    (1969) 239 (half-samples). The subtraction: variance of quadratic forms of normal variables.
"""

from typing import NamedTuple

import numpy as np

from datamc.measures import Floats

STRENGTH = 0.5
"""By how much the weight of a block goes up or down."""

LEAST = 2 / 3
"""Where noise alone is measured the variance is that of the even part, but known from one experiment alone: a
bound at 1 would raise it on average, none would let it vanish. In toys two thirds cover 68 %."""


class Weights(NamedTuple):
    """Signs of blocks, shape `(n_pairs, n_blocks)` each: the same where data are the simulated events."""

    data: Floats
    mc: Floats


class Spread(NamedTuple):
    """One standard deviation of a measure, and what statistics add to it on average."""

    error: float
    offset: float


def draw_weights(n_replicas: int, n_blocks: int, *, seed: int, same_events: bool = False) -> Weights:
    """Return signs for half as many pairs of mirrored replicas, at least 1 pair if any are asked for.

    Args:
        n_replicas: How many are asked for.
        n_blocks: Of events.
        seed: Of the signs.
        same_events: Whether data are the events of the simulation: an event is then drawn once, for both.
    """
    random = np.random.default_rng([seed, n_blocks])
    signs = random.choice([-1.0, 1.0], size=(2, (n_replicas + 1) // 2, n_blocks))
    return Weights(signs[0], signs[0] if same_events else signs[1])


def with_replicas(blocks: Floats, signs: Floats) -> Floats:
    """Return the sum over blocks, its replicas and then their mirrors, shape `(1 + 2 n_pairs, n_bins)`.

    Args:
        blocks: Histograms by block, shape `(n_blocks, n_bins)`.
        signs: Shape `(n_pairs, n_blocks)`.
    """
    total = blocks.sum(axis=0)
    moved = STRENGTH * signs @ blocks
    return np.concatenate([total[np.newaxis], total + moved, total - moved])


def spread(values: Floats, *, n_blocks: int) -> Spread:
    r"""Return error and offset of a measure from its value and replicas, shape `(1 + 2 n_pairs,)`.

    Nan without replicas. The variance is at least `LEAST` times :math:`V_\mathrm{even}`.
    """
    if len(values) < 3 or n_blocks < 2:
        return Spread(float("nan"), float("nan"))
    odd, even = _odd_and_even(values)
    # Blocks add up to a fixed whole, so that one of them is not free.
    correction = n_blocks / (n_blocks - 1)
    linear, curved = correction * float((odd**2).mean()), correction**2 * float(even.var())
    return Spread(float(np.sqrt(max(linear - curved, LEAST * curved))), correction * float(even.mean()))


def linear_error(values: Floats, *, n_blocks: int) -> Floats:
    """Return the errors of numbers that are linear in the histograms, shape `(n,)`, nan without replicas.

    Args:
        values: As they are, then their replicas, shape `(1 + 2 n_pairs, n)`.
        n_blocks: Blocks of events behind the replicas.
    """
    if len(values) < 3 or n_blocks < 2:
        return np.full(values.shape[1:], np.nan)
    odd, _ = _odd_and_even(values)
    return np.asarray(np.sqrt(n_blocks / (n_blocks - 1) * (odd**2).mean(axis=0)))


def is_smooth(values: Floats) -> bool:
    """Say whether replicas move a measure as a linear or quadratic form would, which errors rely on.

    Of a quadratic form the even part varies by half as much as the odd one at most. A measure that jumps
    where a bin becomes empty or negative moves by the same in both, which are divided by 1/2 and by 1/4.
    """
    if len(values) < 3:
        return True
    odd, even = _odd_and_even(values)
    return float(even.var()) <= float((odd**2).mean())


def _odd_and_even(values: Floats) -> tuple[Floats, Floats]:
    """Return the linear and the quadratic part of what full fluctuations would do, `(n_pairs, ...)` each."""
    up, down = np.split(values[1:], 2)
    return 0.5 * (up - down) / STRENGTH, (0.5 * (up + down) - values[0]) / STRENGTH**2
