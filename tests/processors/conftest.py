import logging
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot
from distributed import LocalCluster

from models.features import FEATURES, IS_INTEGER, N_FEATURES
from models.metadata import TaggerMetadata
from models.onnx_graphs import attack_graph, tagger_graph
from models.scaler import FeatureScaler
from models.tagger import Tagger

WIDTHS = (N_FEATURES, 20, 20, 4)


def random_tagger(
    name: str = "basic", epoch: int = 1, *, seed: int = 1, width: float = 2.0, attack: bool = True
) -> Tagger:
    """A tagger with random weights, made for features of mean 1 and some width."""
    rng = np.random.default_rng(seed)
    layers = [
        (
            rng.normal(size=(n_out, n_in)).astype(np.float32) / np.float32(np.sqrt(n_in)),
            np.zeros(n_out, np.float32),
        )
        for n_in, n_out in pairwise(WIDTHS)
    ]
    scaler = FeatureScaler(
        mean=np.full(N_FEATURES, 1.0, np.float32),
        std=np.full(N_FEATURES, width, np.float32),
        default=np.full(N_FEATURES, -3.0, np.float32),
    )
    metadata = TaggerMetadata(
        name=name,
        epoch=epoch,
        method="basic",
        gamma=25.0,
        loss_input="softmax",
        scaler=scaler,
        data_fingerprint="made",
    )
    attack_bytes = attack_graph(layers, metadata).SerializeToString() if attack else None
    return Tagger(metadata, tagger_graph(layers, metadata).SerializeToString(), attack_bytes)


def made_events(n_events: int, *, seed: int, is_data: bool, features: bool = True) -> dict[str, ak.Array]:
    """Events most of which hold a Z to two muons and a few jets: enough to fill every histogram."""
    rng = np.random.default_rng(seed)
    n_jets = rng.integers(0, 4, n_events)
    n_muons = rng.choice([1, 2], n_events, p=[0.1, 0.9])
    return {
        "run": np.full(n_events, 299593, np.uint32),
        "luminosityBlock": (1 + np.arange(n_events) // 100).astype(np.uint32),
        "event": (1 + np.arange(n_events)).astype(np.uint64),
        "HLT_Mu17_TrkIsoVVL_Mu8_TrkIsoVVL_DZ_Mass8": rng.random(n_events) < 0.9,
        "Flag_goodVertices": rng.random(n_events) < 0.95,
        **({} if is_data else {"genWeight": rng.normal(1.0, 0.5, n_events).astype(np.float32)}),
        "Muon": _muons(rng, n_muons),
        "Electron": _electrons(np.zeros(n_events, int)),
        "Jet": _jets(rng, n_jets, is_data=is_data, features=features),
    }


def _muons(rng: np.random.Generator, counts: np.ndarray) -> ak.Array:
    first = np.concatenate([np.arange(n) == 0 for n in counts]) if len(counts) else np.zeros(0, bool)
    n = len(first)
    # Back to back with 45 GeV each: m = 2 pT = 90 GeV, and pT of the pair from the smearing.
    return _collection(
        counts,
        pt=np.where(first, rng.normal(60, 5, n), rng.normal(35, 5, n)),
        eta=np.zeros(n),
        phi=np.where(first, 0.0, np.pi),
        mass=np.full(n, 0.106),
        charge=np.where(first, 1, -1).astype(np.int32),
        tightId=rng.random(n) < 0.95,
        pfRelIso04_all=rng.uniform(0, 0.16, n),
    )


def _electrons(counts: np.ndarray) -> ak.Array:
    n = int(counts.sum())
    floats = dict.fromkeys(("pt", "eta", "phi", "mass", "deltaEtaSC"), np.zeros(n))
    return _collection(counts, **floats, charge=np.zeros(n, np.int32), mvaFall17V2Iso_WP80=np.zeros(n, bool))


def _jets(rng: np.random.Generator, counts: np.ndarray, *, is_data: bool, features: bool) -> ak.Array:
    n = int(counts.sum())
    columns = {
        "pt": rng.uniform(15, 100, n),
        "eta": rng.uniform(-2.7, 2.7, n),
        "phi": rng.uniform(1.0, 2.0, n),  # away from both muons
        "mass": np.full(n, 5.0),
        "jetId": rng.choice(np.array([2, 6], np.int32), n, p=[0.1, 0.9]),
        "puId": rng.choice(np.array([4, 7], np.int32), n, p=[0.1, 0.9]),
    }
    if not is_data:
        columns["hadronFlavour"] = rng.choice(np.array([0, 4, 5], np.int32), n)
        columns["partonFlavour"] = rng.choice(np.array([0, 1, 21], np.int32), n)
        columns["nBHadrons"] = rng.integers(0, 3, n).astype(np.int32)
    if features:
        for feature, integer in zip(FEATURES[2:], IS_INTEGER[2:], strict=True):
            values = rng.integers(0, 7, n) if integer else rng.normal(1, 2, n)
            columns[feature.branch.removeprefix("Jet_")] = np.where(rng.random(n) < 0.1, -999, values)
    return _collection(counts, **columns)


def _collection(counts: np.ndarray, **columns: np.ndarray) -> ak.Array:
    narrow = {
        name: values.astype(np.float32) if values.dtype == np.float64 else values
        for name, values in columns.items()
    }
    return ak.zip({name: ak.unflatten(values, counts) for name, values in narrow.items()})


def write_events(path: Path, events: dict[str, ak.Array], *, cluster: int = 1_000_000) -> Path:
    """Write events as a NanoAOD-like tree, some events to a cluster."""
    with uproot.recreate(path) as file:
        kinds = {
            name: ak.type(values).content if isinstance(values, ak.Array) else values.dtype
            for name, values in events.items()
        }
        tree = file.mktree(
            "Events",
            kinds,
            counter_name=lambda collection: f"n{collection}",
            field_name=lambda collection, field: f"{collection}_{field}",
        )
        n_events = len(events["run"])
        for start in range(0, n_events, cluster):
            tree.extend({name: values[start : start + cluster] for name, values in events.items()})
    return path


@pytest.fixture(scope="session")
def tagger() -> Callable[..., Tagger]:
    return random_tagger


@pytest.fixture(scope="session")
def make_events() -> Callable[..., dict[str, ak.Array]]:
    return made_events


@pytest.fixture(scope="session")
def write() -> Callable[..., Path]:
    return write_events


@pytest.fixture(scope="session")
def fileset(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Data and simulation, 300 events each in clusters of 50, in the form of a fileset."""
    folder = tmp_path_factory.mktemp("files")
    mc = write_events(folder / "mc.root", made_events(300, seed=1, is_data=False), cluster=50)
    data = write_events(folder / "data.root", made_events(300, seed=2, is_data=True), cluster=50)
    return {
        "mc": {
            "files": {str(mc): "Events"},
            "metadata": {"is_data": False, "process": "dy", "cross_section_pb": 6077.22},
        },
        "data": {
            "files": {str(data): "Events"},
            "metadata": {
                "is_data": True,
                "process": "data",
                "luminosity_pb": 10.0,
                "primary_dataset": "DoubleMuon",
            },
        },
    }


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """The address of a dask cluster that is already there."""
    with LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=logging.ERROR
    ) as local:
        yield local.scheduler_address
