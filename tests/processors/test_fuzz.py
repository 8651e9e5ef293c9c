"""Events of every shape, and files with damaged bytes: an answer that adds up, or an error; no other."""

import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot
from coffea.processor.executor import WorkItem
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from datamc.results import Result
from events.reading import ReadError
from models.features import FEATURES, IS_INTEGER
from models.perturbations import parse_variants
from models.tagger import Tagger
from processors.run import run_selection
from processors.worker import ChunkTask, Limits
from selections.parameters import SELECTIONS
from storage.trees import make_tree

Writes = Callable[..., Path]

SIMULATED = Path(__file__).parents[2] / "simulation" / "fixture_files"

ODD = (0.0, -1.0, -999.0, 1e30, float("nan"), float("inf"), -float("inf"))
INTEGERS = {"charge", "jetId", "puId", "muonIdx1", "muonIdx2", "jetIdx", "hadronFlavour", "partonFlavour"}
INTEGERS |= {"nBHadrons"}
FIELDS = {
    "Muon": "pt eta phi mass charge tightId pfRelIso04_all dxy dxyErr dz sip3d jetIdx",
    "Electron": "pt eta phi mass charge deltaEtaSC mvaFall17V2Iso_WP80 pfRelIso03_all dxy dz sip3d jetIdx",
    "Jet": "pt eta phi mass jetId puId muonIdx1 muonIdx2 muEF neEmEF hadronFlavour partonFlavour nBHadrons",
}
INPUTS = {
    feature.branch.removeprefix("Jet_"): bool(integer)
    for feature, integer in zip(FEATURES[2:], IS_INTEGER[2:], strict=True)
}
VARIANTS = parse_variants("raw,noise:0.1,fgsm:0.1")


@st.composite
def shapes(draw: st.DrawFn) -> dict[str, Any]:
    """How many objects each event has, and what its numbers are like."""
    n_events = draw(st.integers(0, 5))
    counts = {
        name: draw(st.lists(st.integers(0, 3), min_size=n_events, max_size=n_events)) for name in FIELDS
    }
    return {
        "counts": counts,
        "seed": draw(st.integers(0, 2**32 - 1)),
        "odd": draw(st.sampled_from([0.0, 0.1, 1.0])),
        "defaults": draw(st.sampled_from([0.0, 0.5, 1.0])),
    }


def column(rng: np.random.Generator, field: str, n: int, odd: float) -> np.ndarray:
    if field in ("tightId", "mvaFall17V2Iso_WP80"):
        return rng.random(n) < 0.9
    if field in INTEGERS:
        low, high = {"charge": (-1, 2), "jetId": (0, 7), "puId": (0, 8)}.get(field, (-1, 4))
        values = rng.integers(low, high, n)
        if field == "hadronFlavour":
            values = rng.choice([0, 4, 5], n)
        elif field in ("muonIdx1", "muonIdx2", "jetIdx"):
            # Also positions that no collection has.
            values = np.where(rng.random(n) < odd, rng.choice([-7, 99, 2**30], n), values)
        return values.astype(np.int32)
    low, high = {"pt": (1.0, 80.0), "eta": (-3.0, 3.0), "phi": (-3.2, 3.2)}.get(field, (0.0, 0.5))
    values = rng.uniform(low, high, n)
    return np.where(rng.random(n) < odd, rng.choice(ODD, n), values).astype(np.float32)


