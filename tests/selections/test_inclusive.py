from collections.abc import Callable

import awkward as ak
import numpy as np

from selections.inclusive import select
from selections.parameters import InclusiveSelection, parameters_of

Events = Callable[..., ak.Array]
PARAMETERS = parameters_of("inclusive")
assert isinstance(PARAMETERS, InclusiveSelection)


def test_every_good_jet_of_every_event_is_a_probe(events: Events) -> None:
    jets = [{"pt": 19.0}, {"pt": 30.0, "jetId": 0}, {"pt": 25.0, "eta": 2.6}, {"pt": 90.0}]
    selected = select(events({"Jet": jets}, {}, {"Jet": [{"pt": 40.0}]}), PARAMETERS)
    assert selected.event.tolist() == [0, 0, 2]
    assert selected.jet.tolist() == [1, 3, 0]
    assert selected.control["jet_pt"].tolist() == [30.0, 90.0, 40.0]
    assert selected.control["n_jets"].tolist() == [2.0, 2.0, 1.0]


def test_uncertified_events_give_no_probes(events: Events) -> None:
    chunk = events({"Jet": [{}, {}]}, {"Jet": [{}]})
    selected = select(chunk, PARAMETERS, good_luminosity=np.array([False, True]))
    assert selected.event.tolist() == [1]


def test_no_event_gives_no_probe(events: Events) -> None:
    assert len(select(events(), PARAMETERS).jet) == 0
