"""Unlabelled jets: what `advtag collect` gathers, and that `advtag process` leaves their events out."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow
import pyarrow.parquet
import pytest
import uproot

from advtag.collecting import collect_jets
from advtag.unlabelled_jets import Collected, Yield, gather_jets
from datamc.records import DatasetRecord, LedgerEntry, Result
from datamc.results import read_result
from models.event_split import EventSplit
from models.features import BRANCHES
from models.metadata import METADATA_KEY
from models.tagger import PRETRAINED, run_folders, tagger_files
from models.unlabelled import UnlabelledJets, read_description, read_unlabelled
from processors.run import run_selection
from simulation.fixture import fixture_files
from simulation.rewriting import extend_events, grouped

TRUTH = ("genWeight", "Jet_hadronFlavour", "Jet_partonFlavour", "Jet_nBHadrons", "Jet_nCHadrons")
SPLIT = EventSplit(0.5, 2)


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Z events of the package: two parts with cross sections of their own as simulation, all as data."""
    mc, data = fixture_files()["dy"], tmp_path_factory.mktemp("data") / "data.root"
    with uproot.open(mc) as whole, uproot.recreate(data) as file:
        kept = [name for name in whole["Events"].keys() if name not in TRUTH]  # noqa: SIM118
        columns = whole["Events"].arrays(kept)
        extend_events(file, grouped({name: columns[name] for name in columns.fields}))
    n_events = len(columns)
    parts = {"low": ([0, 100], 20.0), "high": ([100, n_events], 130.0)}
    return {
        name: {
            "files": {str(mc): {"tree": "Events", "entries": entries}},
            "metadata": {"is_data": False, "process": name, "cross_section_pb": cross_section},
        }
        for name, (entries, cross_section) in parts.items()
    } | {
        "data": {
            "files": {str(data): "Events"},
            "metadata": {
                "is_data": True, "process": "data", "primary_dataset": "DoubleMuon", "luminosity_pb": 1.0,
            },
        }
    }  # fmt: skip


