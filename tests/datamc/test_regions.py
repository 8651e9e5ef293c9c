"""What a row says decides about signs and energy, not what it is called."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from datamc.agreement import divergence_table
from datamc.normalisation import normalisation, purity_table
from datamc.records import Result
from datamc.regions import default_view, energy_of, signs_of, view_of
from datamc.templates import score_templates
from plotting.figures import StackOptions, plot_results
from plotting.report_stacks import collect_stacks, selection_payload
from plotting.style import event_label
from processors.request import config_of
from processors.tagger_processor import TaggerProcessor
from selections.parameters import SELECTIONS, YEARS, parameters_of

SUBTRACTED = ("wc", "wc_electron")
"""W and charm have opposite charges: CMS-BTV-20-001 subtracts same sign in both channels of W+c alone."""


def of_row(result: Result, name: str, *, year: str = "2017") -> Result:
    """Return the result as one of another selection, as `process` would describe it."""
    row = parameters_of(name, year=year)
    config = config_of(TaggerProcessor(parameters=row, datasets={}), profile="btv20001", year=year)
    return replace(result, selection=name, config=config)


@pytest.mark.parametrize("name", SELECTIONS)
def test_every_row_is_treated_as_it_says(results: dict[str, Result], name: str) -> None:
    result = of_row(results["wc"], name)
    view = "OS-SS" if name in SUBTRACTED else "OS+SS"
    assert view_of(result) == default_view(name) == view
    # A soft muon beside one lepton has a sign; with two leptons, or without, there is none.
    has_signs = name.startswith(("wc", "ttsemilep"))
    assert StackOptions(all_signs=True).views_of(result) == [view, *(["OS", "SS"] if has_signs else [])]
    assert StackOptions().views_of(result) == [view]
    assert {row.view for row in purity_table([result])} == (
        {"OS", "SS", view} if name in SUBTRACTED else {view}
    )


def test_a_row_of_ones_own_is_subtracted_as_it_says(make_result: Callable[..., Result]) -> None:
    wc = make_result("wc", smooth=True, epochs=[3], variants=["raw"], scores=["CvsL"])
    row = asdict(replace(SELECTIONS["wc"], name="wc_tight"))
    own = replace(wc, selection="wc_tight", config=wc.config | {"parameters": row})
    assert signs_of(own) == "subtracted"
    # What the fixture holds, opposite minus same sign: W+jets 7350 - 2765, top pairs 890 - 704, DY 510 - 443.
    # They are scaled by cross section x 1000/pb per generated event; data are 0.9 times that.
    expected = 0.9 * 1000 * (40.0 / 40_000 * 4585 + 5.0 / 10_000 * 186 + 6.0 / 10_000 * 67)
    assert normalisation(own).n_data == pytest.approx(expected)
    data = score_templates(own, "CvsL", tagger="basic", epoch=3).data
    assert data.sum() == pytest.approx(expected)
    rows = divergence_table({"wc_tight": own}, n_bootstrap=0)
    assert [row[3:] for row in rows] == [row[3:] for row in divergence_table({"wc": wc}, n_bootstrap=0)]
    stacks = collect_stacks({"wc_tight": own})
    assert {key[-1] for key in stacks.before} == {"OS", "SS"}
    assert [view["key"] for view in selection_payload("wc_tight", stacks)["views"]] == ["OS-SS", "OS", "SS"]


def test_results_of_earlier_versions_take_the_row_of_their_name(results: dict[str, Result]) -> None:
    assert [view_of(results[name]) for name in ("wc", "dy", "ttsemilep")] == ["OS-SS", "OS+SS", "OS+SS"]
    assert "parameters" not in results["wc"].config
    earlier = {"parameters": {"name": "mine", "calibrates": "c"}}
    assert view_of(replace(results["wc"], selection="mine", config=earlier)) == "OS-SS"
    assert view_of(replace(results["wc"], selection="mine", config={})) == default_view("mine") == "OS+SS"
    with pytest.raises(ValueError, match=r"wc: unknown signs 'product'"):
        signs_of(replace(results["wc"], config={"parameters": {"signs": "product"}}))


def test_signs_are_drawn_where_there_are_any(make_result: Callable[..., Result], tmp_path: Path) -> None:
    small = {"taggers": ["basic"], "epochs": [3], "variants": ["raw"], "scores": ["CvsL"]}
    for name, n_stacks in (("dy_electron", 1), ("wc_electron", 3)):
        result = of_row(make_result("wc", **small), name)
        options = {"stacks": StackOptions(all_signs=True), "scores": ["CvsL"], "formats": ["png"]}
        written = plot_results({name: result}, tmp_path / name, **options)
        assert len(written) == n_stacks


@pytest.mark.parametrize("year", YEARS)
def test_collisions_had_the_energy_of_their_year(results: dict[str, Result], year: str) -> None:
    # LHC: 13 TeV from 2015 to 2018, 13.6 TeV since July 2022.
    energy = 13.6 if int(year[:4]) >= 2022 else 13.0
    made = of_row(results["dy"], "dy", year=year)
    assert made.config["energy_tev"] == energy
    # A result of an earlier version tells the year alone.
    earlier = replace(results["dy"], config={"year": year})
    assert energy_of(made) == energy_of(earlier) == energy
    for result in (made, earlier):
        assert event_label([result]).right.endswith(f"({energy:g} TeV)")


def test_two_energies_are_both_named(results: dict[str, Result]) -> None:
    both = [of_row(results["dy"], "dy", year=year) for year in ("2023", "2018UL")]
    assert event_label(both).right.endswith("(13 and 13.6 TeV)")
    assert event_label([replace(results["dy"], config={})]).right.endswith("(13 TeV)")
