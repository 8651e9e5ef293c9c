"""Corrections and variations in a whole run, against sums over plain events."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot

from datamc.merging import merge_results
from datamc.results import Result, read_result, write_result
from datamc.templates import signed_templates
from models.event_split import EventSplit
from models.features import BRANCHES
from models.tagger import Tagger
from processors.corrections import Corrections, parse_corrections
from processors.extras import Extras
from processors.run import run_selection
from processors.systematics import Systematics
from selections.parameters import SELECTIONS
from simulation.rewriting import extend_events

Makes = Callable[..., dict[str, ak.Array]]
Writes = Callable[..., Path]

MUON_EDGES = [30.0, 50.0, 100.0]
MUON = {"sf": [0.9, 0.8], "sfup": [1.0, 0.9], "sfdown": [0.8, 0.7]}


def binning(variable: str, edges: list[float], content: list[float]) -> dict[str, Any]:
    return {"nodetype": "binning", "input": variable, "edges": edges, "content": content, "flow": "error"}


def by_label(label: str, values: dict[str, Any]) -> dict[str, Any]:
    content = [{"key": key, "value": value} for key, value in values.items()]
    return {"nodetype": "category", "input": label, "content": content}


def table(name: str, inputs: dict[str, str], data: Any) -> dict[str, Any]:
    return {
        "name": name,
        "version": 1,
        "inputs": [{"name": one, "type": kind} for one, kind in inputs.items()],
        "output": {"name": "value", "type": "real"},
        "data": data,
    }


@pytest.fixture(scope="module")
def corrections(tmp_path_factory: pytest.TempPathFactory) -> Corrections:
    folder = tmp_path_factory.mktemp("corrections")
    muon = {label: binning("pt", MUON_EDGES, values) for label, values in MUON.items()}
    tables = [
        table("muon", {"pt": "real", "label": "string"}, by_label("label", muon)),
        table("pileup", {"mu": "real"}, binning("mu", [0.0, 20.0, 80.0], [1.5, 0.5])),
        table("Total", {"eta": "real"}, binning("eta", [-5.0, 5.0], [0.2])),
    ]
    (folder / "sf.json").write_text(json.dumps({"schema_version": 2, "corrections": tables}))
    labels = {"nominal": "sf", "up": "sfup", "down": "sfdown"}
    card = {
        "weights": [
            {
                "name": "muon_id",
                "file": "sf.json",
                "correction": "muon",
                "object": "muon",
                "inputs": {"pt": "pt", "label": "systematic"},
                **labels,
            },
            {
                "name": "pileup",
                "file": "sf.json",
                "correction": "pileup",
                "object": "event",
                "inputs": {"mu": "Pileup_nTrueInt"},
            },
        ],
        "theory": {"scales": False},
        "jets": {
            "energy_scale": {"Total": {"file": "sf.json", "correction": "Total", "inputs": {"eta": "eta"}}}
        },
    }
    return parse_corrections(card, folder=folder, selections=SELECTIONS)


SHOWER = "PS weights; [0] is ISR=2 FSR=1; [1] is ISR=1 FSR=2[2] is ISR=0.5 FSR=1; [3] is ISR=1 FSR=0.5;"


@pytest.fixture(scope="module")
def fileset(make_events: Makes, write: Writes, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Data, and simulation with pileup and weights of the shower."""
    folder = tmp_path_factory.mktemp("systematics")
    mc = make_events(400, seed=5, is_data=False)
    rng = np.random.default_rng(6)
    mc["Pileup_nTrueInt"] = rng.uniform(0, 100, 400).astype(np.float32)
    data = make_events(100, seed=7, is_data=True)
    files = {"mc": write(folder / "mc.root", mc), "data": write(folder / "data.root", data, cluster=30)}
    _add_shower(files["mc"], mc, rng)
    return {
        name: {"files": {str(path): "Events"}, "metadata": {"is_data": name == "data", "process": name}}
        for name, path in files.items()
    }


def _add_shower(path: Path, events: dict[str, Any], rng: np.random.Generator) -> None:
    """Write the file again with a branch whose title tells its order."""
    shower = rng.uniform(0.5, 1.5, (len(events["run"]), 4)).astype(np.float32)
    with uproot.recreate(path) as file:
        extend_events(
            file, {**events, "PSWeight": ak.from_regular(ak.Array(shower), axis=1)}, {"PSWeight": SHOWER}
        )


def run(fileset: dict[str, Any], **options: Any) -> Result:
    return run_selection(selection="dy", fileset=fileset, **options)


def total(result: Result, systematic: str, dataset: str = "mc") -> float:
    histogram = result.histograms["jet_pt"][{"dataset": dataset, "systematic": systematic}]
    return float(histogram.sum(flow=True).value)


