import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import hist
import numpy as np
import pytest
import uproot

from datamc.results import Result, merge_results, read_result, write_result
from models.features import BRANCHES
from models.perturbations import parse_variants
from models.tagger import Tagger
from processors.run import run_selection
from processors.tagger_processor import TaggerProcessor
from selections.parameters import parameters_of

VARIANTS = parse_variants("raw,noise:0.1,fgsm:0.1")


def run(fileset: dict[str, Any], taggers: list[Tagger], **options: Any) -> Result:
    options = {"selection": "dy", "variants": VARIANTS, "seed": 3} | options
    return run_selection(fileset=fileset, taggers=taggers, **options)


@pytest.fixture(scope="module")
def taggers(tagger: Callable[..., Tagger]) -> list[Tagger]:
    return [tagger("basic", 1, seed=1), tagger("basic", 2, seed=2), tagger("adversarial", 1, seed=3)]


@pytest.fixture(scope="module")
def whole(fileset: dict[str, Any], taggers: list[Tagger]) -> Result:
    return run(fileset, taggers)


def require_equal(first: Result, second: Result) -> None:
    """All histograms alike: same axes, same entries, sums of weights to rounding."""
    assert list(first.histograms) == list(second.histograms)
    for name, histogram in first.histograms.items():
        other = second.histograms[name]
        assert tuple(histogram.axes) == tuple(other.axes), name
        for part in ("value", "variance"):
            np.testing.assert_allclose(
                histogram.view(flow=True)[part], other.view(flow=True)[part], rtol=1e-12, atol=1e-12
            )
    for name, rows in first.cutflows.items():
        assert [row.cut for row in rows] == [row.cut for row in second.cutflows[name]]
        assert [row.n_events for row in rows] == [row.n_events for row in second.cutflows[name]]
    assert first.ledger == second.ledger


@pytest.mark.parametrize("chunksize", [50, 200])
def test_chunk_size_changes_nothing(
    fileset: dict[str, Any], taggers: list[Tagger], whole: Result, chunksize: int
) -> None:
    require_equal(run(fileset, taggers, chunksize=chunksize), whole)


def test_a_pool_of_processes_changes_nothing(
    fileset: dict[str, Any], taggers: list[Tagger], whole: Result
) -> None:
    require_equal(run(fileset, taggers, chunksize=100, executor="futures", workers=2), whole)


def test_dask_changes_nothing(fileset: dict[str, Any], taggers: list[Tagger], whole: Result) -> None:
    require_equal(run(fileset, taggers, chunksize=100, executor="dask", workers=2), whole)


def test_the_parts_of_a_file_are_the_whole(
    fileset: dict[str, Any], taggers: list[Tagger], whole: Result
) -> None:
    def part(*entries: int) -> dict[str, Any]:
        return {
            name: dataset | {"files": {path: {"entries": entries} for path in dataset["files"]}}
            for name, dataset in fileset.items()
        }

    # 130 is no border of a cluster: a job may begin anywhere.
    merged = merge_results([run(part(0, 130), taggers), run(part(130, 300), taggers)])
    merged.check_ledger()
    assert [entry.entry_start for entry in merged.ledger] == [0, 0, 130, 130]
    merged.ledger = whole.ledger
    require_equal(merged, whole)


def test_two_halves_are_the_whole(
    fileset: dict[str, Any], taggers: list[Tagger], whole: Result, tmp_path: Path
) -> None:
    """Each dataset on its own, then merged."""
    parts = [run({name: fileset[name]}, taggers) for name in fileset]
    require_equal(merge_results(parts), whole)


def test_scores_in_the_histogram_are_those_of_the_jets_in_the_file(
    fileset: dict[str, Any], taggers: list[Tagger], whole: Result
) -> None:
    """Read the file without coffea, find the probes by hand, and histogram the tagger's output with numpy."""
    (path,) = fileset["mc"]["files"]
    with uproot.open(f"{path}:Events") as tree:
        arrays = tree.arrays([*BRANCHES, *tree.keys(filter_name="/(Jet|Muon|HLT|Flag|gen).*/")])
    rows = []
    for number in range(len(arrays)):
        event = arrays[number]
        probe = probe_of(event)
        if probe is not None:
            rows.append([event["genWeight"], *(event[branch][probe] for branch in BRANCHES)])
    table = np.array(rows, dtype=np.float32)
    scores = softmax(taggers[1].logits(table[:, 1:]).astype(np.float64))
    expected, _ = np.histogram(
        scores[:, 0], bins=60, range=(-0.2, 1.0), weights=table[:, 0].astype(np.float64)
    )
    chosen = whole.histograms["b"][
        {"dataset": "mc", "tagger": "basic", "epoch": hist.loc(2), "variant": "raw"}
    ]
    np.testing.assert_allclose(chosen.project("value").values(), expected, rtol=1e-9, atol=1e-9)
    assert len(rows) == whole.cutflows["mc"][-1].n_events > 50


