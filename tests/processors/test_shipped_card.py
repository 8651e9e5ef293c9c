"""The corrections card that is shipped runs as it is in every selection, on files and on their skims."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot
import yaml

import simulation.fixture
from datamc.results import Result
from processors.corrections import read_corrections
from processors.filesets import parse_fileset
from processors.run import run_selection
from processors.skim import skim, skimmed_fileset
from selections.parameters import SELECTIONS

CARD = Path(__file__).parents[2] / "configs" / "corrections.yaml"
VALUES = {"nominal": 1.02, "up": 1.1, "down": 0.95}
"""What every weight is, whatever it is looked up with."""
SHIFTS = {"JES_TotalUp", "JES_TotalDown", "JERUp", "JERDown", "unclusteredUp", "unclusteredDown"}


def table(name: str, inputs: dict[str, Any], data: Any) -> dict[str, Any]:
    kinds = {"year": "string", "ValType": "string", "WorkingPoint": "string"}
    of = {key: "string" if value == "systematic" else kinds.get(key, "real") for key, value in inputs.items()}
    return {
        "name": name,
        "version": 1,
        "inputs": [{"name": key, "type": kind} for key, kind in of.items()],
        "output": {"name": "value", "type": "real"},
        "data": data,
    }


def by_label(inputs: dict[str, Any], labels: dict[str, float]) -> dict[str, Any]:
    (name,) = (key for key, value in inputs.items() if value == "systematic")
    return {
        "nodetype": "category",
        "input": name,
        "content": [{"key": key, "value": value} for key, value in labels.items()],
    }


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped card beside files with the names it asks for, all of them flat."""
    folder = tmp_path_factory.mktemp("card")
    shutil.copy(CARD, folder / "corrections.yaml")
    content = yaml.safe_load(CARD.read_text(encoding="utf-8"))
    found: dict[str, list[Any]] = {}
    for weight in content["weights"]:
        labels = {weight[direction]: VALUES[direction] for direction in VALUES}
        data = by_label(weight["inputs"], labels)
        found.setdefault(weight["file"], []).append(table(weight["correction"], weight["inputs"], data))
    jets = content["jets"]
    flat = [(one, 0.03) for one in jets["energy_scale"].values()] + [(jets["resolution"]["resolution"], 0.1)]
    for one, value in flat:
        found.setdefault(one["file"], []).append(table(one["correction"], one["inputs"], value))
    factor = jets["resolution"]["scale_factor"]
    data = by_label(factor["inputs"], {"nom": 1.1, "up": 1.2, "down": 1.0})
    found.setdefault(factor["file"], []).append(table(factor["correction"], factor["inputs"], data))
    for name, corrections in found.items():
        path = folder / name.removesuffix(".gz")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"schema_version": 2, "corrections": corrections}), encoding="utf-8")
        if name.endswith(".gz"):
            path.rename(folder / name)
    return folder / "corrections.yaml"


def grouped(tree: Any) -> dict[str, Any]:
    """Return the columns of a tree, those of a collection together."""
    columns = {name: tree[name].array() for name in tree.keys()}  # noqa: SIM118 - a tree is no dict
    events: dict[str, Any] = {}
    for name, values in columns.items():
        collection, _, field = name.partition("_")
        if f"n{collection}" in columns and field:
            events.setdefault(collection, {})[field] = values
        elif name[:1] != "n" or name[1:] not in {one.partition("_")[0] for one in columns}:
            events[name] = values if values.ndim > 1 else np.asarray(values)
    return {name: ak.zip(one) if isinstance(one, dict) else one for name, one in events.items()}


@pytest.fixture(scope="module")
def fileset(tmp_path_factory: pytest.TempPathFactory, write: Callable[..., Path]) -> dict[str, Any]:
    """The events of the package with what the card reads besides: rho, generated jets, unclustered energy."""
    folder, files = tmp_path_factory.mktemp("events"), {}
    for process in ("dy", "ttsl"):
        with uproot.open(simulation.fixture.fixture_files()[process]) as file:
            events = grouped(file["Events"])
        n, jet = len(events["run"]), events["Jet"]
        index = ak.values_astype(ak.local_index(jet.pt), np.int32)
        events |= {
            "fixedGridRhoFastjetAll": np.full(n, 20, np.float32),
            "MET_MetUnclustEnUpDeltaX": np.full(n, 5, np.float32),
            "MET_MetUnclustEnUpDeltaY": np.full(n, -3, np.float32),
            "Jet": ak.with_field(jet, index, "genJetIdx"),
            "GenJet": ak.zip({
                "pt": ak.values_astype(0.95 * jet.pt, np.float32), "eta": jet.eta, "phi": jet.phi,
                "mass": ak.zeros_like(jet.pt),
            }),
        }  # fmt: skip
        files[process] = [str(write(folder / f"{process}.root", events))]
    return files


def run(files: Any, selection: str, card: Path) -> Result:
    corrections = read_corrections(card, selections=SELECTIONS)
    return run_selection(
        selection=selection, fileset=files, corrections=corrections, systematics="total", chunksize=100
    )


@pytest.mark.parametrize("selection", SELECTIONS)
def test_the_shipped_card_runs_in_every_selection(
    card: Path, selection: str, fileset: dict[str, Any]
) -> None:
    result = run(fileset, selection, card)
    assert all(entry.status == "processed" for entry in result.ledger)
    systematics = set(result.histograms["jet_pt"].axes["systematic"])
    assert systematics >= {"nominal", "pileupUp", "pileupDown", *SHIFTS}
    # The weight of a pileup variation is the nominal one times 1.1 / 1.02, jet by jet.
    content = result.histograms["jet_pt"]
    nominal, up = (content[{"systematic": name}].values(flow=True).sum() for name in ("nominal", "pileupUp"))
    assert up == pytest.approx(nominal * 1.1 / 1.02, rel=1e-6)


@pytest.mark.parametrize("selection", ["dy", "ttsemilep", "inclusive"])
def test_a_skim_changes_nothing_of_it(
    card: Path, selection: str, fileset: dict[str, Any], tmp_path: Path
) -> None:
    files = parse_fileset(fileset)
    copies = skim(files, tmp_path / "skimmed", selections=[selection])
    whole, copied = run(files, selection, card), run(skimmed_fileset(files, copies), selection, card)
    assert whole.histograms.keys() == copied.histograms.keys()
    for name, histogram in whole.histograms.items():
        np.testing.assert_array_equal(
            histogram.values(flow=True), copied.histograms[name].values(flow=True), err_msg=name
        )