def expected(fileset: dict[str, Any], label: str) -> float:
    """The sum of weights of the selected events, from plain columns."""
    (path,) = fileset["mc"]["files"]
    selected = run(fileset)
    with uproot.open({path: "Events"}) as tree:
        columns = tree.arrays(["Muon_pt", "genWeight", "Pileup_nTrueInt", *_CUT_COLUMNS])
    weight = 0.0
    n_selected = 0
    for event in columns:
        if _selected(event):
            n_selected += 1
            pileup = 1.5 if event.Pileup_nTrueInt < 20 else 0.5
            weight += event.genWeight * pileup * np.prod([_muon(pt, label) for pt in event.Muon_pt])
    assert n_selected == selected.cutflows["mc"][-1].n_events
    return float(weight)


_CUT_COLUMNS = [
    *(f"Muon_{name}" for name in ("tightId", "pfRelIso04_all")),
    *(f"Jet_{name}" for name in ("pt", "eta", "jetId", "puId")),
    "HLT_Mu17_TrkIsoVVL_Mu8_TrkIsoVVL_DZ_Mass8",
    "Flag_goodVertices",
]


def _muon(pt: float, label: str) -> float:
    return MUON[label][0 if pt < 50 else 1]


def _selected(event: Any) -> bool:
    """The cuts as far as made events can fail them: their muons lie back to back, their jets far away."""
    if not (event.HLT_Mu17_TrkIsoVVL_Mu8_TrkIsoVVL_DZ_Mass8 and event.Flag_goodVertices):
        return False
    if len(event.Muon_pt) != 2 or not all(event.Muon_tightId) or not all(event.Muon_pfRelIso04_all <= 0.15):
        return False
    # Opposite azimuths at eta 0: m = 2 sqrt(pT pT'), and pT of the pair is the difference.
    first, second = event.Muon_pt
    mass = np.sqrt(4 * (first * second + 0.106**2))
    if not (abs(mass - 91) < 10 and abs(first - second) > 15):
        return False
    jets = zip(event.Jet_pt, event.Jet_eta, event.Jet_jetId, event.Jet_puId, strict=True)
    return any(
        pt > 20 and abs(eta) < 2.5 and jet_id >= 5 and (pu >= 7 or pt >= 50) for pt, eta, jet_id, pu in jets
    )


@pytest.fixture(scope="module")
def varied(fileset: dict[str, Any], corrections: Corrections) -> Result:
    return run(fileset, corrections=corrections, systematics="total")


def test_weights_are_products_of_the_tables(
    fileset: dict[str, Any], corrections: Corrections, varied: Result
) -> None:
    for systematic, label in (("nominal", "sf"), ("muon_idUp", "sfup"), ("muon_idDown", "sfdown")):
        assert total(varied, systematic) == pytest.approx(expected(fileset, label), rel=1e-6)
    assert list(varied.histograms["jet_pt"].axes["systematic"]) == [
        "nominal",
        "muon_idUp",
        "muon_idDown",
        "ISRUp",
        "ISRDown",
        "FSRUp",
        "FSRDown",
        "JES_TotalUp",
        "JES_TotalDown",
    ]


def test_corrections_apply_without_variations_too(
    fileset: dict[str, Any], corrections: Corrections, varied: Result
) -> None:
    nominal = run(fileset, corrections=corrections)
    assert list(nominal.histograms["jet_pt"].axes["systematic"]) == ["nominal"]
    assert total(nominal, "nominal") == pytest.approx(total(varied, "nominal"), rel=1e-12)
    by_weight = run(fileset, corrections=corrections, systematics="weight_only")
    assert list(by_weight.histograms["jet_pt"].axes["systematic"])[-1] == "FSRDown"
    # The sum by which a cross section is divided knows the generator alone; no shift counts an event again.
    for result in (nominal, by_weight, varied):
        assert result.datasets["mc"].sum_weights == run(fileset).datasets["mc"].sum_weights
        assert result.datasets["mc"].n_events == 400


def test_data_are_filled_once_and_uncorrected(fileset: dict[str, Any], varied: Result) -> None:
    data = varied.histograms["jet_pt"][{"dataset": "data"}].project("systematic").values(flow=True)
    assert data[0] == varied.cutflows["data"][-1].n_events
    assert not data[1:].any()