def probe_of(event: ak.Record) -> int | None:
    """The DY selection on the simple events of this folder: both muons in place, jets away from them."""
    muons = [
        position
        for position in range(len(event["Muon_pt"]))
        if event["Muon_tightId"][position] and event["Muon_pfRelIso04_all"][position] <= 0.15
    ]
    fired = event["HLT_Mu17_TrkIsoVVL_Mu8_TrkIsoVVL_DZ_Mass8"] and event["Flag_goodVertices"]
    if len(muons) < 2 or not fired:
        return None
    first, second = (float(event["Muon_pt"][position]) for position in muons)
    # Back to back at eta 0: m = 2 sqrt(pT pT').
    if abs(2 * np.sqrt(first * second) - 91) >= 10 or abs(first - second) <= 15:
        return None
    jets = [
        (float(event["Jet_pt"][position]), position)
        for position in range(len(event["Jet_pt"]))
        if event["Jet_pt"][position] > 20
        and abs(event["Jet_eta"][position]) < 2.5
        and event["Jet_jetId"][position] >= 5
        and (event["Jet_puId"][position] >= 7 or event["Jet_pt"][position] >= 50)
    ]
    return max(jets)[1] if jets else None


def softmax(logits: np.ndarray) -> np.ndarray:
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


def test_data_are_filled_once_and_unweighted(whole: Result) -> None:
    data = whole.histograms["CvsB"][{"dataset": "data"}]
    assert data[{"variant": "raw"}].sum(flow=True).value > 0
    assert data[{"variant": "noise:0.1"}].sum(flow=True).value == 0
    n_selected = whole.cutflows["data"][-1].n_events
    # Three taggers each fill every probe once.
    assert data.sum(flow=True).value == 3 * n_selected
    assert data[{"flavour": hist.loc(-1)}].sum(flow=True).value == 3 * n_selected


def test_every_variant_holds_the_same_jets(whole: Result) -> None:
    for name in ("b", "CvsL", "plane"):
        sums = whole.histograms[name][{"dataset": "mc"}].project("tagger", "epoch", "variant").values()
        # (basic, 1), (basic, 2) and (adversarial, 1) are filled; (adversarial, 2) does not exist.
        expected = whole.cutflows["mc"][-1].sum_weights
        np.testing.assert_allclose(sums[[0, 0, 1], [0, 1, 0]], expected, rtol=1e-12)
        assert (sums[1, 1] == 0).all()


def test_sums_of_weights_are_raw_and_over_all_events(
    fileset: dict[str, Any], whole: Result, taggers: list[Tagger]
) -> None:
    (path,) = fileset["mc"]["files"]
    with uproot.open(f"{path}:Events") as tree:
        generated = tree["genWeight"].array(library="np").astype(np.float64)
    record = whole.datasets["mc"]
    assert record.n_events == 300
    assert record.sum_weights == pytest.approx(generated.sum(), rel=1e-12)
    assert record.sum_weights2 == pytest.approx(np.square(generated).sum(), rel=1e-12)
    assert (generated < 0).any()
    assert whole.datasets["data"].sum_weights == 300


def test_no_histogram_holds_a_nan(whole: Result) -> None:
    for name, histogram in whole.histograms.items():
        assert np.isfinite(histogram.values(flow=True)).all(), name
        assert np.isfinite(histogram.variances(flow=True)).all(), name


def test_without_taggers_the_cutflow_alone_runs(
    tmp_path: Path, make_events: Callable[..., dict[str, ak.Array]], write: Callable[..., Path]
) -> None:
    path = write(tmp_path / "no_inputs.root", make_events(50, seed=1, is_data=False, features=False))
    result = run({"mc": [str(path)]}, [])
    assert result.cutflows["mc"][0].n_events == 50
    assert set(result.histograms) == {"jet_pt", "jet_eta", "n_jets", "dimuon_mass", "dimuon_pt"}


