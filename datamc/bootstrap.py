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


def shifted_band(value: float, replicas: Floats) -> tuple[float, float]:
    """Return the central 68 % of the replicas, moved so that their median lies on the value; not below 0.

    A replica carries the statistical offset of a divergence twice, the value once: unmoved, the band would
    lie above the value.

    Args:
        value: What was measured.
        replicas: The same quantity in each replica, shape `(n,)`; without any, the band is the value.
    """
    if not replicas.size:
        return value, value
    low, middle, high = np.quantile(replicas, _QUANTILES)
    return max(float(value + low - middle), 0.0), float(value + high - middle)
