import numpy as np

from plotting.tables import auc_tables, details, divergence_tables, scale_factor_tables, with_error


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


def test_details_hold_what_is_behind_the_numbers(results):
    parts = {detail.title: detail for detail in details(results)}
    # dy: 1100 expected, 1000 + 500 processed; the same again for wc
    assert (
        parts["Ledger of events"].text
        == "3,200 events expected, 3,000 processed, 200 declared lost: nothing is missing."
    )
    lost = parts["Ledger of events"].tables[0].rows[0]
    assert lost == ["broken.root", "mc", "failed", "no basket", "100", "0"]
    cutflow = parts["Cutflows"].tables[0]
    assert cutflow.caption == "DY + jets: mc"
    assert cutflow.rows == [["all", "500", "250", "100.0 %"], ["trigger", "125", "62.5", "25.0 %"]]
    assert '"profile": "btv20001"' in parts["Configuration"].blocks[0]
    assert parts["Versions"].tables[0].rows == [["advtag", "0.1.0"]]
    assert parts["Notes"].text == "all events are simulated."


def test_normalisation_and_purity_are_computed(results):
    detail = details({"dy": results["dy"]})[0]
    factors, purities = detail.tables
    # 120 jets in data; 3 flavours x 60 jets x weight 0.5 x 2 pb x 1500 / pb / 250 = 1080 expected
    assert factors.rows[0][0] == "DY + jets"
    # 1/9 sqrt(1 / 120 + 1 / 180) = 0.0131
    assert factors.rows[0][1] == "0.111 ± 0.013"
    assert factors.rows[0][2:] == ["120", "1,080"]
    # a third each; error sqrt(2/9 / 180) = 3.5 %
    assert purities.rows == [["DY + jets", "all", *["33.3 ± 3.5 %"] * 3]]
