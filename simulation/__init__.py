"""Physical events of known truth, in the format of CMS's PFNano files.

PYTHIA 8 makes the events, a parameterised detector sees them, anti-kT jets and an adaptive vertex fit
reconstruct them. Importing this package needs nothing beyond the core; simulating needs the extra ``[sim]``.
"""

from simulation.extras import MissingExtraError
from simulation.generate import simulate_samples
from simulation.processes import PROCESSES
from simulation.samples import SampleInfo, SampleRequest, events_for_luminosity, fileset_of
from simulation.scenario_files import scenario_from
from simulation.scenarios import SCENARIOS, scenario_name, scenario_named
from simulation.simulate import read_sample_info, read_scenario, simulate_sample, simulate_variations
from simulation.variations import match_jets

__all__ = [
    "PROCESSES",
    "SCENARIOS",
    "MissingExtraError",
    "SampleInfo",
    "SampleRequest",
    "events_for_luminosity",
    "fileset_of",
    "match_jets",
    "read_sample_info",
    "read_scenario",
    "scenario_from",
    "scenario_name",
    "scenario_named",
    "simulate_sample",
    "simulate_samples",
    "simulate_variations",
]
