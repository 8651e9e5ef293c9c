"""The page of a study says what its tables hold, and the opposite where these hold the opposite."""

import re
from pathlib import Path

import pytest
from matplotlib.colors import to_hex
from scipy.stats import norm

from datamc.method_scale_factors import MethodScaleFactors
from datamc.method_tables import MethodRow, MethodStudy, PairRow, ReferencePoint, SeedRow
from plotting.methods_figure import (
    BETTER,
    NEITHER,
    REFERENCE,
    WORSE,
    draw_methods,
    draw_ratios,
    look_of,
    spread_out,
)
from plotting.methods_page import write_methods_page
from plotting.methods_summary import (
    after_choice,
    chosen_rows,
    null_sentence,
    place_sentence,
    trap_sentence,
    value_text,
    winner_of,
)
from plotting.methods_tables import main_table, null_tables, ratio_cell, ratio_tables, scale_factor_tables

SELECTIONS = ("dy", "wc")
SCORES = ("BvsL", "CvsL", "CvsB")
RATIOS = {"fgsm": 1.31, "aug": 0.83, "aug+mmd": 0.62}
PLACE = {"scenario": "data", "selection": "dy", "score": "CvsB", "measure": "kl"}


def method_row(
    method: str, ratio: float, error: float = 0.05, *, scenario: str = "data", selection: str = "dy",
    score: str = "CvsB", measure: str = "kl", auc: float = 0.85, over_basic: float | None = None,
    status: str = "ok", pull: float = 7.0, p_value: float = 0.5,
) -> MethodRow:  # fmt: skip
    """A method that is `ratio` of the curve; its bare ratio is the same unless given."""
    is_reference = method == "basic"
    error = 0.0 if is_reference else error
    return MethodRow(
        scenario, selection, score, measure, method, "basic", 3,
        auc=auc, auc_error=0.0004, auc_attacked=0.8, excess=57e-4 * ratio, excess_error=8e-4, offset=12e-4,
        pull=pull, ratio_basic=ratio if over_basic is None else over_basic, ratio_basic_error=error,
        ratio_curve=ratio, ratio_curve_error=error, ratio_curve_events=0.6 * error,
        ratio_curve_seeds=0.8 * error, ratio_curve_areas=0.0,
        significance=(1 - ratio) / error if error else 0.0,
        ratio_early=ratio, ratio_early_error=error, chi2_per_degree=3.6, p_value=p_value, status=status,
    )  # fmt: skip


def made_study(ratios: dict[str, float], *, scenarios: tuple[str, ...] = ("data",)) -> MethodStudy:
    """All scores and two measures of methods with these ratios at equal AUC, and their differences."""
    study = MethodStudy([], [], [], [])
    for scenario in scenarios:
        for selection in SELECTIONS:
            for score in SCORES:
                for measure in ("kl", "kl_equal", "auc"):
                    place = {"scenario": scenario, "selection": selection, "score": score, "measure": measure}
                    _add(study, ratios, place)
    return study


def _add(study: MethodStudy, ratios: dict[str, float], place: dict[str, str]) -> None:
    is_null = place["scenario"] == "null"
    names = tuple(place.values())
    methods = {"basic": 1.0} | ratios
    for i, (method, ratio) in enumerate(methods.items()):
        row = method_row(method, ratio, auc=0.85 - 0.002 * i, **place)
        row = row._replace(status="weak", excess=1e-5, pull=0.1 * i - 0.7) if is_null else row
        study.rows.append(row)
        for seed in (1, 2, 3):
            tagger, auc = f"{method}.s{seed}", row.auc + 1e-4 * seed
            study.seeds.append(SeedRow(*names, method, tagger, 20, auc, row.excess, ratio))
        for other in list(methods)[i + 1 :]:
            difference = ratio - methods[other]
            study.pairs.append(PairRow(*names, method, other, difference, 0.04, difference / 0.04))
    for kind, steps in (("noise", (0.0, 0.5, 1.0)), ("early", (20, 10, 5))):
        for j, step in enumerate(steps):
            study.curves.append(ReferencePoint(*names, kind, step, 0.85 - 0.01 * j, 57e-4 - 8e-4 * j, 8e-4))


def said(ratios: dict[str, float]) -> str:
    study = made_study(ratios)
    return place_sentence(chosen_rows(study.rows, **PLACE), study.pairs)


def test_the_best_is_named_with_its_distance_from_1_and_from_the_second() -> None:
    text = said(RATIOS)
    # (1 - 0.62) / 0.05 = 7.6; (0.83 - 0.62) / 0.04 = 5.2
    assert text.startswith(
        "DY + jets, CvsB: “aug+mmd” agrees best with data. Its KL divergence is 0.62 ± 0.05"
    )
    assert "7.6 σ below 1" in text
    assert "The second is “aug” with 0.83 ± 0.05, 5.2 σ behind." in text


