import base64
import gzip
import json
import re
from dataclasses import replace

import numpy as np
import pytest

from datamc.templates import score_templates
from plotting.json_numbers import embedded_json, short, short_list
from plotting.payload import fitting_epochs, fitting_planes, plane_payload, report_payload, thinned
from plotting.report_stacks import Stacks, collect_stacks


def key_of(*parts):
    return "\x1f".join(map(str, parts))


def test_numbers_are_short_and_never_nan():
    assert [short(value) for value in (3.0, 0.123456789, 1234567.0, np.nan, np.inf)] == [
        3,
        0.12346,
        1234600,
        None,
        None,
    ]
    assert isinstance(short(3.0), int)
    assert short_list([[1.0, 2.5], [np.nan, 0.0]]) == [[1, 2.5], [None, 0]]


def test_embedded_json_cannot_end_its_script():
    evil = {"name": "</script><script>alert(1)</script>", "and": "<!-- & \u2028"}
    text = embedded_json(evil)
    assert re.fullmatch("[A-Za-z0-9+/=]+", text)
    assert json.loads(gzip.decompress(base64.b64decode(text))) == evil
    assert embedded_json(evil) == text  # no time of day in it


def test_embedded_json_refuses_what_is_not_json():
    with pytest.raises(ValueError, match="JSON"):
        embedded_json({"value": float("nan")})


def test_payload_holds_the_templates(results):
    stacks = collect_stacks(results)
    payload = report_payload(stacks)
    assert (
        len(stacks.before) == len(payload["mc"]) == 3 * 2 * 2 * 2 * 4
    )  # views of two selections, scores, trainings, epochs, variants
    for key, (stack, processes) in stacks.before.items():
        data, mc = payload["data"][key_of(*key[:4], key[5])], payload["mc"][key_of(*key)]
        np.testing.assert_allclose(data["n"], stack.data)
        np.testing.assert_allclose(data.get("v", data["n"]), stack.data_variance)
        np.testing.assert_allclose(mc["n"], stack.mc, rtol=1e-3)
        np.testing.assert_allclose(mc["p"], [processes["W+jets"]], rtol=5e-3)
        np.testing.assert_allclose(mc["p"][0], stack.mc.sum(axis=0), rtol=5e-3)  # there is one process
        np.testing.assert_allclose(np.array(mc["e"]) ** 2, stack.mc_variance.sum(axis=0), rtol=1e-2)
        assert mc["f"] == pytest.approx(stack.factor, rel=1e-4)
    np.testing.assert_allclose(payload["edges"], np.linspace(-0.2, 1, 61), atol=1e-9)


def test_opposite_and_same_sign_travel_apart_where_one_is_subtracted(results):
    stacks = collect_stacks(results)
    assert {key[5] for key in stacks.before if key[0] == "dy"} == {"OS+SS"}
    assert {key[5] for key in stacks.before if key[0] == "wc"} == {"OS", "SS"}
    place = ("wc", "CvsL", "basic", 3, "raw")
    expected = score_templates(results["wc"], "CvsL", tagger="basic", epoch=3)
    opposite, same = (stacks.before[*place, view].templates for view in ("OS", "SS"))
    np.testing.assert_allclose(opposite.mc - same.mc, expected.mc)
    np.testing.assert_allclose(opposite.mc_variance + same.mc_variance, expected.mc_variance)
    np.testing.assert_allclose(opposite.data - same.data, expected.data)


def test_controls_offer_what_there_is(results):
    payload = report_payload(collect_stacks(results))
    assert payload["selections"] == [
        {"key": "dy", "name": "DY + jets", "views": [{"key": "OS+SS", "name": "all"}]},
        {
            "key": "wc",
            "name": "W + c (OS−SS)",
            "views": [
                {"key": "OS-SS", "name": "OS−SS"},
                {"key": "OS", "name": "OS"},
                {"key": "SS", "name": "SS"},
            ],
        },
    ]
    assert payload["taggers"] == [
        {"key": "basic", "epochs": [1, 3]},
        {"key": "adversarial", "epochs": [1, 3]},
    ]
    assert [variant["name"] for variant in payload["variants"]] == [
        "raw",
        "noise σ = 0.1",
        "FGSM ε = 0.05",
        "FGSM ε = 0.1",
    ]
    assert [score["key"] for score in payload["scores"]] == ["CvsB", "CvsL"]


