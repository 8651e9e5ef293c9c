"""ONNX files of any maker: what is read, what is refused before it is run, and weights beside the file."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import models.onnx_files
from models.features import N_FEATURES
from models.metadata import TaggerMetadata
from models.onnx_files import read_model, weight_files
from models.tagger import Tagger, files_of, load_tagger, load_taggers

WEIGHTS = np.random.default_rng(0).normal(0, 0.01, (N_FEATURES, 4)).astype(np.float32)
NAME = "epoch_001_tagger.onnx"


@pytest.fixture
def model(make_metadata: Callable[..., TaggerMetadata]) -> Callable[..., onnx.ModelProto]:
    """A tagger of another maker: a matrix product, or any other nodes."""

    def make(
        nodes: list[onnx.NodeProto] | None = None, *more: onnx.TensorProto, weights: Any = WEIGHTS
    ) -> onnx.ModelProto:
        graph = helper.make_graph(
            nodes or [helper.make_node("MatMul", ["features", "w"], ["logits"])],
            "made_elsewhere",
            [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", N_FEATURES])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 4])],
            initializer=[numpy_helper.from_array(weights, "w"), *more],
        )
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
        helper.set_model_props(made, make_metadata(name="elsewhere").to_properties())
        return made

    return make


@pytest.fixture
def beside(tmp_path: Path, model: Callable[..., onnx.ModelProto]) -> Path:
    """The same with its weights in a file of its folder, as exporters write it."""
    path = tmp_path / "run" / NAME
    path.parent.mkdir()
    onnx.save_model(model(), path, save_as_external_data=True, location=f"{NAME}.data", size_threshold=0)
    return path


def saved(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / NAME
    path.write_bytes(model.SerializeToString())
    return path


def one_sentence(caught: pytest.ExceptionInfo[Exception], path: Path) -> str:
    message = str(caught.value)
    assert message.startswith(str(path))
    assert message.isprintable()
    return message


def test_weights_beside_are_those_inside(
    beside: Path, model: Callable[..., onnx.ModelProto], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jets = np.random.default_rng(1).normal(size=(100, N_FEATURES)).astype(np.float32)
    inside = load_tagger(saved(model(), tmp_path))
    found = load_tagger(beside)
    np.testing.assert_array_equal(found.logits(jets), inside.logits(jets))
    monkeypatch.chdir(beside.parent)
    assert load_tagger(Path(NAME)).content_hash == found.content_hash


def test_weights_beside_are_part_of_the_tagger(beside: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Other weights are another tagger: it has another hash, and so takes no chunks of the first."""
    first = load_tagger(beside)
    assert f"{NAME}.data" in caplog.text
    data = beside.with_name(f"{NAME}.data")
    values = np.fromfile(data, np.float32)
    (0.5 * values).tofile(data)
    second = load_tagger(beside)
    assert second.content_hash != first.content_hash
    jets = np.ones((3, N_FEATURES), np.float32)
    np.testing.assert_allclose(second.logits(jets), 0.5 * first.logits(jets), rtol=1e-5)


def test_all_files_of_a_tagger_are_named(
    beside: Path, write_run: Callable[..., Path], tmp_path: Path
) -> None:
    """For jobs, to which they are copied."""
    assert weight_files(beside) == [beside.with_name(f"{NAME}.data")]
    assert files_of(beside) == [beside, beside.with_name(f"{NAME}.data")]
    run = write_run(tmp_path / "own")
    assert [file.name for file in files_of(run / NAME)] == [NAME, "epoch_001_attack.onnx"]


def moved_to(path: Path, location: str) -> None:
    made = onnx.load(path, load_external_data=False)
    for tensor in made.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    path.write_bytes(made.SerializeToString())


@pytest.mark.parametrize("location", ["../secret", "/etc/hostname", "sub/../../secret", "", "a\0b", ".."])
def test_weights_out_of_the_folder_are_refused(beside: Path, location: str) -> None:
    (beside.parents[1] / "secret").write_bytes(bytes(WEIGHTS.nbytes))
    moved_to(beside, location)
    with pytest.raises(ValueError, match=r"its weights lie in .* not in its own folder") as caught:
        load_tagger(beside)
    one_sentence(caught, beside)


