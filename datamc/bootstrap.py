"""Replicas of histograms: what data and simulation could have been, bin by bin."""

import zlib

import numpy as np

from datamc.histograms import Floats

_QUANTILES = (0.16, 0.5, 0.84)


def poisson_replicas(values: Floats, variances: Floats, *, n: int, seed: int, key: str) -> Floats:
    """Return replicas of a histogram, shape `(n, *shape of values)`.

    A bin with sum of weights S and sum of squared weights V is drawn as V / S times a Poisson number of mean
    S^2 / V: mean S, variance V. A count (V = S) is Poisson itself. A bin without content, or whose weights
    cancel, stays as it is.

    Args:
        values: Sums of weights per bin.
        variances: Sums of squared weights per bin.
        n: How many replicas.
        seed: The seed of the whole table.
        key: The name of the stream: histograms with the same key and seed fluctuate alike.
    """
    random = np.random.default_rng([seed, zlib.crc32(key.encode())])
    can_fluctuate = (variances > 0) & (values != 0)
    weight = np.divide(variances, values, out=np.ones_like(values), where=can_fluctuate)
    n_effective = np.divide(values**2, variances, out=np.zeros_like(values), where=can_fluctuate)
    drawn = weight * random.poisson(n_effective, size=(n, *values.shape))
    return np.asarray(np.where(can_fluctuate, drawn, values))


def divergence_band(value: float, replicas: Floats, *, offset: float) -> tuple[float, float]:
    r"""Return the 68 % band of a divergence from its replicas; it holds the value and is not below 0.

    A replica fluctuates around histograms that have fluctuated themselves. So it carries the statistical
    offset twice and spreads too much, most where the offset is all there is. With k degrees of freedom,
    2 N D follows a non-central chi2 with :math:`\lambda = k (D / \mathrm{offset} - 1)` and the variance
    :math:`2 k + 4 \lambda`; in a replica :math:`\lambda + k` stands for :math:`\lambda`. The quantiles are
    taken relative to the replicas' median and made narrower by the square root of that ratio.

    Args:
        value: The divergence that was measured, its offset included.
        replicas: The divergence of each replica, shape `(n,)`; without any, the band is the value.
        offset: The divergence expected from statistics alone.
    """
    if not replicas.size:
        return value, value
    low, middle, high = np.quantile(replicas, _QUANTILES)
    excess = max(value / offset - 1, 0.0) if offset > 0 else np.inf
    narrowing = np.sqrt((1 + 2 * excess) / (3 + 2 * excess)) if np.isfinite(excess) else 1.0
    return max(float(value + narrowing * (low - middle)), 0.0), float(value + narrowing * (high - middle))
