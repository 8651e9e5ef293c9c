import logging
from dataclasses import replace

import hist
import numpy as np
import pytest

from datamc.normalisation import default_view
from datamc.results import DatasetRecord, Result, merge_results
from datamc.templates import (
    GROUPS,
    control_variables_of,
    normalisation,
    plane_templates,
    purity_table,
    score_templates,
    scores_of,
    signed_templates,
    taggers_of,
    variants_of,
)

HERE = {"sign": "OS", "tagger": "basic", "epoch": 1, "variant": "raw", "systematic": "nominal"}


def hand_made(selection: str = "dy", *, luminosity_pb: float | None = 100.0) -> Result:
    """Two bins below 0.4 and above; the numbers are in the tests."""
    histogram = hist.Hist(
        hist.axis.StrCategory([], growth=True, name="dataset"),
        hist.axis.IntCategory([-1, 0, 1, 4, 5, 6], name="flavour"),
        hist.axis.StrCategory(["OS", "SS"], name="sign"),
        hist.axis.StrCategory([], growth=True, name="tagger"),
        hist.axis.IntCategory([], growth=True, name="epoch"),
        hist.axis.StrCategory([], growth=True, name="variant"),
        hist.axis.StrCategory([], growth=True, name="systematic"),
        hist.axis.Regular(2, -0.2, 1, name="value"),
        storage=hist.storage.Weight(),
    )
    histogram.fill(dataset="data", flavour=-1, **HERE, value=[0.1] * 6 + [0.9] * 4)
    histogram.fill(dataset="data", flavour=-1, **(HERE | {"sign": "SS"}), value=[0.9] * 5)
    histogram.fill(dataset="A", flavour=5, **HERE, value=[0.1, 0.9], weight=[2.0, 4.0])
    histogram.fill(dataset="A", flavour=6, **HERE, value=[0.9], weight=[3.0])
    histogram.fill(dataset="A", flavour=1, **(HERE | {"sign": "SS"}), value=[0.9], weight=[2.0])
    histogram.fill(dataset="B", flavour=4, **HERE, value=[0.1], weight=[-1.0])
    histogram.fill(dataset="B", flavour=0, **(HERE | {"variant": "fgsm:0.1"}), value=[0.9], weight=[8.0])
    datasets = {
        "data": DatasetRecord(True, "data", None, luminosity_pb, False, 15, 15, 15),
        "A": DatasetRecord(False, "A", cross_section_pb=10.0, n_events=500, sum_weights=1000.0),
        "B": DatasetRecord(False, "B", cross_section_pb=1.0, n_events=50, sum_weights=50.0),
    }
    return Result(selection, {"BvsL": histogram}, datasets)


def test_simulation_is_scaled_to_cross_section_times_luminosity() -> None:
    # A: 10 pb x 100 /pb / 1000 = 1; B: 1 x 100 / 50 = 2
    t = score_templates(hand_made(), "BvsL", tagger="basic", epoch=1, normalise=False)
    assert t.groups == GROUPS == ("b", "c", "light")
    np.testing.assert_allclose(t.mc, [[2, 4 + 3], [2 * -1, 0], [0, 2]])
    np.testing.assert_allclose(t.mc_variance, [[4, 16 + 9], [4 * 1, 0], [0, 4]])
    np.testing.assert_allclose(t.data, [6, 4 + 5])
    np.testing.assert_allclose(t.data_variance, [6, 9])
    np.testing.assert_allclose(t.edges, [-0.2, 0.4, 1.0])


def test_factor_comes_from_the_number_of_jets_and_applies_to_every_flavour() -> None:
    # data 15, simulation 2 + 7 - 2 + 2 = 9
    t = score_templates(hand_made(), "BvsL", tagger="basic", epoch=1)
    assert t.factor == pytest.approx(15 / 9)
    assert t.mc.sum() == pytest.approx(15)
    np.testing.assert_allclose(t.mc[0], [2 * 15 / 9, 7 * 15 / 9])
    np.testing.assert_allclose(t.mc_variance[0], [4 * (15 / 9) ** 2, 25 * (15 / 9) ** 2])


