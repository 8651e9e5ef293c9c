import hist
import numpy as np
import pytest

from processors.histograms import (
    Jets,
    Scenario,
    by_tagger,
    control_histogram,
    default_counts,
    fill_control,
    fill_defaults,
    fill_plane,
    fill_scores,
    in_order,
    plane_histogram,
    score_histogram,
)

RAW = Scenario("basic", 1, "raw")


def jets(n_jets: int, *, weight: float = 1.0, sign: int = 1, flavour: int = 4) -> Jets:
    return Jets("dy", np.full(n_jets, flavour), np.full(n_jets, sign, np.int8), np.full(n_jets, weight))


def test_axes_are_those_the_readers_expect() -> None:
    names = [axis.name for axis in by_tagger(score_histogram("dy", [RAW])).axes]
    assert names == ["dataset", "flavour", "sign", "tagger", "epoch", "variant", "systematic", "value"]
    plane = [axis.name for axis in by_tagger(plane_histogram("dy", [RAW])).axes]
    assert plane == [*names[:-1], "cvsl", "cvsb"]
    control = [axis.name for axis in control_histogram("dy", "jet_pt").axes]
    assert control == ["dataset", "flavour", "sign", "systematic", "value"]


def test_a_score_of_one_is_in_the_last_bin_and_a_default_at_minus_0p1() -> None:
    histogram = score_histogram("dy", [RAW])
    fill_scores({"b": histogram}, jets(3), {"b": np.array([1.0, 0.0, -0.1])}, RAW)
    counts = histogram.project("value").values(flow=True)
    # 60 bins of 0.02 from -0.2, underflow first: -0.1 opens bin 5, 0 opens bin 10.
    assert counts[60] == 1
    assert counts[1 + 10] == 1
    assert counts[1 + 4] + counts[1 + 5] == 1
    assert counts.sum() == 3


def test_jets_without_a_score_are_underflow_of_the_plane() -> None:
    histogram = plane_histogram("dy", [RAW])
    fill_plane(histogram, jets(3), np.array([-0.1, 1.0, 0.5]), np.array([-0.1, 1.0, 0.0]), RAW)
    counts = histogram.project("cvsl", "cvsb").values(flow=True)
    assert counts[0, 0] == 1
    assert counts[50, 10] == 1
    assert counts[26, 1] == 1


def test_opposite_and_same_sign_are_kept_apart_with_positive_weights() -> None:
    histogram = control_histogram("dy", "jet_pt")
    fill_control(histogram, jets(3, weight=2.0), np.full(3, 30.0))
    fill_control(histogram, jets(1, weight=2.0, sign=-1), np.full(1, 30.0))
    signs = histogram.project("sign")
    assert signs.values().tolist() == [6.0, 2.0]
    # Three jets of weight 2: the variance is 3 * 2^2; the difference OS - SS has 12 + 4.
    assert signs.variances().tolist() == [12.0, 4.0]


def test_flavours_have_their_own_category() -> None:
    histogram = control_histogram("dy", "jet_pt")
    for flavour in (-1, 0, 1, 4, 5, 6):
        fill_control(histogram, jets(1, flavour=flavour), np.full(1, 30.0))
    assert histogram.project("flavour").values(flow=True).tolist() == [1, 1, 1, 1, 1, 1, 0]


def test_defaults_are_counted_input_by_input() -> None:
    histogram = default_counts("dy")
    mask = np.zeros((5, 67), bool)
    mask[:2, 3] = True
    fill_defaults(histogram, mask)
    fill_defaults(histogram, mask[:1])
    assert histogram.values()[0, 3].tolist() == [3, 3]
    assert histogram.variances()[0, 3].tolist() == [3, 3]
    assert histogram.values()[0, 0].tolist() == [6, 0]


def test_no_jet_fills_nothing() -> None:
    histogram = score_histogram("dy", [RAW])
    fill_scores({"b": histogram}, jets(0), {"b": np.zeros(0)}, RAW)
    assert histogram.sum(flow=True).value == 0


