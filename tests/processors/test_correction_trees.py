"""Corrections are checked as plain values before anything parses them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from processors.correction_trees import (
    DEEPEST_FORMULA,
    LONGEST_FORMULA,
    MissingKey,
    first_missing_key,
    keys_of,
    refuse_unsound,
)
from processors.look_up_counts import Counts, count_look_ups
from processors.lookup import Lookup, find_lookup


def formula(expression: str) -> dict[str, Any]:
    return {"nodetype": "formula", "expression": expression, "parser": "TFormula", "variables": ["eta"]}


def category(name: str, content: dict[str | int, Any], default: Any = None) -> dict[str, Any]:
    node = {
        "nodetype": "category",
        "input": name,
        "content": [{"key": key, "value": value} for key, value in content.items()],
    }
    return node if default is None else node | {"default": default}


def binning(content: list[Any], *, flow: Any = "error", edges: Any = (0.0, 1.2, 2.5)) -> dict[str, Any]:
    return {"nodetype": "binning", "input": "eta", "edges": list(edges), "content": content, "flow": flow}


def lookup(data: Any, *others: tuple[str, str]) -> Lookup:
    inputs = [("eta", "real"), *others]
    correction = {
        "name": "sf",
        "version": 1,
        "inputs": [{"name": name, "type": kind} for name, kind in inputs],
        "output": {"name": "weight", "type": "real"},
        "data": data,
    }
    return find_lookup([correction], "sf", path=Path("sf.json"))


def nested(depth: int) -> str:
    return "(" * depth + "x" + ")" * depth


@pytest.mark.parametrize("expression", [nested(DEEPEST_FORMULA), "x+" * 2000 + "x", "-2.5+1e3*x"])
def test_formulas_of_a_size_that_people_write_are_taken(expression: str) -> None:
    # The sum of 2001 terms x at x = 1, and the constant of a line.
    expected = {"(": 1.0, "x": 2001.0, "-": 997.5}[expression[0]]
    assert lookup(formula(expression)).evaluate({"eta": np.ones(1)}, 1).tolist() == [expected]


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        (nested(DEEPEST_FORMULA + 1), f"{DEEPEST_FORMULA + 1} parentheses"),
        (nested(2400), "2400 parentheses"),
        ("x" + "+x" * (LONGEST_FORMULA // 2), f"{LONGEST_FORMULA + 1} characters"),
    ],
)
@pytest.mark.parametrize("place", ["alone", "in a bin", "in a default", "beyond the edge"])
def test_a_formula_that_would_end_the_process_is_refused(expression: str, said: str, place: str) -> None:
    data = {
        "alone": formula(expression),
        "in a bin": binning([1.0, formula(expression)]),
        "in a default": category("systematic", {"nom": 1.0}, formula(expression)),
        "beyond the edge": binning([1.0, 2.0], flow=formula(expression)),
    }[place]
    with pytest.raises(ValueError, match=rf"sf\.json: correction 'sf' is not valid .*{said}"):
        lookup(data, ("systematic", "string"))


def test_a_table_has_bins() -> None:
    with pytest.raises(ValueError, match="has no bin"):
        refuse_unsound({"data": binning([], edges=[0.0])})


def test_a_key_is_looked_for_on_every_way_through_a_tree() -> None:
    inner = {"up": 1.1, "nom": 1.0}
    tree = binning([category("systematic", inner), category("systematic", {"nom": 1.0})])
    assert first_missing_key(tree, {"systematic": "nom"}) is None
    # The second bin lacks it; jets of the first alone would not tell.
    assert first_missing_key(tree, {"systematic": "up"}) == MissingKey("systematic", "up", ("nom",))
    assert first_missing_key(category("systematic", inner, 0.5), {"systematic": "down"}) is None


def test_keys_may_be_integers() -> None:
    table = lookup(category("flavour", {0: 0.9, 4: 1.1, 5: 1.2}), ("flavour", "int"))
    assert table.evaluate({"eta": np.zeros(3), "flavour": np.array([5, 0, 4])}, 3).tolist() == [1.2, 0.9, 1.1]
    assert table.missing_key({"flavour": 21}) == "no flavour '21': choose from 0, 4, 5"
    with pytest.raises(ValueError, match="it has no flavour 21, only 0, 4, 5"):
        table.evaluate({"eta": np.zeros(2), "flavour": np.array([5, 21])}, 2)
    assert keys_of({"data": category("flavour", {4: 1.0}, 1.0)}, "flavour") is None


def test_look_ups_are_counted_by_what_is_doubtful_about_them() -> None:
    """The edges of the table are 0 and 2.5: three of six etas lie outside, one is no number."""
    table = lookup(binning([1.0, -2.0]))
    counts: Counts = {}
    for eta in ([-2.0, -0.5, 0.5], [2.0, 2.6, np.nan]):
        inputs = {"eta": np.array(eta)}
        values = table.evaluate(inputs, 3)
        count_look_ups(counts, "sf", table, inputs, values, is_weight=True)
    # The values are 1, 1, 1 and -2, -2 (its edge), 1 (NaN is looked up as 0).
    n, outside, not_numbers, not_finite, not_positive = counts["sf"].tolist()
    assert (n, outside, not_numbers, not_finite, not_positive) == (6, 3, 1, 0, 2)


@pytest.mark.parametrize("flow", ["wrap", formula("7+0*x")])
def test_a_table_that_says_what_lies_beyond_its_edge_has_no_outside(flow: Any) -> None:
    table = lookup(binning([1.0, 2.0], flow=flow))
    assert not table.is_outside({"eta": np.array([-1.0, 9.0])}, 2).any()


def test_a_table_within_a_table_has_an_outside_of_its_own() -> None:
    inner = {"nodetype": "binning", "input": "pt", "edges": [20.0, 50.0], "content": [1.0], "flow": "error"}
    table = lookup(binning([inner, 2.0]), ("pt", "real"))
    inputs = {"eta": np.array([0.5, 0.5, 2.0]), "pt": np.array([10.0, 30.0, 10.0])}
    assert table.is_outside(inputs, 3).tolist() == [True, False, False]