def test_theory_has_its_own_sums_and_changes_no_rate(fileset: dict[str, Any], varied: Result) -> None:
    (path,) = fileset["mc"]["files"]
    with uproot.open({path: "Events"}) as tree:
        columns = tree.arrays(["genWeight", "PSWeight"])
    sums = varied.datasets["mc"].variation_sums
    for index, name in enumerate(["ISRUp", "FSRUp", "ISRDown", "FSRDown"]):
        weight = ak.sum(columns.genWeight.to_numpy().astype(float) * columns.PSWeight[:, index])
        assert sums[name] == pytest.approx(float(weight), rel=1e-6)
    varied.datasets["mc"] = _with_cross_section(varied.datasets["mc"])
    templates = signed_templates(varied, "jet_pt", systematic="ISRUp")
    scale = 100.0 / sums["ISRUp"]
    filled = varied.histograms["jet_pt"][{"dataset": "mc", "systematic": "ISRUp"}].sum().value
    assert templates.mc.sum() == pytest.approx(filled * scale, rel=1e-6)


def test_events_without_weights_of_theory_are_counted_whatever_the_chunks(
    make_events: Makes, tmp_path: Path
) -> None:
    """Of 400 events the 3rd and 4th have no weights of the shower: they alone stay nominal."""
    events = make_events(400, seed=9, is_data=False, features=False)
    shower = np.random.default_rng(10).uniform(0.5, 1.5, (400, 4)).astype(np.float32)
    lists = [[] if number in (2, 3) else row for number, row in enumerate(shower.tolist())]
    path = tmp_path / "mc.root"
    with uproot.recreate(path) as file:
        jagged = ak.values_astype(ak.Array(lists), np.float32)
        for start in range(0, 400, 50):
            part = {name: values[start : start + 50] for name, values in events.items()}
            extend_events(file, {**part, "PSWeight": jagged[start : start + 50]}, {"PSWeight": SHOWER})
    factors = {name: shower[:, index].astype(float) for index, name in enumerate(["ISRUp", "FSRUp"])}
    for factor in factors.values():
        factor[2:4] = 1.0
    expected_sums = {name: float(events["genWeight"] @ factor) for name, factor in factors.items()}
    for chunksize in (50, 100_000):
        result = run({"mc": [str(path)]}, systematics="weight_only", chunksize=chunksize)
        sums = result.datasets["mc"].variation_sums
        assert {name: sums[name] for name in expected_sums} == pytest.approx(expected_sums, rel=1e-6)
        told = [note for note in result.all_notes() if note.startswith("mc: PSWeight")]
        assert len(told) == 1
        assert all(word in told[0] for word in ("2 of 400 events", "ISR and FSR"))
        assert merge_results([result]).all_notes() == result.all_notes()


def _with_cross_section(record: Any) -> Any:
    from dataclasses import replace

    return replace(record, cross_section_pb=100.0)


def test_shifted_jets_are_selected_again(fileset: dict[str, Any], varied: Result) -> None:
    """20 % more or less pT: jets between 16.7 and 25 GeV come in and go out, and all move."""
    up, nominal, down = (
        varied.histograms["jet_pt"][{"dataset": "mc", "systematic": name}].project("value")
        for name in ("JES_TotalUp", "nominal", "JES_TotalDown")
    )
    n_up, n_nominal, n_down = (one.variances(flow=True).sum() for one in (up, nominal, down))
    assert n_up > n_nominal > n_down > 0
    # Bins of 5 GeV from 0: no nominal jet lies below 20 GeV, none up below 20 either, in no variation.
    assert all(one.values()[:4].sum() == 0 for one in (up, nominal, down))
    # No made jet has more than 100 GeV; up they reach 120.
    assert nominal.values()[20:].sum() == 0
    assert up.values()[20:24].sum() != 0
    assert up.values()[24:].sum() == 0


def test_taggers_see_the_shifted_pt(
    fileset: dict[str, Any], corrections: Corrections, tagger: Callable[..., Tagger]
) -> None:
    result = run(fileset, corrections=corrections, systematics="total", taggers=[tagger()])
    scores = result.histograms["CvsL"].project("dataset", "systematic", "value")
    up, nominal = (
        scores[{"dataset": "mc", "systematic": name}].values(flow=True) for name in ("JES_TotalUp", "nominal")
    )
    jets = result.histograms["jet_pt"].project("dataset", "systematic", "value")
    for name in ("nominal", "JES_TotalUp", "JES_TotalDown", "muon_idUp", "FSRDown"):
        place = {"dataset": "mc", "systematic": name}
        np.testing.assert_allclose(
            scores[place].values(flow=True).sum(), jets[place].values(flow=True).sum(), rtol=1e-9
        )
    assert "Jet_pt" in BRANCHES
    assert not np.allclose(up / up.sum(), nominal / nominal.sum())


