"""Errors of areas in the comparison at equal AUC."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from datamc.area_errors import AreaErrors, read_area_errors
from datamc.differences import Measured
from datamc.reference_curve import Curve, EqualAucRow, equal_auc_rows

AREAS = {("basic", 1, "CvsL"): [(0.0, 0.90), (1.0, 0.80)], ("other", 1, "CvsL"): [(0.0, 0.85)]}


def measured(value: float) -> Measured:
    """Replicas that do not move: no error of its own."""
    return Measured(np.full(5, value), 0.0, 0.0)


def rows(area_errors: AreaErrors | None, curve: Sequence[float] = (0.4, 0.2)) -> list[EqualAucRow]:
    """The reference falls from 0.4 to 0.2 between the AUCs 0.90 and 0.80; the other has 0.15 at 0.85."""
    line = Curve(np.array([0.0, 1.0]), np.array([0.90, 0.80]), tuple(measured(each) for each in curve))
    own = {("basic", 1): {"kl": measured(curve[0])}, ("other", 1): {"kl": measured(0.15)}}
    return equal_auc_rows(
        ("dy", "CvsL"), own, {1: {"kl": line}}, AREAS, reference="basic", n_blocks=4, area_errors=area_errors
    )


def test_the_error_of_an_area_moves_along_the_curve() -> None:
    basic, other = rows({("other", 1, "basic", 1, "CvsL"): 0.01})
    assert (basic.ratio, basic.ratio_error) == (pytest.approx(1), 0)
    # The curve is 0.3 at 0.85 and rises by 2 per AUC: 0.01 of it are 0.02 of 0.3.
    assert other.ratio == pytest.approx(0.15 / 0.3)
    assert other.ratio_error == pytest.approx(0.5 * 0.02 / 0.3)


def test_without_errors_or_slope_nothing_is_added() -> None:
    assert rows(None)[1].ratio_error == 0
    assert rows({("other", 1, "basic", 1, "CvsL"): 0.01}, (0.3, 0.3))[1].ratio_error == 0


def test_only_undistorted_inputs_count(tmp_path: Path) -> None:
    assert read_area_errors(tmp_path / "auc_differences.csv") == {}
    (tmp_path / "auc_differences.csv").write_text(
        "tagger,epoch,reference,reference_epoch,variant,score,difference,error\n"
        "other,1,basic,1,raw,CvsL,-0.05,0.002\nother,1,basic,1,fgsm:0.1,CvsL,-0.05,0.003\n"
    )
    assert read_area_errors(tmp_path / "auc_differences.csv") == {("other", 1, "basic", 1, "CvsL"): 0.002}
