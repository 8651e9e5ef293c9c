"""Numbers of jets by flavour: reconstructed vertices, and inputs that hold no value."""

import math
from typing import NamedTuple, Self

import numpy as np

from models.features import BRANCHES, N_FEATURES, default_mask, index_of
from simulation.validation import expectations
from simulation.validation.checks import Check, check, rate_with_error
from simulation.validation.expectations import FLAVOURS
from simulation.validation.reading import Integers, Jets

_CATEGORY = index_of("Jet_DeepCSV_vertexCategory")
_RECO_VERTEX = 0
_TRACK_SLOTS = tuple(f"Jet_DeepCSV_trackSip2dSig_{slot}" for slot in range(6))


class DefaultRow(NamedTuple):
    """How often one input holds no value in jets of one flavour, here and in CMS simulation."""

    sample: str
    input: str
    flavour: str
    n_jets: int
    fraction: float
    error: float
    cms_fraction: float
    ratio: float
    within_factor: int
    """1 if the ratio is close enough to 1, else 0."""


class FlavourCounts(NamedTuple):
    """Numbers of accepted jets by flavour; those of two samples add up."""

    n_jets: Integers
    """Shape ``(4,)``."""
    n_default: Integers
    """Shape ``(4, 67)``."""
    n_category: Integers
    """Reconstructed, pseudo and no vertex, and no track, shape ``(4, 4)``."""

    def plus(self, other: Self) -> "FlavourCounts":
        """Return the sum of both."""
        return FlavourCounts(*(a + b for a, b in zip(self, other, strict=True)))


def count_flavours(jets: Jets) -> FlavourCounts:
    """Return the numbers of accepted jets of each flavour."""
    accepted = jets.accepted()
    mask = default_mask(accepted.raw)
    category = np.where(mask[:, _CATEGORY], 3, accepted.raw[:, _CATEGORY]).astype(np.int64)
    n_jets, n_default, n_category = (
        np.zeros(4, np.int64),
        np.zeros((4, N_FEATURES), np.int64),
        np.zeros((4, 4), np.int64),
    )
    for label in range(len(FLAVOURS)):
        own = accepted.flavour == label
        n_jets[label] = own.sum()
        n_default[label] = mask[own].sum(axis=0)
        n_category[label] = np.bincount(category[own], minlength=4)[:4]
    return FlavourCounts(n_jets, n_default, n_category)


def vertex_checks(counts: FlavourCounts, sample: str, *, judged: bool) -> list[Check]:
    """Return the shares of jets with a reconstructed vertex, by flavour, with that of CMS in the note."""
    checks = []
    for label, flavour in enumerate(FLAVOURS):
        value, error = rate_with_error(int(counts.n_category[label, _RECO_VERTEX]), int(counts.n_jets[label]))
        expected = expectations.RECO_VERTEX_RATES.get(flavour) if judged else None
        cms = 1 - expectations.CMS_DEFAULT_PERCENT["Jet_DeepCSV_flightDistance2dVal"][label] / 100
        note = f"with a flight distance in CMS simulation (thesis): {cms:.3f}"
        checks.append(check(f"reconstructed vertex, {flavour} jets", sample, value, error, expected, note))
    return checks


def track_checks(counts: FlavourCounts, sample: str) -> list[Check]:
    """Return the mean number of selected tracks by flavour, where a jet counts no more than six.

    That is the sum over six slots of the share of jets that fill them, which is known of CMS, too.
    """
    checks = []
    for label, flavour in enumerate(FLAVOURS):
        value, error, cms = 0.0, 0.0, 0.0
        for branch in _TRACK_SLOTS:
            n_default = int(counts.n_default[label, BRANCHES.index(branch)])
            missing, spread = rate_with_error(n_default, int(counts.n_jets[label]))
            # A jet without a third track has no fourth: errors add up as they are.
            value, error = value + 1 - missing, error + spread
            cms += 1 - expectations.CMS_DEFAULT_PERCENT[branch][label] / 100
        expected = expectations.around(
            cms, expectations.TRACKS_MARGIN, f"{expectations.THESIS_DEFAULTS}, within 20 %"
        )
        note = f"CMS simulation: {cms:.2f}"
        name = f"mean number of selected tracks up to six, {flavour} jets"
        checks.append(check(name, sample, value, error, expected, note))
    return checks


def default_rows(counts: FlavourCounts, sample: str) -> list[DefaultRow]:
    """Return how often each input holds no value, by flavour, beside CMS simulation."""
    rows = []
    for column, branch in enumerate(BRANCHES):
        for label, flavour in enumerate(FLAVOURS):
            n_jets = int(counts.n_jets[label])
            value, error = rate_with_error(int(counts.n_default[label, column]), n_jets)
            cms = expectations.CMS_DEFAULT_PERCENT[branch][label] / 100
            ratio = value / cms if cms > 0 else (1.0 if value == 0 else math.inf)
            within = 1 / expectations.DEFAULT_FACTOR <= ratio <= expectations.DEFAULT_FACTOR
            rows.append(DefaultRow(sample, branch, flavour, n_jets, value, error, cms, ratio, int(within)))
    return rows


def default_checks(counts: FlavourCounts, sample: str) -> list[Check]:
    """Return one check for each way in which inputs hold no value together, and flavour."""
    checks = []
    for kind, branch in expectations.DEFAULT_KINDS.items():
        for label, flavour in enumerate(FLAVOURS):
            cms = expectations.CMS_DEFAULT_PERCENT[branch][label] / 100
            expected = expectations.within_factor(
                cms, expectations.DEFAULT_FACTOR, f"{expectations.THESIS_DEFAULTS}, within a factor 1.5"
            )
            expected = expected._replace(high=min(expected.high, 1.0))
            value, error = rate_with_error(
                int(counts.n_default[label, BRANCHES.index(branch)]), int(counts.n_jets[label])
            )
            note = f"{value / cms:.2f} times the {cms:.4f} of CMS" if math.isfinite(value) else ""
            checks.append(check(f"{kind}, {flavour} jets", sample, value, error, expected, note))
    return checks