def test_a_link_out_of_the_folder_is_refused(beside: Path) -> None:
    secret = beside.parents[1] / "secret"
    beside.with_name(f"{NAME}.data").rename(secret)
    beside.with_name(f"{NAME}.data").symlink_to(secret)
    with pytest.raises(ValueError, match="a link out of its own folder"):
        load_tagger(beside)


def test_a_folder_inside_the_folder_will_do(beside: Path) -> None:
    data = beside.with_name(f"{NAME}.data")
    (beside.parent / "weights").mkdir()
    data.rename(beside.parent / "weights" / "w.bin")
    moved_to(beside, "weights/w.bin")
    assert load_tagger(beside).name == "elsewhere"
    assert files_of(beside)[1] == beside.parent / "weights" / "w.bin"


@pytest.mark.parametrize("content", [b"", bytes(WEIGHTS.nbytes - 1)])
def test_weights_that_are_cut_off_or_missing_are_refused(beside: Path, content: bytes) -> None:
    data = beside.with_name(f"{NAME}.data")
    data.write_bytes(content)
    with pytest.raises(ValueError, match="does not hold the weights 'w'"):
        load_tagger(beside)
    data.unlink()
    with pytest.raises(ValueError, match=f"{NAME}.data', which is not there"):
        load_tagger(beside)


@pytest.mark.parametrize("key", ["offset", "length"])
@pytest.mark.parametrize("value", ["-8", "1e3", "99999999999999999999", "x"])
def test_absurd_places_of_weights_are_refused(beside: Path, key: str, value: str) -> None:
    made = onnx.load(beside, load_external_data=False)
    for tensor in made.graph.initializer:
        kept = [(entry.key, entry.value) for entry in tensor.external_data if entry.key != key]
        del tensor.external_data[:]
        for name, text in [*kept, (key, value)]:
            tensor.external_data.add(key=name, value=text)
    beside.write_bytes(made.SerializeToString())
    with pytest.raises(ValueError, match="does not hold the weights") as caught:
        load_tagger(beside)
    one_sentence(caught, beside)