def made(shape: dict[str, Any]) -> dict[str, Any]:
    rng = np.random.default_rng(shape["seed"])
    events: dict[str, Any] = {}
    for name, text in FIELDS.items():
        counts = np.array(shape["counts"][name], dtype=np.int64)
        n = int(counts.sum())
        columns = {field: column(rng, field, n, shape["odd"]) for field in text.split()}
        if name == "Jet":
            for field, integer in INPUTS.items():
                values = rng.integers(0, 7, n) if integer else rng.normal(0, 2, n)
                values = np.where(rng.random(n) < shape["odd"], rng.choice(ODD, n), values)
                values = np.where(rng.random(n) < shape["defaults"], -999.0, values)
                columns[field] = values.astype(np.float32)
        events[name] = ak.zip({field: ak.unflatten(values, counts) for field, values in columns.items()})
    n_events = len(shape["counts"]["Jet"])
    events |= {
        "run": np.full(n_events, 1, np.uint32),
        "luminosityBlock": np.full(n_events, 1, np.uint32),
        "event": np.arange(n_events, dtype=np.uint64),
        "genWeight": rng.normal(1, 1, n_events).astype(np.float32),
        "MET_pt": column(rng, "pt", n_events, shape["odd"]),
        "MET_phi": column(rng, "phi", n_events, shape["odd"]),
    }
    return events


def require_finite(result: Result) -> None:
    for name, histogram in result.histograms.items():
        view = histogram.view(flow=True)
        assert np.isfinite(view["value"]).all(), name
        assert np.isfinite(view["variance"]).all(), name
    for rows in result.cutflows.values():
        assert all(np.isfinite([row.sum_weights, row.sum_weights2]).all() for row in rows)


def require_consistent(result: Result, dataset: str) -> None:
    """Every jet is in every histogram once, whatever its variable or score is."""
    left = {
        name: float(histogram[{"dataset": dataset}].sum(flow=True).value)
        for name, histogram in result.histograms.items()
        if "tagger" not in histogram.axes.name and "value" in histogram.axes.name
    }
    scored = {
        name: histogram[{"dataset": dataset}].project("variant").values()
        for name, histogram in result.histograms.items()
        if "variant" in histogram.axes.name and name != "inputs"
    }
    n_jets = left["jet_pt"]
    np.testing.assert_allclose(list(left.values()), n_jets, rtol=1e-5, atol=1e-5)
    for values in scored.values():
        np.testing.assert_allclose(values, n_jets, rtol=1e-4, atol=1e-4)


@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    # A run takes some tenths of a second: looking for the smallest example would take minutes.
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(shape=shapes(), selection=st.sampled_from(sorted(SELECTIONS)))
def test_no_shape_of_events_breaks_a_selection(
    shape: dict[str, Any],
    selection: str,
    write: Writes,
    tagger: Callable[..., Tagger],
    tmp_path: Path,
) -> None:
    path = write(tmp_path / "events.root", made(shape))
    result = run_selection(
        selection=selection, fileset={"mc": [str(path)]}, taggers=[tagger()], variants=VARIANTS
    )
    require_finite(result)
    if len(shape["counts"]["Jet"]):
        require_consistent(result, "mc")


def test_a_weight_that_is_no_number_is_an_error(write: Writes, tmp_path: Path) -> None:
    events = made({"counts": {name: [1, 1] for name in FIELDS}, "seed": 1, "odd": 0.0, "defaults": 0.0})
    events["genWeight"] = np.array([1.0, np.nan], np.float32)
    path = write(tmp_path / "events.root", events)
    with pytest.raises(ValueError, match="1 values of genWeight are no finite numbers"):
        run_selection(selection="inclusive", fileset={"mc": [str(path)]})
    skipped = run_selection(selection="inclusive", fileset={"mc": [str(path)]}, skip_bad_files=True)
    assert [(entry.status, entry.n_lost) for entry in skipped.ledger] == [("failed", 2)]
    assert "1 values of genWeight" in skipped.ledger[0].reason


def place_of_offsets(path: Path, branch: str) -> tuple[int, np.ndarray]:
    """Where the offsets of the first basket of a branch begin in a file, and what they are."""
    with uproot.open(path) as file:
        found = file["Events"][branch]
        start, length = int(found.member("fBasketSeek")[0]), int(found.member("fBasketBytes")[0])
        counts = np.array([len(values) for values in found.array(library="np")])
    raw = path.read_bytes()[start : start + length]
    (key_length,) = struct.unpack(">H", raw[14:16])
    offsets = key_length + 4 * np.concatenate([[0], np.cumsum(counts)[:-1]])
    position = raw.find(offsets.astype(">i4").tobytes())
    assert position > 0, "write the file without compression"
    return start + position, offsets


