"""Compilation ahead of work: kernels called with nothing to do, so that two processes share the effort."""

import numpy as np
from numpy.typing import NDArray

from simulation.detector import DetectedEvents, detect_events
from simulation.genparticles import generated_jet_of, generator_truth
from simulation.jets import Jets, fill_jets, match_partons
from simulation.leptons import find_electrons
from simulation.pythia import GeneratedParticles
from simulation.records import GHOST, JET, PARTICLE, PARTON
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
    """Compile what `detector`, `clustering` and `genparticles` need."""
    no_events = np.zeros(0, np.int64)
    detect_events(
        _nothing_generated(),
        no_events,
        seeds=np.zeros(0, np.uint32),
        n_stray=np.zeros((0, 2), np.int64),
        detector=Detector(),
    )
    truth = generator_truth(_nothing_generated(), no_events, _nothing_detected())
    no_jets = Jets(np.zeros(0, JET), _no_rows(), no_events, _no_rows(), np.zeros(0, np.int32))
    generated_jet_of(no_jets, truth)


def compile_reconstruction() -> None:
    """Compile what `jets`, `tagging_inputs` and `leptons` need."""
    empty = np.zeros(0, np.int64)
    detected = _nothing_detected()
    jets = Jets(np.zeros(0, JET), _no_rows(), empty, _no_rows(), np.zeros(0, np.int32))
    tagging_inputs(detected, jets, Detector())
    find_electrons(detected, jets, Detector())
    fill_jets(detected, jets.jets, jets.offsets, empty, _no_rows(), empty, _no_rows(), jets.jet_of_particle)
    match_partons(detected.partons, detected.parton_offsets, jets.jets, jets.offsets)