def test_opposite_numbers_give_the_opposite_sentence() -> None:
    text = said({method: 2 - ratio for method, ratio in RATIOS.items()})
    # now fgsm has 0.69, the others 1.17 and 1.38
    assert "“fgsm” agrees best with data" in text
    assert "6.2 σ below 1" in text


@pytest.mark.parametrize("lowest", [0.95, 1.2])
def test_nothing_beats_a_loss_of_performance_where_nothing_does(lowest: float) -> None:
    text = said({"fgsm": 1.31, "aug": lowest})
    assert "nothing beats a trivial loss of performance" in text
    assert "“aug”, the lowest of 2 methods" in text
    assert "best" not in text
    assert ("σ below 1" if lowest < 1 else "4.0 σ above 1") in text


def test_a_small_advantage_of_the_lowest_of_many_is_no_advantage() -> None:
    many = {f"m{i}": 1.0 for i in range(11)} | {"lucky": 0.89}
    # 2.2 sigma alone would be claimed; the lowest of 12 is that low by chance in every sixth study
    assert "nothing beats" in said(many)
    assert "“lucky” agrees best" in said({"lucky": 0.89})
    expected = norm.isf(1 - (1 - norm.sf(2.2)) ** 12)
    assert after_choice(2.2, 12) == pytest.approx(expected)
    assert after_choice(-1.0, 12) == 0
    assert 39 < after_choice(40.0, 12) <= 40


def test_two_that_are_close_are_not_told_apart() -> None:
    rows = [method_row("basic", 1.0), method_row("a", 0.7), method_row("b", 0.72)]
    pairs = [PairRow("data", "dy", "CvsB", "kl", "b", "a", 0.02, 0.04, 0.5)]
    assert "It is not told apart from “b” (0.72 ± 0.05, 0.5 σ)." in place_sentence(rows, pairs)


def test_a_method_that_lost_much_auc_is_no_candidate() -> None:
    rows = [method_row("basic", 1.0), method_row("wreck", 0.1, auc=0.80), method_row("aug", 0.8)]
    winner = winner_of(rows, [])
    assert winner is not None
    assert (winner.row.method, winner.n_methods) == ("aug", 1)


def test_a_reference_without_excess_says_so() -> None:
    rows = [method_row("basic", 1.0, status="weak"), method_row("aug", 0.1, status="weak")]
    assert winner_of(rows, []) is None
    assert "too few events to say" in place_sentence(rows, [])
    assert ratio_cell(rows[1]).text == "–"


def test_a_measure_that_jumps_says_so() -> None:
    rows = [method_row("basic", 1.0, status="unstable"), method_row("aug", 0.05, status="unstable")]
    assert "jumps with every fluctuation" in place_sentence(rows, [])


def test_one_seed_is_told() -> None:
    rows = [method_row("basic", 1.0), method_row("aug", 0.5)._replace(n_seeds=1)]
    assert "10.0 σ below 1 with one seed, that is, without the scatter" in place_sentence(rows, [])


def test_agreement_that_the_auc_explains_is_told() -> None:
    rows = [method_row("basic", 1.0), method_row("fgsm", 1.31, over_basic=0.84), method_row("aug", 0.6)]
    text = trap_sentence(rows)
    assert "“fgsm” (0.84 ± 0.05 of “basic”, 1.31 ± 0.05 at equal AUC)" in text
    assert "aug" not in text
    assert trap_sentence([method_row("basic", 1.0), method_row("fgsm", 1.31)]) == ""


def test_the_null_data_set_tells_its_largest_excess() -> None:
    rows = [
        method_row("basic", 1.0, scenario="null", pull=0.4),
        method_row("aug", 1.0, scenario="null", pull=-1.9, p_value=0.04),
    ]
    text = null_sentence(rows, measure="kl")
    assert "the largest of 2 excesses is −1.9 σ (“aug”, DY + jets, CvsB)" in text
    assert "0.04 (“aug”" in text
    assert null_sentence(rows, measure="js") == ""
    (table,) = null_tables(rows, measure="kl")
    assert [cell.text for line in table.rows for cell in line.cells] == [
        "+0.4 σ, p = 0.50",
        "−1.9 σ, p = 0.04",
    ]