@pytest.mark.parametrize("change", ["far away", "backwards", "one jet less"])
@pytest.mark.parametrize("branch", ["Jet_DeepCSV_vertexMass", "Jet_DeepCSV_trackJetPt"])
def test_a_branch_that_says_otherwise_where_its_jets_are_is_a_damaged_file(
    tmp_path: Path, make_events: Callable[..., Any], tagger: Callable[..., Tagger], branch: str, change: str
) -> None:
    """What is read with such offsets would be other jets, or fail far from where it is read."""
    events = make_events(60, seed=8, is_data=False)
    path = tmp_path / "f.root"
    with uproot.recreate(path, compression=None) as file:
        make_tree(file, "Events", events, {})
        file["Events"].extend(events)
    position, offsets = place_of_offsets(path, branch)
    middle = 21 + int(np.flatnonzero(np.diff(offsets)[20:])[0])
    changed = {
        "far away": 0x0E000000,
        "backwards": int(offsets[0]) - 4,
        "one jet less": int(offsets[middle]) - 4,
    }[change]
    with path.open("r+b") as damaged:
        damaged.seek(position + 4 * middle)
        damaged.write(struct.pack(">i", changed))
    options: dict[str, Any] = {"selection": "inclusive", "fileset": {"mc": [str(path)]}}
    options["taggers"] = [tagger()]
    with pytest.raises(ReadError, match=r"f.root: cannot be read"):
        run_selection(**options)
    (entry,) = run_selection(**options, skip_bad_files=True).ledger
    assert (entry.status, entry.n_lost) == ("failed", 60)


@pytest.mark.parametrize("is_damaged", [True, False])
def test_an_error_far_from_reading_is_told_from_one_of_ours(tmp_path: Path, is_damaged: bool) -> None:
    path = tmp_path / "f.root"
    content = bytearray((SIMULATED / "dy.root").read_bytes())
    if is_damaged:
        with uproot.open(SIMULATED / "dy.root") as file:
            start = int(file["Events/Muon_pt"].member("fBasketSeek")[0])
        content[start + 100 : start + 200] = bytes(100)
    path.write_bytes(content)

    def fail(item: WorkItem) -> None:
        raise IndexError("far from any reader")

    task = ChunkTask(fail, Limits(), frozenset(["Muon_pt", "Jet_pt"]))
    item = WorkItem("mc", str(path), "Events", 0, 230, b"")
    kind, words = (ReadError, "Muon_pt") if is_damaged else (IndexError, "far from")
    with pytest.raises(kind, match=words):
        task(item)


def same(first: Result, second: Result) -> bool:
    histograms = all(first.histograms[name] == second.histograms[name] for name in first.histograms)
    return histograms and first.cutflows == second.cutflows


def test_damaged_bytes_are_an_error_or_harmless(tagger: Callable[..., Tagger], tmp_path: Path) -> None:
    """One bit is flipped at a time, anywhere in the file."""
    path = SIMULATED / "ttsl.root"
    whole = run_damaged(path, tagger())
    content = path.read_bytes()
    rng = np.random.default_rng(3)
    damaged = tmp_path / "damaged.root"
    outcomes = {"error": 0, "same": 0, "other": 0}
    for position in rng.integers(0, len(content), 25):
        shutil.copyfile(path, damaged)
        with damaged.open("r+b") as file:
            file.seek(int(position))
            file.write(bytes([content[position] ^ (1 << int(rng.integers(8)))]))
        try:
            result = run_damaged(damaged, tagger())
        except (OSError, ValueError):
            outcomes["error"] += 1
        else:
            outcomes["same" if same(whole, result) else "other"] += 1
    assert outcomes["other"] == 0, outcomes
    assert outcomes["same"] > 0


def run_damaged(path: Path, tagger: Tagger) -> Result:
    return run_selection(selection="inclusive", fileset={"mc": [str(path)]}, taggers=[tagger])
