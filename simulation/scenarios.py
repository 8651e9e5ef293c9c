"""The settings of detector and generator that tell simulation from "data".

`mc` is the simulation, `null` the same settings with other random numbers, `data` a detector and a
fragmentation that differ from it in known ways: the project's stand-in for collision data, whose mismodelling
is known. Every knob of `data` also exists alone, and `scenario_named` composes others.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

_Value = TypeVar("_Value", float, str)


class Detector(NamedTuple):
    """What the tracker and the calorimeters do to a particle. Lengths in cm, momenta and energies in GeV.

    Source:
        The resolutions are those of the CMS tracker (CMS-TRK-11-001, JINST 9 P10009) in a simple form;
        efficiencies, tails and fake rates are set so that the rates of secondary vertices come out near those
        of CMS simulation. The resolution of jets is about that of CMS (JINST 12 P02014): 17 per cent at
        30 GeV, 10 per cent at 100 GeV.
    """

    magnetic_field: float = 3.8
    """In tesla."""
    d0_constant: float = 0.0012
    d0_scattering: float = 0.0065
    """sigma(d0) = constant (+) scattering / (pT sqrt(sin theta)), added in quadrature."""
    dz_constant: float = 0.0025
    dz_scattering: float = 0.0085
    """sigma(dz) = constant (+) scattering / (pT sin(theta)^1.5)."""
    vertex_xy: float = 0.0012
    vertex_z: float = 0.0018
    """Resolution of the primary vertex."""
    resolution_scale: float = 1.0
    """True over reported resolution of the impact parameters: more than 1 means pulls wider than 1."""
    tail_fraction: float = 0.05
    tail_scale: float = 3.0
    """This fraction of tracks is measured this many times worse than reported."""
    kink_fraction: float = 0.010
    kink_radius: float = 0.05
    """This fraction of hadrons scatters on a nucleus; the offset is exponential with this mean."""
    efficiency_barrel: float = 0.92
    efficiency_endcap: float = 0.86
    """Of charged hadrons above 1 GeV below and above an abs(eta) of 1.5."""
    efficiency_scale: float = 1.0
    jet_noise: float = 2.5
    jet_stochastic: float = 0.7
    jet_constant: float = 0.03
    """sigma(pT) / pT of a jet = noise / pT (+) stochastic / root pT (+) constant, beyond what its particles'
    own errors make: for the pileup and the showers in the calorimeters that are not simulated."""
    jet_energy_scale: float = 1.0
    """Measured over true energy of jets, beyond what their particles' own errors make."""
    misalignment_d0: float = 0.0
    misalignment_z: float = 0.0
    """Amplitudes of a bias that depends on azimuth and pseudorapidity."""
    muon_efficiency: float = 0.97
    pion_to_muon: float = 0.001
    kaon_to_muon: float = 0.003
    """Probability that a hadron above 4 GeV is taken for a muon."""
    pileup_interactions: float = 33.0
    pileup_spread: float = 9.0
    """Mean and width of the number of pileup interactions per event."""
    pileup_tracks: float = 10.0
    pileup_jets: float = 2.2
    """Jets above 12 GeV of other interactions, at the mean pileup: 1.2 of them are above 15 GeV as measured.
    In simulated events of CMS, 0.8 (top pairs), 1.2 (QCD) and 2.3 (Z) jets match no generated jet."""
    pileup_tracks_at_jet: float = 2.3
    """Tracks above 1 GeV of other interactions within 0.4 of a jet, told apart or not."""
    pileup_sigma_z: float = 3.5
    """Tracks of other interactions, at the mean pileup, that are not told apart; and their spread in z."""
    fake_tracks: float = 0.5
    """Combinatorial tracks per event, with impact parameters up to 3 mm."""


@dataclass(frozen=True)
class Scenario:
    """A detector, and what PYTHIA is told beyond the process."""

    name: str
    is_data: bool = False
    detector: Detector = field(default_factory=Detector)
    pythia: tuple[str, ...] = ()