def test_same_sign_is_subtracted_for_charm_alone_and_its_variance_added() -> None:
    t = score_templates(hand_made("wc"), "BvsL", tagger="basic", epoch=1, normalise=False)
    np.testing.assert_allclose(t.data, [6, 4 - 5])
    np.testing.assert_allclose(t.data_variance, [6, 4 + 5])
    np.testing.assert_allclose(t.mc[2], [0, -2])
    np.testing.assert_allclose(t.mc_variance[2], [0, 4])
    # OS - SS: data 10 - 5, simulation (2 + 7 - 2) - 2
    assert t.factor == pytest.approx(5 / 5)
    for selection in ("dy", "ttsemilep"):
        t = score_templates(hand_made(selection), "BvsL", tagger="basic", epoch=1)
        np.testing.assert_allclose(t.data, [6, 9])


@pytest.mark.parametrize("selection", ["dy_electron", "ttsemilep_electron", "ttdilep_emu", "inclusive"])
def test_nothing_is_subtracted_outside_of_w_plus_c(selection: str) -> None:
    assert default_view(selection) == "OS+SS"
    assert default_view("wc_electron") == "OS-SS"


def test_views_of_the_signs_add_up() -> None:
    def data(view: str) -> np.ndarray:
        return score_templates(hand_made("wc"), "BvsL", tagger="basic", epoch=1, view=view).data

    np.testing.assert_allclose(data("OS") + data("SS"), data("OS+SS"))
    np.testing.assert_allclose(data("OS") - data("SS"), data("OS-SS"))


def test_data_are_the_same_for_every_variant() -> None:
    raw = score_templates(hand_made(), "BvsL", tagger="basic", epoch=1)
    attacked = score_templates(hand_made(), "BvsL", tagger="basic", epoch=1, variant="fgsm:0.1")
    np.testing.assert_array_equal(raw.data, attacked.data)
    assert raw.factor == attacked.factor
    # 8 x 2 x 15/9, light, second bin
    np.testing.assert_allclose(attacked.mc, [[0, 0], [0, 0], [0, 16 * 15 / 9]])


def test_unknown_luminosity_is_carried_by_the_factor() -> None:
    known, unknown = (
        score_templates(hand_made(luminosity_pb=value), "BvsL", tagger="basic", epoch=1)
        for value in (100.0, None)
    )
    np.testing.assert_allclose(known.mc, unknown.mc)
    assert unknown.factor == pytest.approx(100 * known.factor)


def test_categories_never_filled_are_zero() -> None:
    t = score_templates(hand_made(), "BvsL", tagger="other", epoch=99, variant="noise:1")
    assert not t.mc.any()
    assert not t.data.any()


def test_score_of_one_counts_in_the_last_bin() -> None:
    result = hand_made()
    before = signed_templates(result, "BvsL", tagger="basic", epoch=1)
    result.histograms["BvsL"].fill(dataset="data", flavour=-1, **HERE, value=1.0)
    after = signed_templates(result, "BvsL", tagger="basic", epoch=1)
    np.testing.assert_allclose(after.data - before.data, [[0, 1], [0, 0]])


def test_order_of_the_axes_does_not_matter() -> None:
    result = hand_made()
    turned = result.histograms["BvsL"].project(
        "value", "epoch", "sign", "variant", "systematic", "tagger", "flavour", "dataset"
    )
    other = Result("dy", {"BvsL": turned}, result.datasets)
    for a, b in zip(
        score_templates(result, "BvsL", tagger="basic", epoch=1),
        score_templates(other, "BvsL", tagger="basic", epoch=1),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)
    assert taggers_of(other) == [("basic", 1)]


