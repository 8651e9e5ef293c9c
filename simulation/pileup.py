"""What other interactions, and stray hits, leave in an event."""
# ruff: noqa: NPY002 (inside kernels `np.random` is numba's own generator, seeded for each event)

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulation.compiled import kernel
from simulation.measurement import follow_helix, impact_resolution, set_momentum
from simulation.records import ORIGIN_PILEUP, ORIGIN_UNKNOWN, Records
from simulation.scenarios import Detector

PIECES = 3
"""Particles of a pileup jet."""

_PHOTON, _PION = 22, 211
_PION_MASS = 0.13957
_TRACKER_ETA, _CALORIMETER_ETA = 2.5, 4.7
_MIN_PT = 12.0
_SHARES = (0.45, 0.35, 0.2)
"""Of the momentum of a pileup jet, from 12 GeV: of a hadron and two photons."""


@kernel
def add_stray_track(particle: Any, is_fake: bool, vertex: NDArray[Any], detector: Detector) -> None:
    """Fill a track that does not belong to the event: of another interaction, or of stray hits."""
    pt = 0.5 + np.random.exponential(0.6)
    if np.random.random() < 0.03:
        pt += np.random.exponential(2.0)
    eta = (2.0 * np.random.random() - 1.0) * _TRACKER_ETA
    phi = (2.0 * np.random.random() - 1.0) * math.pi
    set_momentum(particle, pt * math.cos(phi), pt * math.sin(phi), pt * math.sinh(eta), _PION_MASS)
    particle.eta, particle.phi = eta, phi
    particle.charge = 1 if np.random.random() < 0.5 else -1
    particle.pdg, particle.tracked, particle.origin = _PION * particle.charge, 1, ORIGIN_UNKNOWN
    particle.sigma_d0, particle.sigma_dz = impact_resolution(pt, 1.0 / math.cosh(eta), detector)
    if is_fake:
        transverse = (2.0 * np.random.random() - 1.0) * 0.3
        particle.z = np.random.normal(0.0, 0.5)
    else:
        transverse = np.random.normal(0.0, particle.sigma_d0 * detector.resolution_scale)
        particle.z = np.random.normal(0.0, detector.pileup_sigma_z)
    particle.x, particle.y = -math.sin(phi) * transverse, math.cos(phi) * transverse
    follow_helix(particle, vertex, detector)


@kernel
def add_pileup_jet(particles: Records, vertex: NDArray[Any], detector: Detector) -> int:
    """Fill the pieces of a jet of another interaction, a hadron and photons; return how many there are.

    The spectrum, and the excess at pseudorapidities of 2.5 to 3, are those of the jets that match no
    generated jet in simulated Z events of CMS.
    """
    pt = _MIN_PT + np.random.exponential(3.8)
    eta = (2.0 * np.random.random() - 1.0) * _CALORIMETER_ETA
    if np.random.random() < 0.25:
        eta = math.copysign(2.5 + 0.5 * np.random.random(), eta)
    phi = (2.0 * np.random.random() - 1.0) * math.pi
    z = np.random.normal(0.0, detector.pileup_sigma_z)
    for i in range(PIECES):
        particle = particles[i]
        own_pt = pt * _SHARES[i]
        own_eta, own_phi = eta + np.random.normal(0.0, 0.1), phi + np.random.normal(0.0, 0.1)
        mass = _PION_MASS if i == 0 else 0.0
        px, py = own_pt * math.cos(own_phi), own_pt * math.sin(own_phi)
        set_momentum(particle, px, py, own_pt * math.sinh(own_eta), mass)
        particle.eta, particle.phi = own_eta, math.atan2(py, px)
        particle.pdg, particle.origin = _PION if i == 0 else _PHOTON, ORIGIN_PILEUP
        if i == 0 and abs(own_eta) < _TRACKER_ETA:
            particle.tracked, particle.charge = 1, 1
            particle.sigma_d0, particle.sigma_dz = impact_resolution(
                own_pt, 1.0 / math.cosh(own_eta), detector
            )
            particle.z = z
            follow_helix(particle, vertex, detector)
    return PIECES
