"""Simulation that was skimmed before it came here is normalised to all that was generated for it."""

import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot

from datamc.histograms import dataset_scales
from datamc.results import Result, merge_results
from events.files import open_root
from processors.filesets import parse_fileset
from processors.run import run_selection
from processors.skim import skim, skimmed_fileset
from storage.trees import make_tree

Events = dict[str, ak.Array]
MakeEvents = Callable[..., Events]

SCALE_TITLE = (
    "LHE scale variation weights; [0] is renscfact=0.5d0 facscfact=1d0; [1] is renscfact=2d0 facscfact=1d0"
)


def write(
    path: Path, events: Events, runs: dict[str, Any] | None, *, title: str = SCALE_TITLE, underscore: str = ""
) -> Path:
    """Write events and a tree Runs; a branch LHEScaleWeight gets its title."""
    with uproot.recreate(path) as file:
        make_tree(file, "Events", events, {"LHEScaleWeight": title})
        file["Events"].extend(events)
        if runs is not None:
            named = {f"{name}{underscore}": values for name, values in runs.items()}
            make_tree(file, "Runs", named, {})
            file["Runs"].extend(named)
    return path


def runs_of(count: list[int], total: list[float], **more: Any) -> dict[str, Any]:
    columns = {
        "run": np.arange(1, 1 + len(count), dtype=np.uint32),
        "genEventCount": np.array(count, np.int64),
        "genEventSumw": np.array(total),
    }
    return columns | more


@pytest.fixture(scope="module")
def events(make_events: MakeEvents) -> Events:
    """60 events that weigh 2 or -1, of which three quarters are positive: the sum is 45 x 2 - 15 = 75."""
    made = make_events(60, seed=3, is_data=False, features=False)
    made["genWeight"] = np.where(np.arange(60) % 4 == 0, -1.0, 2.0).astype(np.float32)
    made["LHEScaleWeight"] = ak.from_regular(np.tile([0.5, 1.5], (60, 1)).astype(np.float32))
    return made


def run(fileset: dict[str, Any], **options: Any) -> Result:
    return run_selection(selection="dy", fileset=fileset, chunksize=20, **options)


def dataset(files: dict[str, Any]) -> dict[str, Any]:
    metadata = {"is_data": False, "process": "dy", "cross_section_pb": 10.0}
    return {"mc": {"files": files, "metadata": metadata}}


@pytest.mark.parametrize("underscore", ["", "_"])
def test_the_sum_of_weights_is_that_of_all_that_was_generated(
    tmp_path: Path, events: Events, underscore: str
) -> None:
    """Two runs of 150 and 50 events with sums of 180 and 70; 60 events are left of them, which sum to 75."""
    path = write(tmp_path / "f.root", events, runs_of([150, 50], [180.0, 70.0]), underscore=underscore)
    result = run(dataset({str(path): "Events"}))
    record = result.datasets["mc"]
    assert (record.n_events, record.sum_weights, record.n_left_out) == (60, 250.0, 140.0)
    # 10 pb over 250.
    assert dataset_scales(result) == {"mc": pytest.approx(0.04)}
    assert any("140 events were left out" in note for note in result.all_notes())


def test_a_tree_runs_that_says_the_same_changes_no_bit(tmp_path: Path, events: Events) -> None:
    """The sums of single precision weights are those of the events, whatever rounding Runs has."""
    alone = write(tmp_path / "alone.root", events, None)
    same = write(tmp_path / "same.root", events, runs_of([60], [75.0000001]))
    records = [run(dataset({str(path): "Events"})).datasets["mc"] for path in (alone, same)]
    assert records[0] == records[1]
    assert records[0].sum_weights == 75.0


@pytest.mark.parametrize("edges", [(0, 60), (0, 20, 60), (0, 7, 33, 60)])
def test_parts_of_a_file_count_what_was_generated_once(
    tmp_path: Path, events: Events, edges: tuple[int, ...]
) -> None:
    """As jobs process them, and merge the results."""
    path = write(tmp_path / "f.root", events, runs_of([200], [250.0], genEventSumw2=np.array([777.0])))
    parts = [
        run(dataset({str(path): {"entries": [start, stop]}})) for start, stop in itertools.pairwise(edges)
    ]
    record = merge_results(parts).datasets["mc"]
    assert record.n_events == 60
    assert record.sum_weights == pytest.approx(250.0, rel=1e-12)
    assert record.sum_weights2 == pytest.approx(777.0, rel=1e-12)
    assert record.n_left_out == pytest.approx(140.0, rel=1e-12)


def test_a_file_of_which_nothing_is_left_counts(tmp_path: Path, events: Events) -> None:
    """Of 100 generated events 60 are left; of 300 and of 30, which sum to 400 and 40, none is."""
    kept = write(tmp_path / "kept.root", events, runs_of([100], [120.0]))
    nothing = {name: values[:0] for name, values in events.items()}
    lost = write(tmp_path / "lost.root", nothing, runs_of([300], [400.0]))
    bare = tmp_path / "bare.root"
    with uproot.recreate(bare) as file:
        file.mktree("Events", {"x": np.dtype("i4")})
        tree = runs_of([30], [40.0])
        file.mktree("Runs", {name: values.dtype for name, values in tree.items()})
        file["Runs"].extend(tree)
    result = run(dataset(dict.fromkeys(map(str, (kept, lost, bare)), "Events")))
    assert result.datasets["mc"].sum_weights == pytest.approx(120.0 + 400.0 + 40.0)
    assert result.datasets["mc"].n_events == 60
    assert any("1 of 3 files hold no event" in note for note in result.notes)


