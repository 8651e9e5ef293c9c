from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pythia8mc")
pytest.importorskip("fastjet")
pytest.importorskip("numba")

from simulation import SampleInfo, SampleRequest, simulate_sample
from simulation.detector import DetectedEvents, detect_events
from simulation.pythia import GeneratedParticles
from simulation.scenarios import Detector

N_EVENTS = 150


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], SampleInfo]:
    """150 generated events of a process in a scenario, simulated once in a session."""
    directory = tmp_path_factory.mktemp("samples")
    made: dict[tuple[str, str], SampleInfo] = {}

    def simulate(process: str, scenario: str) -> SampleInfo:
        key = (process, scenario)
        if key not in made:
            path: Path = directory / f"{process}_{scenario}.root"
            made[key] = simulate_sample(SampleRequest(process, scenario, N_EVENTS), path)
        return made[key]

    return simulate


def _generated(events: list[list[dict[str, Any]]]) -> GeneratedParticles:
    rows = [row for event in events for row in event]

    def integers(name: str, default: int) -> np.ndarray:
        return np.array([row.get(name, default) for row in rows], np.int32)

    def floats(name: str) -> np.ndarray:
        return np.array([row.get(name, 0.0) for row in rows], np.float64)

    px, py, pz = floats("px"), floats("py"), floats("pz")
    return GeneratedParticles(
        offsets=np.concatenate([[0], np.cumsum([len(event) for event in events])]).astype(np.int64),
        pdg=integers("pdg", 211),
        status=integers("status", 1),
        mother=integers("mother", 0),
        last_mother=integers("last_mother", 0),
        first_daughter=integers("first_daughter", 0),
        last_daughter=integers("last_daughter", 0),
        px=px,
        py=py,
        pz=pz,
        energy=np.sqrt(px**2 + py**2 + pz**2 + 0.13957**2),
        vertex=np.arange(len(rows), dtype=np.int32),
        x=floats("x"),
        y=floats("y"),
        z=floats("z"),
    )


@pytest.fixture(scope="session")
def generated() -> Callable[..., GeneratedParticles]:
    """Events written by hand: particles with pdg, momentum and, where it matters, status or place (mm)."""
    return _generated


@pytest.fixture(scope="session")
def seen() -> Callable[..., DetectedEvents]:
    """What the detector sees of events written by hand, without tracks of other interactions."""

    def detect(events: list[list[dict[str, Any]]], detector: Detector, seed: int = 1) -> DetectedEvents:
        numbers = np.arange(len(events))
        return detect_events(
            _generated(events),
            numbers,
            seeds=(numbers + 1000 * seed).astype(np.uint32),
            n_stray=np.zeros((len(events), 3), np.int64),
            detector=detector,
        )

    return detect


@pytest.fixture(scope="session")
def perfect() -> Detector:
    """A detector that finds the track of every hadron, to ten nanometres."""
    return Detector(
        d0_constant=1e-6,
        d0_scattering=0.0,
        dz_constant=1e-6,
        dz_scattering=0.0,
        vertex_xy=0.0,
        vertex_z=0.0,
        tail_fraction=0.0,
        kink_fraction=0.0,
        efficiency_barrel=1.0,
        efficiency_endcap=1.0,
        pion_to_muon=0.0,
        kaon_to_muon=0.0,
    )