def test_chunks_change_nothing_and_halves_add_up(
    fileset: dict[str, Any], corrections: Corrections, varied: Result, tmp_path: Path
) -> None:
    (path,) = fileset["mc"]["files"]
    halves = [
        run(
            {
                "mc": {
                    "files": {path: {"tree": "Events", "entries": entries}},
                    "metadata": fileset["mc"]["metadata"],
                }
            },
            corrections=corrections,
            systematics="total",
        )
        for entries in ([0, 150], [150, 400])
    ]
    merged = merge_results(halves)
    assert merged.n_minus_one["mc"] != []
    for name, rows in (("cutflows", merged.cutflows), ("n_minus_one", merged.n_minus_one)):
        whole = getattr(varied, name)["mc"]
        assert [(row.cut, row.n_events) for row in rows["mc"]] == [(row.cut, row.n_events) for row in whole]
    for key, value in varied.datasets["mc"].variation_sums.items():
        assert merged.datasets["mc"].variation_sums[key] == pytest.approx(value, rel=1e-12)
    for systematic in varied.histograms["jet_pt"].axes["systematic"]:
        assert total(merged, systematic) == pytest.approx(total(varied, systematic), rel=1e-9)
    write_result(merged, tmp_path / "dy.zip")
    back = read_result(tmp_path / "dy.zip")
    assert back.n_minus_one == merged.n_minus_one
    assert back.datasets == merged.datasets


def test_n_minus_one_is_what_all_other_cuts_leave(varied: Result) -> None:
    left = varied.cutflows["mc"][-1]
    rows = varied.n_minus_one["mc"]
    assert [row.cut for row in rows] == [row.cut for row in varied.cutflows["mc"]][1:]
    assert all(row.n_events >= left.n_events for row in rows)
    # The last cut of the flow is preceded by all others.
    assert rows[-1].n_events == varied.cutflows["mc"][-2].n_events
    assert rows[-1].sum_weights == pytest.approx(varied.cutflows["mc"][-2].sum_weights)


def test_what_a_file_lacks_is_said_once(
    fileset: dict[str, Any], corrections: Corrections, make_events: Makes, write: Writes, tmp_path: Path
) -> None:
    events = make_events(60, seed=8, is_data=False)
    path = write(tmp_path / "bare.root", events, cluster=20)
    bare = {"bare": [str(path)]}
    with pytest.raises(ValueError, match=r"bare\.root: no branch Pileup_nTrueInt"):
        run(bare, corrections=corrections)
    notes = run(bare, systematics="weight_only", chunksize=20).notes
    assert sum("bare: without PSWeight, what is made of it varies nothing" in note for note in notes) == 1
    assert not any("dummy" in note for note in notes)


def test_corrections_travel_to_workers(corrections: Corrections) -> None:
    sent = pickle.loads(pickle.dumps(Systematics("total", corrections)))
    assert sent.names("dy") == Systematics("total", corrections).names("dy")
    table = next(iter(sent.corrections.tables.values()))
    assert table.evaluate({"pt": np.array([40.0]), "label": "sf"}, 1).tolist() == [0.9]


def test_an_unknown_mode_is_answered_with_the_choices() -> None:
    with pytest.raises(ValueError, match="choose from none, weight_only, total"):
        Systematics("some")  # type: ignore[arg-type]


def test_up_and_down_of_one_source_stay_apart(varied: Result) -> None:
    """An envelope is for who fits; here both are kept, also where both go the same way."""
    values = {name: total(varied, name) for name in ("nominal", "ISRUp", "ISRDown")}
    assert len(set(values.values())) == 3


@pytest.mark.parametrize("all_jets", [False, True])
def test_events_held_out_and_all_others_are_the_whole_in_every_variation(
    fileset: dict[str, Any],
    corrections: Corrections,
    tagger: Callable[..., Tagger],
    tmp_path: Path,
    all_jets: bool,
) -> None:
    """Shifted events are held out as nominal ones are; sums of theory stay those of all events."""
    split = EventSplit(0.4)
    options: dict[str, Any] = {"corrections": corrections, "systematics": "total", "taggers": [tagger()]}
    whole = run(fileset, extras=Extras(all_jets=all_jets), **options)
    held = run(fileset, extras=Extras(all_jets=all_jets, held_out=split), **options)
    rest = run(fileset, extras=Extras(all_jets=all_jets, collected=split), table=tmp_path / "rows", **options)
    assert held.datasets["mc"].variation_sums == whole.datasets["mc"].variation_sums != {}
    for name, histogram in whole.histograms.items():
        parts = held.histograms[name], rest.histograms[name]
        np.testing.assert_allclose(
            parts[0].values(flow=True) + parts[1].values(flow=True), histogram.values(flow=True), atol=1e-9
        )
    for systematic in ("JES_TotalUp", "muon_idDown", "ISRUp"):
        shares = [total(part, systematic) / total(whole, systematic) for part in (held, rest)]
        assert min(shares) > 0.2
