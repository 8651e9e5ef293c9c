"""Checks of muons: the pull of their impact parameter, and the mass of pairs."""

import math

import numpy as np
from scipy import optimize, stats

from simulation.validation import expectations
from simulation.validation.checks import CENTRAL, Check, check, median_and_width, skipped
from simulation.validation.expectations import Expectation
from simulation.validation.reading import Floats, Muons, Sample

_PROMPT = 1


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
    _, width, error = median_and_width(pull)
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


def _central_width(tail_fraction: float, tail_scale: float) -> float:
    """Return the half width of the central 68.27 % of a normal distribution with wider tails."""

    def excess(width: float) -> float:
        core, tails = (2 * stats.norm.cdf(width / scale) - 1 for scale in (1.0, tail_scale))
        return float((1 - tail_fraction) * core + tail_fraction * tails - CENTRAL)

    return float(optimize.brentq(excess, 0.5, 2 * max(tail_scale, 1.0)))


def dimuon_mass(muons: Muons) -> Floats:
    """Return the mass of the two muons of each event with exactly two of opposite charge, in GeV."""
    _, first, counts = np.unique(muons.event, return_index=True, return_counts=True)
    one = first[counts == 2]
    two = one + 1
    one, two = (index[muons.charge[one] * muons.charge[two] < 0] for index in (one, two))
    delta_eta, delta_phi = muons.eta[one] - muons.eta[two], muons.phi[one] - muons.phi[two]
    return np.asarray(np.sqrt(2 * muons.pt[one] * muons.pt[two] * (np.cosh(delta_eta) - np.cos(delta_phi))))