def test_files_that_are_too_large_are_not_read(
    beside: Path, model: Callable[..., onnx.ModelProto], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = saved(model(), tmp_path)
    monkeypatch.setattr(models.onnx_files, "MAX_BYTES", 1000)
    with pytest.raises(ValueError, match="larger than"):
        load_tagger(inside)
    monkeypatch.setattr(models.onnx_files, "MAX_BYTES", beside.stat().st_size + 100)
    with pytest.raises(ValueError, match=r"larger than .* with its weights"):
        load_tagger(beside)


def body() -> onnx.GraphProto:
    """What an endless loop does: nothing, and goes on."""
    return helper.make_graph(
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


def branch(name: str) -> onnx.GraphProto:
    output = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
    return helper.make_graph([helper.make_node("Identity", ["product"], [name])], name, [], [output])


PRODUCT = helper.make_node("MatMul", ["features", "w"], ["product"])
TRUE = numpy_helper.from_array(np.array(True), "true")


@pytest.mark.parametrize(
    ("last", "message"),
    [
        (helper.make_node("Loop", ["", "true", "product"], ["logits"], body=body()), "the operator Loop"),
        (
            helper.make_node("If", ["true"], ["logits"], then_branch=branch("a"), else_branch=branch("b")),
            "the operator If",
        ),
        (helper.make_node("Relu", ["product"], ["logits"], domain="mine.org"), "operator Relu of mine.org"),
        (helper.make_node("R\x1b[2J", ["product"], ["logits"], domain="x\ny"), r"x\\ny"),
    ],
)
def test_what_a_feed_forward_network_does_not_need_is_refused(
    model: Callable[..., onnx.ModelProto], tmp_path: Path, last: onnx.NodeProto, message: str
) -> None:
    path = saved(model([PRODUCT, last], TRUE), tmp_path)
    with pytest.raises(ValueError, match=message) as caught:
        load_tagger(path)
    one_sentence(caught, path)


def test_functions_and_sparse_weights_are_refused(
    model: Callable[..., onnx.ModelProto], tmp_path: Path
) -> None:
    made = model([PRODUCT, helper.make_node("Twice", ["product"], ["logits"])])
    made.functions.append(
        helper.make_function(
            "",
            "Twice",
            ["x"],
            ["y"],
            [helper.make_node("Add", ["x", "x"], ["y"])],
            [helper.make_opsetid("", 13)],
        )
    )
    with pytest.raises(ValueError, match="functions of its own"):
        load_tagger(saved(made, tmp_path))
    made = model()
    made.graph.sparse_initializer.append(
        helper.make_sparse_tensor(
            helper.make_tensor("s", TensorProto.FLOAT, [1], [1.0]),
            helper.make_tensor("i", TensorProto.INT64, [1], [0]),
            [10**9, 10**9],
        )
    )
    with pytest.raises(ValueError, match="sparse weights"):
        load_tagger(saved(made, tmp_path))


def test_too_many_operators_are_refused(
    model: Callable[..., onnx.ModelProto], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models.onnx_files, "MAX_NODES", 10)
    chain = [PRODUCT] + [
        helper.make_node("Relu", ["product" if i == 0 else f"x{i}"], [f"x{i + 1}" if i < 9 else "logits"])
        for i in range(10)
    ]
    with pytest.raises(ValueError, match="11 operators"):
        load_tagger(saved(model(chain), tmp_path))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_weights_that_are_nan_are_counted_and_refused(
    model: Callable[..., onnx.ModelProto], tmp_path: Path, dtype: type[np.floating[Any]]
) -> None:
    weights = WEIGHTS.astype(dtype)
    weights[3, 2] = weights[5, 1] = np.nan
    path = saved(model(weights=weights), tmp_path)
    with pytest.raises(ValueError, match=f"2 of {N_FEATURES * 4} weights 'w' are NaN") as caught:
        read_model(path)
    one_sentence(caught, path)


def test_weights_of_another_shape_than_they_say_are_refused(
    model: Callable[..., onnx.ModelProto], tmp_path: Path
) -> None:
    made = model()
    made.graph.initializer[0].dims[0] = 10**12
    with pytest.raises(ValueError, match="weights 'w'"):
        load_tagger(saved(made, tmp_path))


@pytest.mark.parametrize("what", ["folder", "pipe"])
def test_what_is_no_file_is_refused(tmp_path: Path, what: str) -> None:
    path = tmp_path / NAME
    path.mkdir() if what == "folder" else os.mkfifo(path)
    with pytest.raises((ValueError, OSError), match=NAME):
        load_tagger(path)
    with pytest.raises((ValueError, OSError), match=NAME):
        load_taggers([tmp_path])


def test_old_files_are_read_byte_by_byte(model: Callable[..., onnx.ModelProto], tmp_path: Path) -> None:
    """Hashes of taggers in results of before stay what they are."""
    path = saved(model(), tmp_path)
    assert load_tagger(path) == Tagger(load_tagger(path).metadata, path.read_bytes())


def test_a_name_that_is_no_text_is_damage(
    model: Callable[..., onnx.ModelProto], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / NAME
    path.write_bytes(model().SerializeToString().replace(b"MatMul", b"Mat\xffMu"))
    with pytest.raises(ValueError, match="a name is no text") as caught:
        load_tagger(path)
    one_sentence(caught, path)
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_file_is_a_tagger_or_one_sentence(
    model: Callable[..., onnx.ModelProto], tmp_path: Path, seed: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """Cut off, with flipped bits, or with other bytes where no weights are."""
    content = model().SerializeToString()
    first = content.find(WEIGHTS.tobytes())
    structure = [*range(first), *range(first + WEIGHTS.nbytes, len(content))]
    rng = np.random.default_rng(seed)
    path = tmp_path / NAME
    said = []
    for kind in range(40):
        damaged = bytearray(content)
        if kind % 4 == 0:
            damaged = damaged[: rng.integers(len(content))]
        for place in rng.choice(structure if kind % 2 else len(content), 3):
            if kind % 4 and kind % 3:
                damaged[place] ^= 1 << int(rng.integers(8))
            elif kind % 4:
                damaged[place] = int(rng.integers(256))
        path.write_bytes(damaged)
        try:
            load_tagger(path)
        except ValueError as error:
            said.append(str(error))
    assert len(said) > 10
    assert all(message.startswith(str(path)) and message.isprintable() for message in said)
    assert capfd.readouterr().out == ""
