import pickle
import subprocess
import sys
from itertools import pairwise

import numpy as np
import onnx
import pytest

import models.sessions
from models.features import IS_INTEGER, N_FEATURES
from models.metadata import METADATA_KEY
from models.network import dense_layers
from models.onnx_graphs import attack_graph, save_onnx, tagger_graph
from models.sessions import SUB_BATCH
from models.tagger import load_tagger, load_taggers


@pytest.fixture
def tagger(write_run, tmp_path):
    return load_tagger(write_run(tmp_path / "run") / "epoch_001_tagger.onnx")


def test_it_knows_its_training(tagger, scaler):
    assert (tagger.name, tagger.epoch, tagger.label) == ("basic", 1, "basic@1")
    assert tagger.scaler == scaler
    assert len(tagger.content_hash) == 64
    assert "basic@1" in repr(tagger)


def test_batches_change_no_bit(tagger, make_jets):
    raw = make_jets(2 * SUB_BATCH + 5)
    labels = np.arange(len(raw)) % 4
    logits, sign = tagger.logits(raw), tagger.gradient_sign(raw, labels)
    edges = [0, 1, 2, 9, 100, 1001, SUB_BATCH + 3, len(raw)]
    parts = [slice(start, stop) for start, stop in pairwise(edges)]
    assert np.array_equal(np.concatenate([tagger.logits(raw[part]) for part in parts]), logits)
    assert np.array_equal(
        np.concatenate([tagger.gradient_sign(raw[part], labels[part]) for part in parts]), sign
    )


def test_the_order_of_jets_changes_no_bit(tagger, make_jets):
    raw = make_jets(1000)
    order = np.random.default_rng(0).permutation(1000)
    assert np.array_equal(tagger.logits(raw[order]), tagger.logits(raw)[order])


def test_no_jets_give_empty_outputs(tagger):
    nothing = np.empty((0, N_FEATURES), dtype=np.float32)
    assert tagger.logits(nothing).shape == (0, 4)
    assert tagger.gradient_sign(nothing, np.empty(0, dtype=np.int64)).shape == (0, N_FEATURES)


def test_an_absurd_jet_has_no_logits_and_no_sign_and_spoils_no_other(tagger, make_jets):
    raw, labels = make_jets(100), np.arange(100) % 4
    absurd = raw.copy()
    absurd[::2, ~IS_INTEGER] = 3.3e38  # finite, but their sums are not
    logits, sign = tagger.logits(absurd), tagger.gradient_sign(absurd, labels)
    assert np.isnan(logits[::2]).any()
    assert set(np.unique(sign)) == {-1.0, 0.0, 1.0}
    assert np.array_equal(logits[1::2], tagger.logits(raw)[1::2])
    assert np.array_equal(sign[1::2], tagger.gradient_sign(raw, labels)[1::2])


def test_it_pickles_without_its_session(tagger, make_jets):
    raw = make_jets(10)
    before = tagger.logits(raw)
    again = pickle.loads(pickle.dumps(tagger))
    assert again == tagger
    assert again.content_hash == tagger.content_hash
    assert np.array_equal(again.logits(raw), before)


def test_one_session_per_content_and_process(tagger, make_jets):
    sessions = dict(models.sessions._sessions)
    pickle.loads(pickle.dumps(tagger)).logits(make_jets(10))
    assert models.sessions._sessions == sessions
    options = sessions[tagger._tagger_hash].get_session_options()
    assert options.intra_op_num_threads == options.inter_op_num_threads == 1


