"""The selections against an independent implementation: loops over events and objects, plain numbers."""

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot
from coffea.nanoevents import NanoAODSchema, NanoEventsFactory

from selections.branches import branches_of
from selections.catalogue import SELECT
from selections.parameters import Selection, parameters_of

Record = dict[str, Any]

REAL_DATA = os.environ.get("ADVTAG_REAL_DATA")
needs_real_data = pytest.mark.skipif(REAL_DATA is None, reason="ADVTAG_REAL_DATA is not set")


SIMULATED = Path(__file__).parents[2] / "simulation" / "fixture_files"


class Schema(NanoAODSchema):
    warn_missing_crossrefs = False


def four_vector(p: Record) -> np.ndarray:
    pz = p["pt"] * math.sinh(p["eta"])
    px, py = p["pt"] * math.cos(p["phi"]), p["pt"] * math.sin(p["phi"])
    return np.array([math.sqrt(px**2 + py**2 + pz**2 + p["mass"] ** 2), px, py, pz])


def mass_and_pt(a: Record, b: Record) -> tuple[float, float]:
    energy, px, py, pz = four_vector(a) + four_vector(b)
    return math.sqrt(max(energy**2 - px**2 - py**2 - pz**2, 0.0)), math.hypot(px, py)


def distance(a: Record, b: Record) -> float:
    dphi = math.atan2(math.sin(a["phi"] - b["phi"]), math.cos(a["phi"] - b["phi"]))
    return math.hypot(a["eta"] - b["eta"], dphi)


def is_good_muon(muon: Record, pt: float) -> bool:
    return muon["pt"] > pt and abs(muon["eta"]) < 2.4 and muon["tightId"] and muon["pfRelIso04_all"] <= 0.15


def is_good_electron(electron: Record, pt: float) -> bool:
    eta = abs(electron["eta"] + electron["deltaEtaSC"])
    identified = next(electron[name] for name in ("mvaFall17V2Iso_WP80", "mvaIso_WP80") if name in electron)
    return electron["pt"] > pt and eta < 2.5 and not 1.442 <= eta <= 1.566 and identified


def is_good_jet(jet: Record) -> bool:
    no_pileup = jet["pt"] >= 50 or jet.get("puId", 7) >= 7
    return jet["pt"] > 20 and abs(jet["eta"]) < 2.5 and jet["jetId"] >= 5 and no_pileup


def passes_filters(event: Record) -> bool:
    names = (
        "goodVertices globalSuperTightHalo2016Filter HBHENoiseFilter HBHENoiseIsoFilter BadPFMuonFilter "
        "EcalDeadCellTriggerPrimitiveFilter BadPFMuonDzFilter eeBadScFilter ecalBadCalibFilter"
    )
    return all(event.get(f"Flag_{name}", True) for name in names.split())


def good_leptons(event: Record, kind: str, pt: float) -> list[Record]:
    if kind == "muon":
        return [m for m in event["Muon"] if is_good_muon(m, pt)]
    return [e for e in event["Electron"] if is_good_electron(e, pt)]


def fired(event: Record, paths: str) -> bool:
    """Whether one of the paths fired, or the file has none of them."""
    there = [event[f"HLT_{path}"] for path in paths.split() if f"HLT_{path}" in event]
    return any(there) if there else True


def dy_steps(event: Record, kind: str = "muon") -> Iterator[bool]:
    yield passes_filters(event)
    if kind == "muon":
        path = "Mu17_TrkIsoVVL_Mu8_TrkIsoVVL_DZ"
        first = f"{path}_Mass8 {path}_Mass3p8"
        known = any(f"HLT_{name}" in event for name in first.split())
        yield fired(event, first if known else path)
    else:
        yield fired(event, "Ele23_Ele12_CaloIdL_TrackIdL_IsoVL")
    threshold = {"muon": 12, "electron": 15}
    leptons = sorted(good_leptons(event, kind, threshold[kind]), key=lambda p: -p["pt"])
    yield len(leptons) >= 2
    yield len({p["charge"] for p in leptons}) == 2
    yield leptons[0]["pt"] > (20 if kind == "muon" else 27)
    other = "electron" if kind == "muon" else "muon"
    yield not good_leptons(event, other, threshold[other])
    z = None
    for plus in (p for p in leptons if p["charge"] > 0):
        for minus in (p for p in leptons if p["charge"] < 0):
            mass, pt = mass_and_pt(plus, minus)
            if z is None and abs(mass - 91) < 10 and pt > 15:
                z = plus, minus
    yield z is not None
    assert z is not None
    jets = [j for j in event["Jet"] if is_good_jet(j) and all(distance(j, p) > 0.4 for p in z)]
    yield len(jets) >= 1
    event["probe"] = max(jets, key=lambda j: j["pt"])["position"]


