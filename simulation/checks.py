"""Single numbers of simulated samples, each against what is expected of it."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, Self

import numpy as np
from scipy import optimize, stats

from models.features import BRANCHES, N_FEATURES, default_mask, index_of
from simulation import expectations
from simulation.agreement import Agreement
from simulation.expectations import FLAVOURS, Expectation
from simulation.lifetimes import LifetimeSums
from simulation.sample_reading import Floats, Integers, Jets, Muons, Sample

Verdict = Literal["good", "unclear", "bad", "shown", "skipped"]
"""Unclear: too few events to say; shown: nothing is expected; skipped: the files do not hold it."""

FLATNESS = "inputs like simulation: are their p-values flat (p-value)"
SMALLEST = "inputs like simulation: is the smallest p-value likely (p-value)"

_CATEGORY = index_of("Jet_DeepCSV_vertexCategory")
_N_TRACKS = index_of("Jet_DeepCSV_jetNSelectedTracks")
_RECO_VERTEX = 0
_PROMPT = 1
_CENTRAL = float(stats.norm.cdf(1) - stats.norm.cdf(-1))


class Check(NamedTuple):
    """One number and what is expected of it; without expectation the bounds are NaN."""

    name: str
    sample: str
    value: float
    error: float
    low: float
    high: float
    source: str
    verdict: str
    note: str = ""


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


def judge(value: float, error: float, expected: Expectation) -> Verdict:
    """Return what a number says about an expectation.

    It is unclear outside the range by less than two errors, or where an error is as wide as the range.
    """
    if not math.isfinite(value):
        return "skipped"
    if expected.low <= value <= expected.high:
        return "unclear" if error > expected.high - expected.low else "good"
    near = expected.low - 2 * error <= value <= expected.high + 2 * error
    return "unclear" if near else "bad"


def check(
    name: str, sample: str, value: float, error: float, expected: Expectation | None, note: str = ""
) -> Check:
    """Return a number with its verdict."""
    if expected is None:
        return Check(name, sample, value, error, math.nan, math.nan, "", "shown", note)
    verdict = judge(value, error, expected)
    return Check(name, sample, value, error, *expected[:2], expected.source, verdict, note)


def skipped(name: str, sample: str, reason: str) -> Check:
    """Return a check that could not be made."""
    return Check(name, sample, math.nan, math.nan, math.nan, math.nan, "", "skipped", reason)


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


def _rate(n: int, n_all: int) -> tuple[float, float]:
    """Return a fraction and its error; with none or all, the error is that of one jet more or less."""
    if n_all == 0:
        return math.nan, math.nan
    fraction = n / n_all
    return fraction, math.sqrt(max(fraction * (1 - fraction), 1 / n_all) / n_all)


def vertex_checks(counts: FlavourCounts, sample: str, *, judged: bool) -> list[Check]:
    """Return the shares of jets with a reconstructed vertex, by flavour."""
    checks = []
    for label, flavour in enumerate(FLAVOURS):
        value, error = _rate(int(counts.n_category[label, _RECO_VERTEX]), int(counts.n_jets[label]))
        expected = expectations.RECO_VERTEX_RATES.get(flavour) if judged else None
        checks.append(check(f"reconstructed vertex, {flavour} jets", sample, value, error, expected))
    return checks


def default_rows(counts: FlavourCounts, sample: str) -> list[DefaultRow]:
    """Return how often each input holds no value, by flavour, beside CMS simulation."""
    rows = []
    for column, branch in enumerate(BRANCHES):
        for label, flavour in enumerate(FLAVOURS):
            n_jets = int(counts.n_jets[label])
            value, error = _rate(int(counts.n_default[label, column]), n_jets)
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
            value, error = _rate(
                int(counts.n_default[label, BRANCHES.index(branch)]), int(counts.n_jets[label])
            )
            note = f"{value / cms:.2f} times the {cms:.4f} of CMS" if math.isfinite(value) else ""
            checks.append(check(f"{kind}, {flavour} jets", sample, value, error, expected, note))
    return checks


def jet_checks(sample: Sample) -> list[Check]:
    """Return the mean number of tracks of all jets and the mean momentum of the accepted, unweighted."""
    n_tracks = sample.jets.raw[:, _N_TRACKS].astype(np.float64)
    pt = sample.jets.accepted().pt.astype(np.float64)
    is_mc = not sample.is_data
    tracks = expectations.SELECTED_TRACKS.get(sample.process) if is_mc else None
    momentum = expectations.JET_PT.get(sample.process) if is_mc else None
    return [
        check("mean number of selected tracks", sample.name, *_mean(n_tracks), tracks, "all jets"),
        check("mean jet pT [GeV]", sample.name, *_mean(pt), momentum, "jets above 20 GeV"),
    ]


def _mean(values: Floats) -> tuple[float, float]:
    if len(values) < 2:
        return math.nan, math.nan
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values)))


def muon_checks(sample: Sample) -> list[Check]:
    """Return the width of the impact parameter's pull, and where two muons peak."""
    checks = [_pull_check(sample)]
    mass = dimuon_mass(sample.muons)
    near_z = mass[(mass > 81) & (mass < 101)]
    if sample.process == "dy" and len(near_z) > 1:
        error = 1.253 * float(near_z.std(ddof=1)) / math.sqrt(len(near_z))
        checks.append(
            check(
                "dimuon mass, median [GeV]",
                sample.name,
                float(np.median(near_z)),
                error,
                expectations.Z_MASS,
            )
        )
    return checks


