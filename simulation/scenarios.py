"""The settings of detector and generator that tell simulation from "data".

`mc` is the simulation, `null` the same settings with other random numbers, `data` a detector and a
fragmentation that differ from it in known ways: the project's stand-in for collision data, whose mismodelling
is known. Every knob of `data` also exists alone, and `scenario_named` composes others.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import numpy as np

from simulation.randomness import derived_seed

_Value = TypeVar("_Value", float, str, tuple[float, float])

KNOB_EVENTS = 250
"""So many consecutive events are measured with the same knobs, where these are drawn from a prior."""


class Detector(NamedTuple):
    """What the tracker and the calorimeters do to a particle. Lengths in cm, momenta and energies in GeV.

    Source:
        The resolutions and efficiencies are those of the CMS tracker (CMS-TRK-11-001, JINST 9 P10009) in a
        simple form; tails and fake rates are set so that the rates of secondary vertices come out near those
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
    efficiency_barrel: float = 0.94
    efficiency_endcap: float = 0.89
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
    pileup_tracks_at_jet: float = 2.0
    """Tracks above 1 GeV of other interactions within 0.4 of a jet, told apart or not."""
    pileup_sigma_z: float = 3.5
    """Tracks of other interactions, at the mean pileup, that are not told apart; and their spread in z."""
    fake_tracks: float = 0.5
    """Combinatorial tracks per event, with impact parameters up to 3 mm."""


@dataclass(frozen=True)
class Scenario:
    """A detector, and what PYTHIA is told beyond the process.

    Attributes:
        priors: Knobs that are drawn anew every `KNOB_EVENTS` events, and the ends of their uniform
            distributions.
    """

    name: str
    is_data: bool = False
    detector: Detector = field(default_factory=Detector)
    pythia: tuple[str, ...] = ()
    priors: tuple[tuple[str, float, float], ...] = ()


def drawn_knobs(scenario: Scenario, seed: int, *, block: int) -> dict[str, float]:
    """Return the knobs of the events of a block, drawn from the priors of a scenario."""
    generator = np.random.default_rng(derived_seed("knobs", scenario.name, seed, block))
    return {knob: float(generator.uniform(low, high)) for knob, low, high in scenario.priors}


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
    """Return a scenario by name, or one composed of several, of single knobs and of settings of PYTHIA.

    It is data if one of its parts is. A knob given as ``low..high`` is drawn from a uniform distribution;
    ``draw=2`` changes nothing but the name, and with it the numbers that are drawn.

    Example:
        >>> scenario_named("data_resolution+data_radiation")
        >>> scenario_named("mc+tail_fraction=0.08+efficiency_scale=0.95..1.03+StringZ:rFactB=1.05")

    Raises:
        ValueError: If there is none of that name, or its parts contradict one another.
    """
    if name in SCENARIOS:
        return SCENARIOS[name]
    knobs: dict[str, float] = {}
    priors: dict[str, tuple[float, float]] = {}
    settings: dict[str, str] = {}
    is_data = False
    for part in _PLUS.split(name):
        key, is_setting, text = (piece.strip() for piece in part.partition("="))
        if is_setting and key == "draw":
            _check_draw(text, name)
        elif is_setting and ":" in key:
            _merge(settings, {key: text}, name)
        elif is_setting and ".." in text:
            low, _, high = text.partition("..")
            _merge(priors, {key: _range(key, low, high)}, name)
        elif is_setting:
            _merge(knobs, {key: _knob(key, text)}, name)
        else:
            scenario = _plain(part)
            is_data |= scenario.is_data
            _merge(knobs, _changed(scenario.detector), name)
            _merge(settings, dict(_setting(line) for line in scenario.pythia), name)
    if twice := sorted(set(knobs) & set(priors)):
        raise ValueError(f"scenario '{name}' sets {twice[0]} to a number and to a range: leave one out")
    return Scenario(
        name,
        is_data,
        Detector(**knobs),
        tuple(f"{key} = {value}" for key, value in settings.items()),
        tuple((knob, *ends) for knob, ends in priors.items()),
    )


def scenario_name(
    base: str | Sequence[str] = "mc",
    knobs: Mapping[str, float | tuple[float, float]] | None = None,
    pythia: Mapping[str, object] | None = None,
    draw: int = 1,
) -> str:
    """Return the name of a scenario with some knobs and settings changed: what a YAML's mapping becomes.

    Args:
        base: One or several scenarios.
        knobs: Of the detector; two numbers are the ends of a range that the knob is drawn from.
        pythia: Settings of PYTHIA by name.
        draw: Another number draws other knobs from the same ranges.

    Raises:
        ValueError: As of `scenario_named`.
    """
    parts = [base] if isinstance(base, str) else list(base)
    for knob, value in sorted((knobs or {}).items()):
        parts.append(
            f"{knob}=" + (f"{value[0]!r}..{value[1]!r}" if isinstance(value, tuple) else f"{value!r}")
        )
    parts += [f"{setting}={value}" for setting, value in sorted((pythia or {}).items())]
    parts += [f"draw={draw}"] if draw != 1 else []
    return scenario_named("+".join(parts)).name


_PLUS = re.compile(r"(?<![0-9.][eE])\+")
"""Between the parts of a name; that of 1e+05 is none."""


def _check_draw(text: str, name: str) -> None:
    if not text.isdecimal():
        raise ValueError(f"scenario '{name}' has a draw of {text}: give a whole number")


def _plain(name: str) -> Scenario:
    if name not in SCENARIOS:
        known = ", ".join(SCENARIOS)
        raise ValueError(f"unknown scenario '{name}': choose from {known}, or knob=value, composed with '+'")
    return SCENARIOS[name]


def _setting(line: str) -> tuple[str, str]:
    key, _, value = line.partition("=")
    return key.strip(), value.strip()


def _changed(detector: Detector) -> dict[str, float]:
    defaults = Detector()._asdict()
    return {knob: value for knob, value in detector._asdict().items() if value != defaults[knob]}


def _range(knob: str, low: str, high: str) -> tuple[float, float]:
    ends = _knob(knob, low), _knob(knob, high)
    if ends[0] >= ends[1]:
        raise ValueError(f"knob '{knob}' is drawn from {low} to {high}: give the smaller number first")
    return ends


def _knob(knob: str, text: str) -> float:
    if knob not in Detector._fields:
        raise ValueError(f"unknown knob '{knob}' of the detector: choose from {', '.join(Detector._fields)}")
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"knob '{knob}' is set to '{text}': give a number")
    lowest, highest = _limits(knob)
    if not lowest <= value <= highest:
        raise ValueError(f"knob '{knob}' is set to {text}: give a number from {lowest:g} to {highest:g}")
    return value


def _limits(knob: str) -> tuple[float, float]:
    """Return what a knob can be: offsets anything, probabilities up to one, all others not negative."""
    if knob.startswith("misalignment"):
        return -math.inf, math.inf
    is_probability = knob.endswith(("_fraction", "_to_muon")) or (
        "efficiency" in knob and not knob.endswith("_scale")
    )
    return 0.0, 1.0 if is_probability else math.inf


def _merge(known: dict[str, _Value], more: Mapping[str, _Value], name: str) -> None:
    for key, value in more.items():
        if known.setdefault(key, value) != value:
            raise ValueError(f"scenario '{name}' sets {key} to both {known[key]} and {value}: leave one out")