def test_the_table_of_a_selection() -> None:
    study = made_study(RATIOS, scenarios=("data", "second"))
    table = main_table(
        study.rows, scenarios=["data", "second", "third"], selection="dy", score="CvsB", measure="kl",
        costs={"basic": 1.0, "aug": 1.1},
    )  # fmt: skip
    lines = {line.name: dict(zip(table.columns, line.cells, strict=True)) for line in table.rows}
    assert table.caption == "DY + jets: KL divergence of CvsB, “data”, 3 seeds each"
    aug = {name: cell.text for name, cell in lines["aug"].items()}
    assert aug == {
        "AUC BvsL": "0.8460", "AUC CvsL": "0.8460", "BvsL attacked": "0.800", "CvsL attacked": "0.800",
        "CvsB excess, 10⁻⁴": "47.3 ± 8.0 (12)", "Over basic": "0.83 ± 0.05", "Over equal AUC": "0.83 ± 0.05",
        "Below 1 by": "+3.4 σ", "Over early stop": "0.83 ± 0.05", "Equal AUC, second": "0.83 ± 0.05",
        "χ²/ndf": "3.60", "Training time": "1.1",
    }  # fmt: skip
    verdicts = {name: cells["Over equal AUC"].verdict for name, cells in lines.items()}
    assert verdicts == {"basic": "", "fgsm": "worse", "aug": "better", "aug+mmd": "better"}
    assert lines["fgsm"]["Training time"].text == "–"
    by_score, by_measure = ratio_tables(study.rows, scenario="data", score="CvsB", measure="kl")[:2]
    assert by_score.columns == ["BvsL", "CvsB", "CvsL"]
    assert by_measure.columns == [
        "KL divergence",
        "KL divergence in bins of equal population",
        "area of data against simulation",
    ]


def test_scale_factors_have_a_table_per_scenario() -> None:
    row = MethodScaleFactors("data", "aug", "c", 3, 20, 0.081, 0.012, 0.01, 0.006, 0.03, 0.07, 1.1, 0.3)
    (table,) = scale_factor_tables([row, row._replace(flavour="all", n_ok=0)])
    assert table.columns == ["c", "statistics alone", "all flavours", "statistics alone"]
    assert [cell.text for cell in table.rows[0].cells] == ["0.081 ± 0.012", "0.030", "–", "–"]


def test_values_are_written_to_the_digits_of_their_errors() -> None:
    assert value_text(0.6234, 0.041) == "0.62 ± 0.04"
    assert value_text(0.98, 0.29) == "0.98 ± 0.29"
    assert value_text(-13.13, 166.6) == "−13 ± 167"
    assert value_text(0.9934, 0.0012) == "0.993 ± 0.001"
    assert value_text(1.0, 0.0) == "1.00"


def test_the_figure_shows_methods_seeds_and_both_curves() -> None:
    study = made_study(RATIOS)
    figure = draw_methods(study.rows, study.seeds, study.curves, scenario="data", score="CvsB", measure="kl")
    assert len(figure.axes) == 2
    axes = figure.axes[0]
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert lines["reference with noise"].get_ydata() == pytest.approx([41, 49, 57])
    assert lines["reference stopped early"].get_xdata() == pytest.approx([0.83, 0.84, 0.85])
    seeds = [line for line in axes.get_lines() if line.get_alpha() == 0.3]
    assert len(seeds) == 3 * 4
    points = {
        text.get_text(): (text.xy, to_hex(text.get_color()))
        for text in axes.texts
        if text.get_text() in RATIOS
    }
    assert points["aug+mmd"] == (pytest.approx((0.844, 57 * 0.62)), BETTER.colour)
    assert points["fgsm"][1] == WORSE.colour
    assert any("Simulated" in text.get_text() for each in figure.axes for text in each.texts)
    assert all(x > axes.get_xlim()[0] for line in seeds for x in line.get_xdata())


def test_looks_follow_the_verdict() -> None:
    rows = [method_row("basic", 1.0), method_row("a", 0.8), method_row("a", 1.2), method_row("a", 0.95)]
    assert [look_of(row) for row in rows] == [REFERENCE, BETTER, WORSE, NEITHER]
    assert look_of(method_row("a", 0.5, status="weak")) == NEITHER
    assert len({look.marker for look in (REFERENCE, BETTER, WORSE, NEITHER)}) == 4


def test_ratios_are_drawn_with_the_lowest_on_top() -> None:
    study = made_study(RATIOS, scenarios=("data", "second"))
    figure = draw_ratios(study.rows, scenarios=["data", "second"], score="CvsB", measure="kl")
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == ["fgsm", "basic", "aug", "aug+mmd"]
    # four methods in two scenarios
    assert len(figure.axes[0].containers) == 8


