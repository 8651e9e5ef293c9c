import numpy as np
import pytest

from models.discriminators import DEFAULT_SCORE, SCORES, has_outputs, logits_of, scores


def test_numbers_worked_out_by_hand():
    # logits ln 1, ln 2, ln 3, ln 4: probabilities 0.1, 0.2, 0.3, 0.4
    found = scores(np.log([[1.0, 2.0, 3.0, 4.0]]))
    expected = {
        "b": 0.1,
        "bb": 0.2,
        "c": 0.3,
        "udsg": 0.4,
        "BvsL": 0.3 / 0.7,
        "BvsC": 0.3 / 0.6,
        "CvsB": 0.3 / 0.6,
        "CvsL": 0.3 / 0.7,
    }
    assert tuple(found) == SCORES
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-14)


def test_outputs_sum_to_one_and_bvsc_is_one_minus_cvsb():
    found = scores(np.random.default_rng(0).normal(0, 20, (10_000, 4)))
    total = found["b"] + found["bb"] + found["c"] + found["udsg"]
    np.testing.assert_allclose(total, 1.0, atol=1e-15 * 4)
    np.testing.assert_allclose(found["BvsC"] + found["CvsB"], 1.0, atol=2e-16)


def test_they_agree_with_the_ratios_of_probabilities():
    logits = np.random.default_rng(0).normal(0, 3, (1000, 4))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    b = p[:, 0] + p[:, 1]
    found = scores(logits)
    np.testing.assert_allclose(found["BvsL"], b / (b + p[:, 3]), rtol=1e-12)
    np.testing.assert_allclose(found["BvsC"], b / (b + p[:, 2]), rtol=1e-12)
    np.testing.assert_allclose(found["CvsL"], p[:, 2] / (p[:, 2] + p[:, 3]), rtol=1e-12)


def test_saturated_logits_stay_finite_and_ordered():
    # From probabilities CvsL of these jets would be 0/0: both round to 0 next to exp(600).
    logits = np.array([[600.0, 0, 2, 0], [600.0, 0, 1, 0], [-3e38, 3e38, -3e38, -3e38]], dtype=np.float32)
    found = scores(logits)
    assert all(np.isfinite(values).all() for values in found.values())
    assert found["CvsL"][0] == pytest.approx(1 / (1 + np.exp(-2)))
    assert found["CvsL"][0] > found["CvsL"][1]
    assert found["CvsB"][0] > found["CvsB"][1] > 0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("column", range(4))
def test_a_logit_that_is_nan_or_infinite_gives_the_default_everywhere(bad, column):
    logits = np.zeros((3, 4), dtype=np.float32)
    logits[1, column] = bad
    for values in scores(logits).values():
        assert values[1] == DEFAULT_SCORE
        assert (values[[0, 2]] >= 0.25).all()


def test_no_jets_give_empty_scores():
    assert all(values.shape == (0,) for values in scores(np.empty((0, 4))).values())


def test_a_probability_of_zero_leaves_all_other_scores() -> None:
    """Probabilities 1/6, 2/6, 3/6 and 0: BvsL = 3/3, BvsC = 3/6, CvsL = 3/3; the jets beside it stay."""
    logits = np.array([[0.0, 0, 0, 0], [np.log(1), np.log(2), np.log(3), -np.inf], [0, 0, 0, 0]])
    found = {name: values[1] for name, values in scores(logits).items()}
    expected = {
        "b": 1 / 6,
        "bb": 2 / 6,
        "c": 3 / 6,
        "udsg": 0.0,
        "BvsL": 1.0,
        "BvsC": 0.5,
        "CvsB": 0.5,
        "CvsL": 1.0,
    }
    assert found == pytest.approx(expected)
    for name, values in scores(logits).items():
        assert values[0] == values[2] == scores(np.zeros((1, 4)))[name][0]


def test_only_a_ratio_of_nothing_has_no_value() -> None:
    """A certain b jet: c against udsg is 0/0, all else is 0 or 1."""
    found = scores(np.array([[0.0, -np.inf, -np.inf, -np.inf]]))
    assert {name: values[0] for name, values in found.items()} == {
        "b": 1.0, "bb": 0.0, "c": 0.0, "udsg": 0.0, "BvsL": 1.0, "BvsC": 1.0, "CvsB": 0.0,
        "CvsL": DEFAULT_SCORE,
    }  # fmt: skip


def test_a_probability_of_zero_is_the_limit_of_a_small_one() -> None:
    logits = np.random.default_rng(3).normal(0, 3, (100, 4))
    logits[np.arange(100), np.arange(100) % 4] = -np.inf
    found, near = scores(logits), scores(np.maximum(logits, -700.0))
    for name in SCORES:
        np.testing.assert_allclose(found[name], near[name], atol=1e-12)


def test_jets_without_any_output() -> None:
    logits = [[-np.inf] * 4, [np.nan] * 4, [0, 0, 0, np.inf], [0, 0, 0, -np.inf], [0, 1, 2, 3]]
    assert has_outputs(np.array(logits)).tolist() == [False, False, False, True, True]
    found = scores(np.array(logits))
    assert all((values[:3] == DEFAULT_SCORE).all() for values in found.values())


def test_logits_of_probabilities_give_them_back() -> None:
    """A file holds outputs, -1 or -10 where there is none; four zeros, and more than 1, are none either."""
    outputs = np.array([[0.1, 0.2, 0.3, 0.4], [0.5, 0.0, 0.5, 0.0], [-1] * 4, [-10] * 4, [0] * 4, [2] * 4])
    back = scores(logits_of(outputs.astype(np.float32)))
    found = np.stack([back[name] for name in ("b", "bb", "c", "udsg")], axis=1)
    np.testing.assert_allclose(found[:2], outputs[:2], rtol=1e-6)
    assert (found[2:] == DEFAULT_SCORE).all()