def is_prompt(lepton: Record, event: Record, kind: str) -> bool:
    isolation, dz, dxy, sip = {
        "muon": ("pfRelIso04_all", 0.01, 0.002, 2.0),
        "electron": ("pfRelIso03_all", 0.02, 0.01, 2.5),
    }[kind]
    index = lepton.get("jetIdx", -1)
    share = lepton["pt"] / event["Jet"][index]["pt"] if 0 <= index < len(event["Jet"]) else 1.0
    limits = {isolation: 0.05, "dz": dz, "dxy": dxy, "sip3d": sip}
    return all(abs(lepton.get(name, 0.0)) < limit for name, limit in limits.items()) and share > 0.75


def w_steps(
    event: Record, *, top: bool, kind: str = "muon", other: bool = False, met: str = "MET"
) -> Iterator[bool]:
    yield passes_filters(event)
    yield fired(event, "IsoMu27" if kind == "muon" else "Ele32_WPTight_Gsf_L1DoubleEG")
    hard_ones = good_leptons(event, "muon", 30) + good_leptons(event, "electron", 34)
    yield len(hard_ones) == 1 and len(good_leptons(event, kind, 30 if kind == "muon" else 34)) == 1
    hard = hard_ones[0]
    yield len(good_leptons(event, "muon", 12)) + len(good_leptons(event, "electron", 15)) != 2
    yield is_prompt(hard, event, kind)
    angle = hard["phi"] - event[f"{met}_phi"]
    yield math.sqrt(2 * hard["pt"] * event[f"{met}_pt"] * (1 - math.cos(angle))) > 55
    if not top and kind == "muon":
        tight = [m for m in event["Muon"] if m["tightId"] and abs(m["eta"]) < 2.4]
        pairs = [(a, b) for a in tight for b in tight if a["charge"] > 0 > b["charge"]]
        masses = [mass_and_pt(a, b)[0] for a, b in pairs]
        nearest = min(masses, key=lambda m: abs(m - 91), default=0.0)
        yield not masses or (not 80 <= nearest <= 100 and min(masses) > 12)
    good = [j for j in event["Jet"] if is_good_jet(j)]
    n_jets = sum(distance(j, hard) >= 0.4 for j in good)
    yield n_jets >= 4 if top else 1 <= n_jets <= 3
    allowed = [j for j in good if distance(j, hard) >= 0.5]
    isolation = 0.5 if not top and kind == "muon" else 0.2
    with_muon, without = soft_muon_jets(event, allowed, isolation=isolation, min_pt=5 if top else 0)
    yield bool(with_muon)
    jet, muon = with_muon[0]
    yield muon["pt"] / jet["pt"] < (0.4 if kind == "muon" else 0.6)
    if kind == "muon" and top:
        mass = mass_and_pt(hard, muon)[0]
        yield hard["charge"] == muon["charge"] or (not 85 <= mass <= 95 and mass > 12)
    elif kind == "muon":
        yield jet["muEF"] + jet["neEmEF"] < 0.7
    if other:
        yield bool(without)
        jet = without[0]
    event["probe"], event["sign"] = jet["position"], -hard["charge"] * muon["charge"]


def dilepton_steps(event: Record, *, emu: bool, other: bool = False) -> Iterator[bool]:
    yield passes_filters(event)
    tail = "CaloIdL_TrackIdL_IsoVL"
    legs = ("Mu12_TrkIsoVVL_Ele23", "Mu23_TrkIsoVVL_Ele12")
    if emu:
        yield fired(event, " ".join(f"{leg}_{tail}{dz}" for leg in legs for dz in ("", "_DZ")))
    else:
        path = "Mu17_TrkIsoVVL_Mu8_TrkIsoVVL_DZ"
        yield fired(event, f"{path}_Mass8 {path}_Mass3p8")
    muons = sorted(good_leptons(event, "muon", 14 if emu else 12), key=lambda p: -p["pt"])
    electrons = good_leptons(event, "electron", 15)
    yield len(muons) == (1 if emu else 2)
    yield len(electrons) == (1 if emu else 0)
    pair = [*muons, *electrons]
    yield muons[0]["pt"] > (24 if emu else 20) or any(e["pt"] > 27 for e in electrons)
    yield pair[0]["charge"] * pair[1]["charge"] < 0
    mass = mass_and_pt(*pair)[0]
    yield mass > 12 and not 75 <= mass <= 105
    yield event["MET_pt"] > 40
    jets = [j for j in event["Jet"] if is_good_jet(j) and all(distance(j, p) > 0.4 for p in pair)]
    yield len(jets) >= 2
    with_muon, without = soft_muon_jets(event, jets, isolation=0.2, min_pt=5)
    yield bool(with_muon)
    jet = with_muon[0][0]
    if other:
        yield bool(without)
        jet = without[0]
    event["probe"] = jet["position"]