def test_the_names_of_many_methods_stay_in_the_panel() -> None:
    ratios = {f"method_{number}": 0.4 + 0.001 * number for number in range(25)}
    study = made_study(ratios)
    figure = draw_methods(study.rows, study.seeds, study.curves, scenario="data", score="CvsB", measure="kl")
    axes = figure.axes[0]
    heights = [text.xyann[1] for text in axes.texts if text.get_text() in ratios]
    assert len(set(heights)) == 25
    assert min(heights) > axes.get_ylim()[0]


def test_names_are_spread_out_and_stay_inside() -> None:
    assert spread_out([1.0, 1.1, 5.0], least=1.0, low=0.0, high=10.0) == [1.0, 2.0, 5.0]
    assert spread_out([9.5, 9.8], least=1.0, low=0.0, high=10.0) == [9.0, 10.0]
    assert spread_out([-3.0], least=1.0, low=0.0, high=10.0) == [0.0]


def test_the_page_holds_everything_and_needs_no_network(tmp_path: Path) -> None:
    study = made_study(RATIOS | {"<b>": 1.0}, scenarios=("data", "second", "null"))
    factor = MethodScaleFactors("data", "aug", "c", 3, 20, 0.08, 0.012, 0.01, 0.006, 0.03, 0.07, 1.1, 0.3)
    path = write_methods_page(
        tmp_path / "study.html", study,
        scenarios={"data": "another detector", "second": "outside every prior", "null": "the same"},
        scale_factors=[factor], costs={"aug": 1.1}, about=[("Seeds", "1, 2, 3")],
    )  # fmt: skip
    page = path.read_text(encoding="utf-8")
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page
    assert not re.search(r"(?:src|href)=\"(?!data:|#)", page)
    assert "<script" not in page
    assert "Simulated events: no recorded data" in page
    assert "“aug+mmd” agrees best with data" in re.sub(r"\s+", " ", page)
    assert "&lt;b&gt;" in page
    assert "<b></b>" not in page
    for text in (
        "0.62 ± 0.05 in “second” (outside every prior)",
        "Mean |SF − 1|",
        "1, 2, 3",
        "Null data set",
    ):
        assert text in page
    assert page.count("data:image/png") == 3
    write_methods_page(path, made_study(RATIOS), scenarios={"data": "recorded"}, simulated=False)
    page = path.read_text(encoding="utf-8")
    assert "Recorded data" in page
    assert "Simulated" not in page
    assert "Null data set" not in page


def test_a_score_that_was_not_measured_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no row of BvsC, kl in scenario 'data'"):
        write_methods_page(tmp_path / "x.html", made_study(RATIOS), scenarios={"data": ""}, score="BvsC")


def test_where_the_main_scenario_says_nothing_others_speak(tmp_path: Path) -> None:
    study = made_study(RATIOS, scenarios=("data", "second"))
    rows = [row._replace(status="weak") if row.scenario == "data" else row for row in study.rows]
    scenarios = {"data": "another detector", "second": "outside every prior"}
    path = write_methods_page(tmp_path / "study.html", study._replace(rows=rows), scenarios=scenarios)
    page = path.read_text(encoding="utf-8")
    answer = page[page.index('class="answer"') :].split("</p>")[0]
    assert "too few events to say" in answer
    assert "In “second”: DY + jets, CvsB: “aug+mmd” agrees best with data." in page


def test_other_scenarios_speak_of_selections_that_the_main_one_is_silent_of(tmp_path: Path) -> None:
    study = made_study(RATIOS, scenarios=("data", "edge"))
    rows = [
        row._replace(status="weak") if (row.scenario, row.selection) == ("data", "wc") else row
        for row in study.rows
    ]
    scenarios = {"data": "another detector", "edge": "far off"}
    path = write_methods_page(tmp_path / "study.html", study._replace(rows=rows), scenarios=scenarios)
    page = path.read_text(encoding="utf-8")
    assert "In “edge”: W + c" in page
    captions = re.findall(r"<caption>(.*?)</caption>", page)
    assert any("W + c" in each and "equal population" in each and "“edge”" in each for each in captions)
    assert any("DY" in each and "“data”" in each for each in captions)
    assert "In “edge”: DY" not in page


def test_only_selections_that_say_something_have_a_panel_of_ratios() -> None:
    study = made_study(RATIOS)
    rows = [row._replace(status="weak") if row.selection == "dy" else row for row in study.rows]
    figure = draw_ratios(rows, scenarios=["data"], score="CvsB", measure="kl")
    assert len(figure.axes) == 1
    assert any("OS" in text.get_text() for text in figure.axes[0].texts)