def test_rows_travel_without_those_that_hold_nothing(row, auc_row):
    rows = [row("basic", 0.25, error=0.125), row("basic", 0.0, status="empty_data")]
    rows.append(rows[0]._replace(epoch=4, data_mc_auc=0.53125, n_blocks=32))
    payload = report_payload(
        Stacks({}, {}, {}, {}), divergence=rows, auc_rows=[auc_row("basic", 3, "raw", "CvsL", float("nan"))]
    )
    assert payload["divergence"] == [
        ["dy", "CvsL", "basic", 3, "raw", 0.25, 0.125, 0.375, 0.01, 70, 50, 0, 0, 0, 0, 0, 0, None, 1],
        # the area is of the fine bins of blocks: without these nobody knows it
        ["dy", "CvsL", "basic", 4, "raw", 0.25, 0.125, 0.375, 0.01, 70, 50, 0, 0, 0, 0, 0, 0, 0.5312, 1],
    ]
    assert payload["auc"] == [["basic", 3, "raw", "CvsL", None, 0.002]]
    null = report_payload(Stacks({}, {}, {}, {}), null=rows)["null"]
    assert null == [["dy", "CvsL", "basic", epoch, "raw", 0.25, 0.125, 0.375, 0.01] for epoch in (3, 4)]


def test_epochs_beyond_the_budget_are_thinned(results):
    assert fitting_epochs(results) == [1, 3]
    assert fitting_epochs(results, budget=1) == [3]
    assert {key[3] for key in collect_stacks(results, epochs=[3]).before} == {3}
    assert fitting_epochs({}) == []


def test_a_training_that_ends_early_is_shown_at_its_end(results, scale_factors):
    early = {name: without_later_epochs(result, "adversarial") for name, result in results.items()}
    assert fitting_epochs(early, budget=1) == [1, 3]
    fits = [scale_factors._replace(tagger=tagger, epoch=e) for tagger, e in (("a", 1), ("b", 1), ("b", 9))]
    assert [(each.tagger, each.epoch) for each in fitting_planes(fits, n=1)] == [("a", 1), ("b", 9)]


def without_later_epochs(result, tagger):
    """The result without the second epoch of a training."""
    histograms = {name: histogram.copy() for name, histogram in result.histograms.items()}
    for histogram in histograms.values():
        at = [list(histogram.axes[name]).index(value) for name, value in (("tagger", tagger), ("epoch", 3))]
        histogram.view(flow=True)[:, :, :, at[0], at[1]] = np.zeros((), histogram.view().dtype)
    return replace(result, histograms=histograms)


def test_thinning_is_even_and_keeps_the_last():
    assert thinned(range(1, 10), n=3) == [1, 5, 9]
    assert thinned([1, 2], n=5) == [1, 2]
    assert thinned([1, 2, 3], n=0) == [3]
    assert thinned([], n=3) == []


def test_a_selection_without_data_has_no_stack(result_of):
    result = result_of("inclusive")
    del result.datasets["data"]
    assert collect_stacks({"inclusive": result}) == Stacks({}, {}, {}, {})


def test_planes_travel_cell_by_cell(scale_factors):
    plane = plane_payload(scale_factors)
    assert plane["cells"][2] == [0, 0.2, 0.5, 1]
    assert plane["isDefault"] == [4]
    c, b, light = plane["flavours"]
    assert (c["key"], c["value"]) == ("c", [0.9, 0.8, 0.7, 1.6, 0.95])
    assert b["error"] == [0.2, 0.2, 0.2, 0.2, 1]
    assert [plane["statuses"][status] for status in light["status"]] == ["low_stat", "ok", "ok", "ok", "ok"]


def test_planes_are_thinned_by_epoch(scale_factors):
    planes = [
        scale_factors._replace(epoch=epoch, tagger=tagger) for epoch in range(1, 10) for tagger in ("a", "b")
    ]
    assert [(each.epoch, each.tagger) for each in fitting_planes(planes, n=4)] == [
        (1, "a"),
        (1, "b"),
        (9, "a"),
        (9, "b"),
    ]
    assert fitting_planes([]) == []