def test_ordering_categories_keeps_their_content() -> None:
    first, second = control_histogram("b", "jet_pt"), control_histogram("a", "jet_pt")
    fill_control(first, jets(2)._replace(dataset="b"), np.array([30.0, 300.0]))
    fill_control(second, jets(1)._replace(dataset="a"), np.array([30.0]))
    ordered = in_order(first + second, {"dataset": ["a", "b", "c"]})
    assert list(ordered.axes["dataset"]) == ["a", "b"]
    assert ordered == in_order(second + first, {"dataset": ["a", "b", "c"]})
    assert ordered[{"dataset": "b"}].sum(flow=True).value == 2
    assert ordered[{"dataset": "a"}].sum(flow=True).value == 1


def test_chunks_with_fewer_variants_add_up() -> None:
    noised = Scenario("adversarial", 2, "noise:0.1")
    data, mc = score_histogram("data", [RAW]), score_histogram("mc", [RAW, noised])
    fill_scores({"b": data}, jets(1)._replace(dataset="data"), {"b": np.array([0.5])}, RAW)
    fill_scores({"b": mc}, jets(1)._replace(dataset="mc"), {"b": np.array([0.5])}, noised)
    both = by_tagger(data + mc)
    assert both[{"dataset": "data", "variant": "noise:0.1"}].sum().value == 0
    assert both.sum().value == pytest.approx(2)


def test_scenarios_get_axes_of_tagger_epoch_and_variant() -> None:
    scenarios = [
        RAW,
        Scenario("basic", 20, "raw"),
        Scenario("mmd", 20, "raw"),
        Scenario("mmd", 20, "noise:0.1"),
    ]
    histogram = plane_histogram("dy", scenarios)
    for weight, each in enumerate(scenarios, start=1):
        fill_plane(histogram, jets(1, weight=weight), np.array([-0.1]), np.array([0.5]), each)
    spread = by_tagger(histogram)
    assert spread.sum(flow=True) == histogram.sum(flow=True)
    for weight, each in enumerate(scenarios, start=1):
        assert spread[each._asdict() | {"epoch": hist.loc(each.epoch)}].sum(flow=True).value == weight
    assert spread[{"tagger": "mmd", "epoch": hist.loc(1), "variant": "raw"}].sum(flow=True).value == 0
    control = control_histogram("dy", "jet_pt")
    assert by_tagger(control) is control


def test_a_label_stands_for_its_scenario() -> None:
    for name in ("basic", "a b", "a\tb"):
        scenario = Scenario(name, 20, "fgsm:0.1")
        assert Scenario.of_label(scenario.label) == scenario


def test_counts_are_those_of_the_histograms_own_filling() -> None:
    rng = np.random.default_rng(1)
    n_jets = 500
    some = Jets(
        "dy",
        rng.choice([-1, 0, 1, 2, 4, 5, 6], n_jets),  # 2 has no bin
        rng.choice([1, -1], n_jets).astype(np.int8),
        rng.normal(1.0, 1.0, n_jets),
    )
    scores = {name: rng.uniform(-0.3, 1.0, n_jets) for name in ("CvsL", "CvsB")}
    filled = {name: score_histogram("dy", [RAW]) for name in scores}
    expected = {name: score_histogram("dy", [RAW]) for name in scores}
    plane, expected_plane = plane_histogram("dy", [RAW]), plane_histogram("dy", [RAW])
    fill_scores(filled, some, scores, RAW)
    fill_plane(plane, some, scores["CvsL"], scores["CvsB"], RAW)
    common = {
        "dataset": "dy",
        "flavour": some.flavour,
        "sign": np.where(some.sign == 1, "OS", "SS"),
        "systematic": "nominal",
        "weight": some.weight,
        "scenario": RAW.label,
    }
    for name, values in scores.items():
        expected[name].fill(**common, value=values)
    without = (scores["CvsL"] < 0) | (scores["CvsB"] < 0)
    cvsl, cvsb = (np.where(without, -1.0, values) for values in scores.values())
    expected_plane.fill(**common, cvsl=cvsl, cvsb=cvsb)
    pairs = [*((filled[name], expected[name]) for name in scores), (plane, expected_plane)]
    for found, own in pairs:
        for part in ("value", "variance"):
            np.testing.assert_allclose(
                found.view(flow=True)[part], own.view(flow=True)[part], rtol=1e-13, atol=1e-13
            )
