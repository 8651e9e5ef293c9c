"""Compilation ahead of work: kernels called with nothing to do, so that two processes share the effort."""

import numpy as np
from numpy.typing import NDArray

from simulation.detector import DetectedEvents, detect_events
from simulation.genparticles import (
    GeneratorTruth,
    collect_generated,
    collect_stable,
    generated_jet_of,
    jets_of,
)
from simulation.jets import cluster_particles, measure_jets
from simulation.leptons import find_electrons
from simulation.pythia import GeneratedParticles
from simulation.records import GENERATED, GHOST, MOMENTUM, PARTICLE, PARTON
from simulation.scenarios import Detector
from simulation.tagging_inputs import tagging_inputs


def _no_rows() -> NDArray[np.int64]:
    return np.zeros(1, np.int64)


def _nothing_generated() -> GeneratedParticles:
    integers, floats = np.zeros(0, np.int32), np.zeros(0)
    return GeneratedParticles(_no_rows(), *(integers,) * 6, *(floats,) * 4, integers, *(floats,) * 3)


def _nothing_detected() -> DetectedEvents:
    return DetectedEvents(
        np.zeros(0, PARTICLE), _no_rows(), np.zeros(0, GHOST), _no_rows(), np.zeros(0, PARTON), _no_rows(),
        np.zeros((0, 3)), np.zeros((0, 2)),
    )  # fmt: skip


def compile_detector() -> None:
    """Compile what `detector` needs, and `genparticles` to read the generator."""
    generated, no_events = _nothing_generated(), np.zeros(0, np.int64)
    detect_events(
        generated,
        no_events,
        seeds=np.zeros(0, np.uint32),
        n_stray=np.zeros((0, 3), np.int64),
        detector=Detector(),
    )
    collect_generated(generated, no_events, np.zeros(0, GENERATED), _no_rows())
    collect_stable(generated, no_events, np.zeros(0, MOMENTUM), _no_rows())


def compile_reconstruction() -> None:
    """Compile what `jets`, `tagging_inputs`, `leptons` and generated jets need."""
    detected = _nothing_detected()
    clustering = cluster_particles(detected)
    jets = measure_jets(detected, clustering, seeds=np.zeros(0, np.uint32), detector=Detector())
    truth = jets_of(np.zeros(0, MOMENTUM), _no_rows(), detected)
    generated_jet_of(jets, GeneratorTruth(np.zeros(0, GENERATED), _no_rows(), truth.jets, truth.offsets))
    tagging_inputs(detected, jets, Detector())
    find_electrons(detected, jets, Detector())