def test_missing_pieces_are_one_sentence() -> None:
    result = hand_made()
    with pytest.raises(ValueError, match="dy: no histogram 'CvsL', but BvsL: choose"):
        score_templates(result, "CvsL", tagger="basic", epoch=1)
    with pytest.raises(ValueError, match=r"no result of ttsemilep, dy: the fit needs wc, ttsemilep, dy"):
        plane_templates({"wc": result}, tagger="basic", epoch=1)
    with pytest.raises(ValueError, match="wc: no histogram 'plane'"):
        plane_templates({s: hand_made(s) for s in ("wc", "ttsemilep", "dy")}, tagger="basic", epoch=1)
    result.histograms["BvsL"].fill(dataset="A", flavour=-1, **HERE, value=0.5)
    with pytest.raises(ValueError, match="flavour other than 0, 1, 4, 5, 6"):
        score_templates(result, "BvsL", tagger="basic", epoch=1)
    result.datasets["B"] = DatasetRecord(False, "B")
    with pytest.raises(ValueError, match="B: simulation without cross_section_pb"):
        score_templates(result, "BvsL", tagger="basic", epoch=1)
    del result.datasets["B"]
    with pytest.raises(ValueError, match="histograms hold 'B' but the result does not describe it"):
        score_templates(result, "BvsL", tagger="basic", epoch=1)


def test_empty_result_has_factor_one_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    result = hand_made()
    result.histograms["BvsL"].reset()
    with caplog.at_level(logging.WARNING):
        t = score_templates(result, "BvsL", tagger="basic", epoch=1)
    assert t.factor == 1
    assert not t.mc.any()
    assert "dy: 0 jets in data, 0 in simulation" in caplog.text
    assert taggers_of(result) == []
    with pytest.raises(ValueError, match="no histogram of jets"):
        normalisation(Result("dy", {}, {}))


def test_result_in_which_no_jet_was_ever_filled_is_finite() -> None:
    filled = hand_made()
    growing = [
        type(axis)([], growth=True, name=axis.name) if axis.traits.growth else axis
        for axis in filled.histograms["BvsL"].axes
    ]
    empty = replace(filled, histograms={"BvsL": hist.Hist(*growing, storage=hist.storage.Weight())})
    t = score_templates(empty, "BvsL", tagger="basic", epoch=1)
    assert (t.data.shape, t.mc.shape, t.factor) == ((2,), (3, 2), 1)
    assert not t.mc.any()
    assert taggers_of(empty) == []
    assert variants_of(empty) == []


def test_purities_carry_the_error_of_a_weighted_fraction() -> None:
    rows = {row.group: row for row in purity_table([hand_made()])}
    # b 9 (variance 29), c -2 (4), light 2 (4): of 9
    assert rows["b"].fraction == pytest.approx(1.0)
    assert rows["c"].fraction == pytest.approx(-2 / 9)
    # light, p = 2/9: sqrt((7/9)^2 4 + (2/9)^2 (29 + 4)) / 9
    assert rows["light"].error == pytest.approx(np.sqrt((7 / 9) ** 2 * 4 + (2 / 9) ** 2 * 33) / 9)
    assert [(r.view, r.group) for r in purity_table([hand_made("wc")])][::3] == [
        ("OS", "b"),
        ("SS", "b"),
        ("OS-SS", "b"),
    ]


def test_purity_of_an_empty_simulation_is_finite() -> None:
    result = hand_made()
    result.histograms["BvsL"].reset()
    assert all((row.fraction, row.error) == (0, 0) for row in purity_table([result]))


def test_contents_of_a_result_are_listed(results: dict[str, Result]) -> None:
    result = results["dy"]
    assert scores_of(result) == ["BvsL", "CvsL"]
    assert control_variables_of(result) == ["jet_pt", "jet_eta", "n_jets", "dimuon_mass"]
    assert taggers_of(result) == [("adversarial", 1), ("adversarial", 3), ("basic", 1), ("basic", 3)]
    assert variants_of(result) == ["raw", "noise:0.1", "fgsm:0.1"]