@pytest.fixture(scope="module")
def fileset(content: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fileset") / "fileset.json"
    path.write_text(json.dumps(content))
    return path


@pytest.fixture(scope="module")
def collected(fileset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("unlabelled") / "dy"
    collect_jets(selection="dy", fileset=fileset, split=SPLIT, out=out)
    return out


def made(
    folder: Path, rows: dict[str, dict[str, list[float]]], records: dict[str, DatasetRecord], selection: str
) -> Result:
    """A result and the rows of its jets, as a run with collected jets leaves them."""
    folder.mkdir()
    for number, (name, columns) in enumerate(rows.items()):
        n_jets = len(columns["weight"])
        keys = {"run": np.full(n_jets, number + 1), "luminosity_block": np.full(n_jets, 1)}
        keys |= {"event": np.arange(n_jets), "jet": np.zeros(n_jets, int)}
        inputs = dict.fromkeys(BRANCHES, np.full(n_jets, number, np.float32))
        typed = {key: np.array(values) for key, values in columns.items()}
        pyarrow.parquet.write_table(pyarrow.table(keys | inputs | typed), folder / f"{name}.parquet")
    ledger = [LedgerEntry(name, f"{name}.root", 10, 10) for name in records]
    return Result(selection, {}, records, ledger=ledger)


@pytest.mark.parametrize(
    ("selection", "weights", "flavours", "ratio"),
    [
        # Scales: cross section x luminosity / sum of weights = 10 x 2 / 5 = 4 and 6 x 2 / 12 = 1.
        # OS-SS: data 3 - 1 = 2; simulation 4 x 0.5 = 2, -4 x 0.25 = -1, and 3: 4 in all, scaled by 2/4.
        # c: (2 + 3) / 4, b: -1 / 4.
        ("wc", [1, -0.5, 1.5, 1, 1, 1, -1], {"b": -0.25, "bb": 0.0, "c": 1.25, "udsg": 0.0}, 0.5),
        # The sum: data 4; simulation 2 + 1 + 3 = 6, scaled by 4/6; b: 1 / 6, c: 5 / 6.
        ("dy", [4 / 3, 2 / 3, 2, 1, 1, 1, 1], {"b": 1 / 6, "bb": 0.0, "c": 5 / 6, "udsg": 0.0}, 4 / 6),
    ],
)
def test_weights_by_hand(
    tmp_path: Path, selection: str, weights: list[float], flavours: dict[str, float], ratio: float
) -> None:
    records = {
        "a": DatasetRecord(False, "a", cross_section_pb=10.0, n_events=10, sum_weights=5.0),
        "b": DatasetRecord(False, "b", cross_section_pb=6.0, n_events=10, sum_weights=12.0),
        "data": DatasetRecord(True, "data", luminosity_pb=2.0, n_events=10, sum_weights=10.0),
    }
    rows = {
        "a": {"weight": [0.5, 0.25], "sign": [1, -1], "flavour": [4, 5]},
        "b": {"weight": [3.0], "sign": [1], "flavour": [4]},
        "data": {"weight": [1.0] * 4, "sign": [1, 1, 1, -1], "flavour": [-1] * 4},
    }
    found = gather_jets(
        made(tmp_path / "rows", rows, records, selection), tmp_path / "rows", SPLIT, tmp_path / "out"
    )
    jets = read_unlabelled(tmp_path / "out")
    np.testing.assert_allclose(jets.weights, weights, rtol=1e-6)
    assert jets.is_data.tolist() == [False] * 3 + [True] * 4
    assert jets.weights[jets.is_data].sum() == pytest.approx(jets.weights[~jets.is_data].sum())
    assert jets.keys.tolist() == [[1, 1, 0, 0], [1, 1, 1, 0], [2, 1, 0, 0], *([3, 1, n, 0] for n in range(4))]
    assert jets.features[:, 7].tolist() == [0, 0, 1, 2, 2, 2, 2]
    assert found.description.mc_flavours == pytest.approx(flavours)
    assert (jets.selection, jets.split) == (selection, SPLIT)
    # (sum)^2 / (sum of squares): data (3 - 1)^2 / 4 = 1 or 4; simulation 4^2 or 6^2 over 2^2 + 1 + 3^2 = 14
    n_data, n_mc = (1, 16 / 14) if selection == "wc" else (4, 36 / 14)
    assert (found.data.effective_jets, found.mc.effective_jets) == pytest.approx((n_data, n_mc))
    assert found.data_over_mc == pytest.approx((ratio, ratio * np.sqrt(1 / n_data + 1 / n_mc)))


def test_more_same_than_opposite_sign_is_refused(tmp_path: Path) -> None:
    records = {
        "mc": DatasetRecord(False, "a", cross_section_pb=10.0, n_events=10, sum_weights=5.0),
        "data": DatasetRecord(True, "data", n_events=10, sum_weights=10.0),
    }
    jets = {"weight": [1.0], "sign": [-1], "flavour": [4]}
    result = made(tmp_path / "rows", {"mc": jets, "data": jets}, records, "wc")
    with pytest.raises(ValueError, match=r"the 1 jets of data have a summed weight of -1"):
        gather_jets(result, tmp_path / "rows", SPLIT, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_jets_are_those_of_a_whole_run_in_the_events_of_the_split(
    collected: Path, content: dict[str, Any], tmp_path: Path
) -> None:
    whole = run_selection(selection="dy", fileset=content, table=tmp_path / "jets")
    keys, counts = [], []
    for name in content:
        rows = pyarrow.parquet.read_table(tmp_path / "jets" / f"{name}.parquet").to_pydict()
        columns = np.array([rows[key] for key in ("run", "luminosity_block", "event", "jet")], np.uint64)
        chosen = SPLIT.is_adapted(*columns[:3])
        keys.append(columns.T[chosen])
        counts.append(chosen.sum())
    jets = read_unlabelled(collected)
    np.testing.assert_array_equal(jets.keys, np.concatenate(keys))
    assert 20 < jets.is_data.sum() == counts[2] < whole.cutflows["data"][-1].n_events
    # Of two samples of generator weights 1, low : high are their cross sections over their events.
    n_low, n_high, _ = (whole.datasets[name].n_events for name in content)
    low, high = np.split(jets.weights[~jets.is_data], [counts[0]])
    assert high[0] / low[0] == pytest.approx((130.0 / n_high) / (20.0 / n_low))
    assert low.sum() + high.sum() == pytest.approx(counts[2])
    # As they are in the file, without coffea.
    with uproot.open(f"{fixture_files()['dy']}:Events") as tree:
        column = tree["Jet_DeepCSV_trackSip3dSig_0"].array()
        where = {number: at for at, number in enumerate(tree["event"].array().to_list())}
    expected = [column[where[event]][jet] for _, _, event, jet in jets.keys.tolist()]
    found = jets.features[:, BRANCHES.index("Jet_DeepCSV_trackSip3dSig_0")]
    np.testing.assert_array_equal(found, np.array(expected, np.float32))


@pytest.mark.parametrize(
    "options", [{"chunksize": 40}, {"executor": "futures", "workers": 2, "chunksize": 60}]
)
def test_chunks_and_executors_change_no_jet(
    collected: Path, fileset: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    collect_jets(selection="dy", fileset=fileset, split=SPLIT, out=tmp_path / "dy", **options)
    one, two = read_unlabelled(collected), read_unlabelled(tmp_path / "dy")
    for name in UnlabelledJets._fields[:4]:
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name), err_msg=name)
    assert one.fingerprint == two.fingerprint
    assert [path.name for path in tmp_path.iterdir()] == ["dy"]


def test_the_folder_says_where_the_jets_come_from(collected: Path, content: dict[str, Any]) -> None:
    description = read_description(collected)
    assert description.split == "0.5:2"
    assert list(description.samples["datasets"]) == list(content)
    assert description.samples["files"] == {name: list(each["files"]) for name, each in content.items()}
    assert description.samples["config"]["collected"] == "0.5:2"
    assert "advtag" in description.samples["versions"]
    assert sum(description.mc_flavours.values()) == pytest.approx(1.0)


def changed(content: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The fileset without some datasets (None), or with other metadata of them."""
    found = {}
    for name, each in content.items():
        change = changes.get(name, {})
        if change is not None:
            metadata = {key: value for key, value in (each["metadata"] | change).items() if value is not None}
            found[name] = each | {"metadata": metadata}
    return found


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": None}, "no data of DoubleMuon for dy: add them"),
        ({"data": {"primary_dataset": "SingleMuon"}}, "no data of DoubleMuon for dy: add them"),
        ({"low": None, "high": None}, "no simulation: add what is to be compared"),
        (
            {"low": {"cross_section_pb": None}},
            "low without cross_section_pb, which weights simulation: add it",
        ),
    ],
)
def test_what_is_missing_is_told_before_anything_is_read(
    content: dict[str, Any], tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = tmp_path / "fileset.json"
    path.write_text(json.dumps(changed(content, **changes)))
    with pytest.raises(ValueError, match=message) as caught:
        collect_jets(selection="dy", fileset=path, split=SPLIT, out=tmp_path / "out")
    assert str(caught.value).startswith(str(path))
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_but_unlabelled_jets_is_ever_replaced(collected: Path, fileset: Path, tmp_path: Path) -> None:
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / "events.root").write_text("dear")
    (tmp_path / "file").write_text("dear")
    for name, message in (("samples", "holds something else"), ("file", "a file, where a folder")):
        with pytest.raises(ValueError, match=f"{name}: {message}"):
            collect_jets(selection="dy", fileset=fileset, split=SPLIT, out=tmp_path / name)
    assert (tmp_path / "samples" / "events.root").read_text() == (tmp_path / "file").read_text() == "dear"
    before = read_unlabelled(collected).fingerprint
    collect_jets(selection="dy", fileset=fileset, split=SPLIT, out=collected)
    assert read_unlabelled(collected).fingerprint == before


def test_no_jet_is_one_sentence(content: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "fileset.json"
    path.write_text(json.dumps(changed(content, data={"primary_dataset": None})))
    with pytest.raises(ValueError, match="ttdilep_emu: no jet of data is left after all cuts: take a larger"):
        collect_jets(selection="ttdilep_emu", fileset=path, split=SPLIT, out=tmp_path / "out")
    assert list(tmp_path.iterdir()) == [path]


def warned(ratio: tuple[float, float] | None, *, n_jets: int = 5000) -> list[str]:
    jets = Yield(n_jets, n_jets, n_jets)
    return Collected(None, None, jets, jets, ratio).warnings()  # type: ignore[arg-type]


def test_what_speaks_against_adapting_is_told() -> None:
    assert warned((1.05, 0.02)) == warned((1.3, 0.11)) == []
    (few_data, few_mc) = warned((1.0, 0.02), n_jets=100)
    assert "100 effective jets of data are few" in few_data
    assert "100 effective jets of simulation are few" in few_mc
    # 1.3 - 2 x 0.09 lies beyond 1.1, and so does 0.7 on the other side.
    for ratio in (1.3, 0.7):
        (different,) = warned((ratio, 0.09))
        assert f"data/MC is {ratio} ± 0.09" in different
    assert "luminosity of data is unknown" in warned(None)[0]


def adapted_tagger(folder: Path, split: str) -> Path:
    """A tagger of the package that says it was adapted to a split of events."""
    (basic,) = run_folders([Path(f"{PRETRAINED}:basic")])
    model = onnx.load(tagger_files(basic, None)[-1])
    (entry,) = [each for each in model.metadata_props if each.key == METADATA_KEY]
    entry.value = json.dumps(json.loads(entry.value) | {"adapted_on": split, "name": "mmd"})
    folder.mkdir()
    onnx.save(model, folder / "epoch_020_tagger.onnx")
    return folder


def test_the_command_collects_and_process_leaves_these_events_out(
    advtag: Callable[..., Any], fileset: Path, tmp_path: Path
) -> None:
    out = tmp_path / "unlabelled"
    options = ("--selection", "dy", "--fileset", fileset, "--executor", "iterative")
    finished = advtag("collect", *options, "--share", 0.5, "--seed", 2, "--out", out, "--json")
    assert finished.returncode == 0, finished.stderr
    simulation, data = json.loads(finished.stdout)
    jets = read_unlabelled(out)
    assert (simulation["jets"], data["jets"]) == (int((~jets.is_data).sum()), int(jets.is_data.sum()))
    assert data["effective"] == data["jets"]
    assert simulation["udsg"] > 0.5
    assert data["udsg"] is None
    assert "Warning:" in finished.stderr

    tagger = adapted_tagger(tmp_path / "mmd", "0.5:2")
    command = ("process", *options, "--taggers", tagger)
    finished = advtag(*command, "--out", tmp_path / "results")
    assert finished.returncode == 0, finished.stderr
    told = " ".join(finished.stderr.split())
    assert "Note: the events of the split 0.5:2 are held out, in data and simulation: taggers were" in told
    result = read_result(tmp_path / "results" / "dy.zip")
    assert result.config["held_out"] == "0.5:2"
    assert [row.cut for row in result.cutflows["data"][:2]] == ["all", "held_out"]

    refused = advtag(*command, "--held-out", "0.3:2", "--out", tmp_path / "refused")
    assert refused.returncode == 1
    (error,) = [line for line in refused.stderr.splitlines() if line.startswith("Error:")]
    assert "adapted to the events of the split 0.5:2 and 0.3:2 is held out" in error
    assert "hold out 0.5:2 (--held-out 0.5:2) or a larger share" in error
    assert not (tmp_path / "refused").exists()


def test_what_is_no_split_is_told(advtag: Callable[..., Any], fileset: Path, tmp_path: Path) -> None:
    options = ("--selection", "dy", "--fileset", fileset, "--out", tmp_path / "out")
    for command, said in (
        (("process", *options, "--held-out", "half"), "write SHARE:SEED, e.g. 0.333:1"),
        (("collect", *options, "--share", "0"), "the share must lie between 0 and 1"),
    ):
        finished = advtag(*command)
        assert finished.returncode in (1, 2)
        assert said in " ".join(finished.stderr.replace("│", " ").split())
