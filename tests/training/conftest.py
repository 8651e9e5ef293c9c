"""Small jets with the structure of real ones: counts, defaults, garbage beyond the track count."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
import pytest
import torch
import uproot

from models.event_split import EventSplit
from models.features import BRANCHES, FEATURES
from models.unlabelled import UnlabelledJets, write_unlabelled
from training.batches import Batch, ShuffledTrainingJets
from training.config import PrepareConfig, TrainConfig
from training.prepare import prepare
from training.shards import TrainingData
from training.train import train

JetColumns = dict[str, np.ndarray]
INTEGERS = ("Jet_hadronFlavour", "Jet_nBHadrons", "Jet_nominalIdx")


def _made_jets(n_jets: int, seed: int) -> JetColumns:
    """Jets whose impact parameters and vertex mass tell the flavours apart, as PFNano branches."""
    rng = np.random.default_rng(seed)
    flavour = rng.choice([5, 4, 0], size=n_jets, p=[0.3, 0.2, 0.5])
    n_b_hadrons = np.where(flavour == 5, rng.choice([1, 2], size=n_jets, p=[0.7, 0.3]), 0)
    lifetime = np.select([flavour == 5, flavour == 4], [2.0, 0.8], 0.0)
    columns = {
        branch: rng.normal(lifetime * (0.5 if feature.group in ("track", "SV") else 0.1), 1.0)
        for branch, feature in zip(BRANCHES, FEATURES, strict=True)
    }
    columns["Jet_pt"] = 20.0 + rng.exponential(40.0 + 10.0 * lifetime)
    columns["Jet_eta"] = rng.uniform(-2.7, 2.7, n_jets)
    columns["Jet_DeepCSV_trackSumJetDeltaR"] = rng.uniform(0.0, 0.31, n_jets)
    for feature in FEATURES:
        if feature.integer:
            columns[feature.branch] = rng.integers(0, 9, n_jets).astype(float)
    selected, eta_rel = (
        columns[f"Jet_DeepCSV_{name}"] for name in ("jetNSelectedTracks", "jetNTracksEtaRel")
    )
    for feature in FEATURES:
        counts = {"selected_tracks": selected, "eta_rel_tracks": eta_rel}.get(feature.rule)
        if counts is not None:
            columns[feature.branch][counts <= feature.track] = 1e34
    columns["Jet_DeepCSV_vertexMass"][rng.random(n_jets) < 0.4] = -999.0
    columns["Jet_hadronFlavour"], columns["Jet_nBHadrons"] = flavour, n_b_hadrons
    return columns


def _counts_of(n_jets: int) -> np.ndarray:
    counts = np.resize([2, 4, 0, 3], n_jets)
    counts = counts[: np.searchsorted(np.cumsum(counts), n_jets) + 1]
    counts[-1] -= counts.sum() - n_jets
    return counts


def _write_events(
    path: Path,
    jets: JetColumns,
    *,
    first_event: int = 0,
    leave_out: tuple[str, ...] = (),
    counts: np.ndarray | None = None,
) -> None:
    """Write jets as a PFNano-like file with 0 to 4 jets in each event, if no other numbers are given."""
    counts = _counts_of(len(jets["Jet_pt"])) if counts is None else counts
    events = np.arange(first_event, first_event + len(counts))
    fields = {
        name.removeprefix("Jet_"): ak.unflatten(
            values.astype(np.int32 if name in INTEGERS else np.float32), counts
        )
        for name, values in jets.items()
        if name not in leave_out
    }
    with uproot.recreate(path) as file:
        file.mktree(
            "Events",
            {
                "run": np.full(len(counts), 1, np.uint32),
                "luminosityBlock": (1 + events // 100).astype(np.uint32),
                "event": events.astype(np.uint64),
                "Jet": ak.zip(fields),
            },
        )


@pytest.fixture(scope="session")
def write_events() -> Callable[..., None]:
    return _write_events


@pytest.fixture(scope="session")
def jet_columns() -> JetColumns:
    with np.errstate(over="ignore"):
        return _made_jets(6000, seed=7)


@pytest.fixture(scope="session")
def events_file(tmp_path_factory: pytest.TempPathFactory, jet_columns: JetColumns) -> Path:
    path = tmp_path_factory.mktemp("events") / "events.root"
    _write_events(path, jet_columns)
    return path


@pytest.fixture(scope="session")
def training_data(tmp_path_factory: pytest.TempPathFactory, events_file: Path) -> Path:
    output = tmp_path_factory.mktemp("prepared") / "training_data"
    prepare(PrepareConfig(inputs=(str(events_file),), output=output, pt_bins=5, eta_bins=5, shard_jets=1500))
    return output


@pytest.fixture
def train_config(training_data: Path, tmp_path: Path) -> Callable[..., TrainConfig]:
    def make(**changes: object) -> TrainConfig:
        settings = {
            "name": "basic",
            "data": training_data,
            "output": tmp_path / "run",
            "epochs": 2,
            "batch_size": 256,
            "learning_rate": 2e-3,
        }
        return TrainConfig.model_validate(settings | changes)

    return make


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory, training_data: Path) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "adversarial"
    return train(
        TrainConfig(
            name="adversarial",
            data=training_data,
            output=folder,
            attack="fgsm:0.1",
            epochs=2,
            batch_size=256,
            learning_rate=2e-3,
        )
    )


@pytest.fixture(scope="session")
def n_selected(jet_columns: JetColumns) -> int:
    """Jets that pass the cleaning, counted without our code."""
    eta, pt = jet_columns["Jet_eta"].astype(np.float32), jet_columns["Jet_pt"].astype(np.float32)
    delta_r = jet_columns["Jet_DeepCSV_trackSumJetDeltaR"].astype(np.float32)
    passes = (abs(eta) <= 2.5) & (pt >= 20) & (pt <= 1000) & (delta_r <= np.float32(0.3))
    return int(passes.sum())


def _unlabelled_jets(
    *, n_jets: int = 1500, seed: int = 11, shift: float = 0.3, subtracted: float = 0.0, split: str = "0.25:1"
) -> UnlabelledJets:
    """Simulation and data, which has longer impact parameters; a share of each has negative weights."""
    features = np.concatenate(
        [
            np.stack([_made_jets(n_jets, seed + number)[branch] for branch in BRANCHES], axis=1)
            for number in (0, 1)
        ]
    ).astype(np.float32)
    is_data = np.repeat([False, True], n_jets)
    longer = np.ix_(is_data, [feature.group == "track" and not feature.integer for feature in FEATURES])
    with np.errstate(over="ignore"):
        features[longer] += np.float32(shift)
    rng = np.random.default_rng(seed)
    weights = np.where(rng.random(2 * n_jets) < subtracted, -1.0, 1.0)
    weights[~is_data] *= rng.uniform(0.5, 1.5, n_jets)
    weights[~is_data] *= weights[is_data].sum() / weights[~is_data].sum()
    keys = np.stack([np.full(2 * n_jets, 1), np.full(2 * n_jets, 1), np.arange(2 * n_jets), is_data], axis=1)
    return UnlabelledJets(
        features, is_data, weights.astype(np.float32), keys.astype(np.uint64), "dy", EventSplit.parse(split)
    )


@pytest.fixture(scope="session")
def unlabelled_jets() -> Callable[..., UnlabelledJets]:
    def make(**changes: Any) -> UnlabelledJets:
        with np.errstate(over="ignore"):
            return _unlabelled_jets(**changes)

    return make


@pytest.fixture(scope="session")
def unlabelled_folder(
    tmp_path_factory: pytest.TempPathFactory, unlabelled_jets: Callable[..., UnlabelledJets]
) -> Path:
    folder = tmp_path_factory.mktemp("unlabelled") / "dy"
    write_unlabelled(unlabelled_jets(), folder)
    return folder


@pytest.fixture(scope="session")
def signed_folder(
    tmp_path_factory: pytest.TempPathFactory, unlabelled_jets: Callable[..., UnlabelledJets]
) -> Path:
    """Jets of which a fifth is subtracted, as same-sign events are."""
    folder = tmp_path_factory.mktemp("unlabelled") / "wc"
    write_unlabelled(unlabelled_jets(seed=21, subtracted=0.2), folder)
    return folder


class VariedFiles(NamedTuple):
    """A file and two variations of its events."""

    nominal: Path
    variations: tuple[Path, ...]


def _variation_of(jets: JetColumns, number: int) -> tuple[JetColumns, np.ndarray]:
    """The jets in another order in each event, some lost and some found, and the numbers in each event.

    trackJetPt tells which jet it was, with the number of the variation in the fourths.
    """
    rng = np.random.default_rng(number)
    counts = _counts_of(len(jets["Jet_pt"]))
    event = np.repeat(np.arange(len(counts)), counts)
    index = np.concatenate([np.arange(count) for count in counts])
    kept = np.flatnonzero(rng.random(len(event)) < 0.9)
    found = rng.choice(len(event), size=len(event) // 20, replace=False)
    rows = np.concatenate([kept, found])
    varied = {name: values[rows].copy() for name, values in jets.items()}
    varied["Jet_nominalIdx"] = np.concatenate([index[kept], np.full(len(found), -1)])
    varied["Jet_phi"][len(kept) :] = 0.7
    varied["Jet_DeepCSV_trackJetPt"] += np.where(varied["Jet_nominalIdx"] < 0, 1e5, 0.25 * number)
    varied["Jet_DeepCSV_vertexMass"] += 0.5
    order = np.lexsort((rng.random(len(rows)), event[rows]))
    return (
        {name: values[order] for name, values in varied.items()},
        np.bincount(event[rows], minlength=len(counts)),
    )


@pytest.fixture(scope="session")
def varied_files(tmp_path_factory: pytest.TempPathFactory, jet_columns: JetColumns) -> VariedFiles:
    folder = tmp_path_factory.mktemp("varied")
    jets = {name: values[:1800].copy() for name, values in jet_columns.items()}
    jets["Jet_DeepCSV_trackJetPt"] = np.arange(1800.0)
    jets["Jet_phi"] = 1.5 * np.concatenate([np.arange(count) for count in _counts_of(1800)])
    _write_events(folder / "nominal.root", jets)
    paths = []
    for number in (1, 2):
        varied, counts = _variation_of(jets, number)
        paths.append(folder / f"variation_{number}.root")
        _write_events(paths[-1], varied, counts=counts)
    return VariedFiles(folder / "nominal.root", tuple(paths))


@pytest.fixture(scope="session")
def varied_config(varied_files: VariedFiles) -> Callable[..., PrepareConfig]:
    def make(output: Path, **changes: Any) -> PrepareConfig:
        settings = {
            "inputs": [str(varied_files.nominal)],
            "variations": [str(path) for path in varied_files.variations],
            "output": output,
            "pt_bins": 5,
            "eta_bins": 5,
            "shard_jets": 500,
            "feature_type": "float32",
        }
        return PrepareConfig.model_validate(settings | changes)

    return make


@pytest.fixture(scope="session")
def varied_data(
    tmp_path_factory: pytest.TempPathFactory, varied_config: Callable[..., PrepareConfig]
) -> Path:
    """Training jets with two variations each."""
    return prepare(varied_config(tmp_path_factory.mktemp("varied") / "data")).parent


@pytest.fixture
def paired(varied_data: Path) -> Batch:
    """A batch of jets with partners: one of their variations each."""
    jets = ShuffledTrainingJets(
        TrainingData(varied_data), batch_size=400, device=torch.device("cpu"), with_partners=True
    )
    return next(jets.batches(1))
