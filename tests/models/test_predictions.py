from dataclasses import replace

import numpy as np
import pytest

from models.network import dense_layers
from models.onnx_graphs import attack_graph, tagger_graph
from models.perturbations import JetKeys, parse_variants, perturb
from models.predictions import predictions
from models.scaler import FeatureScaler
from models.tagger import Tagger

VARIANTS = parse_variants(
    "raw,noise:0.1,noise:0.1:SV=0.5,sign_noise:0.1,fgsm:0.1,fgsm:0.2:restrict=0.2,noise_fgsm:0.05:0.1,"
    "pgd:0.1:steps=2,pgd:0.1:steps=2:start=1"
)
N_JETS = 300


class Whole(Tagger):
    """A tagger whose files cannot be cut."""

    network = None


@pytest.fixture(scope="module")
def taggers(make_network, make_metadata, scaler):
    """Two epochs of one training, one with another scaler, and one that comes from elsewhere."""

    def make(seed, kind=Tagger, **changes):
        layers, metadata = dense_layers(make_network(seed=seed)), make_metadata(**changes)
        graphs = tagger_graph(layers, metadata), attack_graph(layers, metadata)
        return kind(metadata, *(graph.SerializeToString() for graph in graphs))

    wide = FeatureScaler(scaler.mean, 2 * scaler.std, scaler.default)
    return [
        make(1, epoch=1),
        make(2, epoch=1, name="wide", scaler=wide, loss_input="softmax"),
        make(3, epoch=2),
        make(4, epoch=1, name="elsewhere", kind=Whole),
    ]


@pytest.fixture(scope="module")
def jets(make_jets):
    number = np.arange(N_JETS)
    return {
        "raw": make_jets(N_JETS, seed=4),
        "keys": JetKeys(number * 0 + 1, number // 7, number, number % 3),
        "labels": number % 4,
    }


def test_everything_is_as_one_by_one_bit_by_bit(taggers, jets):
    found = {}
    for tagger, variant, features, logits in predictions(taggers, VARIANTS, **jets, seed=3):
        assert found.setdefault((tagger.label, variant.name), None) is None
        alone = perturb(variant, tagger, jets["raw"], keys=jets["keys"], labels=jets["labels"], seed=3)
        np.testing.assert_array_equal(features, alone)
        np.testing.assert_array_equal(logits, tagger.logits(alone))
        found[tagger.label, variant.name] = logits.tobytes()
    assert set(found) == {(tagger.label, variant.name) for tagger in taggers for variant in VARIANTS}
    assert len(set(found.values())) == len(found)  # nothing is shown twice under another name


@pytest.mark.parametrize("chosen", [slice(0, 1), slice(3, 4)])
def test_jets_without_truth_are_an_error(taggers, jets, chosen):
    unknown = jets | {"labels": np.full(N_JETS, -1)}
    with pytest.raises(ValueError, match=r"no true flavour|true flavour"):
        list(predictions(taggers[chosen], parse_variants("raw,fgsm:0.1"), **unknown, seed=3))
    assert len(list(predictions(taggers[chosen], parse_variants("raw,noise:0.1"), **unknown, seed=3))) == 2


@pytest.mark.parametrize("chosen", [0, 3])
def test_a_tagger_without_attack_is_an_error(taggers, jets, chosen):
    without = replace(taggers[chosen], attack_bytes=None)
    with pytest.raises(ValueError, match="without its attack file"):
        list(predictions([without], parse_variants("raw,fgsm:0.1"), **jets, seed=3))
