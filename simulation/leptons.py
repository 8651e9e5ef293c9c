"""Muons and electrons: isolation, impact parameters, and the jet that holds them."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulation.compiled import kernel
from simulation.detector import DetectedEvents
from simulation.geometry import delta_r
from simulation.jets import Jets
from simulation.records import FAKE_MUON, LEPTON, NOT_A_MUON, Records
from simulation.scenarios import Detector

MIN_ELECTRON_PT = 10.0

_ELECTRON, _MUON = 11, 13
_MIN_NEUTRAL_PT = 0.5


class Leptons(NamedTuple):
    """Leptons of one kind in order of falling pT; event k has rows ``offsets[k]`` to ``offsets[k + 1]``."""

    leptons: Records
    offsets: NDArray[np.int64]


@kernel
def fill_isolation(lepton: Any, particles: Records, begin: int, end: int, own: int) -> None:
    """Fill the sums of pT around a lepton, over its own."""
    for row in range(begin, end):
        other = particles[row]
        if row == own or (other.tracked == 0 and other.pt < _MIN_NEUTRAL_PT):
            continue
        distance = delta_r(other.eta, other.phi, lepton.eta, lepton.phi)
        if distance < 0.4:
            lepton.isolation_04 += other.pt / lepton.pt
        if distance < 0.3:
            lepton.isolation_03 += other.pt / lepton.pt


@kernel
def fill_impact(lepton: Any, particle: Any, resolution: NDArray[Any]) -> None:
    """Fill impact parameters to the primary vertex, whose resolution in x, y and z is given (cm)."""
    lepton.dxy, lepton.dz = particle.d0, particle.dz
    lepton.dxy_error, lepton.dz_error = particle.sigma_d0, particle.sigma_dz
    p = math.hypot(particle.pt, particle.pz)
    sin_theta, cos_theta = particle.pt / p, particle.pz / p
    hx, hy = math.cos(particle.phi0), math.sin(particle.phi0)
    along = (particle.ip_x * hx + particle.ip_y * hy) * sin_theta + particle.ip_z * cos_theta
    x = particle.ip_x - along * hx * sin_theta
    y = particle.ip_y - along * hy * sin_theta
    z = particle.ip_z - along * cos_theta
    lepton.ip3d = math.sqrt(x * x + y * y + z * z)
    distance = lepton.ip3d + 1e-12
    transverse = (hx * y - hy * x) / distance * particle.sigma_d0
    longitudinal = (z * sin_theta - (hx * x + hy * y) * cos_theta) / distance * particle.sigma_dz * sin_theta
    vertex_xy = math.hypot(x, y) / distance * resolution[0]
    vertex_z = z / distance * resolution[2]
    lepton.sip3d = lepton.ip3d / math.sqrt(transverse**2 + longitudinal**2 + vertex_xy**2 + vertex_z**2)


@kernel
def is_lepton(particle: Any, kind: int) -> bool:
    """Return whether the detector takes a particle for a lepton of this kind."""
    if kind == _MUON:
        return bool(particle.muon != NOT_A_MUON)
    return bool(abs(particle.pdg) == _ELECTRON and particle.tracked == 1 and particle.pt > MIN_ELECTRON_PT)


@kernel
def fill_leptons(
    kind: int,
    detected: DetectedEvents,
    jets: Jets,
    resolution: NDArray[Any],
    leptons: Records,
    offsets: NDArray[Any],
) -> None:
    """Fill the leptons of all events of a batch, in the order of the particles."""
    n_leptons = 0
    for event in range(len(offsets) - 1):
        begin, end = detected.offsets[event], detected.offsets[event + 1]
        for row in range(begin, end):
            particle = detected.particles[row]
            if not is_lepton(particle, kind):
                continue
            lepton = leptons[n_leptons]
            lepton.pt, lepton.eta, lepton.phi = particle.pt, particle.eta, particle.phi
            lepton.charge, lepton.pdg = particle.charge, -kind * particle.charge
            lepton.origin, lepton.jet = particle.origin, jets.jet_of_particle[row]
            lepton.fake = particle.muon == FAKE_MUON
            fill_isolation(lepton, detected.particles, begin, end, row)
            fill_impact(lepton, particle, resolution)
            n_leptons += 1
        offsets[event + 1] = n_leptons


def _find(kind: int, n_leptons: int, detected: DetectedEvents, jets: Jets, detector: Detector) -> Leptons:
    leptons, offsets = np.zeros(n_leptons, LEPTON), np.zeros(len(detected.offsets), np.int64)
    resolution = np.array([detector.vertex_xy, detector.vertex_xy, detector.vertex_z])
    fill_leptons(kind, detected, jets, resolution, leptons, offsets)
    event = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    return Leptons(leptons[np.lexsort((-leptons["pt"], event))], offsets)


def find_muons(detected: DetectedEvents, jets: Jets, detector: Detector) -> Leptons:
    """Return the muons of a batch: prompt ones, those of heavy hadrons, and hadrons taken for one."""
    n_muons = int(np.count_nonzero(detected.particles["muon"]))
    return _find(_MUON, n_muons, detected, jets, detector)


def find_electrons(detected: DetectedEvents, jets: Jets, detector: Detector) -> Leptons:
    """Return the electrons of a batch above `MIN_ELECTRON_PT`."""
    particles = detected.particles
    is_electron = (np.abs(particles["pdg"]) == _ELECTRON) & (particles["tracked"] == 1)
    n_electrons = int(np.count_nonzero(is_electron & (particles["pt"] > MIN_ELECTRON_PT)))
    return _find(_ELECTRON, n_electrons, detected, jets, detector)
