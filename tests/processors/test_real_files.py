import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.perturbations import parse_variants
from models.tagger import Tagger
from processors.run import run_selection

REAL_DATA = Path(os.environ.get("ADVTAG_REAL_DATA", ""))

pytestmark = pytest.mark.skipif("ADVTAG_REAL_DATA" not in os.environ, reason="ADVTAG_REAL_DATA is not set")


def test_every_jet_of_a_pfnano_file_gets_finite_scores(tagger: Callable[..., Tagger]) -> None:
    result = run_selection(
        selection="inclusive",
        fileset={"qcd": [str(REAL_DATA / "pfnano.root")]},
        taggers=[tagger()],
        variants=parse_variants("raw,noise:0.1,fgsm:0.1"),
    )
    n_jets = result.histograms["jet_pt"].sum(flow=True).value
    # 42 of the 64 jets have pT > 20 and abs(eta) < 2.5; weights are those of the generator, so count them so.
    defaults = result.histograms["defaults"]
    assert defaults.values()[0].sum(axis=1).tolist() == [42.0] * 67
    assert 0 < defaults.values()[0, :, 1].sum() < 42 * 67
    for name in ("b", "udsg", "CvsL"):
        variants = result.histograms[name].project("variant", "value").values(flow=True)
        np.testing.assert_allclose(variants.sum(axis=1), n_jets, rtol=1e-6)
        # No default score (-0.1, below bin 10), no overflow.
        assert variants[:, :11].sum() == 0
        assert variants[:, -1].sum() == 0


def test_dy_runs_on_simulation_and_data_without_taggers() -> None:
    result = run_selection(
        selection="dy",
        fileset={"dy": [str(REAL_DATA / "nano_dy.root")], "data": [str(REAL_DATA / "nano_dimuon.root")]},
        year="2018",
    )
    assert [result.datasets[name].is_data for name in ("dy", "data")] == [False, True]
    assert [result.cutflows[name][0].n_events for name in ("dy", "data")] == [40, 40]
    assert result.datasets["data"].sum_weights == 40.0
    assert any("Flag_BadPFMuonDzFilter" in note for note in result.notes)


def test_taggers_ask_a_nano_file_for_their_inputs(tagger: Callable[..., Tagger]) -> None:
    with pytest.raises(ValueError, match=r"nano_dy.root: no branches Jet_DeepCSV_flightDistance2dSig"):
        run_selection(selection="dy", fileset={"dy": [str(REAL_DATA / "nano_dy.root")]}, taggers=[tagger()])


@pytest.mark.parametrize("selection", ["wc", "ttsemilep", "inclusive"])
def test_a_run_3_file_is_processed_and_what_it_lacks_is_noted(selection: str) -> None:
    result = run_selection(
        selection=selection, fileset={"tt": [str(REAL_DATA / "nano_tt_v12.root")]}, year="2018UL"
    )
    assert result.cutflows["tt"][0].n_events == 200
    noted = " ".join(result.notes)
    assert ("HLT_IsoMu24" in noted) == (selection != "inclusive")
    assert ("Electron_mvaIso_WP80 read in place of Electron_mvaFall17V2Iso_WP80" in noted) == (
        selection != "inclusive"
    )
