"""Events by hand: each builder gives objects that pass everything, a test spoils what it is about."""

from collections.abc import Callable, Mapping
from typing import Any

import awkward as ak
import numpy as np
import pytest

Object = dict[str, float | int | bool]

MUON: Object = {
    "pt": 40.0,
    "eta": 0.0,
    "phi": 0.0,
    "mass": 0.106,
    "charge": 1,
    "tightId": True,
    "pfRelIso04_all": 0.01,
    "dxy": 0.001,
    "dxyErr": 0.0005,
    "dz": 0.001,
    "sip3d": 1.0,
    "jetIdx": -1,
}
ELECTRON: Object = {
    "pt": 40.0,
    "eta": 0.5,
    "phi": 1.0,
    "mass": 0.0005,
    "charge": 1,
    "deltaEtaSC": 0.0,
    "mvaFall17V2Iso_WP80": True,
    "pfRelIso03_all": 0.01,
    "dxy": 0.001,
    "dz": 0.001,
    "sip3d": 1.0,
    "jetIdx": -1,
}
JET: Object = {
    "pt": 60.0,
    "eta": 0.0,
    "phi": 1.5,
    "mass": 8.0,
    "jetId": 6,
    "puId": 7,
    "muonIdx1": -1,
    "muonIdx2": -1,
    "muEF": 0.1,
    "neEmEF": 0.2,
}
EVENT: Mapping[str, Any] = {
    "run": 299593,
    "luminosityBlock": 1,
    "event": 1,
    "Flag_goodVertices": True,
    "HLT_Mu17_TrkIsoVVL_Mu8_TrkIsoVVL_DZ_Mass8": True,
    "HLT_Mu17_TrkIsoVVL_Mu8_TrkIsoVVL_DZ_Mass3p8": True,
    "HLT_IsoMu27": True,
    "HLT_Ele32_WPTight_Gsf_L1DoubleEG": True,
    "HLT_Ele23_Ele12_CaloIdL_TrackIdL_IsoVL": True,
    "HLT_Mu12_TrkIsoVVL_Ele23_CaloIdL_TrackIdL_IsoVL": True,
    "MET_pt": 50.0,
    "MET_phi": 2.5,
}
MODELS: Mapping[str, Object] = {"Muon": MUON, "Electron": ELECTRON, "Jet": JET}


def build(*events: Mapping[str, Any], without: tuple[str, ...] = ()) -> ak.Array:
    """Events as coffea shows them; `without` names branches their file does not have."""
    fields: dict[str, Any] = {}
    for name, model in MODELS.items():
        counts = np.array([len(event.get(name, [])) for event in events], dtype=np.int64)
        objects = [model | found for event in events for found in event.get(name, [])]
        columns = {
            field: np.array([one[field] for one in objects], dtype=_dtype(value))
            for field, value in model.items()
            if f"{name}_{field}" not in without
        }
        fields[name] = ak.zip({field: ak.unflatten(values, counts) for field, values in columns.items()})
    for name, value in EVENT.items():
        if name in without:
            continue
        values = np.array([event.get(name, value) for event in events], dtype=_dtype(value))
        collection, _, field = name.partition("_")
        if field:
            fields.setdefault(collection, {})[field] = values
        else:
            fields[name] = values
    flat = {name: ak.zip(value) if isinstance(value, dict) else value for name, value in fields.items()}
    return ak.zip(flat, depth_limit=1)


def _dtype(value: object) -> type:
    if isinstance(value, bool):
        return np.bool_
    return np.float32 if isinstance(value, float) else np.int64


@pytest.fixture(scope="session")
def events() -> Callable[..., ak.Array]:
    return build


@pytest.fixture(scope="session")
def z_event() -> dict[str, Any]:
    """Two muons of 45.5 GeV back to back but for a boost: m = 91 GeV, and a jet away from both.

    With muons of 60 and 34.5 GeV at opposite azimuths and eta 0: m^2 = 2 * 60 * 34.5 * (1 + 1) = 8280,
    m = 91.0; pT of the pair 60 - 34.5 = 25.5.
    """
    return {
        "Muon": [{"pt": 60.0, "phi": 0.0, "charge": 1}, {"pt": 34.5, "phi": np.pi, "charge": -1}],
        "Jet": [{"pt": 60.0}],
    }


