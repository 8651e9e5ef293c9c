"""One batch from the generator to jets, leptons and tagging inputs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulation.detector import DetectedEvents, detect_events
from simulation.genparticles import GeneratorTruth, generator_truth
from simulation.jets import Clustering, Jets, cluster_particles, measure_jets
from simulation.leptons import Leptons, find_electrons, find_muons
from simulation.pythia import GeneratedBatch
from simulation.randomness import RandomStreams, derived_seed, event_seeds
from simulation.scenarios import Detector
from simulation.tagging_inputs import tagging_inputs


@dataclass(frozen=True)
class ReconstructedEvents:
    """All that is known of some events of a batch.

    Attributes:
        number: Of the event in its run, from 0, shape ``(n_events,)``; rejected events leave gaps.
        weights: Shape ``(n_events,)``; 1 in data.
        n_pileup: Mean number of interactions, shape ``(n_events,)``.
        inputs: Of the tagger, shape ``(n_jets, 67)``.
    """

    number: NDArray[np.int64]
    weights: NDArray[np.float64]
    n_pileup: NDArray[np.float64]
    detected: DetectedEvents
    clustering: Clustering
    jets: Jets
    inputs: NDArray[np.float64]
    muons: Leptons
    electrons: Leptons
    truth: GeneratorTruth

    def __len__(self) -> int:
        return len(self.number)


def accepted_events(
    weights: NDArray[np.float64], largest: float, streams: RandomStreams
) -> NDArray[np.int64]:
    """Return the rows of the events that unweighting keeps, each with probability weight / largest.

    Raises:
        ValueError: If a weight is above the largest.
    """
    if np.any(weights > largest * (1 + 1e-9)):
        raise ValueError(f"event weight {weights.max():.4g} is above the largest expected, {largest:.4g}")
    return np.flatnonzero(streams.uniform("unweighting", len(weights)) * largest < weights)


def _stray_objects(
    n_pileup: NDArray[np.float64], detector: Detector, streams: RandomStreams
) -> NDArray[np.int64]:
    """Return how many pileup tracks, fake tracks and pileup jets there are, shape ``(n_events, 3)``."""
    relative = n_pileup / detector.pileup_interactions
    pileup = streams["pileup tracks"].poisson(relative * detector.pileup_tracks)
    fakes = streams["fake tracks"].poisson(detector.fake_tracks, len(n_pileup))
    jets = streams["pileup jets"].poisson(relative * detector.pileup_jets)
    return np.stack([pileup, fakes, jets], axis=1)


def reconstruct(
    batch: GeneratedBatch,
    *,
    detector: Detector,
    seed: int,
    streams: RandomStreams,
    largest_weight: float | None = None,
    nominal: ReconstructedEvents | None = None,
) -> ReconstructedEvents:
    """Return a batch as the detector and the reconstruction see it.

    Args:
        batch: From the generator.
        detector: The knobs.
        seed: Of the detector's random numbers.
        streams: Of all other random numbers; go on with them from batch to batch.
        largest_weight: If given, events are accepted or rejected by weight over this, and then all weigh 1.
        nominal: The same batch as another detector sees it: what does not differ is not made again.
    """
    rows, weights = np.arange(len(batch)), batch.weights
    if largest_weight is not None:
        rows = accepted_events(batch.weights, largest_weight, streams)
        weights = np.ones(len(batch))
    number = batch.first + rows
    pileup = streams["pileup"].normal(detector.pileup_interactions, detector.pileup_spread, len(rows))
    n_pileup = np.maximum(pileup, 1.0)
    detected = detect_events(
        batch.particles,
        rows,
        seeds=event_seeds(derived_seed("detector", seed), number),
        n_stray=_stray_objects(n_pileup, detector, streams),
        detector=detector,
    )
    clustering = cluster_particles(detected, known=nominal.clustering if nominal else None)
    jet_seeds = event_seeds(derived_seed("jets", seed), number)
    jets = measure_jets(detected, clustering, seeds=jet_seeds, detector=detector)
    detected = detected._replace(met=detected.met - jets.added)
    inputs = tagging_inputs(detected, jets, detector)
    muons, electrons = find_muons(detected, jets, detector), find_electrons(detected, jets, detector)
    # Ghosts, partons and stable particles do not depend on the detector.
    same_events = nominal is not None and np.array_equal(number, nominal.number)
    truth = nominal.truth if nominal and same_events else generator_truth(batch.particles, rows, detected)
    return ReconstructedEvents(
        number, weights[rows], n_pileup, detected, clustering, jets, inputs, muons, electrons, truth
    )
