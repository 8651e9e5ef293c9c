import math

import numpy as np
import pytest

from models.features import BRANCHES, N_FEATURES, index_of
from simulation.validation.checks import check, judge
from simulation.validation.expectations import CMS_DEFAULT_PERCENT, DEFAULT_KINDS, LIFETIMES_PS, Expectation
from simulation.validation.flavours import count_flavours, default_rows, vertex_checks
from simulation.validation.jets import lifetime_checks
from simulation.validation.lifetimes import LifetimeSums, sum_lifetimes
from simulation.validation.muons import dimuon_mass, muon_checks
from simulation.validation.reading import Electrons, Jets, Muons, Sample

NO_ELECTRONS = Electrons(np.empty(0), np.empty(0, np.int64))

TENTH = Expectation(0.4, 0.6, "hand")


@pytest.mark.parametrize(
    ("value", "error", "verdict"),
    [
        (0.5, 0.01, "pass"),
        (0.4, 0.01, "pass"),
        (0.38, 0.011, "warn"),  # 1.8 errors below
        (0.38, 0.009, "fail"),  # 2.2 errors below
        (0.5, 0.3, "warn"),  # the error is wider than the range
        (math.nan, 0.0, "skipped"),
    ],
)
def test_verdict_allows_for_two_errors(value: float, error: float, verdict: str) -> None:
    assert judge(value, error, TENTH) == verdict


def test_without_expectation_a_number_is_shown() -> None:
    row = check("jets", "dy (mc)", 3.0, 0.1, None)
    assert row.verdict == "shown"
    assert math.isnan(row.low)


def make_jets(n_jets: int, **values: float) -> Jets:
    raw = np.full((n_jets, N_FEATURES), 1.0, np.float32)
    raw[:, index_of("Jet_pt")] = 50
    raw[:, index_of("Jet_DeepCSV_trackSumJetDeltaR")] = 0.1
    for name, value in values.items():
        raw[:, index_of(f"Jet_DeepCSV_{name}")] = value
    return Jets(raw, np.zeros(n_jets, np.int8), np.arange(n_jets))


def test_defaults_are_counted_by_flavour_and_within_acceptance() -> None:
    jets = make_jets(10, jetNSelectedTracks=2, vertexCategory=0)
    jets.flavour[4:] = 3
    jets.raw[:1, index_of("Jet_DeepCSV_vertexMass")] = -999  # one of four b jets
    jets.raw[9, index_of("Jet_pt")] = 15  # out of acceptance
    jets.raw[8, index_of("Jet_DeepCSV_trackSumJetDeltaR")] = (
        0.31  # so are the tracks of this one: four light jets are left
    )
    counts = count_flavours(jets)
    assert counts.n_jets.tolist() == [4, 0, 0, 4]
    rows = {(row.input, row.flavour): row for row in default_rows(counts, "hand")}
    mass = rows["Jet_DeepCSV_vertexMass", "b"]
    assert mass.fraction == 0.25
    # CMS: 17.92 %
    assert mass.ratio == pytest.approx(0.25 / 0.1792)
    assert mass.within_factor == 1
    # Two tracks: the third is missing in all jets; CMS: 18.87 %.
    third = rows["Jet_DeepCSV_trackSip2dSig_2", "b"]
    assert third.fraction == 1
    assert third.within_factor == 0
    assert math.isnan(rows["Jet_DeepCSV_vertexMass", "c"].fraction)


def test_vertex_rates_are_those_of_the_category() -> None:
    jets = make_jets(8, vertexCategory=2)
    jets.raw[:6, index_of("Jet_DeepCSV_vertexCategory")] = 0
    first, *_ = vertex_checks(count_flavours(jets), "hand", judged=True)
    assert (first.value, first.low, first.high) == (0.75, 0.70, 0.80)


