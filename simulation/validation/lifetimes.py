"""Lifetimes of hadrons, from where the files say they were made and decayed."""

from typing import NamedTuple, Self

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from simulation.validation.expectations import LIFETIMES_PS

BRANCHES = tuple(f"GenPart_{field}" for field in ("pdgId", "pt", "eta", "mass", "decayLength"))

_SPEED_OF_LIGHT = 0.0299792458
"""In cm per picosecond."""


class LifetimeSums(NamedTuple):
    """Decays of the hadrons of `LIFETIMES_PS`, in that order, shape `(n_hadrons,)`; sums of files add up."""

    n_decays: NDArray[np.float64]
    sum_ps: NDArray[np.float64]
    """Sum of proper times."""

    def plus(self, other: Self) -> "LifetimeSums":
        """Return the sum of both."""
        return LifetimeSums(self.n_decays + other.n_decays, self.sum_ps + other.sum_ps)


def sum_lifetimes(columns: ak.Array) -> LifetimeSums | None:
    """Return the sums over the decays of some events; None where the branches are missing.

    The proper time of a decay is t = L m / (p c), with L its flight length.
    """
    if not set(BRANCHES) <= set(columns.fields):
        return None
    pdg, pt, eta, mass, length = (np.asarray(ak.flatten(columns[name]), np.float64) for name in BRANCHES)
    n_decays, sum_ps = np.zeros(len(LIFETIMES_PS)), np.zeros(len(LIFETIMES_PS))
    for i, number in enumerate(LIFETIMES_PS):
        own = (np.abs(pdg) == number) & (length >= 0) & (pt > 0)
        momentum = pt[own] * np.cosh(eta[own])
        n_decays[i] = own.sum()
        sum_ps[i] = (length[own] * mass[own] / momentum).sum() / _SPEED_OF_LIGHT
    return LifetimeSums(n_decays, sum_ps)
