import hist
import numpy as np
import pytest

from datamc.records import DatasetRecord, Result
from datamc.stacks import process_templates, systematic_shifts
from datamc.templates import score_templates


def histogram(systematics=("nominal",)):
    return hist.Hist(
        hist.axis.StrCategory(["data", "w", "tt"], name="dataset"),
        hist.axis.IntCategory([-1, 0, 1, 4, 5, 6], name="flavour"),
        hist.axis.StrCategory(["OS", "SS"], name="sign"),
        hist.axis.StrCategory(["basic"], name="tagger"),
        hist.axis.IntCategory([1], name="epoch"),
        hist.axis.StrCategory(["raw"], name="variant"),
        hist.axis.StrCategory(list(systematics), name="systematic"),
        hist.axis.Regular(2, 0, 1, name="value"),
        storage=hist.storage.Weight(),
    )


def result_of(filled):
    records = {
        "data": DatasetRecord(True, "data", None, 1.0, True, 10, 10.0, 10.0),
        "w": DatasetRecord(False, "W+jets", 1.0, None, True, 10, 1.0, 1.0),
        "tt": DatasetRecord(False, "tt", 1.0, None, True, 10, 1.0, 1.0),
    }
    return Result(selection="wc", histograms={"CvsL": filled}, datasets=records)


def fill(filled, dataset, flavour, sign, first, second, systematic="nominal"):
    values = np.array([0.25] * first + [0.75] * second)
    filled.fill(
        dataset=dataset, flavour=flavour, sign=sign, tagger="basic", epoch=1, variant="raw",
        systematic=systematic, value=values,
    )  # fmt: skip


@pytest.fixture
def stacked():
    filled = histogram()
    fill(filled, "data", -1, "OS", 5, 7)
    fill(filled, "data", -1, "SS", 1, 1)
    fill(filled, "w", 4, "OS", 3, 4)
    fill(filled, "w", 0, "SS", 1, 0)
    fill(filled, "tt", 5, "OS", 1, 0)
    fill(filled, "tt", 5, "SS", 0, 2)
    return result_of(filled)


def test_simulation_is_stacked_by_process(stacked):
    templates = process_templates(stacked, "CvsL", tagger="basic", epoch=1)
    # OS - SS of W (3 - 1, 4 - 0), of tt (1 - 0, 0 - 2): 5 jets, data 10: factor 2
    assert templates.groups == ("tt", "W+jets")
    assert templates.factor == 2
    np.testing.assert_allclose(templates.mc, [[2, -4], [4, 8]])
    np.testing.assert_allclose(templates.mc_variance, [[4, 8], [16, 16]])  # 2^2 x numbers of jets


def test_processes_add_up_to_the_flavours(stacked):
    for view in ("OS", "SS", "OS+SS", "OS-SS"):
        ours = process_templates(stacked, "CvsL", tagger="basic", epoch=1, view=view)
        whole = score_templates(stacked, "CvsL", tagger="basic", epoch=1, view=view)
        np.testing.assert_allclose(ours.mc.sum(axis=0), whole.mc.sum(axis=0))
        np.testing.assert_allclose(ours.data, whole.data)


def test_shifts_are_added_in_quadrature_without_their_rate():
    filled = histogram(("nominal", "aUp", "aDown", "bUp", "bDown"))
    fill(filled, "data", -1, "OS", 8, 8)
    for systematic, bins in {
        "nominal": (8, 8),
        "aUp": (22, 10),  # scaled to 16 jets: 11, 5: +3, -3
        "aDown": (8, 8),
        "bUp": (12, 4),  # +4, -4
        "bDown": (7, 9),  # -1, +1
    }.items():
        fill(filled, "w", 4, "OS", *bins, systematic=systematic)
    shifts = systematic_shifts(result_of(filled), "CvsL", tagger="basic", epoch=1)
    np.testing.assert_allclose(shifts, [[1, 5], [5, 1]])  # down: 1, hypot(3, 4); up: hypot(3, 4), 1


def test_a_result_without_variations_has_no_shifts(stacked):
    assert systematic_shifts(stacked, "CvsL", tagger="basic", epoch=1) is None