_RESOLUTION = {"resolution_scale": 1.12}
_TAILS = {"tail_fraction": 0.07, "kink_fraction": 0.013}
_EFFICIENCY = {"efficiency_scale": 0.98}
_MISALIGNMENT = {"misalignment_d0": 0.0006, "misalignment_z": 0.0010}
_FRAGMENTATION = ("StringZ:rFactB = 1.05", "StringZ:rFactC = 1.6")
_FINAL_STATE_RADIATION = ("TimeShower:alphaSvalue = 0.130",)


def _data_with(name: str, knobs: dict[str, float] | None = None, pythia: tuple[str, ...] = ()) -> Scenario:
    return Scenario(name, is_data=True, detector=Detector(**(knobs or {})), pythia=pythia)


SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        Scenario("mc"),
        Scenario("null", is_data=True),
        _data_with(
            "data",
            _RESOLUTION | _TAILS | _EFFICIENCY | _MISALIGNMENT,
            _FRAGMENTATION + _FINAL_STATE_RADIATION,
        ),
        _data_with("data_resolution", _RESOLUTION),
        _data_with("data_tails", _TAILS),
        _data_with("data_efficiency", _EFFICIENCY),
        _data_with("data_misalignment", _MISALIGNMENT),
        _data_with("data_fragmentation", pythia=_FRAGMENTATION),
        _data_with("data_radiation", pythia=_FINAL_STATE_RADIATION),
    )
}
"""All scenarios by name. `null` is written as data, so that it goes through an analysis the same way."""


def scenario_named(name: str) -> Scenario:
    """Return a scenario by name, or one composed of several and of single knobs.

    It is data if one of its parts is.

    Example:
        >>> scenario_named("data_resolution+data_radiation")
        >>> scenario_named("mc+tail_fraction=0.08+efficiency_scale=0.97")

    Raises:
        ValueError: If there is none of that name, or its parts contradict one another.
    """
    if name in SCENARIOS:
        return SCENARIOS[name]
    knobs: dict[str, float] = {}
    settings: dict[str, str] = {}
    is_data = False
    for part in name.split("+"):
        if "=" in part:
            _merge(knobs, _knob(part), name)
            continue
        if part not in SCENARIOS:
            known = ", ".join(SCENARIOS)
            raise ValueError(
                f"unknown scenario '{part}': choose from {known}, or knob=value, composed with '+'"
            )
        scenario = SCENARIOS[part]
        is_data |= scenario.is_data
        _merge(knobs, _changed(scenario.detector), name)
        _merge(settings, {setting.split(" = ")[0]: setting for setting in scenario.pythia}, name)
    return Scenario(name, is_data, Detector(**knobs), tuple(settings.values()))


def scenario_name(base: str = "mc", knobs: Mapping[str, float] | None = None) -> str:
    """Return the name of a scenario with some knobs turned: what a YAML's mapping becomes.

    Raises:
        ValueError: As of `scenario_named`.
    """
    name = "+".join([base, *(f"{knob}={value!r}" for knob, value in sorted((knobs or {}).items()))])
    return scenario_named(name).name


def _changed(detector: Detector) -> dict[str, float]:
    defaults = Detector()._asdict()
    return {knob: value for knob, value in detector._asdict().items() if value != defaults[knob]}


def _knob(part: str) -> dict[str, float]:
    knob, _, text = part.partition("=")
    if knob not in Detector._fields:
        raise ValueError(f"unknown knob '{knob}' of the detector: choose from {', '.join(Detector._fields)}")
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"knob '{knob}' is set to '{text}': give a number")
    return {knob: value}


def _merge(known: dict[str, _Value], more: Mapping[str, _Value], name: str) -> None:
    for key, value in more.items():
        if known.setdefault(key, value) != value:
            raise ValueError(f"scenario '{name}' sets {key} to both {known[key]} and {value}: leave one out")
