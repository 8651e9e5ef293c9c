"""The selections against an independent implementation: loops over events and objects, plain numbers."""

import math
import os
from collections.abc import Callable, Iterator
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
from selections.parameters import parameters_of

Events = Callable[..., ak.Array]
Record = dict[str, Any]

REAL_DATA = os.environ.get("ADVTAG_REAL_DATA")
needs_real_data = pytest.mark.skipif(REAL_DATA is None, reason="ADVTAG_REAL_DATA is not set")


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


def dy_steps(event: Record) -> Iterator[bool]:
    yield passes_filters(event)
    path = "HLT_Mu17_TrkIsoVVL_Mu8_TrkIsoVVL_DZ"
    fired = [event[name] for name in (f"{path}_Mass8", f"{path}_Mass3p8") if name in event]
    yield any(fired) if fired else event.get(path, True)
    muons = sorted((m for m in event["Muon"] if is_good_muon(m, 12)), key=lambda m: -m["pt"])
    yield len(muons) >= 2
    yield len({m["charge"] for m in muons}) == 2
    yield muons[0]["pt"] > 20
    yield not any(is_good_electron(e, 15) for e in event["Electron"])
    z = None
    for plus in (m for m in muons if m["charge"] > 0):
        for minus in (m for m in muons if m["charge"] < 0):
            mass, pt = mass_and_pt(plus, minus)
            if z is None and abs(mass - 91) < 10 and pt > 15:
                z = plus, minus
    yield z is not None
    assert z is not None
    jets = [j for j in event["Jet"] if is_good_jet(j) and all(distance(j, m) > 0.4 for m in z)]
    yield len(jets) >= 1
    event["probe"] = max(jets, key=lambda j: j["pt"])["position"]


def w_steps(event: Record, *, top: bool) -> Iterator[bool]:
    yield passes_filters(event)
    yield event.get("HLT_IsoMu27", True)
    muons = [m for m in event["Muon"] if is_good_muon(m, 30)]
    yield len(muons) == 1 and not any(is_good_electron(e, 34) for e in event["Electron"])
    hard = muons[0]
    n_loose = sum(is_good_muon(m, 12) for m in event["Muon"])
    n_loose += sum(is_good_electron(e, 15) for e in event["Electron"])
    yield n_loose != 2
    share = hard["pt"] / event["Jet"][hard["jetIdx"]]["pt"] if hard["jetIdx"] >= 0 else 1.0
    prompt = abs(hard["dz"]) < 0.01 and abs(hard["dxy"]) < 0.002 and hard["sip3d"] < 2
    yield hard["pfRelIso04_all"] < 0.05 and prompt and share > 0.75
    angle = hard["phi"] - event["MET_phi"]
    yield math.sqrt(2 * hard["pt"] * event["MET_pt"] * (1 - math.cos(angle))) > 55
    if not top:
        tight = [m for m in event["Muon"] if m["tightId"] and abs(m["eta"]) < 2.4]
        pairs = [(a, b) for a in tight for b in tight if a["charge"] > 0 > b["charge"]]
        masses = [mass_and_pt(a, b)[0] for a, b in pairs]
        nearest = min(masses, key=lambda m: abs(m - 91), default=0.0)
        yield not masses or (not 80 <= nearest <= 100 and min(masses) > 12)
    good = [j for j in event["Jet"] if is_good_jet(j)]
    n_jets = sum(distance(j, hard) >= 0.4 for j in good)
    yield n_jets >= 4 if top else 1 <= n_jets <= 3
    found = None
    for jet in sorted(good, key=lambda j: -j["pt"]):
        named = [event["Muon"][jet[key]] for key in ("muonIdx1", "muonIdx2") if jet[key] >= 0]
        soft = [m for m in named if is_soft(m, jet, top=top)]
        if found is None and soft and distance(jet, hard) >= 0.5:
            found = jet, max(soft, key=lambda m: m["pt"])
    yield found is not None
    assert found is not None
    jet, muon = found
    yield muon["pt"] / jet["pt"] < 0.4
    if top:
        mass = mass_and_pt(hard, muon)[0]
        yield hard["charge"] == muon["charge"] or (not 85 <= mass <= 95 and mass > 12)
    else:
        yield jet["muEF"] + jet["neEmEF"] < 0.7
    event["probe"], event["sign"] = jet["position"], -hard["charge"] * muon["charge"]


def is_soft(muon: Record, jet: Record, *, top: bool) -> bool:
    good = muon["tightId"] and abs(muon["eta"]) < 2.4 and muon["pt"] < 25 and distance(muon, jet) < 0.4
    return good and muon["pfRelIso04_all"] > (0.2 if top else 0.5) and muon["pt"] > (5 if top else 0)


STEPS: dict[str, Callable[[Record], Iterator[bool]]] = {
    "dy": dy_steps,
    "wc": lambda event: w_steps(event, top=False),
    "ttsemilep": lambda event: w_steps(event, top=True),
}


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


def loop(selection: str, events: ak.Array) -> tuple[list[int], list[tuple[int, int, int]]]:
    """The number of events left after each cut, and the (event, jet, sign) of the probes."""
    left: list[int] = []
    probes = []
    for number, event in enumerate(records(events)):
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


