"""Damaged taggers, read by `process`.

Weights of a network have no checksum: a flipped bit makes another network, which its hash in the result
tells. Whether it is one is asked of onnx alone.
"""

import json
import shutil
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import onnx
from onnx import numpy_helper

from benchmarks.reliability.corrupt_root import fileset_of_one
from benchmarks.reliability.damage import Trial
from benchmarks.reliability.mutants import BYTES
from benchmarks.reliability.world import World


def onnx_trials(world: World, folder: Path) -> Sequence[Trial]:
    """Return trials of a tagger, and of the attack beside it."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "run").mkdir(parents=True)
    pretrained = Path(str(resources.files("models").joinpath("pretrained", "basic")))
    tagger, attack = (folder / "run" / f"epoch_020_{kind}.onnx" for kind in ("tagger", "attack"))
    for path in (tagger, attack):
        shutil.copyfile(pretrained / path.name, path)
    shutil.copyfile(next((world.folder / "samples").glob("dy_mc_*.root")), folder / "events.root")
    (folder / "fileset.json").write_text(json.dumps(fileset_of_one(folder / "events.root")))
    process: list[object] = [
        "process", "--selection", "dy", "--fileset", "fileset.json", "--taggers", "run", "--executor",
        "iterative", "--variants",
    ]  # fmt: skip
    return [
        Trial(
            "tagger", folder, [tagger], [*process, "raw", "--out", "raw"], folder / "raw", BYTES,
            _another_network,
        ),
        Trial(
            "attack", folder, [attack], [*process, "raw,fgsm:0.1", "--out", "fgsm"], folder / "fgsm", BYTES,
            _another_network, names=(tagger.name,),
        ),
    ]  # fmt: skip


def _another_network(path: Path, original: bytes) -> str | None:
    """Return whether onnx alone reads other numbers, nodes or texts than before."""
    try:
        found, before = onnx.load(path, load_external_data=False), onnx.load_from_string(original)
    except Exception:
        return None
    if _weights(found) != _weights(before):
        return "another result: other weights, which the hash in the result tells"
    if found.SerializeToString() != before.SerializeToString():
        return "another result: another graph or metadata, which the hash in the result tells"
    return None


def _weights(model: onnx.ModelProto) -> list[bytes]:
    return [numpy_helper.to_array(tensor).tobytes() for tensor in model.graph.initializer]
