"""The scores of a run against torch, on jets read from the file without coffea and without ONNX."""

from pathlib import Path

import hist
import numpy as np
import pyarrow.parquet
import torch
import uproot

from models.features import BRANCHES, FLAVOURS
from models.metadata import TaggerMetadata
from models.network import TaggerNetwork, dense_layers
from models.onnx_graphs import tagger_graph
from models.scaler import ScalerStatistics
from models.tagger import Tagger
from processors.run import run_selection
from simulation.fixture import fixture_files


def test_every_score_is_what_torch_makes_of_the_same_jet(tmp_path: Path) -> None:
    path = fixture_files()["ttsl"]
    with uproot.open(f"{path}:Events") as tree:
        events = tree.arrays([*BRANCHES, "event"]).to_list()
    by_number = {event["event"]: event for event in events}
    every = np.array(
        [[event[name][jet] for name in BRANCHES] for event in events for jet in range(len(event["Jet_pt"]))],
        dtype=np.float32,
    )
    statistics = ScalerStatistics()
    statistics.update(every)
    scaler = statistics.finish()
    torch.manual_seed(1)
    network = TaggerNetwork().eval()
    metadata = TaggerMetadata(
        name="basic",
        epoch=4,
        method="basic",
        gamma=25.0,
        loss_input="logits",
        scaler=scaler,
        data_fingerprint="made for tests",
    )
    tagger = Tagger(metadata, tagger_graph(dense_layers(network), metadata).SerializeToString())
    result = run_selection(
        selection="inclusive",
        fileset={"tt": [str(path)]},
        taggers=[tagger],
        chunksize=50,
        table=tmp_path / "jets",
    )

    rows = pyarrow.parquet.read_table(tmp_path / "jets" / "tt.parquet")
    jets = np.array(
        [
            [by_number[event][name][jet] for name in BRANCHES]
            for event, jet in zip(rows["event"].to_pylist(), rows["jet"].to_pylist(), strict=True)
        ],
        dtype=np.float32,
    )
    scaled, _ = scaler.scale(jets)
    with torch.no_grad():
        expected = torch.softmax(network(torch.from_numpy(scaled)).double(), dim=1).numpy()
    assert len(rows) > 500
    for column, flavour in enumerate(FLAVOURS):
        scores = rows[f"basic@4/raw/{flavour}"].to_numpy()
        np.testing.assert_allclose(scores, expected[:, column], rtol=2e-5)
        # The histogram holds these scores; 67 terms in another order may move one across an edge.
        found = (
            result.histograms[flavour][{"tagger": "basic", "epoch": hist.loc(4)}].project("value").values()
        )
        counts, _ = np.histogram(expected[:, column], bins=60, range=(-0.2, 1.0), weights=rows["weight"])
        largest = float(np.abs(rows["weight"].to_numpy()).max())
        assert np.abs(found - counts).sum() <= 4 * largest
