from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from models.features import IS_INTEGER, N_FEATURES
from models.networks import Inputs, Network
from models.perturbations import JetKeys, Variant, parse_variants, perturb
from models.tagger import Tagger
from processors import inference
from processors.inference import score_jets

VARIANTS = parse_variants("raw,noise:0.1,noise:0.2,fgsm:0.1,pgd:0.1:steps=2:start=1,noise_fgsm:0.05:0.1")


def made_jets(n_jets: int) -> tuple[Any, JetKeys, Any]:
    rng = np.random.default_rng(5)
    raw = rng.normal(1, 2, (n_jets, N_FEATURES)).astype(np.float32)
    raw[:, IS_INTEGER] = 6
    event = np.arange(n_jets)
    return raw, JetKeys(event * 0 + 1, event * 0 + 1, event, event * 0), rng.integers(0, 4, n_jets)


def collect(
    taggers: Sequence[Tagger], variants: Sequence[Variant], n_jets: int
) -> dict[tuple[str, str], Any]:
    raw, keys, labels = made_jets(n_jets)
    found: dict[tuple[str, str], list[Any]] = {}
    for part in score_jets(taggers, variants, raw=raw, keys=keys, labels=labels, seed=3):
        found.setdefault((part.tagger.label, part.variant.name), []).append(part.scores["BvsL"])
    return {key: np.concatenate(values) for key, values in found.items()}


def test_every_tagger_and_variant_scores_every_jet(tagger: Callable[..., Tagger]) -> None:
    found = collect([tagger(), tagger("adversarial", 3, seed=2)], VARIANTS, 20)
    assert len(found) == 2 * len(VARIANTS)
    assert all(len(values) == 20 and np.isfinite(values).all() for values in found.values())
    # Nothing is the same: variants and taggers do not get mixed up.
    assert len({tuple(values) for values in found.values()}) == len(found)


def test_scores_are_those_of_the_tagger_alone(tagger: Callable[..., Tagger]) -> None:
    """Also where two taggers were trained with features of other widths, in which distortions are given."""
    narrow, wide = tagger(), tagger("other", 2, seed=9, width=4.0)
    raw, keys, labels = made_jets(20)
    found = collect([narrow, wide], VARIANTS, 20)
    for one in (narrow, wide):
        for variant in VARIANTS:
            distorted = perturb(variant, one, raw, keys=keys, labels=labels, seed=3)
            odds = np.exp(one.logits(distorted).astype(np.float64))
            expected = (odds[:, 0] + odds[:, 1]) / (odds[:, 0] + odds[:, 1] + odds[:, 3])
            np.testing.assert_allclose(found[one.label, variant.name], expected, rtol=1e-12)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch, tagger: Callable[..., Tagger]) -> None:
    whole = collect([tagger()], VARIANTS, 50)
    monkeypatch.setattr(inference, "BLOCK", 7)
    parts = collect([tagger()], VARIANTS, 50)
    assert all((whole[key] == parts[key]).all() for key in whole)


def test_attacks_of_all_sizes_share_one_gradient(
    monkeypatch: pytest.MonkeyPatch, tagger: Callable[..., Tagger]
) -> None:
    calls = []
    original = Network.logits_and_sign

    def counted(self: Network, inputs: Inputs, labels: Any) -> Any:
        calls.append(len(inputs.scaled))
        return original(self, inputs, labels)

    monkeypatch.setattr(Network, "logits_and_sign", counted)
    found = collect([tagger()], parse_variants("raw,fgsm:0.01,fgsm:0.1,fgsm:1"), 20)
    assert calls == [20]
    assert len({tuple(values) for values in found.values()}) == 4


def test_no_jet_gives_no_score(tagger: Callable[..., Tagger]) -> None:
    assert collect([tagger()], VARIANTS, 0) == {}