def test_nothing_but_files_without_events_is_an_empty_result(tmp_path: Path) -> None:
    bare = tmp_path / "bare.root"
    with uproot.recreate(bare) as file:
        file.mktree("Events", {"x": np.dtype("i4")})
    result = run(dataset({str(bare): "Events"}))
    assert (result.datasets["mc"].n_events, result.datasets["mc"].sum_weights) == (0, 0.0)
    assert [(entry.status, entry.n_expected) for entry in result.ledger] == [("processed", 0)]


def test_variations_of_theory_are_divided_by_their_own_sums(tmp_path: Path, events: Events) -> None:
    """Of 250 generated the means are 0.8 and 1.1; in the 75 that are left all are 0.5 and 1.5."""
    means = ak.Array([[0.8, 1.1]])
    with_means = write(tmp_path / "a.root", events, runs_of([200], [250.0], LHEScaleSumw=means))
    without = write(tmp_path / "b.root", events, runs_of([200], [250.0]))
    sums = [
        run(dataset({str(path): "Events"}), systematics="weight_only").datasets["mc"].variation_sums
        for path in (with_means, without)
    ]
    assert sums[0]["muRDown"] == pytest.approx(250 * 0.8, rel=1e-6)
    assert sums[0]["muRUp"] == pytest.approx(250 * 1.1, rel=1e-6)
    # Without the means, the events that are left stand for all.
    assert sums[1]["muRDown"] == pytest.approx(250 * 0.5, rel=1e-6)
    assert sums[1]["muRUp"] == pytest.approx(250 * 1.5, rel=1e-6)


def test_without_a_count_the_sums_tell(tmp_path: Path, events: Events) -> None:
    runs = runs_of([200], [250.0])
    del runs["genEventCount"]
    path = write(tmp_path / "f.root", events, runs)
    assert run(dataset({str(path): "Events"})).datasets["mc"].sum_weights == pytest.approx(250.0)
    same = write(tmp_path / "same.root", events, {**runs, "genEventSumw": np.array([75.01])})
    assert run(dataset({str(same): "Events"})).datasets["mc"].sum_weights == 75.0


def test_sums_that_are_no_numbers_end_the_run(tmp_path: Path, events: Events) -> None:
    path = write(tmp_path / "f.root", events, runs_of([200], [np.nan]))
    with pytest.raises(ValueError, match=r"f.root: sums of weights in its tree Runs"):
        run(dataset({str(path): "Events"}))


@pytest.mark.parametrize("generated", [60, 200])
def test_skims_of_parts_sum_to_the_whole(tmp_path: Path, events: Events, generated: int) -> None:
    path = write(tmp_path / "f.root", events, runs_of([generated], [75.0 if generated == 60 else 250.0]))
    total = 0.0
    for start, stop in ((0, 25), (25, 60)):
        part = parse_fileset(dataset({str(path): {"entries": [start, stop]}}))
        copies = skim(part, tmp_path / f"skim{start}", selections=["dy"])
        with open_root(str(copies[0].path)) as file:
            count = file.tree("Runs").column("genEventCount").tolist()
        assert count == [round(generated * (stop - start) / 60)]
        total += run(skimmed_fileset(part, copies)).datasets["mc"].sum_weights
    assert total == pytest.approx(75.0 if generated == 60 else 250.0, rel=1e-6)


@pytest.mark.parametrize(("weights", "total"), [([1.0, -1.0], "0"), ([-1.0, -1.0], "-60")])
def test_weights_that_cancel_are_said_and_never_scaled(
    tmp_path: Path, events: Events, weights: list[float], total: str
) -> None:
    cancelling = events | {"genWeight": np.tile(np.array(weights, np.float32), 30)}
    path = write(tmp_path / "f.root", cancelling, None)
    result = run(dataset({str(path): "Events"}))
    assert any(f"mc: the weights of its 60 events sum to {total}:" in note for note in result.all_notes())
    with pytest.raises(ValueError, match=f"mc: the sum of weights is {total}, .*cross section"):
        dataset_scales(result)


@pytest.mark.parametrize("cross_section", [-1.0, 0.0, float("nan"), float("inf")])
def test_a_cross_section_that_is_none_scales_nothing(
    tmp_path: Path, events: Events, cross_section: float
) -> None:
    result = run(dataset({str(write(tmp_path / "f.root", events, None)): "Events"}))
    record = dataclasses.replace(result.datasets["mc"], cross_section_pb=cross_section)
    with pytest.raises(ValueError, match=r"mc: cross_section_pb is .*, no positive number"):
        dataset_scales(dataclasses.replace(result, datasets={"mc": record}))
