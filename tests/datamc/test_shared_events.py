"""Two productions of the same or of other events, made with blocks."""

from dataclasses import replace

import hist
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit

from datamc.agreement import divergence_table
from datamc.blocks import PREFIX
from datamc.records import DatasetRecord, LedgerEntry, Result
from datamc.shared_events import SharedEvents, paired_errors, shared_events

N_BLOCKS = 32
EDGES = np.linspace(-0.2, 1, 61)
PLACE = ("dy", "CvsL", "basic", "raw", 1)
N_EVENTS = {"data": 3000, "mc": 6000}

Events = dict[str, tuple[NDArray[np.float64], NDArray[np.int64]]]


def events(seed: int) -> Events:
    """Log-odds of a score and blocks; data are moved by 0.4."""
    random = np.random.default_rng(seed)
    return {
        name: (random.normal(0.4 * (name == "data"), 1.5, n), random.integers(0, N_BLOCKS, n))
        for name, n in N_EVENTS.items()
    }


def production(
    jets: Events, *, stretch: float = 1.0, files: tuple[str, str] = ("data.root", "mc.root")
) -> Result:
    """A result of these events by a tagger whose log-odds are stretched."""
    axes = [
        hist.axis.StrCategory(["data", "mc"], name="dataset"),
        hist.axis.StrCategory(["OS", "SS"], name="sign", overflow=False),
        hist.axis.StrCategory(["basic"], name="tagger"),
        hist.axis.IntCategory([1], name="epoch"),
        hist.axis.StrCategory(["raw"], name="variant"),
    ]
    flavour = hist.axis.IntCategory([-1, 0, 1, 4, 5, 6], name="flavour")
    systematic = hist.axis.StrCategory(["nominal"], name="systematic")
    value = hist.axis.Variable(EDGES, name="value", underflow=False, overflow=False)
    scores = hist.Hist(
        *axes, flavour, systematic, hist.axis.Variable(EDGES, name="value"), storage=hist.storage.Weight()
    )
    block_axis = hist.axis.Regular(N_BLOCKS, 0, N_BLOCKS, name="block", underflow=False, overflow=False)
    blocks = hist.Hist(*axes, block_axis, value)
    for dataset, (odds, block) in jets.items():
        place = {"dataset": dataset, "tagger": "basic", "epoch": 1, "variant": "raw", "sign": "OS"}
        filled = place | {"value": expit(stretch * odds)}
        blocks.fill(**filled, block=block)
        scores.fill(**filled, flavour=-1 if dataset == "data" else 0, systematic="nominal")
    return Result(
        "dy",
        {"CvsL": scores, PREFIX + "CvsL": blocks},
        {
            "data": DatasetRecord(True, "data", None, 1.0, True, 3000, 3000.0, 3000.0),
            "mc": DatasetRecord(False, "mc", 3000.0, None, True, 6000, 6000.0, 6000.0),
        },
        ledger=[
            LedgerEntry(dataset, f"/somewhere/{file}", N_EVENTS[dataset], N_EVENTS[dataset])
            for dataset, file in zip(N_EVENTS, files, strict=True)
        ],
    )


def test_files_are_known_by_name_and_number_of_events() -> None:
    first = production(events(1))
    elsewhere = production(events(1))
    elsewhere.ledger[0] = replace(elsewhere.ledger[0], file="there/data.root")
    assert shared_events(first, elsewhere) == SharedEvents(True, True, N_BLOCKS)
    elsewhere.ledger[0] = replace(elsewhere.ledger[0], n_processed=10)
    assert shared_events(first, elsewhere) == SharedEvents(False, True, N_BLOCKS)
    del elsewhere.histograms[PREFIX + "CvsL"]
    assert not shared_events(first, elsewhere).is_paired
    assert paired_errors({"dy": first}, {"dy": elsewhere}, [PLACE]) == {}


def test_the_same_production_twice_differs_by_nothing() -> None:
    first, second = production(events(1)), production(events(1))
    assert paired_errors({"dy": first}, {"dy": second}, [PLACE]) == {PLACE: 0.0}


def test_what_is_shared_cancels_and_what_is_not_does_not() -> None:
    jets, other = events(1), events(2)
    first = {"dy": production(jets)}
    all_shared = {"dy": production(jets, stretch=0.9)}
    mixed = {"data": other["data"], "mc": jets["mc"]}
    mc_shared = {"dy": production(mixed, stretch=0.9, files=("other.root", "mc.root"))}
    errors = [paired_errors(first, second, [PLACE])[PLACE] for second in (all_shared, mc_shared)]
    rows = [divergence_table(each, seed=1)[0].error for each in (first, mc_shared)]
    assert errors[0] < 0.3 * np.hypot(*rows)
    assert errors[0] < errors[1] < 1.1 * np.hypot(*rows)
    nothing = {"dy": production(other, files=("other.root", "other_mc.root"))}
    assert paired_errors(first, nothing, [PLACE]) == {}


@pytest.mark.parametrize("share", ["all", "mc"])
def test_the_error_is_the_scatter_of_the_difference(share: str) -> None:
    """200 pairs of productions: the mean error is the spread of the differences, known to 5 %."""
    differences, errors = [], []
    for seed in range(200):
        jets = events(1000 + seed)
        other = events(2000 + seed) if share == "mc" else jets
        mine = production(jets)
        theirs = production(
            {"data": other["data"], "mc": jets["mc"]},
            stretch=0.8,
            files=("data.root" if share == "all" else "other.root", "mc.root"),
        )
        rows = [divergence_table({"dy": each}, n_bootstrap=0)[0] for each in (mine, theirs)]
        differences.append(rows[0].excess - rows[1].excess)
        errors.append(paired_errors({"dy": mine}, {"dy": theirs}, [PLACE], n_bootstrap=100)[PLACE])
    assert np.mean(errors) == pytest.approx(np.std(differences, ddof=1), rel=0.15)