def soft_muon_jets(
    event: Record, allowed: list[Record], *, isolation: float, min_pt: float
) -> tuple[list[tuple[Record, Record]], list[Record]]:
    """The jets with their hardest soft muon, and the jets without any, both in falling pT."""
    with_muon, without = [], []
    for jet in sorted(allowed, key=lambda j: -j["pt"]):
        named = [jet[key] for key in ("muonIdx1", "muonIdx2") if 0 <= jet[key] < len(event["Muon"])]
        muons = [event["Muon"][index] for index in named]
        soft = [m for m in muons if is_soft(m, jet) and m["pfRelIso04_all"] > isolation and m["pt"] > min_pt]
        if soft:
            with_muon.append((jet, max(soft, key=lambda m: m["pt"])))
        else:
            without.append(jet)
    return with_muon, without


def is_soft(muon: Record, jet: Record) -> bool:
    return muon["tightId"] and abs(muon["eta"]) < 2.4 and muon["pt"] < 25 and distance(muon, jet) < 0.4


STEPS: dict[str, Callable[[Record], Iterator[bool]]] = {
    "dy": dy_steps,
    "dy_electron": lambda event: dy_steps(event, "electron"),
    "wc": lambda event: w_steps(event, top=False),
    "wc_electron": lambda event: w_steps(event, top=False, kind="electron"),
    "ttsemilep": lambda event: w_steps(event, top=True),
    "ttsemilep_electron": lambda event: w_steps(event, top=True, kind="electron"),
    "ttdilep_emu": lambda event: dilepton_steps(event, emu=True),
    "ttdilep_mumu": lambda event: dilepton_steps(event, emu=False),
    "wc:other_jet": lambda event: w_steps(event, top=False, other=True),
    "ttsemilep:other_jet": lambda event: w_steps(event, top=True, other=True),
    "ttdilep_emu:other_jet": lambda event: dilepton_steps(event, emu=True, other=True),
}
"""By row, or by row and profile."""


def parameters_named(name: str) -> Selection:
    selection, _, profile = name.partition(":")
    return parameters_of(selection, profile=profile or "btv20001")


def records(events: ak.Array) -> Iterator[Record]:
    """The events as plain values, flags and triggers by the names of their branches."""
    columns = {name: events[name].to_list() for name in events.fields}
    for number in range(len(events)):
        record: Record = {}
        for name, values in columns.items():
            value = values[number]
            if isinstance(value, dict):
                record |= {f"{name}_{field}": one for field, one in value.items()}
            else:
                record[name] = value
        record["Jet"] = [jet | {"position": position} for position, jet in enumerate(record["Jet"])]
        yield record


def loop(selection: str, events: Sequence[Record]) -> tuple[list[int], list[tuple[int, int, int]]]:
    """The number of events left after each cut, and the (event, jet, sign) of the probes."""
    left: list[int] = []
    probes = []
    for number, event in enumerate(dict(record) for record in events):
        n_passed = 0
        for passed in STEPS[selection](event):
            if not passed:
                break
            n_passed += 1
        else:
            probes.append((number, event["probe"], event.get("sign", 1)))
        left += [0] * (n_passed - len(left))
        for step in range(n_passed):
            left[step] += 1
    return left, probes


def require_same(selection: str, events: ak.Array, plain: Sequence[Record]) -> list[int]:
    parameters = parameters_named(selection)
    selected = SELECT[parameters.name](events, parameters)
    flow = [int(mask.sum()) for name, mask in selected.cutflow_masks() if name != "good_luminosity"]
    expected, probes = loop(selection, plain)
    assert flow[: len(expected)] == expected
    assert not any(flow[len(expected) :])
    found = zip(selected.event.tolist(), selected.jet.tolist(), selected.sign.tolist(), strict=True)
    assert list(found) == probes
    return flow


