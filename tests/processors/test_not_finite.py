"""Taggers whose outputs are no finite numbers for some jets, or for all."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import onnx
import pytest
import uproot

from datamc.histograms import scenarios_of
from datamc.results import NotFinite, Scenario, merge_results, read_result, write_result
from models.features import N_FEATURES
from models.perturbations import parse_variants
from models.tagger import Tagger
from processors.extras import Extras
from processors.run import run_selection

OUTPUTS = ("btagDeepB_b", "btagDeepB_bb", "btagDeepC", "btagDeepL")


def root_of_eta(like: Tagger, *, shift: float = 0.0) -> Tagger:
    """A tagger whose four logits are the square root of the jet's eta plus a shift: NaN below 0."""
    helper = onnx.helper
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["features", "columns"], ["eta"], axis=1),
            helper.make_node("Add", ["eta", "shift"], ["shifted"]),
            helper.make_node("Sqrt", ["shifted"], ["logits"]),
        ],
        "root",
        [helper.make_tensor_value_info("features", onnx.TensorProto.FLOAT, ["n", N_FEATURES])],
        [helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["n", 4])],
        initializer=[
            onnx.numpy_helper.from_array(np.zeros(4, np.int64), "columns"),
            onnx.numpy_helper.from_array(np.float32(shift), "shift"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    metadata = like.metadata.model_copy(update={"name": "root"})
    return Tagger(metadata, model.SerializeToString())


@pytest.fixture
def files(
    tmp_path: Path, make_events: Callable[..., dict[str, ak.Array]], write: Callable[..., Path]
) -> dict[str, Any]:
    """Simulation and data; reference outputs in them are -1 for some jets and NaN for others."""
    found = {}
    for name, is_data in (("mc", False), ("data", True)):
        events = make_events(120, seed=7, is_data=is_data)
        counts = ak.num(events["Jet"].pt)
        outputs = np.full((int(ak.sum(counts)), 4), 0.25, np.float32)
        outputs[::10], outputs[3::10] = -1.0, np.nan
        for column, field in enumerate(OUTPUTS):
            events["Jet"][field] = ak.unflatten(outputs[:, column], counts)
        path = write(tmp_path / f"{name}.root", events, cluster=40)
        metadata: dict[str, Any] = {"is_data": is_data, "process": name}
        found[name] = {"files": {str(path): "Events"}, "metadata": metadata}
    return found


def jets_of(files: dict[str, Any], dataset: str) -> ak.Array:
    """The jets that the selection `inclusive` takes, read without coffea."""
    with uproot.open(f"{next(iter(files[dataset]['files']))}:Events") as tree:
        names = ["Jet_pt", "Jet_eta", "Jet_btagDeepB_b"]
        jets = tree.arrays([name for name in names if name in tree])
    good = (jets["Jet_pt"] > 20) & (abs(jets["Jet_eta"]) < 2.5)
    return ak.zip({name: ak.flatten(jets[name][good]) for name in jets.fields})


def run(files: dict[str, Any], taggers: list[Tagger], **options: Any) -> Any:
    return run_selection(selection="inclusive", fileset=files, taggers=taggers, **options)


@pytest.mark.parametrize("chunksize", [40, 1000])
def test_they_are_counted_by_tagger_epoch_and_variant(
    files: dict[str, Any], tagger: Callable[..., Tagger], chunksize: int
) -> None:
    """Noise moves eta, so that other jets have no root; sound taggers are not counted."""
    result = run(
        files,
        [tagger(), root_of_eta(tagger())],
        variants=parse_variants("raw,noise:0.3"),
        chunksize=chunksize,
    )
    for name in files:
        jets, record = jets_of(files, name), result.datasets[name]
        assert record.n_scored == len(jets)
        assert record.not_finite["root@1/raw"] == ak.sum(jets.Jet_eta < 0)
    counts = result.not_finite()
    assert list(counts) == [Scenario("root", 1, "raw"), Scenario("root", 1, "noise:0.3")]
    assert counts["root", 1, "raw"].n_scored == sum(len(jets_of(files, name)) for name in files)
    assert counts["root", 1, "noise:0.3"].n_scored == len(jets_of(files, "mc"))
    (note,) = [note for note in result.all_notes() if "finite" in note]
    n_jets, n_scored = counts["root", 1, "raw"]
    assert f"root@1/raw {n_jets} of {n_scored}" in note


def test_they_are_kept_in_files_and_add_up(
    files: dict[str, Any], tagger: Callable[..., Tagger], tmp_path: Path
) -> None:
    both = run(files, [root_of_eta(tagger())])
    parts = [run({name: files[name]}, [root_of_eta(tagger())]) for name in files]
    for part in parts:
        part.config = both.config
    for number, part in enumerate(parts):
        write_result(part, tmp_path / f"{number}.zip")
    merged = merge_results([read_result(tmp_path / f"{number}.zip") for number in range(2)])
    assert merged.not_finite() == both.not_finite()
    assert merged.all_notes()[-1] == both.all_notes()[-1]


@pytest.mark.parametrize("chunksize", [30, 1000])
def test_a_tagger_without_any_finite_output_ends_the_run(
    files: dict[str, Any], tagger: Callable[..., Tagger], chunksize: int
) -> None:
    with pytest.raises(ValueError, match=r"none of the \d+ jets has a finite output of root@1/raw"):
        run(files, [tagger(), root_of_eta(tagger(), shift=-5.0)], chunksize=chunksize)


def test_no_output_in_a_file_is_no_broken_number(files: dict[str, Any]) -> None:
    """Jets with -1 have no reference score, which is as CMS writes it; NaN is counted."""
    result = run(files, [], extras=Extras(reference_tagger=True))
    for name in files:
        outputs = np.asarray(jets_of(files, name).Jet_btagDeepB_b)
        assert result.datasets[name].not_finite == {"reference@0/raw": np.isnan(outputs).sum()}
        assert (outputs == -1).sum() > 0


def test_values_that_no_cut_takes_are_counted(
    tmp_path: Path, make_events: Callable[..., dict[str, ak.Array]], write: Callable[..., Path]
) -> None:
    """By branch and dataset; a NaN passes no cut, an infinite momentum does."""
    events = make_events(120, seed=7, is_data=False)
    whole = write(tmp_path / "whole.root", events)
    n_jets = len(ak.flatten(events["Jet"].pt))
    pt, eta = (
        np.asarray(ak.flatten(events["Jet"].pt)).copy(),
        np.asarray(ak.flatten(events["Jet"].eta)).copy(),
    )
    taken = np.flatnonzero((pt > 30) & (abs(eta) < 2))
    pt[taken[:3]], pt[taken[3]], eta[taken[4:6]] = np.nan, np.inf, np.nan
    counts = ak.num(events["Jet"].pt)
    events["Jet"] = ak.with_field(events["Jet"], ak.unflatten(pt, counts), "pt")
    events["Jet"] = ak.with_field(events["Jet"], ak.unflatten(eta, counts), "eta")
    path = write(tmp_path / "broken.root", events, cluster=40)
    metadata = {"is_data": False, "process": "dy"}
    files = {
        name: {"files": {str(file): "Events"}, "metadata": metadata}
        for name, file in (("broken", path), ("whole", whole))
    }
    result = run(files, [], chunksize=40)
    assert result.datasets["broken"].broken_values == {"Jet_pt": 4, "Jet_eta": 2}
    assert result.datasets["whole"].broken_values == {}
    said = [note for note in result.all_notes() if "no finite numbers" in note]
    assert [note.partition(" values")[0] for note in said] == ["broken: Jet_pt: 4", "broken: Jet_eta: 2"]
    assert n_jets > 10
    n_selected = {name: len(jets_of(files, name)) for name in files}
    assert n_selected["whole"] - n_selected["broken"] == 5
    filled = result.histograms["jet_eta"]
    for name in files:
        n_filled = filled[{"dataset": name, "systematic": "nominal"}].sum(flow=True).variance
        with uproot.open(f"{next(iter(files[name]['files']))}:Events") as tree:
            squares = tree["genWeight"].array(library="np") ** 2
            good = tree.arrays(["Jet_pt", "Jet_eta"])
        kept = (good["Jet_pt"] > 20) & (abs(good["Jet_eta"]) < 2.5)
        assert n_filled == pytest.approx(float((ak.to_numpy(ak.sum(kept, axis=1)) * squares).sum()))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_generator_weights_that_are_none_name_dataset_and_file(
    tmp_path: Path,
    make_events: Callable[..., dict[str, ak.Array]],
    write: Callable[..., Path],
    value: float,
) -> None:
    events = make_events(60, seed=7, is_data=False)
    weights = np.asarray(events["genWeight"]).copy()
    weights[[3, 8]] = value
    path = write(tmp_path / "mc.root", events | {"genWeight": weights})
    files = {"my_dy": {"files": {str(path): "Events"}, "metadata": {"is_data": False, "process": "dy"}}}
    with pytest.raises(ValueError, match=r"my_dy, .*mc.root: 2 values of genWeight are no finite numbers"):
        run(files, [])


def test_sound_results_say_nothing(files: dict[str, Any], tagger: Callable[..., Tagger]) -> None:
    result = run(files, [tagger()])
    assert result.not_finite() == {}
    assert result.all_notes() == result.notes
    assert NotFinite(1, 4).share == 0.25


def test_only_what_was_filled_exists(files: dict[str, Any], tagger: Callable[..., Tagger]) -> None:
    """The scores in the files have no variants and epoch 0 alone; three taggers of two epochs have both."""
    taggers = [tagger("basic", 1), tagger("basic", 2), tagger("other", 2)]
    variants = parse_variants("raw,noise:0.1,fgsm:0.1")
    result = run(files, taggers, variants=variants, extras=Extras(reference_tagger=True))
    own = {(each.name, each.epoch, variant.name) for each in taggers for variant in variants}
    assert set(scenarios_of(result)) == own | {("reference", 0, "raw")}
    assert len(scenarios_of(result)) == 10
