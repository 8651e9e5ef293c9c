"""Files that unpack to more than a machine has, nest without end, or point elsewhere."""

import gzip
import json
import shutil
import zipfile
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path

import onnx
import yaml
from onnx import TensorProto, helper

from benchmarks.reliability.hostile_names import Calls, called, fileset_of, processed
from benchmarks.reliability.world import PREPARE, World

BOMB_MB = 6000
"""Size of what unpacks, in MiB; a call may take less."""


def _bomb(path: Path, name: str, head: bytes = b"") -> None:
    """Write a zip of some megabytes with a member of gigabytes."""
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file,
        file.open(name, "w", force_zip64=True) as member,
    ):
        member.write(head)
        for _ in range(BOMB_MB // 16):
            member.write(bytes(16 * 2**20))


def result_bomb(world: World, folder: Path) -> Calls:
    """A result whose document unpacks to gigabytes."""
    shutil.copytree(world.folder / "results", folder / "in" / "results")
    _bomb(folder / "in" / "results" / "dy.zip", "result.json", b'{"format": "advtag-result", "x": "')
    return [called(folder, name, "in/results", "--out", f"out/{name}") for name in ("divergence", "report")]


def table_bomb(world: World, folder: Path) -> Calls:
    """A table of corrections that unpacks to gigabytes."""
    with gzip.open(folder / "in" / "table.json.gz", "wb", compresslevel=6) as file:
        for _ in range(BOMB_MB // 16):
            file.write(b" " * (16 * 2**20))
    _corrections(folder, "table.json.gz")
    return [_with_corrections(world, folder)]


def deep_formula(world: World, folder: Path) -> Calls:
    """A formula in thousands of brackets."""
    depth = 5000
    data = {"nodetype": "formula", "expression": "(" * depth + "x" + ")" * depth, "parser": "TFormula"}
    _table(folder, data | {"variables": ["pt"]})
    return [_with_corrections(world, folder)]


def deep_table(world: World, folder: Path) -> Calls:
    """A table of corrections that nests a thousand binnings."""
    data: object = 1.0
    for _ in range(1000):
        data = {"nodetype": "binning", "input": "pt", "edges": [0, 1e9], "content": [data], "flow": "clamp"}
    _table(folder, data)
    return [_with_corrections(world, folder)]


def _table(folder: Path, data: object) -> None:
    correction = {
        "name": "c", "version": 1, "inputs": [{"name": "pt", "type": "real"}],
        "output": {"name": "o", "type": "real"}, "data": data,
    }  # fmt: skip
    (folder / "in" / "table.json").write_text(json.dumps({"schema_version": 2, "corrections": [correction]}))
    _corrections(folder, "table.json")


def _corrections(folder: Path, table: str) -> None:
    weight = {"name": "w", "file": table, "correction": "c", "object": "muon", "inputs": {"pt": "pt"}}
    (folder / "in" / "corrections.yaml").write_text(yaml.safe_dump({"weights": [weight]}))


def _with_corrections(world: World, folder: Path) -> tuple[str, object]:
    fileset = fileset_of(world, folder)
    return called(
        folder, "process", "--selection", "dy", "--fileset", fileset, "--executor", "iterative",
        "--corrections", "in/corrections.yaml", "--out", "out/results",
    )  # fmt: skip


_LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
_OBJECT = "a: !!python/object/apply:os.system ['touch CANARY']\n"
_TEXTS = {"laughs": _LAUGHS, "nested": "[" * 20_000, "object": _OBJECT, "itself": "a: &a [*a]\n"}


def cards(world: World, folder: Path) -> Calls:
    """Cards that grow without end, nest without end, contain themselves, or are Python objects."""
    fileset = fileset_of(world, folder)
    calls = []
    for name, text in _TEXTS.items():
        card = folder / "in" / f"{name}.yaml"
        card.write_text(yaml.safe_dump(PREPARE | {"output": "out/jets"}) + text)
        calls += [
            called(folder, "prepare", card), called(folder, "train", card), called(folder, "study", card),
            called(folder, "fit", world.folder / "results", "--config", card, "--out", "out/fit"),
            processed(folder, fileset, "pretrained:basic", "--corrections", card),
            processed(folder, card, "pretrained:basic"),
            processed(folder, fileset, "pretrained:basic", "--golden-json", card),
            called(
                folder, "condor", "submit", "out/jobs", "--site", card, "--selection", "dy",
                "--fileset", fileset,
            ),
        ]  # fmt: skip
    return calls


def onnx_elsewhere(world: World, folder: Path) -> Calls:
    """A tagger whose weights lie in a file outside of its folder."""
    fileset = fileset_of(world, folder)
    source = Path(str(resources.files("models").joinpath("pretrained", "basic", "epoch_020_tagger.onnx")))
    calls = []
    for number, location in enumerate(("../secret.bin", "/etc/passwd", str(folder / "in" / "secret.bin"))):
        model = onnx.load(source)
        (folder / "in" / "secret.bin").write_bytes(bytes(400_000))
        for tensor in model.graph.initializer:
            tensor.ClearField("raw_data")
            tensor.ClearField("float_data")
            tensor.data_location = TensorProto.EXTERNAL
            del tensor.external_data[:]
            tensor.external_data.add(key="location", value=location)
        run = folder / "in" / f"run_{number}"
        run.mkdir()
        (run / "epoch_001_tagger.onnx").write_bytes(model.SerializeToString())
        calls.append(processed(folder, fileset, run))
        if calls[-1][1].code == 0:
            raise RuntimeError(f"weights of {location} were taken")
    return calls


def onnx_without_end(world: World, folder: Path) -> Calls:
    """A tagger with a loop of a trillion rounds before its outputs."""
    fileset = fileset_of(world, folder)
    source = Path(str(resources.files("models").joinpath("pretrained", "basic", "epoch_020_tagger.onnx")))
    model = onnx.load(source)
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Identity", ["x"], ["y"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("y", TensorProto.FLOAT, None),
        ],
    )
    first = model.graph.node[0]
    name = first.input[0]
    first.input[0] = "after_the_loop"
    rounds = helper.make_tensor("rounds", TensorProto.INT64, [], [10**12])
    model.graph.initializer.append(rounds)
    model.graph.node.insert(0, helper.make_node("Loop", ["rounds", "", name], ["after_the_loop"], body=body))
    run = folder / "in" / "run"
    run.mkdir()
    (run / "epoch_001_tagger.onnx").write_bytes(model.SerializeToString())
    return [processed(folder, fileset, run)]


FILES: Mapping[str, Callable[[World, Path], Calls]] = {
    "a result that unpacks to gigabytes": result_bomb,
    "a table that unpacks to gigabytes": table_bomb,
    "a deep formula": deep_formula,
    "a deep table": deep_table,
    "cards without end": cards,
    "ONNX weights elsewhere": onnx_elsewhere,
    "ONNX without end": onnx_without_end,
}