def require_same(selection: str, events: ak.Array) -> list[int]:
    selected = SELECT[selection](events, parameters_of(selection))
    flow = [int(mask.sum()) for name, mask in selected.cutflow_masks() if name != "good_luminosity"]
    expected, probes = loop(selection, events)
    assert flow[: len(expected)] == expected
    assert not any(flow[len(expected) :])
    found = zip(selected.event.tolist(), selected.jet.tolist(), selected.sign.tolist(), strict=True)
    assert list(found) == probes
    return flow


def random_events(events: Events, n_events: int, seed: int) -> ak.Array:
    """Events in which every cut is passed by some and failed by others."""
    rng = np.random.default_rng(seed)
    return events(*(random_event(rng) for _ in range(n_events)))


def random_event(rng: np.random.Generator) -> Record:
    n_jets = int(rng.integers(0, 7))
    muons = [
        random_muon(rng, hard=True, n_jets=n_jets)
        for _ in range(rng.choice([0, 1, 2, 3], p=[0.1, 0.5, 0.3, 0.1]))
    ]
    muons += [random_muon(rng, hard=False, n_jets=n_jets) for _ in range(rng.integers(0, 4))]
    rng.shuffle(muons)
    electrons = [
        {
            "pt": rng.uniform(5, 50),
            "eta": rng.uniform(-2.7, 2.7),
            "mvaFall17V2Iso_WP80": bool(rng.random() < 0.5),
        }
        for _ in range(rng.choice([0, 1, 2], p=[0.8, 0.15, 0.05]))
    ]
    fired = bool(rng.random() < 0.9)
    return {
        "Muon": muons,
        "Electron": electrons,
        "Jet": [random_jet(rng, muons) for _ in range(n_jets)],
        "MET_pt": rng.uniform(20, 90),
        "MET_phi": rng.uniform(-np.pi, np.pi),
        "Flag_goodVertices": bool(rng.random() < 0.95),
        "HLT_IsoMu27": fired,
        "HLT_Mu17_TrkIsoVVL_Mu8_TrkIsoVVL_DZ_Mass8": fired,
        "HLT_Mu17_TrkIsoVVL_Mu8_TrkIsoVVL_DZ_Mass3p8": bool(rng.random() < 0.3),
    }


def random_muon(rng: np.random.Generator, *, hard: bool, n_jets: int) -> Record:
    return {
        "pt": rng.uniform(13, 70) if hard else rng.uniform(3, 27),
        "eta": rng.uniform(-1.0, 1.0),
        "phi": rng.uniform(-np.pi, np.pi),
        "charge": int(rng.choice([-1, 1])),
        "tightId": bool(rng.random() < 0.95),
        "pfRelIso04_all": rng.choice([0.01, 0.04, 0.12]) if hard else rng.uniform(0.1, 3.0),
        "dxy": rng.normal(0, 0.001),
        "dz": rng.normal(0, 0.005),
        "sip3d": rng.uniform(0, 2.2),
        "jetIdx": int(rng.integers(-1, n_jets)) if hard and n_jets and rng.random() < 0.3 else -1,
    }


def random_jet(rng: np.random.Generator, muons: list[Record]) -> Record:
    jet = {
        "pt": rng.uniform(15, 110),
        "eta": rng.uniform(-1.5, 1.5),
        "phi": rng.uniform(-np.pi, np.pi),
        "jetId": int(rng.choice([2, 6], p=[0.05, 0.95])),
        "puId": int(rng.choice([6, 7], p=[0.05, 0.95])),
        "muEF": rng.uniform(0, 0.5),
        "neEmEF": rng.uniform(0, 0.4),
    }
    soft = [position for position, muon in enumerate(muons) if muon["pt"] < 27]
    named = rng.permutation(soft)[: rng.integers(0, 3)]
    for key, position in zip(("muonIdx1", "muonIdx2"), named, strict=False):
        jet[key] = int(position)
        # Near a muon it names, or just not near enough.
        jet["eta"] = muons[position]["eta"] + rng.uniform(-0.3, 0.3)
        jet["phi"] = muons[position]["phi"] + rng.uniform(-0.3, 0.3)
    return jet


@pytest.mark.parametrize("selection", ["dy", "wc", "ttsemilep"])
def test_random_events_are_selected_as_in_a_loop(events: Events, selection: str) -> None:
    flow = require_same(selection, random_events(events, 4000, seed=11))
    # The comparison is worth something only if every cut removes events and some survive.
    steps = [4000, *flow]
    assert all(after < before for before, after in pairwise(steps))
    assert flow[-1] >= 5


@needs_real_data
@pytest.mark.parametrize(
    ("name", "selection"),
    [
        ("nano_dy", "dy"),
        ("nano_dimuon", "dy"),
        ("nano_tt_v12", "dy"),
        ("nano_tt_v12", "wc"),
        ("nano_tt_v12", "ttsemilep"),
        ("pfnano", "wc"),
    ],
)
def test_real_files_are_selected_as_in_a_loop(name: str, selection: str) -> None:
    names = branches_of(parameters_of(selection)).names()
    with uproot.open({Path(str(REAL_DATA)) / f"{name}.root": None}) as file:
        factory = NanoEventsFactory.from_root(
            file,
            treepath="Events",
            schemaclass=Schema,
            mode="virtual",
            iteritems_options={"filter_name": names.__contains__},
        )
        require_same(selection, factory.events())