def test_garbage_in_the_inputs_leaves_no_nan(
    tmp_path: Path,
    taggers: list[Tagger],
    make_events: Callable[..., dict[str, ak.Array]],
    write: Callable[..., Path],
) -> None:
    """Slots beyond the track count hold uninitialised memory in CMS files."""
    events = make_events(100, seed=1, is_data=False)
    garbage = np.array([np.nan, np.inf, -np.inf, 7e31, -999.0], np.float32)
    for name in events["Jet"].fields:
        if name.startswith("DeepCSV"):
            counts = ak.num(events["Jet"].pt)
            values = np.resize(garbage, int(ak.sum(counts)))
            events["Jet"][name] = ak.unflatten(values, counts)
    result = run({"mc": [str(write(tmp_path / "garbage.root", events))]}, taggers)
    assert result.cutflows["mc"][-1].n_events > 10
    for name in ("BvsL", "plane"):
        histogram = result.histograms[name]
        assert np.isfinite(histogram.values(flow=True)).all()
        filled = histogram.project("variant").values(flow=True)
        np.testing.assert_allclose(filled, 3 * result.cutflows["mc"][-1].sum_weights, rtol=1e-9)


@pytest.mark.parametrize("n_events", [0, 1])
def test_files_with_hardly_an_event_are_processed(
    tmp_path: Path,
    taggers: list[Tagger],
    make_events: Callable[..., dict[str, ak.Array]],
    write: Callable[..., Path],
    n_events: int,
) -> None:
    events = {name: values[:n_events] for name, values in make_events(3, seed=1, is_data=False).items()}
    path = write(tmp_path / "few.root", events)
    result = run({"mc": [str(path)]}, taggers)
    assert result.datasets["mc"].n_events == n_events
    assert result.ledger[0].n_expected == n_events
    assert ("mc: its files hold no event" in result.notes) == (n_events == 0)


@pytest.mark.parametrize("executor", ["iterative", "futures", "dask"])
def test_lost_chunks_are_in_the_ledger_where_that_is_allowed(
    fileset: dict[str, Any],
    taggers: list[Tagger],
    tmp_path: Path,
    cluster: str,
    executor: Any,
    make_events: Callable[..., dict[str, ak.Array]],
    write: Callable[..., Path],
) -> None:
    (path,) = fileset["mc"]["files"]
    damaged, absent = tmp_path / "damaged.root", tmp_path / "absent.root"
    write(damaged, make_events(300, seed=4, is_data=False), cluster=50)
    content = bytearray(damaged.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2000] = bytes(2000)
    damaged.write_bytes(bytes(content))
    files = dict.fromkeys([path, str(damaged), str(absent)], "Events")
    options = {"skip_bad_files": True, "chunksize": 100, "executor": executor, "address": cluster}
    result = run({"mc": fileset["mc"] | {"files": files}}, taggers, **options)
    good, bad, never = result.ledger
    assert (good.status, good.n_processed) == ("processed", 300)
    assert bad.status == "failed"
    assert bad.n_processed == 200
    assert "cannot be read" in bad.reason
    assert (never.status, never.reason) == ("skipped", "no such file")
    assert result.datasets["mc"].n_events == 500
    assert len([note for note in result.notes if "absent.root" in note or "damaged.root" in note]) == 2


@pytest.mark.parametrize("executor", ["iterative", "futures", "dask"])
def test_progress_ends_with_all_events(fileset: dict[str, Any], cluster: str, executor: Any) -> None:
    told: list[tuple[int, int]] = []
    run(
        fileset,
        [],
        executor=executor,
        address=cluster,
        chunksize=150,
        progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(150 * step, 600) for step in (1, 2, 3, 4)]


def test_golden_sections_are_asked_of_data_alone(fileset: dict[str, Any], tmp_path: Path) -> None:
    golden = tmp_path / "golden.json"
    # Blocks 1 to 3 hold 100 events each; 2 and 3 are certified.
    golden.write_text(json.dumps({"299593": [[2, 3]]}))
    result = run(fileset, [], golden_json=golden)
    assert [result.cutflows[name][1].n_events for name in ("mc", "data")] == [300, 200]
    assert result.sections == {"data": {"299593": [(2, 3)]}}
    assert run(fileset, []).sections == {"data": {"299593": [(1, 3)]}}
    assert not any("luminosity" in note for note in result.notes)
    golden.write_text(json.dumps({"299593": [[3, 3]]}))
    changed = run(fileset, [], golden_json=golden)
    assert changed.cutflows["data"][1].n_events == 100
    with pytest.raises(ValueError, match=r"golden_json\.sha256"):
        merge_results([result, changed])