def test_a_worker_needs_neither_torch_nor_onnx(tagger, tmp_path):
    (tmp_path / "tagger").write_bytes(pickle.dumps(tagger))
    code = (
        "import pickle, sys, models.predictions, models.discriminators; from pathlib import Path\n"
        f"tagger = pickle.loads(Path({str(tmp_path / 'tagger')!r}).read_bytes())\n"
        "assert tagger.network is not None\n"
        "print(*sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(result.stdout.split())
    assert "onnxruntime" in loaded
    assert not loaded & {"torch", "onnx", "matplotlib"}


def test_another_content_has_another_hash(write_run, tmp_path):
    one, two = load_taggers([write_run(tmp_path / "run", epochs=(1, 2))])
    assert one.content_hash != two.content_hash


@pytest.mark.parametrize("labels", [[0, 1], [0, 1, 4], [0, -1, 2]])
def test_labels_that_are_no_truth_are_an_error(tagger, make_jets, labels):
    with pytest.raises(ValueError, match="labels"):
        tagger.gradient_sign(make_jets(3), labels)


def test_features_of_another_shape_are_an_error(tagger):
    with pytest.raises(ValueError, match=r"shape \(3, 66\), expected \(n_jets, 67\)"):
        tagger.logits(np.zeros((3, 66), dtype=np.float32))


def test_a_tagger_without_attack_works_and_says_so_when_attacked(write_run, tmp_path, make_jets):
    (tagger,) = load_taggers([write_run(tmp_path / "run", attack=False)])
    assert tagger.logits(make_jets(3)).shape == (3, 4)
    with pytest.raises(ValueError, match="basic@1: it was loaded without its attack file"):
        tagger.gradient_sign(make_jets(3), [0, 1, 2])


def test_runs_load_sorted_by_name_and_epoch(write_run, tmp_path):
    basic = write_run(tmp_path / "b", epochs=(10, 2))
    adversarial = write_run(tmp_path / "a", epochs=(1,), name="adversarial", method="fgsm", attack="fgsm:0.1")
    labels = [tagger.label for tagger in load_taggers([basic, adversarial])]
    assert labels == ["adversarial@1", "basic@2", "basic@10"]


def test_epochs_can_be_chosen_and_files_named(write_run, tmp_path):
    run = write_run(tmp_path / "run", epochs=(1, 2, 3))
    assert [tagger.epoch for tagger in load_taggers([run], epochs=[3, 1])] == [1, 3]
    assert [tagger.epoch for tagger in load_taggers([run / "epoch_002_tagger.onnx"])] == [2]
    with pytest.raises(FileNotFoundError, match="no tagger of epoch 7: there are 1, 2, 3"):
        load_taggers([run], epochs=[7])


def test_no_folders_give_no_taggers():
    assert load_taggers([]) == []


def test_two_runs_of_one_name_are_an_error(write_run, tmp_path):
    one, two = write_run(tmp_path / "one"), write_run(tmp_path / "two")
    with pytest.raises(
        ValueError, match=r"two.epoch_001_tagger.onnx: tagger basic@1 was already read from .*one"
    ):
        load_taggers([one, two])


def test_a_folder_without_taggers_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no epoch_\*_tagger.onnx in this folder"):
        load_taggers([tmp_path])
    with pytest.raises(FileNotFoundError, match="missing: no such folder"):
        load_taggers([tmp_path / "missing"])
    with pytest.raises(FileNotFoundError, match=r"a.onnx: no such tagger file"):
        load_tagger(tmp_path / "a.onnx")


@pytest.mark.parametrize("content", [b"", b"this is no ONNX", b"\x08\x08\x12\x06advtag"])
def test_a_file_that_is_no_onnx_is_one_sentence(tmp_path, content):
    path = tmp_path / "epoch_001_tagger.onnx"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"epoch_001_tagger.onnx: ONNX Runtime cannot read it") as caught:
        load_tagger(path)
    assert "\n" not in str(caught.value)


def test_a_truncated_file_is_one_sentence(write_run, tmp_path):
    path = write_run(tmp_path / "run") / "epoch_001_tagger.onnx"
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(ValueError, match=r"epoch_001_tagger.onnx: ") as caught:
        load_tagger(path)
    assert "\n" not in str(caught.value)


def identity_model(make_metadata, *, output="logits", with_metadata=True):
    """A model as a user may bring it: the first four features as logits."""
    helper = onnx.helper
    columns = onnx.numpy_helper.from_array(np.arange(4), "columns")
    graph = helper.make_graph(
        [helper.make_node("Gather", ["features", "columns"], [output], axis=1)],
        "users_own",
        [helper.make_tensor_value_info("features", onnx.TensorProto.FLOAT, ["jets", N_FEATURES])],
        [helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, ["jets", 4])],
        initializer=[columns],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if with_metadata:
        helper.set_model_props(model, make_metadata(name="own").to_properties())
    return model


def test_a_users_own_model_is_accepted(make_metadata, tmp_path):
    save_onnx(identity_model(make_metadata), tmp_path / "mine.onnx")
    tagger = load_tagger(tmp_path / "mine.onnx")
    raw = np.arange(2 * N_FEATURES, dtype=np.float32).reshape(2, N_FEATURES)
    assert tagger.name == "own"
    assert np.array_equal(tagger.logits(raw), raw[:, :4])


def test_a_model_without_metadata_or_outputs_is_one_sentence(make_metadata, tmp_path):
    save_onnx(identity_model(make_metadata, with_metadata=False), tmp_path / "a.onnx")
    with pytest.raises(ValueError, match=r"a.onnx: no metadata named 'advtag'"):
        load_tagger(tmp_path / "a.onnx")
    save_onnx(identity_model(make_metadata, output="scores"), tmp_path / "b.onnx")
    with pytest.raises(ValueError, match=r"b.onnx: the model has no output named logits"):
        load_tagger(tmp_path / "b.onnx")


def test_metadata_of_the_future_are_one_sentence(make_metadata, tmp_path):
    model = identity_model(make_metadata)
    text = model.metadata_props[0].value.replace('"schema_version":2', '"schema_version":9')
    onnx.helper.set_model_props(model, {METADATA_KEY: text})
    save_onnx(model, tmp_path / "a.onnx")
    with pytest.raises(ValueError, match=r"a.onnx: its metadata have schema 9"):
        load_tagger(tmp_path / "a.onnx")


def test_an_attack_of_another_tagger_is_refused(write_run, make_metadata, make_network, tmp_path):
    run = write_run(tmp_path / "run")
    save_onnx(
        attack_graph(dense_layers(make_network()), make_metadata(epoch=2)), run / "epoch_001_attack.onnx"
    )
    with pytest.raises(
        ValueError, match=r"epoch_001_attack.onnx: its metadata are not those of epoch_001_tagger.onnx"
    ):
        load_taggers([run])
    save_onnx(
        tagger_graph(dense_layers(make_network()), make_metadata(epoch=1)), run / "epoch_001_attack.onnx"
    )
    with pytest.raises(ValueError, match=r"epoch_001_attack.onnx: the model has no input named labels"):
        load_taggers([run])
