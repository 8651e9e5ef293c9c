import pickle

import numpy as np
import pytest

from models.features import FEATURES, JET_FIELDS
from models.variants import Variant, parse_variant, parse_variants


@pytest.mark.parametrize(
    "text",
    [
        "raw",
        "noise:0.1",
        "sign_noise:0.05",
        "fgsm:0.005",
        "noise_fgsm:0.05:0.1",
        "pgd:0.1:steps=10:step=0.025",
        "pgd:0.1:steps=3:step=0.1:start=1:restrict=0.2:SV=0.5:vertexMass=0",
        "fgsm:0.1:restrict=0.2",
        "noise:0.1:track=2",
    ],
)
def test_a_variant_reads_back_its_own_name(text):
    variant = parse_variant(text)
    assert variant.name == text
    assert pickle.loads(pickle.dumps(variant)) == variant


def test_steps_have_defaults_that_the_name_tells():
    assert parse_variant("pgd:0.1") == Variant("pgd", 0.1, steps=10, step=0.025)
    assert parse_variant("pgd:0.1").name == "pgd:0.1:steps=10:step=0.025"
    # 2.5 * 0.1 / 3 = 0.08333..., three digits
    assert parse_variant("pgd:0.1:steps=3").step == 0.0833


def test_the_order_of_options_makes_no_other_variant():
    one, other = "fgsm:0.1:SV=2:track=0:restrict=0.5", "fgsm:0.1:track=0:restrict=0.5:SV=2"
    assert parse_variant(one) == parse_variant(other)
    with pytest.raises(ValueError, match="is listed twice"):
        parse_variants(f"{one},{other}")


def test_a_feature_goes_before_its_group():
    factors = parse_variant("fgsm:0.1:SV=0.5:vertexMass=3:pt=0").feature_factors()
    for factor, feature, field in zip(factors, FEATURES, JET_FIELDS, strict=True):
        expected = {"DeepCSV_vertexMass": 3.0, "pt": 0.0}.get(field, 0.5 if feature.group == "SV" else 1.0)
        assert factor == np.float32(expected)


@pytest.mark.parametrize(
    ("text", "needs_noise", "needs_truth"),
    [
        ("raw", False, False),
        ("noise:0.1", True, False),
        ("sign_noise:0.1", True, False),
        ("fgsm:0.1", False, True),
        ("noise_fgsm:0.1:0.1", True, True),
        ("pgd:0.1", False, True),
        ("pgd:0.1:start=1", True, True),
    ],
)
def test_what_a_variant_needs(text, needs_noise, needs_truth):
    variant = parse_variant(text)
    assert (variant.needs_noise, variant.needs_truth) == (needs_noise, needs_truth)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("noise_fgsm:0.1", "give two sizes in scaled units"),
        ("fgsm:0.1:0.2", "an option has no number: write name=number"),
        ("fgsm:0.1:steps=3", "no option, feature or group 'steps'"),
        ("fgsm:0.1:vertexMas=3", "no option, feature or group 'vertexMas': choose from steps, step, start"),
        ("fgsm:0.1:SV=-1", "give a size in scaled units, not below 0"),
        ("fgsm:0.1:restrict=nan", "give a size in scaled units, not below 0"),
        ("pgd:0.1:steps=0", "steps is 0: give a whole number from 1 on"),
        ("pgd:0.1:steps=2.5", "steps is 2.5: give a whole number from 1 on"),
        ("pgd:0.1:start=yes", "an option has no number"),
        ("pgd:0.1:step=-1", "give a size"),
    ],
)
def test_a_wrong_option_is_one_sentence(text, message):
    with pytest.raises(ValueError, match=message) as caught:
        parse_variant(text)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