@pytest.fixture(scope="module")
def made(random_chunk: Callable[[int, int], ak.Array]) -> tuple[ak.Array, list[Record]]:
    chunk = random_chunk(8000, 11)
    return chunk, list(records(chunk))


@pytest.mark.parametrize("selection", STEPS)
def test_random_events_are_selected_as_in_a_loop(made: tuple[ak.Array, list[Record]], selection: str) -> None:
    flow = require_same(selection, *made)
    # The comparison is worth something only if every cut removes events and some survive.
    steps = [len(made[1]), *flow]
    assert all(after < before for before, after in pairwise(steps)), steps
    assert flow[-1] >= 3


@pytest.mark.parametrize("selection", STEPS)
def test_events_that_fail_two_cuts_need_no_later_ones(
    made: tuple[ak.Array, list[Record]], selection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    events, _ = made
    parameters = parameters_named(selection)
    select = SELECT[parameters.name]
    some = select(events, parameters)
    monkeypatch.setattr(f"{select.__module__}.undecided", lambda _: np.arange(len(events)))
    every = select(events, parameters)
    assert sum(every.cuts.all("n_jets")) > sum(some.cuts.all("n_jets"))
    for masks in ("cutflow_masks", "n_minus_one_masks"):
        for (name, expected), (_, found) in zip(getattr(every, masks)(), getattr(some, masks)(), strict=True):
            np.testing.assert_array_equal(found, expected, err_msg=f"{masks} of {name}")
    for column in ("event", "jet", "sign", "control", "objects"):
        np.testing.assert_equal(getattr(some, column), getattr(every, column))


def with_types(events: ak.Array, kinds: Mapping[type, type]) -> ak.Array:
    """Columns of some types as others, in collections, too."""

    def converted(layout: Any, **_: Any) -> Any:
        if layout.is_numpy and layout.dtype.type in kinds:
            return ak.contents.NumpyArray(layout.data.astype(kinds[layout.dtype.type]))
        return None

    return ak.transform(converted, events)


@pytest.mark.parametrize("flag", [np.int8, np.uint8, np.int32, np.float32])
@pytest.mark.parametrize("selection", STEPS)
def test_flags_may_be_integers(made: tuple[ak.Array, list[Record]], selection: str, flag: type) -> None:
    events, plain = made[0][:600], made[1][:600]
    flow = require_same(selection, events, plain)
    assert require_same(selection, with_types(events, {np.bool_: flag}), plain) == flow


@pytest.mark.parametrize("selection", STEPS)
def test_integers_may_be_narrow(made: tuple[ak.Array, list[Record]], selection: str) -> None:
    """NanoAOD since version 12 counts and identifies in 8 bits, and indexes in 16."""
    events, plain = made[0][:600], made[1][:600]
    assert require_same(selection, with_types(events, {np.int64: np.int8}), plain)


def require_same_of_file(path: Path) -> dict[str, list[int]]:
    names = frozenset().union(*(branches_of(parameters_named(row)).names() for row in STEPS))
    with uproot.open({path: None}) as file:
        factory = NanoEventsFactory.from_root(
            file,
            treepath="Events",
            schemaclass=Schema,
            mode="virtual",
            iteritems_options={"filter_name": names.__contains__},
        )
        events = factory.events()
        plain = list(records(events))
        return {row: require_same(row, events, plain) for row in STEPS}


@pytest.mark.parametrize("process", ["dy", "wc", "ttsl", "qcd"])
def test_simulated_files_are_selected_as_in_a_loop(process: str) -> None:
    """Of what simulation does not have (isolation of electrons, their triggers) nothing is asked."""
    flows = require_same_of_file(SIMULATED / f"{process}.root")
    own = {"dy": "dy", "wc": "wc", "ttsl": "ttsemilep"}
    assert process not in own or flows[own[process]][-1] > 0


@needs_real_data
@pytest.mark.parametrize("name", ["nano_dy", "nano_dimuon", "nano_tt_v12", "pfnano"])
def test_real_files_are_selected_as_in_a_loop(name: str) -> None:
    flows = require_same_of_file(Path(str(REAL_DATA)) / f"{name}.root")
    assert min(flow[0] for flow in flows.values()) > 0