@pytest.mark.parametrize("text", ["{", "[1]", '{"299593": [1, 2]}', '{"x": [[1, 2]]}'])
def test_a_wrong_list_of_certified_sections_is_one_sentence(
    fileset: dict[str, Any], tmp_path: Path, text: str
) -> None:
    golden = tmp_path / "golden.json"
    golden.write_text(text)
    with pytest.raises(ValueError, match=f"^{golden}: no list of certified luminosity sections"):
        run(fileset, [], golden_json=golden)
    with pytest.raises(FileNotFoundError, match=r"absent.json: no such file"):
        run(fileset, [], golden_json=tmp_path / "absent.json")


def test_data_are_noted_where_no_certified_sections_are_given(fileset: dict[str, Any]) -> None:
    assert (
        "data: no certified luminosity sections are given, so all its data are taken"
        in run(fileset, []).notes
    )
    simulated = fileset["data"] | {"metadata": fileset["data"]["metadata"] | {"simulated": True}}
    assert not any("luminosity" in note for note in run({"data": simulated}, []).notes)


def test_a_dataset_without_a_probe_is_noted_with_the_cut_that_took_the_last_event(
    fileset: dict[str, Any], tmp_path: Path
) -> None:
    golden = tmp_path / "of_another_year.json"
    golden.write_text(json.dumps({"1": [[1, 9999]]}))
    notes = run(fileset, [], golden_json=golden).notes
    assert "data: no event is certified by of_another_year.json, is it of the same year and era" in notes
    assert not any(note.startswith("mc: no event") for note in notes)
    assert not any("no event" in note for note in run(fileset, []).notes)


def test_a_selection_that_loses_all_simulation_says_so(
    tmp_path: Path,
    taggers: list[Tagger],
    make_events: Callable[..., dict[str, ak.Array]],
    write: Callable[..., Path],
) -> None:
    events = make_events(40, seed=1, is_data=False)
    events["Electron"] = events["Muon"][:, :1][["pt", "eta", "phi", "mass", "charge"]]
    result = run({"mc": [str(write(tmp_path / "mc.root", events))]}, taggers)
    assert result.cutflows["mc"][-1].n_events == 0
    assert "mc: no event is left after the cut electron_veto" in result.notes
    assert result.histograms["plane"].sum(flow=True).value == 0
    assert list(result.histograms["plane"].axes["variant"]) == ["raw", "noise:0.1", "fgsm:0.1"]


def test_a_tagger_or_variant_asked_for_twice_is_refused(
    fileset: dict[str, Any], taggers: list[Tagger], tagger: Callable[..., Tagger]
) -> None:
    """Two of a kind would fill the same bins, each jet twice."""
    with pytest.raises(ValueError, match="tagger basic@2 is asked for twice"):
        run(fileset, [*taggers, tagger("basic", 2, seed=7)])
    with pytest.raises(ValueError, match="variant raw is asked for twice"):
        run(fileset, taggers, variants=[*VARIANTS, VARIANTS[0]])


def test_an_attack_needs_its_file(fileset: dict[str, Any], tagger: Callable[..., Tagger]) -> None:
    with pytest.raises(ValueError, match="tagger basic@1 has no attack file"):
        run(fileset, [tagger(attack=False)])


def test_the_result_says_what_made_it(fileset: dict[str, Any], taggers: list[Tagger], whole: Result) -> None:
    assert whole.config["variants"] == ["raw", "noise:0.1", "fgsm:0.1"]
    assert [entry["sha256"] for entry in whole.config["taggers"]] == [one.content_hash for one in taggers]
    assert whole.config["corrections"]["mode"] == "none"
    assert whole.config["corrections"]["tables"] == {}
    assert whole.config == json.loads(json.dumps(whole.config))
    assert whole.versions["coffea"] != "not installed"


def test_a_result_survives_its_file(whole: Result, tmp_path: Path) -> None:
    write_result(whole, tmp_path / "dy.zip")
    assert read_result(tmp_path / "dy.zip") == whole


def test_the_processor_travels(fileset: dict[str, Any], taggers: list[Tagger]) -> None:
    processor = TaggerProcessor(parameters=parameters_of("dy"), datasets={}, taggers=taggers)
    copy = pickle.loads(pickle.dumps(processor))
    assert [one.content_hash for one in copy.taggers] == [one.content_hash for one in taggers]
