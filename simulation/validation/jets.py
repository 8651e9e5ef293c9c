"""Checks of jets and of the decays in them: tracks, momenta, response, lifetimes, agreement of inputs."""

import math

import numpy as np

from models.features import index_of
from simulation.validation import expectations
from simulation.validation.agreement import Agreement
from simulation.validation.checks import Check, check, mean_with_error, median_and_width, skipped
from simulation.validation.expectations import Expectation
from simulation.validation.lifetimes import LifetimeSums
from simulation.validation.reading import Sample

FLATNESS = "inputs like simulation: are their p-values flat (p-value)"
SMALLEST = "inputs like simulation: is the smallest p-value likely (p-value)"

_N_TRACKS = index_of("Jet_DeepCSV_jetNSelectedTracks")


def jet_checks(sample: Sample) -> list[Check]:
    """Return the mean number of tracks of all jets and the mean momentum of the accepted, unweighted."""
    n_tracks = sample.jets.raw[:, _N_TRACKS].astype(np.float64)
    pt = sample.jets.accepted().pt.astype(np.float64)
    is_mc = not sample.is_data
    tracks = expectations.SELECTED_TRACKS.get(sample.process) if is_mc else None
    momentum = expectations.JET_PT.get(sample.process) if is_mc else None
    return [
        check("mean number of selected tracks", sample.name, *mean_with_error(n_tracks), tracks, "all jets"),
        check("mean jet pT [GeV]", sample.name, *mean_with_error(pt), momentum, "jets above 20 GeV"),
    ]


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
    median, width, error = median_and_width(response)
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
