"""Small jets with the structure of real ones: counts, defaults, garbage beyond the track count."""

from collections.abc import Callable
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

from models.features import BRANCHES, FEATURES
from training.config import PrepareConfig, TrainConfig
from training.prepare import prepare
from training.train import train

JetColumns = dict[str, np.ndarray]


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


def _write_events(
    path: Path, jets: JetColumns, *, first_event: int = 0, leave_out: tuple[str, ...] = ()
) -> None:
    """Write jets as a PFNano-like file with 0 to 4 jets in each event."""
    n_jets = len(jets["Jet_pt"])
    counts = np.resize([2, 4, 0, 3], n_jets)
    counts = counts[: np.searchsorted(np.cumsum(counts), n_jets) + 1]
    counts[-1] -= counts.sum() - n_jets
    events = np.arange(first_event, first_event + len(counts))
    fields = {
        name.removeprefix("Jet_"): ak.unflatten(
            values.astype(np.int32 if name in ("Jet_hadronFlavour", "Jet_nBHadrons") else np.float32), counts
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
