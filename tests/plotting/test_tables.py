import numpy as np

from plotting.tables import (
    auc_tables,
    divergence_tables,
    equal_auc_tables,
    scale_factor_tables,
    verdict_tables,
    with_error,
)


def test_divergences_stand_beside_their_difference(row):
    rows = [
        row("adversarial", 0.0020, error=0.0003),
        row("basic", 0.0100, error=0.0004),
        row("basic", 0.9, epoch=1),
        row("basic", 0.5, variant="fgsm:0.1"),
    ]
    (table,) = divergence_tables(rows)
    assert table.caption == "DY + jets: basic epoch 3, adversarial epoch 3"
    assert [(each.name, list(each.columns)) for each in table.variants] == [
        ("statistics alone (raw)", ["basic", "adversarial"]),
        ("raw", ["basic", "adversarial", "difference"]),
        ("FGSM ε = 0.1", ["basic", "adversarial", "difference"]),
    ]
    (line,) = table.rows
    # in units of 1e-3; (2 - 10) / sqrt(0.3^2 + 0.4^2) = -16 sigma
    assert [cell.text for cell in line.cells[:2]] == ["10", "10"]
    assert [(cell.text, cell.error) for cell in line.cells[2:5]] == [
        ("10.00", "± 0.40"),
        ("2.00", "± 0.30"),
        ("−16.0 σ", ""),
    ]
    assert [cell.lower for cell in line.cells[2:5]] == [False, False, True]
    assert [cell.text for cell in line.cells[5:]] == ["500", "–", "–"]


def test_the_error_is_half_the_band(row):
    (table,) = divergence_tables([row("basic", 0.0100)._replace(low=0.0096, high=0.0112)])
    assert (table.rows[0].cells[1].text, table.rows[0].cells[1].error) == ("10.00", "± 0.80")


def test_the_mirror_image_shows_the_same_difference(row):
    rows = [
        row(tagger, kl, score=score)
        for tagger, kl in (("basic", 1.0), ("pgd", 2.0))
        for score in ("BvsC", "CvsB")
    ]
    (table,) = divergence_tables(rows)
    assert [line.cells[4].text for line in table.rows] == ["+7.1 σ", "+7.1 σ"]  # 1 / sqrt(0.02)


def test_missing_divergences_are_dashes(row):
    (table,) = divergence_tables([row("basic", 0.0, status="empty_mc")])
    assert [cell.text for cell in table.rows[0].cells] == ["–", "–"]


def test_areas_are_those_of_the_last_epoch(auc_row):
    rows = [auc_row("basic", 1, "raw", "CvsL", 0.1), auc_row("basic", 2, "raw", "CvsL", 0.5, 0.132)]
    (table,) = auc_tables(rows)
    assert table.rows == [["basic, epoch 2", *["–"] * 7, "0.50(13)"]]


def test_errors_in_brackets_count_the_last_digits():
    assert with_error(0.91853, 0.00214) == "0.9185(21)"
    assert with_error(0.91853, 0.0) == "0.9185"


def test_scale_factors_are_summed_up_at_the_last_epoch(scale_factors):
    (table,) = scale_factor_tables([scale_factors._replace(epoch=1), scale_factors])
    assert [line[:3] for line in table.rows] == [
        ["basic, epoch 3, raw", "c", "5 of 5"],
        ["basic, epoch 3, raw", "b", "4 of 5"],
        ["basic, epoch 3, raw", "light", "4 of 5"],
    ]
    assert scale_factor_tables([]) == []


def test_nothing_measured_is_a_dash_and_no_zero(scale_factors):
    unknown = scale_factors._replace(status=np.full((5, 3), "low_stat"))
    (table,) = scale_factor_tables([unknown])
    assert [line[2:5] for line in table.rows] == [["0 of 5", "–", "–"]] * 3


def test_verdicts_name_the_clear_differences(row):
    rows = [
        row("basic", 1.0),
        row("adversarial", 0.5),  # -0.5 / (sqrt(2) 0.1) = -3.5
        row("basic", 1.0, score="CvsB"),
        row("adversarial", 1.1, score="CvsB"),  # +0.7
        row("basic", 1.0, variant="fgsm:0.1"),
        row("adversarial", 2.0, variant="fgsm:0.1"),  # +7.1
    ]
    (table,) = verdict_tables(rows)
    assert table.columns == ["CvsB", "CvsL"]
    assert [line.name for line in table.rows] == ["DY + jets, undistorted", "DY + jets, FGSM ε = 0.1"]
    cells = [[(cell.text, cell.verdict) for cell in line.cells] for line in table.rows]
    assert cells == [[("+0.7 σ", ""), ("−3.5 σ", "better")], [("–", ""), ("+7.1 σ", "worse")]]
    assert verdict_tables([]) == []


def test_verdicts_in_every_measure_where_events_are_shared(row, paired):
    rows = [row("basic", 1.0), row("adversarial", 0.9)]
    differences = [
        paired(-0.1, 0.01),
        paired(0.3, 0.1, measure="js"),
        paired(1.0, 0.1, measure="js", epoch=1),
        paired(-0.2, 0.1, measure="auc"),
    ]
    (table,) = verdict_tables(rows, differences)
    assert [(line.name, [cell.text for cell in line.cells]) for line in table.rows] == [
        ("DY + jets, undistorted, KL, 60 bins", ["−10.0 σ"]),
        ("DY + jets, undistorted, Jensen–Shannon", ["+3.0 σ"]),
        ("DY + jets, undistorted, data against simulation, AUC", ["−2.0 σ"]),
    ]


def test_ratios_at_equal_auc_say_when_they_leave_the_curve(equal_auc):
    rows = [
        equal_auc(0.5, 0.12),
        equal_auc(1.2, 0.1, score="CvsB", status="above"),
        equal_auc(9.0, 1.0, epoch=1),
    ]
    (table,) = equal_auc_tables(rows)
    assert table.caption == "“adversarial”, epoch 3: divergence over that of “basic” at the same AUC"
    assert table.columns == ["Selection, measure", "CvsB", "CvsL"]
    assert table.rows == [["DY + jets, KL, 60 bins", "1.20 ± 0.10 ↑", "0.50 ± 0.12"]]
    assert equal_auc_tables([]) == []