def test_default_fractions_of_cms_are_there_for_every_input() -> None:
    assert set(CMS_DEFAULT_PERCENT) == set(BRANCHES)
    assert all(len(percent) == 4 for percent in CMS_DEFAULT_PERCENT.values())
    # From the table: a jet without a sixth track has no fifth to sixth pT ratio either.
    assert CMS_DEFAULT_PERCENT["Jet_DeepCSV_trackPtRatio_5"] == (72.05, 30.86, 61.30, 62.62)
    assert set(DEFAULT_KINDS.values()) <= set(BRANCHES)


def make_muons(n: int, seed: int, *, scale: float, tails: float) -> Muons:
    random = np.random.default_rng(seed)
    error = random.uniform(0.001, 0.004, n)
    wide = np.where(random.random(n) < tails, 3.0, 1.0)
    return Muons(
        pt=np.full(n, 40.0),
        eta=random.uniform(-2, 2, n),
        phi=random.uniform(-3, 3, n),
        charge=np.ones(n, np.int64),
        origin=np.ones(n, np.int64),
        d0=random.normal(0, scale * wide * error),
        d0_error=error,
        event=np.arange(n),
    )


def test_pull_width_is_that_of_the_core() -> None:
    detector = {
        "misalignment_d0": 0.0, "tail_fraction": 0.07, "tail_scale": 3.0, "resolution_scale": 1.12,
    }  # fmt: skip
    muons = make_muons(40_000, 1, scale=1.12, tails=0.07)
    jets = make_jets(1)
    sample = Sample(
        "dy",
        "data",
        True,
        detector,
        np.ones(1),
        jets,
        muons,
        NO_ELECTRONS,
        np.empty(0),
        None,
        np.empty(0),
        (),
    )
    (row,) = [one for one in muon_checks(sample) if "pull" in one.name]
    assert abs(row.value - 1.12) < 4 * row.error
    assert row.error < 0.01
    assert row.verdict == "pass"


def test_two_muons_back_to_back_have_the_mass_of_their_momenta() -> None:
    two = Muons(
        *(np.array(column) for column in (
            [45.6, 45.6, 20.0], [0.0, 0.0, 1.0], [0.0, np.pi, 0.0], [1, -1, 1], [1, 1, 1],
            [0, 0, 0], [1, 1, 1], [3, 3, 5],
        ))
    )  # fmt: skip
    np.testing.assert_allclose(dimuon_mass(two), [91.2])  # 2 x 45.6


def test_lifetime_is_the_mean_proper_time() -> None:
    import awkward as ak

    # p = 5 GeV at eta = 0 and m = 5 GeV: t = L / c, so 0.0299792458 cm is one picosecond.
    columns = ak.Array(
        {
            "GenPart_pdgId": [[521, -521], [521, 11]],
            "GenPart_pt": [[5.0, 5.0], [5.0, 9.0]],
            "GenPart_eta": [[0.0, 0.0], [0.0, 0.0]],
            "GenPart_mass": [[5.0, 5.0], [5.0, 0.0]],
            "GenPart_decayLength": [[0.0299792458, 3 * 0.0299792458], [-1.0, -1.0]],
        }
    )
    sums = sum_lifetimes(columns)
    assert sums is not None
    assert (sums.n_decays[0], sums.sum_ps[0]) == (2, pytest.approx(4.0))
    rows = lifetime_checks(sums, "hand")
    assert len(rows) == len(LIFETIMES_PS)
    assert (rows[0].value, rows[0].error) == (pytest.approx(2.0), pytest.approx(2 / math.sqrt(2)))
    assert rows[1].verdict == "skipped"


def test_without_generator_particles_lifetimes_are_skipped_with_a_reason() -> None:
    (row,) = lifetime_checks(None, "hand")
    assert row.verdict == "skipped"
    assert "GenPart" in row.note


def test_lifetime_sums_add_up() -> None:
    n = len(LIFETIMES_PS)
    one = LifetimeSums(np.ones(n), np.full(n, 2.0))
    assert one.plus(one).sum_ps.tolist() == [4.0] * n
