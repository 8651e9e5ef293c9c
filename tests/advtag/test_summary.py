"""The tables at the end of the demo show what the rows hold."""

from advtag.summary import auc_rows, divergence_rows, history_rows, show_differences
from datamc.differences import DifferenceRow
from datamc.divergence import DivergenceRow
from datamc.history import HistoryRow
from training.evaluate import AucRow


def area(tagger: str, epoch: int, variant: str, value: float) -> AucRow:
    return AucRow(tagger, epoch, variant, "BvsL", value, 0.01, 10, 10)


def test_losses_are_those_of_the_last_epoch_and_basic_comes_first() -> None:
    rows = auc_rows(
        [
            area("adversarial", 2, "raw", 0.94), area("adversarial", 2, "fgsm:0.1", 0.93),
            area("basic", 2, "fgsm:0.1", 0.90), area("basic", 2, "raw", 0.95),
            area("basic", 1, "raw", 0.80), area("basic", 1, "fgsm:0.1", 0.10),
        ]
    )  # fmt: skip
    # 0.95 - 0.90 = 0.05 and 0.94 - 0.93 = 0.01
    assert rows == [
        {"score": "BvsL", "tagger": "basic", "raw": "0.9500", "loss, fgsm:0.1": "0.0500"},
        {"score": "BvsL", "tagger": "adversarial", "raw": "0.9400", "loss, fgsm:0.1": "0.0100"},
    ]


def test_divergences_are_in_ten_thousandths_with_half_their_band() -> None:
    def row(epoch: int, kl: float, status: str = "ok", variant: str = "raw") -> DivergenceRow:
        return DivergenceRow(
            "dy", "CvsB", "basic", epoch, variant, kl, kl - 0.001, kl + 0.003, 0.0005,
            chi2=1.0, n_degrees=1, n_data=1.0, n_mc=1.0, dropped_fraction=0.0, n_replaced=0, status=status,
        )  # fmt: skip

    rows = divergence_rows([row(2, 0.0123), row(1, 0.5), row(2, 0.0, "empty_mc", "fgsm:0.1")], "dy")
    # the band is 0.004 wide, its half 0.002 = 20e-4
    assert rows == [
        {
            "score": "CvsB",
            "tagger": "basic",
            "statistics alone": "5",
            "raw": "123 ± 20",
            "fgsm:0.1": "empty_mc",
        }
    ]
    assert divergence_rows([row(2, 0.0123)], "wc") == []


def test_a_flavour_without_measured_cells_has_no_mean() -> None:
    measured = HistoryRow("basic", 2, "raw", "c", 9, 8, 0.05, 0.14, 0.1, 0.0, 1.0, 0.02)
    rows = history_rows([measured._replace(epoch=1), measured, measured._replace(flavour="b", n_ok=0)])
    assert [(row["flavour"], row["cells measured"], row["mean |SF - 1|"]) for row in rows] == [
        ("c", "8 of 9", 0.05),
        ("b", "0 of 9", None),
    ]


def test_each_training_is_compared_at_its_last_epoch(capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    pairs = [("other", 3, "basic", 3), ("other", 3, "basic", 9), ("third", 9, "basic", 9)]
    show_differences([
        DifferenceRow("dy", "CvsL", "raw", "kl", *pair, 1e-3, 1e-4, 10.0 * i, 1.0, 0.1, 32)
        for i, pair in enumerate(pairs, start=1)
    ])  # fmt: skip
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if "CvsL" in line]
    assert [line[2:5] for line in lines] == [["third", "-", "basic"], ["other", "-", "basic"]]
    assert [line[5:8] for line in lines] == [["9", "10.0", "±"], ["3", "-", "9"]]