def test_histograms_of_anything_else_are_no_control_variables(results: dict[str, Result]) -> None:
    counts = hist.Hist(
        hist.axis.StrCategory(["data"], name="dataset"), hist.axis.IntCategory([0, 1], name="default")
    )
    other = replace(results["dy"], histograms={"counts": counts, **results["dy"].histograms})
    assert control_variables_of(other) == control_variables_of(results["dy"])
    assert normalisation(other) == normalisation(results["dy"])


def test_all_variables_share_one_factor(results: dict[str, Result]) -> None:
    for result in results.values():
        factors = {score_templates(result, name).factor for name in control_variables_of(result)}
        factors |= {
            score_templates(result, name, tagger="basic", epoch=3).factor for name in scores_of(result)
        }
        assert factors == {normalisation(result).factor}
        # the data were made as 0.9 of the simulation
        assert abs(normalisation(result).factor - 0.9) < 4 * normalisation(result).error


def test_twice_the_simulation_is_no_more_simulation_but_better_known() -> None:
    # sums of weights are merged with the histograms: the scaled yield stays, its variance halves
    once = signed_templates(hand_made(), "BvsL", tagger="basic", epoch=1)
    twice = signed_templates(merge_results([hand_made(), hand_made()]), "BvsL", tagger="basic", epoch=1)
    np.testing.assert_allclose(twice.mc, once.mc)
    np.testing.assert_allclose(twice.mc_variance, once.mc_variance / 2)
    np.testing.assert_allclose(twice.data, 2 * once.data)


def test_plane_holds_every_jet_once(results: dict[str, Result]) -> None:
    plane = plane_templates(results, tagger="basic", epoch=3, variant="fgsm:0.1")
    assert plane.data.shape == (3, 10, 50)
    assert plane.mc.shape == (3, 3, 10, 50)
    for i, name in enumerate(("wc", "ttsemilep", "dy")):
        cell = {"tagger": "basic", "epoch": hist.loc(3), "variant": "raw", "systematic": "nominal"}
        filled = results[name].histograms["plane"][cell]
        signs = [filled[{"sign": s, "flavour": hist.loc(-1)}].sum(flow=True).value for s in ("OS", "SS")]
        expected = signs[0] - signs[1] if name == "wc" else sum(signs)
        assert plane.data[i].sum() + plane.default_data[i] == pytest.approx(expected)
        # 2 % of the jets were made with a default score
        assert plane.default_mc[i].sum() / plane.mc[i].sum() == pytest.approx(0.02 / 0.98, rel=0.35)


def test_plane_knows_which_axis_is_which() -> None:
    results = {}
    for selection in ("wc", "ttsemilep", "dy"):
        result = hand_made(selection)
        source = result.histograms.pop("BvsL")
        plane = hist.Hist(
            *source.axes[:-1],
            hist.axis.Regular(4, 0, 1, name="cvsl"),
            hist.axis.Regular(2, 0, 1, name="cvsb"),
            storage=hist.storage.Weight(),
        )
        # one jet in (CvsL 0.9, CvsB 0.1), one at the corner, three defaults, two of them in one score only
        cvsl, cvsb = [0.9, 1.0, -0.1, 0.3, -0.1], [0.1, 1.0, -0.1, -0.1, 0.3]
        plane.fill(dataset="data", flavour=-1, **HERE, cvsl=cvsl, cvsb=cvsb)
        plane.fill(dataset="A", flavour=4, **HERE, cvsl=cvsl, cvsb=cvsb)
        results[selection] = Result(selection, {"plane": plane, "BvsL": source}, result.datasets)
    templates = plane_templates(results, tagger="basic", epoch=1, normalise=False)
    np.testing.assert_array_equal(templates.data[0], [[0, 0, 0, 1], [0, 0, 0, 1]])
    np.testing.assert_array_equal(templates.default_data, [3, 3, 3])
    # c is the first flavour of the fit
    np.testing.assert_array_equal(templates.mc[1, 0], [[0, 0, 0, 1], [0, 0, 0, 1]])
    assert not templates.mc[:, 1:].any()
    np.testing.assert_array_equal(templates.default_mc, [[3, 0, 0]] * 3)
