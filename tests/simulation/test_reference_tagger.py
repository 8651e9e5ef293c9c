"""The scores in the files are those of the tagger that comes with the package."""

from collections.abc import Callable

import awkward as ak
import numpy as np
import pytest
import uproot

from models.features import JET_FIELDS
from simulation import SampleInfo, SampleRequest, simulate_sample
from simulation import reference_tagger as reference
from simulation.nanoaod import rounded
from simulation.reference_tagger import BRANCHES, btag_scores, load_reference_tagger, reference_tagger_path

Simulate = Callable[[str, str], SampleInfo]
MAX_BYTES = 300_000


class Constant:
    """A tagger with the same logits for all jets: their softmax is 0.1, 0.2, 0.3 and 0.4."""

    def logits(self, raw: np.ndarray) -> np.ndarray:
        return np.tile(np.log([0.1, 0.2, 0.3, 0.4]).astype(np.float32), (len(raw), 1))


def inputs(n_tracks: list[int]) -> dict[str, np.ndarray]:
    fields = {field: np.ones(len(n_tracks), np.float32) for field in JET_FIELDS}
    return fields | {"DeepCSV_jetNSelectedTracks": np.array(n_tracks, np.int32)}


def test_branches_are_sums_and_ratios_of_the_outputs() -> None:
    found = btag_scores(inputs([3, 0]), Constant())
    expected = {
        "btagDeepB": 0.3,  # 0.1 + 0.2
        "btagDeepB_b": 0.1,
        "btagDeepB_bb": 0.2,
        "btagDeepC": 0.3,
        "btagDeepL": 0.4,
        "btagDeepCvB": 0.5,  # 0.3 / (0.3 + 0.3)
        "btagDeepCvL": 3 / 7,  # 0.3 / (0.3 + 0.4)
    }
    assert tuple(found) == BRANCHES
    for name, value in expected.items():
        # A jet without a track has no score.
        np.testing.assert_allclose(found[name], [value, -1], rtol=1e-6)


def test_shipped_tagger_is_small_and_calls_itself_reference() -> None:
    tagger = load_reference_tagger()
    assert tagger is not None
    assert tagger.name == "reference"
    assert reference_tagger_path().stat().st_size <= MAX_BYTES


@pytest.mark.parametrize("scenario", ["mc", "data"])
def test_files_hold_the_scores_of_their_own_inputs(sample: Simulate, scenario: str) -> None:
    with uproot.open(sample("dy", scenario).path) as file:
        columns = file["Events"].arrays([f"Jet_{name}" for name in (*JET_FIELDS, *BRANCHES)])
    flat = {name: np.asarray(ak.flatten(columns[f"Jet_{name}"])) for name in (*JET_FIELDS, *BRANCHES)}
    tagger = load_reference_tagger()
    assert tagger is not None
    for name, values in btag_scores(flat, tagger).items():
        np.testing.assert_array_equal(rounded(values), flat[name])
    assert (flat["btagDeepB"] == -1).any()
    assert 0 < (flat["btagDeepB"] > 0.5).mean() < 0.5


def test_without_the_tagger_files_hold_no_scores(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr(reference, "reference_tagger_path", lambda: tmp_path / "absent.onnx")
    path = simulate_sample(SampleRequest("dy", "mc", 20), tmp_path / "f.root").path
    with uproot.open(path) as file:
        assert not [name for name in file["Events"].keys() if "btag" in name]  # noqa: SIM118
