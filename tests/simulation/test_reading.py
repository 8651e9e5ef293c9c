import awkward as ak
import pytest
from coffea.nanoevents import NanoAODSchema, NanoEventsFactory, PFNanoAODSchema


@pytest.mark.parametrize("schema", [NanoAODSchema, PFNanoAODSchema])
@pytest.mark.parametrize(("process", "scenario"), [("ttsl", "mc"), ("wc", "data")])
def test_coffea_reads_the_files(sample, monkeypatch, schema, process, scenario):
    monkeypatch.setattr(schema, "warn_missing_crossrefs", False)  # files hold no generated particles
    info = sample(process, scenario)
    events = NanoEventsFactory.from_root(
        {str(info.path): "Events"}, schemaclass=schema, mode="eager"
    ).events()
    assert len(events) == info.n_events
    jets, muons = events.Jet, events.Muon
    assert ak.all(abs((jets + jets).pt - 2 * jets.pt) < 1e-4 * jets.pt)
    assert ak.all(jets.DeepCSV_trackJetPt >= -999)
    linked = muons.matched_jet
    distance = ak.drop_none(ak.flatten(muons.delta_r(linked)))
    assert ak.max(distance) < 0.5
    assert hasattr(events, "genWeight") != info.is_data
