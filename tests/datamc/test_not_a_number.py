"""Numbers that are none: in what a result is scaled with, in its bins, and in tables that are read back."""

import logging
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from datamc.agreement import divergence_table
from datamc.area_errors import read_area_errors
from datamc.differences import DifferenceRow, read_differences
from datamc.divergence import DivergenceRow, read_divergence
from datamc.histograms import content_of, dataset_scales, luminosity_pb
from datamc.planes import plane_templates
from datamc.records import Result
from datamc.reference_curve import (
    CurvePoint,
    EqualAucRow,
    read_curve,
    read_equal_auc,
    read_noised_areas,
)
from storage.tables import write_table
from training.evaluate import AucRow, read_auc_table

NONE_OF_THEM = (math.nan, math.inf, -math.inf, -1.0, 0.0)
"""Values that neither a cross section, a luminosity nor a sum of weights of events can have."""


def with_record(result: Result, name: str, **changed: Any) -> Result:
    return replace(result, datasets=result.datasets | {name: replace(result.datasets[name], **changed)})


@pytest.mark.parametrize("value", NONE_OF_THEM)
@pytest.mark.parametrize("key", ["cross_section_pb", "sum_weights"])
def test_nothing_is_scaled_with_what_is_no_positive_number(
    results: dict[str, Result], key: str, value: float
) -> None:
    broken = with_record(results["dy"], "ttbar", **{key: value})
    what = key if key == "cross_section_pb" else "sum of weights"
    for use in (dataset_scales, lambda result: divergence_table({"dy": result}, n_bootstrap=0)):
        with pytest.raises(ValueError, match=rf"dy, ttbar: .*{what} is {value:g}"):
            use(broken)
    with pytest.raises(ValueError, match=rf"dy, ttbar: .*{what} is {value:g}"):
        plane_templates(results | {"dy": broken}, tagger="basic", epoch=1)


@pytest.mark.parametrize("value", NONE_OF_THEM)
def test_a_luminosity_is_a_positive_number(results: dict[str, Result], value: float) -> None:
    with pytest.raises(ValueError, match=rf"dy, DoubleMuon_2017: luminosity_pb is {value:g}"):
        luminosity_pb(with_record(results["dy"], "DoubleMuon_2017", luminosity_pb=value))


def test_a_sum_of_a_variation_counts_where_the_variation_does(results: dict[str, Result]) -> None:
    broken = with_record(results["dy"], "ttbar", variation_sums={"muRUp": math.nan, "muRDown": 5.0})
    assert dataset_scales(broken)["ttbar"] == dataset_scales(results["dy"])["ttbar"]
    # 5 pb x 1000/pb over the varied sum
    assert dataset_scales(broken, "muRDown")["ttbar"] == pytest.approx(5.0 * 1000.0 / 5.0)
    with pytest.raises(ValueError, match=r"dy, ttbar: the sum of weights of muRUp is nan"):
        dataset_scales(broken, "muRUp")


def test_a_dataset_of_which_nothing_was_read_counts_as_nothing(results: dict[str, Result]) -> None:
    lost = with_record(results["dy"], "ttbar", n_events=0, sum_weights=0.0, sum_weights2=0.0)
    assert dataset_scales(lost)["ttbar"] == 0


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("dataset", ["DoubleMuon_2017", "ttbar"])
def test_a_bin_that_is_no_number_ends_what_rests_on_it(
    results: dict[str, Result], dataset: str, value: float
) -> None:
    broken = replace(results["dy"], histograms={"CvsL": results["dy"].histograms["CvsL"].copy()})
    histogram = broken.histograms["CvsL"]
    is_data = results["dy"].datasets[dataset].is_data
    cell: dict[str, Any] = {"flavour": -1 if is_data else 5, "sign": "OS", "tagger": "basic", "epoch": 3}
    place = [
        list(histogram.axes[name]).index({"dataset": dataset, **cell, "variant": "raw"}[name])
        for name in ("dataset", "flavour", "sign", "tagger", "epoch", "variant")
    ]
    histogram.view(flow=True)["value"][(*place, 0, 30)] = value
    with pytest.raises(ValueError, match=r"dy, CvsL \(basic, epoch 3, raw\): bins hold no finite number"):
        content_of(broken, "CvsL", tagger="basic", epoch=3)
    content_of(broken, "CvsL", tagger="basic", epoch=1)


def number_columns(kind: type[NamedTuple]) -> list[str]:
    return [name for name, type_of in kind.__annotations__.items() if type_of is float]


READ_BACK: list[tuple[type[NamedTuple], Callable[[Path], Any]]] = [
    (DivergenceRow, read_divergence),
    (DifferenceRow, read_differences),
    (CurvePoint, read_curve),
    (EqualAucRow, read_equal_auc),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "read"), READ_BACK)
@pytest.mark.parametrize("value", ["nan", "inf"])
def test_tables_that_are_read_back_hold_numbers(
    kind: type[NamedTuple], read: Callable[[Path], Any], value: str, tmp_path: Path
) -> None:
    texts: dict[type, str] = {str: "basic", int: "1", float: "0.5"}
    types = [texts[each] for each in kind.__annotations__.values()]
    path = tmp_path / "table.csv"
    for column in number_columns(kind):
        line = list(types)
        line[kind._fields.index(column)] = value
        path.write_text(f"{','.join(kind._fields)}\n{','.join(types)}\n{','.join(line)}\n")
        with pytest.raises(ValueError, match=rf"table.csv, line 3: {column} is {value}"):
            read(path)


def test_an_unknown_auc_is_counted_and_compared_with_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "noised_areas.csv"
    path.write_text(
        "tagger,epoch,score,sigma,auc\nbasic,3,CvsB,0.0,0.8\nbasic,3,CvsB,1.0,nan\nbasic,3,CvsL,0.0,0.7\n"
    )
    with caplog.at_level(logging.WARNING):
        assert read_noised_areas(path) == {("basic", 3, "CvsL"): [(0.0, 0.7)]}
    assert "1 of 3 AUC with noise are unknown: CvsB of basic, epoch 3" in caplog.text


def test_an_error_that_is_no_number_is_no_error_of_an_area(tmp_path: Path) -> None:
    path = tmp_path / "auc_differences.csv"
    header = "tagger,epoch,reference,reference_epoch,variant,score,difference,error"
    errors = {"b": "nan", "c": "inf", "bb": "0.2"}
    rows = [f"x,1,basic,1,raw,{score},0.1,{error}" for score, error in errors.items()]
    path.write_text("\n".join([header, *rows]) + "\n")
    assert read_area_errors(path) == {("x", 1, "basic", 1, "bb"): 0.2}


def test_an_area_without_jets_is_unknown_and_nothing_else_is(tmp_path: Path) -> None:
    row = AucRow("basic", 1, "raw", "b", math.nan, math.nan, 0, 10)
    write_table([row], tmp_path / "auc.csv", kind=AucRow)
    assert math.isnan(read_auc_table(tmp_path / "auc.csv")[0].auc)