@pytest.fixture(scope="session")
def w_event() -> dict[str, Any]:
    """A muon of 40 GeV, missing energy, and a jet of 60 GeV with a soft muon of 10 GeV and opposite charge.

    mT^2 = 2 * 40 * 50 * (1 - cos 2.5) = 4000 * 1.801 = 7205, mT = 84.9. Mass of both muons, 1.5 apart in phi:
    m^2 = 2 * 40 * 10 * (1 - cos 1.5) = 743, m = 27.3.
    """
    return {
        "Muon": [{}, {"pt": 10.0, "phi": 1.5, "charge": -1, "pfRelIso04_all": 2.0, "jetIdx": 0}],
        "Jet": [{"muonIdx1": 1}],
    }


@pytest.fixture(scope="session")
def tt_event(w_event: dict[str, Any]) -> dict[str, Any]:
    """The same with three more jets, which hold no muon."""
    more = [{"pt": 50.0, "phi": -1.0}, {"pt": 40.0, "phi": -2.0}, {"pt": 30.0, "eta": 2.0}]
    return w_event | {"Jet": [*w_event["Jet"], *more]}


@pytest.fixture(scope="session")
def random_chunk() -> Callable[[int, int], ak.Array]:
    """Events of a number and a seed, in which every cut is passed by some and failed by others."""

    def make(n_events: int, seed: int) -> ak.Array:
        rng = np.random.default_rng(seed)
        return build(*(random_event(rng) for _ in range(n_events)))

    return make


def random_event(rng: np.random.Generator) -> dict[str, Any]:
    n_jets = int(rng.integers(0, 7))
    n_muons, n_electrons = HARD_LEPTONS[rng.integers(len(HARD_LEPTONS))]
    muons = [random_muon(rng, hard=True, n_jets=n_jets) for _ in range(n_muons)]
    muons += [random_muon(rng, hard=False, n_jets=n_jets) for _ in range(rng.integers(0, 4))]
    rng.shuffle(muons)
    return {
        "Muon": muons,
        "Electron": [random_electron(rng, n_jets) for _ in range(n_electrons)],
        "Jet": [random_jet(rng, muons) for _ in range(n_jets)],
        "MET_pt": rng.uniform(20, 90),
        "MET_phi": rng.uniform(-np.pi, np.pi),
        "Flag_goodVertices": bool(rng.random() < 0.95),
        **{path: bool(rng.random() < 0.9) for path in PATHS},
        "HLT_Mu17_TrkIsoVVL_Mu8_TrkIsoVVL_DZ_Mass3p8": bool(rng.random() < 0.3),
    }


HARD_LEPTONS = [
    (0, 0),
    (1, 0),
    (1, 0),
    (1, 0),
    (2, 0),
    (2, 0),
    (3, 0),
    (1, 1),
    (0, 1),
    (0, 1),
    (0, 2),
    (1, 2),
]
PATHS = (
    "HLT_IsoMu27",
    "HLT_Ele32_WPTight_Gsf_L1DoubleEG",
    "HLT_Ele23_Ele12_CaloIdL_TrackIdL_IsoVL",
    "HLT_Mu12_TrkIsoVVL_Ele23_CaloIdL_TrackIdL_IsoVL",
    "HLT_Mu17_TrkIsoVVL_Mu8_TrkIsoVVL_DZ_Mass8",
)


def random_electron(rng: np.random.Generator, n_jets: int) -> dict[str, Any]:
    return {
        "pt": rng.uniform(12, 70),
        "eta": rng.uniform(-2.0, 2.0),
        "phi": rng.uniform(-np.pi, np.pi),
        "charge": int(rng.choice([-1, 1])),
        "deltaEtaSC": rng.normal(0, 0.02),
        "mvaFall17V2Iso_WP80": bool(rng.random() < 0.9),
        "pfRelIso03_all": rng.choice([0.01, 0.04, 0.12], p=[0.4, 0.4, 0.2]),
        "dxy": rng.normal(0, 0.004),
        "dz": rng.normal(0, 0.008),
        "sip3d": rng.uniform(0, 2.7),
        "jetIdx": int(rng.integers(-1, n_jets)) if n_jets and rng.random() < 0.3 else -1,
    }


def random_muon(rng: np.random.Generator, *, hard: bool, n_jets: int) -> dict[str, Any]:
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


def random_jet(rng: np.random.Generator, muons: list[dict[str, Any]]) -> dict[str, Any]:
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