def _pull_check(sample: Sample) -> Check:
    name = "width of the d0 pull of prompt muons"
    muons, detector = sample.muons, sample.detector
    # A muon of a W or Z; the bias of a misaligned tracker is known from the settings, and taken out.
    prompt = (muons.origin == _PROMPT) & (muons.d0_error > 0)
    if prompt.sum() < 100:
        return skipped(name, sample.name, f"{prompt.sum()} prompt muons of known origin: too few")
    bias = detector["misalignment_d0"] * np.sin(2 * muons.phi + muons.eta)
    pull = ((muons.d0 - bias) / muons.d0_error)[prompt]
    _, width, error = _median_and_width(pull)
    core = width / _central_width(detector["tail_fraction"], detector["tail_scale"])
    expected = Expectation(
        detector["resolution_scale"] - expectations.PULL_MARGIN,
        detector["resolution_scale"] + expectations.PULL_MARGIN,
        expectations.PULL_SOURCE,
    )
    return check(
        name,
        sample.name,
        core,
        error * core / width,
        expected,
        "the core: known tails and misalignment taken out",
    )


def _median_and_width(values: Floats) -> tuple[float, float, float]:
    """Return the median, half the width of the central 68 %, and the error of that, as of a normal shape."""
    half = (1 - _CENTRAL) / 2
    low, median, high = np.quantile(values, [half, 0.5, 1 - half]).tolist()
    width = (high - low) / 2
    # Variance of a quantile: p (1 - p) / (n density^2); the two quantiles are nearly independent.
    error = width * math.sqrt(half * (1 - half) / 2 / len(values)) / float(stats.norm.pdf(1))
    return median, width, error


def _central_width(tail_fraction: float, tail_scale: float) -> float:
    """Return the half width of the central 68.27 % of a normal distribution with wider tails."""

    def excess(width: float) -> float:
        core, tails = (2 * stats.norm.cdf(width / scale) - 1 for scale in (1.0, tail_scale))
        return float((1 - tail_fraction) * core + tail_fraction * tails - _CENTRAL)

    return float(optimize.brentq(excess, 0.5, 2 * max(tail_scale, 1.0)))


def dimuon_mass(muons: Muons) -> Floats:
    """Return the mass of the two muons of each event with exactly two of opposite charge, in GeV."""
    _, first, counts = np.unique(muons.event, return_index=True, return_counts=True)
    one = first[counts == 2]
    two = one + 1
    one, two = (index[muons.charge[one] * muons.charge[two] < 0] for index in (one, two))
    delta_eta, delta_phi = muons.eta[one] - muons.eta[two], muons.phi[one] - muons.phi[two]
    return np.asarray(np.sqrt(2 * muons.pt[one] * muons.pt[two] * (np.cosh(delta_eta) - np.cos(delta_phi))))


def lifetime_checks(sums: LifetimeSums | None, sample: str) -> list[Check]:
    """Return mean lifetimes; the error of the mean of exponential times is mean / sqrt(n)."""
    if sums is None:
        return [skipped("lifetimes of hadrons", sample, "no GenPart with decay lengths in the files")]
    checks = []
    for i, (name, lifetime) in enumerate(expectations.LIFETIMES_PS.values()):
        n = float(sums.n_decays[i])
        mean = float(sums.sum_ps[i]) / n if n else math.nan
        error = mean / math.sqrt(n) if n else math.nan
        expected = expectations.around(lifetime, expectations.LIFETIME_MARGIN, "PDG 2024, within 3 %")
        checks.append(check(f"lifetime of {name} [ps]", sample, mean, error, expected, f"{n:.0f} decays"))
    return checks


def response_checks(sample: Sample) -> list[Check]:
    """Return the median of measured over generated jet momentum, and half the width of its central 68 %."""
    response = sample.response
    if len(response) < 10:
        return []
    median, width, error = _median_and_width(response)
    of_median = 1.253 * width / math.sqrt(len(response))
    return [
        check("jet response, median", sample.name, median, of_median, expectations.RESPONSE),
        check("jet response, width", sample.name, width, error, None, "half of the central 68 %"),
    ]


def agreement_checks(agreement: Agreement, sample: str, *, same_settings: bool) -> list[Check]:
    """Return whether the p-values of all inputs together are those of equal samples.

    Only of samples with the same settings is that expected.
    """
    expected = (
        Expectation(expectations.MIN_P_VALUE, 1.0, "same settings, other seed") if same_settings else None
    )
    n_small = sum(row.p_value < 0.001 for row in agreement.rows)
    note = f"{n_small} of {len(agreement.rows)} inputs with p < 0.001"
    if not agreement.rows:
        return [skipped(FLATNESS, sample, "too few jets")]
    return [
        check(FLATNESS, sample, agreement.flatness_p_value, 0.0, expected, note),
        check(SMALLEST, sample, agreement.smallest_p_value, 0.0, expected, note),
    ]


def count_verdicts(checks: Sequence[Check]) -> Mapping[str, int]:
    """Return how many checks have each verdict."""
    names: tuple[Verdict, ...] = ("good", "unclear", "bad", "shown", "skipped")
    return {name: sum(check.verdict == name for check in checks) for name in names}
