"""The reference tagger in the files, rows of jets, and shapes of the inputs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import hist
import numpy as np
import pyarrow.parquet
import pytest
import uproot

from datamc.histograms import control_variables_of
from datamc.results import Result
from models.discriminators import SCORES
from models.features import BRANCHES, IS_INTEGER
from models.perturbations import parse_variants
from models.tagger import Tagger
from processors.extras import Extras
from processors.reference import reference_scores
from processors.run import run_selection
from simulation.fixture import fixture_files


@pytest.fixture(scope="module")
def files(
    tmp_path_factory: pytest.TempPathFactory,
    make_events: Callable[..., dict[str, ak.Array]],
    write: Callable[..., Path],
) -> dict[str, Any]:
    """Simulation and data with the scores of a reference tagger in them."""
    folder = tmp_path_factory.mktemp("with_reference")
    found = {}
    for name, is_data in (("mc", False), ("data", True)):
        events = make_events(200, seed=5, is_data=is_data)
        counts = ak.num(events["Jet"].pt)
        outputs = np.random.default_rng(2).dirichlet(np.ones(4), int(ak.sum(counts))).astype(np.float32)
        outputs[::10] = -1.0
        for column, field in enumerate(("btagDeepB_b", "btagDeepB_bb", "btagDeepC", "btagDeepL")):
            events["Jet"][field] = ak.unflatten(outputs[:, column], counts)
        path = write(folder / f"{name}.root", events, cluster=40)
        metadata: dict[str, Any] = {"is_data": is_data, "process": name}
        found[name] = {"files": {str(path): "Events"}, "metadata": metadata}
    return found


@pytest.fixture(scope="module")
def taggers(tagger: Callable[..., Tagger]) -> list[Tagger]:
    return [tagger("basic", 1, seed=1), tagger("basic", 2, seed=2)]


def run(files: dict[str, Any], taggers: list[Tagger], **options: Any) -> Result:
    options = {"variants": parse_variants("raw,noise:0.1,fgsm:0.1"), "seed": 3} | options
    return run_selection(selection="inclusive", fileset=files, taggers=taggers, **options)


def test_simulated_events_hold_a_reference() -> None:
    """Of the jets under study in the files of the package; as in CMS, one without tracks has none."""
    fileset = {"mc": [str(fixture_files()["dy"])]}
    result = run_selection(selection="dy", fileset=fileset, extras=Extras(reference_tagger=True))
    scores = result.histograms["CvsL"][{"tagger": "reference", "epoch": hist.loc(0), "variant": "raw"}]
    filled = scores.project("value").values(flow=True)
    (*_, selected) = result.cutflows["mc"]
    assert selected.n_events > 10
    # A jet without a score is filled below 0, into the first ten of sixty bins from -0.2 to 1.
    assert filled.sum() == pytest.approx(selected.sum_weights)
    assert filled[11:-1].sum() > 0.8 * selected.sum_weights
    assert np.count_nonzero(filled) > 5


def test_scores_of_the_reference_are_ratios_of_its_outputs() -> None:
    """BvsL = (0.1 + 0.2) / (0.1 + 0.2 + 0.3) = 0.5, CvsL = 0.4 / 0.7; CMS writes -1 where it has none."""
    outputs = np.array([[0.1, -1.0, 0.0], [0.2, -1.0, 0.0], [0.4, -1.0, 0.0], [0.3, -1.0, 1.0]], np.float32)
    found = reference_scores(outputs)
    assert found["BvsL"] == pytest.approx([0.5, -0.1, 0.0])
    assert found["CvsL"] == pytest.approx([4 / 7, -0.1, 0.0])
    assert found["udsg"] == pytest.approx([0.3, -0.1, 1.0])


def test_the_reference_is_one_more_tagger(files: dict[str, Any], taggers: list[Tagger]) -> None:
    result = run(files, taggers, extras=Extras(reference_tagger=True))
    alone = run(files, [], extras=Extras(reference_tagger=True))
    chosen: dict[str, Any] = {"tagger": "reference", "epoch": hist.loc(0), "variant": "raw", "dataset": "mc"}
    for name in SCORES:
        one = result.histograms[name][chosen].project("flavour", "value")
        assert one == alone.histograms[name][chosen].project("flavour", "value")
    assert list(result.histograms["b"].axes["tagger"]) == ["basic", "reference"]
    # Once per jet and dataset, raw alone; a tenth of the jets has no output and is filled at -0.1.
    n_jets = result.histograms["jet_pt"][{"dataset": "mc"}].sum(flow=True)
    filled = alone.histograms["CvsB"][{"dataset": "mc"}]
    assert filled.sum(flow=True).value == pytest.approx(n_jets.value)
    with uproot.open(f"{next(iter(files['data']['files']))}:Events") as tree:
        jets = tree.arrays(["Jet_pt", "Jet_eta", "Jet_btagDeepB_b"])
    good = jets[(jets["Jet_pt"] > 20) & (abs(jets["Jet_eta"]) < 2.5)]
    outputs = np.asarray(ak.flatten(good["Jet_btagDeepB_b"]))
    expected, _ = np.histogram(np.where(outputs < 0, -0.1, outputs), bins=60, range=(-0.2, 1.0))
    data = alone.histograms["b"][{"dataset": "data"}].project("value").values()
    # A score at the very edge of a bin may be rounded to the other side.
    assert np.abs(data - expected).sum() <= 2


def test_rows_are_the_same_for_any_executor_and_chunk_size(
    files: dict[str, Any], taggers: list[Tagger], tmp_path: Path
) -> None:
    run(files, taggers, table=tmp_path / "one")
    run(files, taggers, table=tmp_path / "many", chunksize=40, executor="futures", workers=2)
    for name in files:
        one = pyarrow.parquet.read_table(tmp_path / "one" / f"{name}.parquet")
        assert one.equals(pyarrow.parquet.read_table(tmp_path / "many" / f"{name}.parquet"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["many", "one"]


def test_rows_hold_what_the_histograms_hold(
    files: dict[str, Any], taggers: list[Tagger], tmp_path: Path
) -> None:
    result = run(files, taggers, table=tmp_path / "rows", extras=Extras(reference_tagger=True))
    table = pyarrow.parquet.read_table(tmp_path / "rows" / "mc.parquet")
    for label, variant in (("basic@2", "fgsm:0.1"), ("reference@0", "raw")):
        name, epoch = label.split("@")
        column = table[f"{label}/{variant}/CvsL"].to_numpy()
        expected, _ = np.histogram(column, bins=60, range=(-0.2, 1.0), weights=table["weight"].to_numpy())
        chosen = {"dataset": "mc", "tagger": name, "epoch": hist.loc(int(epoch)), "variant": variant}
        np.testing.assert_allclose(result.histograms["CvsL"][chosen].project("value").values(), expected)
    keys = list(zip(table["event"].to_pylist(), table["jet"].to_pylist(), strict=True))
    assert keys == sorted(set(keys))


def test_inputs_are_filled_raw_and_distorted(files: dict[str, Any], taggers: list[Tagger]) -> None:
    """The file is read without coffea; features of this folder's tagger have mean 1 and width 2."""
    result = run(files, taggers, extras=Extras(inputs_of="basic@2"))
    inputs = result.histograms["inputs"]
    with uproot.open(f"{next(iter(files['mc']['files']))}:Events") as tree:
        jets = tree.arrays([*BRANCHES, "Jet_pt", "Jet_eta", "genWeight"])
    good = (jets["Jet_pt"] > 20) & (abs(jets["Jet_eta"]) < 2.5)
    branch = "Jet_DeepCSV_vertexMass"
    weight = np.asarray(ak.flatten(ak.broadcast_arrays(jets["genWeight"], jets[branch])[0][good]), np.float64)
    values = (np.asarray(ak.flatten(jets[branch][good])) - np.float32(1)) / np.float32(2)
    is_default = np.asarray(ak.flatten(jets[branch][good])) == -999
    filled = inputs[{"dataset": "mc", "feature": branch, "variant": "raw"}].project("scaled")
    expected, _ = np.histogram(np.maximum(values[~is_default], -3), 60, (-3, 3), weights=weight[~is_default])
    np.testing.assert_allclose(filled.values(), expected, atol=1e-9)
    assert filled.values(flow=True)[0] == pytest.approx(weight[is_default].sum())
    # Every variant holds every jet; integers and defaults do not move, other inputs do.
    raw, noisy = (inputs[{"dataset": "mc", "variant": name}] for name in ("raw", "noise:0.1"))
    for feature, stays in zip(BRANCHES, IS_INTEGER, strict=True):
        before, after = (each[{"feature": feature}].project("scaled") for each in (raw, noisy))
        assert before.sum(flow=True).value == pytest.approx(weight.sum())
        assert after.values(flow=True)[0] == pytest.approx(before.values(flow=True)[0])
        if feature != "Jet_pt":  # beyond the axis, in units of this tagger
            assert np.allclose(before.values(), after.values()) == bool(stays), feature
    assert inputs[{"dataset": "data", "variant": "raw"}].sum(flow=True).value > 0
    # No value per jet: what compares data with simulation variable by variable leaves it alone.
    assert "inputs" not in control_variables_of(result)
    assert result.config["inputs"]["tagger"] == "basic@2"
    with pytest.raises(ValueError, match="inputs of 'basic@7': choose from basic@1, basic@2"):
        run(files, taggers, extras=Extras(inputs_of="basic@7"))
