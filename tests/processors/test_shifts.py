"""Shifted jets, by numbers worked out by hand from small made tables."""

import json
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest

from processors.corrections import Corrections, parse_corrections
from processors.shifts import jet_normals, shift_names, shifted_events, smear_factor, unclustered_change


def binned(name: str, values: list[float], inputs: tuple[str, ...] = ("JetPt",)) -> dict[str, Any]:
    """Values below and above 50 GeV."""
    return {
        "name": name,
        "version": 1,
        "inputs": [{"name": one, "type": "real"} for one in inputs],
        "output": {"name": "value", "type": "real"},
        "data": {
            "nodetype": "binning",
            "input": "JetPt",
            "edges": [10.0, 50.0, 500.0],
            "content": values,
            "flow": "error",
        },
    }


def by_label(name: str, values: dict[str, float]) -> dict[str, Any]:
    return {
        "name": name,
        "version": 1,
        "inputs": [{"name": "systematic", "type": "string"}],
        "output": {"name": "value", "type": "real"},
        "data": {
            "nodetype": "category",
            "input": "systematic",
            "content": [{"key": key, "value": value} for key, value in values.items()],
        },
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    tables = [
        binned("Total", [0.1, 0.02]),
        binned("Resolution", [0.2, 0.1], ("JetPt", "Rho")),
        by_label("ScaleFactor", {"nom": 1.1, "up": 1.2, "down": 1.0}),
    ]
    (folder / "jme.json").write_text(json.dumps({"schema_version": 2, "corrections": tables}))
    return folder


def corrections(folder: Path, *, scale: bool = False, resolution: bool = False) -> Corrections:
    jets: dict[str, Any] = {}
    if scale:
        jets["energy_scale"] = {
            "Total": {"file": "jme.json", "correction": "Total", "inputs": {"JetPt": "pt"}}
        }
    if resolution:
        jets["resolution"] = {
            "resolution": {
                "file": "jme.json",
                "correction": "Resolution",
                "inputs": {"JetPt": "pt", "Rho": "event.fixedGridRhoFastjetAll"},
            },
            "scale_factor": {
                "file": "jme.json",
                "correction": "ScaleFactor",
                "inputs": {"systematic": "systematic"},
            },
        }
    return parse_corrections({"jets": jets, "met": {"unclustered": True}}, folder=folder, selections=("wc",))


def chunk(**fields: Any) -> ak.Array:
    """Two events: a jet of 40 and one of 60 GeV at azimuth 0 and pi / 2, then none."""
    jets = ak.zip(
        {
            "pt": ak.Array([[40.0, 60.0], []]),
            "eta": ak.Array([[0.5, -0.5], []]),
            "phi": ak.Array([[0.0, np.pi / 2], []]),
            "mass": ak.Array([[4.0, 6.0], []]),
            "muonIdx1": ak.Array([[1, -1], []]),
            "genJetIdx": ak.Array([[0, 7], []]),
        }
    )
    generated = ak.zip(
        {"pt": ak.Array([[44.0], [30.0]]), "eta": ak.Array([[0.5], [0.0]]), "phi": ak.Array([[0.1], [0.0]])}
    )
    met = {
        "pt": np.array([30.0, 20.0]),
        "phi": np.array([0.0, 0.0]),
        "MetUnclustEnUpDeltaX": np.array([3.0, 0.0]),
        "MetUnclustEnUpDeltaY": np.array([40.0, 0.0]),
    }
    return ak.zip(
        {
            "run": np.array([1, 1]),
            "luminosityBlock": np.array([2, 2]),
            "event": np.array([3, 4]),
            "fixedGridRhoFastjetAll": np.array([20.0, 20.0]),
            "Jet": jets,
            "GenJet": generated,
            "MET": ak.zip(met),
        }
        | fields,
        depth_limit=1,
    )


def test_the_names_come_in_pairs(folder: Path) -> None:
    assert shift_names(corrections(folder, scale=True, resolution=True)) == (
        "JES_TotalUp",
        "JES_TotalDown",
        "JERUp",
        "JERDown",
        "unclusteredUp",
        "unclusteredDown",
    )


def test_the_energy_scale_moves_jets_and_missing_energy_but_no_position(folder: Path) -> None:
    events = chunk()
    up = shifted_events(events, "JES_TotalUp", corrections(folder, scale=True))
    # 10 % below and 2 % above 50 GeV: 44 falls below 61.2 still, and stays first.
    np.testing.assert_allclose(up.Jet.pt[0], [44.0, 61.2], rtol=1e-6)
    np.testing.assert_allclose(up.Jet.mass[0], [4.4, 6.12], rtol=1e-6)
    assert up.Jet.muonIdx1.to_list() == events.Jet.muonIdx1.to_list()
    # What the jets gain, (4, 1.2), the missing energy loses: (26, -1.2).
    assert up.MET.pt[0] == pytest.approx(np.hypot(26.0, 1.2), rel=1e-6)
    assert up.MET.phi[0] == pytest.approx(np.arctan2(-1.2, 26.0), rel=1e-6)
    assert up.MET.pt[1] == 20.0
    down = shifted_events(events, "JES_TotalDown", corrections(folder, scale=True))
    np.testing.assert_allclose(down.Jet.pt[0], [36.0, 58.8], rtol=1e-6)
    assert events.Jet.pt.to_list() == [[40.0, 60.0], []]


def test_jets_that_change_places_in_pt_keep_their_positions(folder: Path) -> None:
    pt = ak.Array([[50.5, 49.9], []])
    jets = chunk().Jet
    events = chunk(Jet=ak.with_field(jets, pt, "pt"))
    up = shifted_events(events, "JES_TotalUp", corrections(folder, scale=True))
    # 50.5 * 1.02 = 51.51 and 49.9 * 1.1 = 54.89: the second is harder now.
    np.testing.assert_allclose(up.Jet.pt[0], [51.51, 54.89], rtol=1e-6)
    assert up.Jet.muonIdx1.to_list() == [[1, -1], []]


def test_smearing_scales_matched_jets_and_draws_for_the_others() -> None:
    factor = smear_factor(
        np.array([40.0, 60.0, 60.0, 60.0]),
        generated_pt=np.array([44.0, 0.0, 0.0, 0.0]),
        matched=np.array([True, False, False, False]),
        resolution=np.array([0.2, 0.1, 0.1, 0.1]),
        scale_factor=np.array([1.1, 1.25, 0.9, 1.25]),
        normal=np.array([9.0, 2.0, 2.0, -100.0]),
    )
    # 1 + 0.1 * (40 - 44) / 40 = 0.99; 1 + 0.1 * 2 * sqrt(1.5625 - 1) = 1.15; no narrowing; never below 0.
    np.testing.assert_allclose(factor, [0.99, 1.15, 1.0, 0.0], rtol=1e-12)


def test_a_resolution_is_no_factor_on_the_momentum(folder: Path) -> None:
    """A scale factor of 1.1 multiplied onto the pT would give 44 and 66 GeV."""
    events = chunk()
    smeared = shifted_events(events, "nominal", corrections(folder, resolution=True))
    normal = jet_normals(events, 0)
    expected = [40 * 0.99, 60 * (1 + 0.1 * normal[1] * np.sqrt(0.21))]
    np.testing.assert_allclose(smeared.Jet.pt[0], expected, rtol=1e-6)
    down = shifted_events(events, "JERDown", corrections(folder, resolution=True))
    np.testing.assert_allclose(down.Jet.pt[0], [40.0, 60.0], rtol=1e-6)  # a factor of 1 smears nothing


def test_a_generated_jet_that_is_far_off_does_not_count(folder: Path) -> None:
    # 3 sigma of a jet of 40 GeV with 20 % are 24 GeV: 70 GeV is too far; so is dR = 0.3.
    for change in ({"pt": [[70.0], []]}, {"phi": [[0.3], []]}):
        generated = chunk().GenJet
        for name, values in change.items():
            generated = ak.with_field(generated, ak.Array([values[0], [1.0]]), name)
        events = chunk(GenJet=generated)
        smeared = shifted_events(events, "nominal", corrections(folder, resolution=True))
        factor = 1 + 0.2 * jet_normals(events, 0)[0] * np.sqrt(0.21)
        assert smeared.Jet.pt[0, 0] == pytest.approx(40 * max(factor, 0.0), rel=1e-6)


def test_the_random_number_of_a_jet_depends_on_its_event_and_place_alone() -> None:
    events = chunk(Jet=ak.zip({"pt": ak.Array([[1.0, 2.0], [3.0, 4.0]])}))
    whole = jet_normals(events, 0)
    assert np.concatenate([jet_normals(events[1:], 0), jet_normals(events[:1], 0)]).tolist() == [
        *whole[2:],
        *whole[:2],
    ]
    assert len(set(whole.tolist())) == 4
    assert jet_normals(events, 1).tolist() != whole.tolist()


def test_random_numbers_are_normal() -> None:
    n = 20_000
    jets = ak.unflatten(np.ones(n), np.ones(n, int))
    names = ("run", "luminosityBlock")
    events = ak.zip(
        {
            **{name: np.ones(n, np.int64) for name in names},
            "event": np.arange(n),
            "Jet": ak.zip({"pt": jets}),
        },
        depth_limit=1,
    )
    normal = jet_normals(events, 0)
    # Errors of mean and width: 1 / sqrt(n) = 0.007 and 1 / sqrt(2 n) = 0.005.
    assert abs(normal.mean()) < 0.03
    assert abs(normal.std() - 1) < 0.02


def test_unclustered_energy_is_moved_by_what_the_file_says(folder: Path) -> None:
    up = shifted_events(chunk(), "unclusteredUp", corrections(folder))
    assert up.MET.pt[0] == pytest.approx(np.hypot(33.0, 40.0), rel=1e-6)
    down = shifted_events(chunk(), "unclusteredDown", corrections(folder))
    assert down.MET.pt[0] == pytest.approx(np.hypot(27.0, 40.0), rel=1e-6)
    assert up.Jet.pt.to_list() == chunk().Jet.pt.to_list()


def test_run_3_says_it_as_sizes_and_azimuths() -> None:
    puppi = {
        "pt": np.array([30.0]),
        "phi": np.array([0.0]),
        "ptUnclusteredUp": np.array([40.0]),
        "phiUnclusteredUp": np.array([np.pi / 2]),
    }
    events = ak.zip({"run": np.array([1]), "PuppiMET": ak.zip(puppi)}, depth_limit=1)
    ((dx, dy),) = unclustered_change(events, "Up").values()
    np.testing.assert_allclose([dx[0], dy[0]], [-30.0, 40.0], atol=1e-12)
    assert unclustered_change(events, "Down") == {}


def test_a_missing_column_is_named(folder: Path) -> None:
    events = chunk()
    without = events[[name for name in events.fields if name != "fixedGridRhoFastjetAll"]]
    with pytest.raises(ValueError, match="no branch fixedGridRhoFastjetAll"):
        shifted_events(without, "nominal", corrections(folder, resolution=True))
