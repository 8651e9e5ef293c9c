from typing import NamedTuple

import awkward as ak
import numpy as np
import pytest
from coffea.analysis_tools import PackedSelection

from processors.weights import cutflow, event_weights, require_finite_weights, sums
from selections.selected import Selected


class Chunk(NamedTuple):
    """What of a chunk of events a message names."""

    metadata: dict[str, str]


def test_simulation_carries_the_weight_of_its_generator() -> None:
    events = ak.zip({"run": [1, 1, 1], "genWeight": [2.0, -1.0, 0.5]}, depth_limit=1)
    assert event_weights(events, is_data=False).tolist() == [2.0, -1.0, 0.5]
    assert event_weights(events, is_data=True).tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_weight_that_is_no_number_names_dataset_file_and_systematic(value: float) -> None:
    with pytest.raises(ValueError, match=r"dy, a.root: 2 of 3 jets .*\(muonUp\)"):
        require_finite_weights(
            Chunk({"dataset": "dy", "filename": "a.root"}),
            {"nominal": np.ones(3), "muonUp": np.array([1.0, value, value])},
        )
    require_finite_weights(Chunk({"dataset": "dy", "filename": "a.root"}), {"nominal": -np.ones(3)})


def test_sums_are_number_sum_and_sum_of_squares() -> None:
    # 2 - 1 + 0.5 = 1.5 and 4 + 1 + 0.25 = 5.25
    assert sums(np.array([2.0, -1.0, 0.5])).tolist() == [3, 1.5, 5.25]
    assert sums(np.empty(0)).tolist() == [0, 0, 0]


def test_the_cutflow_begins_with_all_events() -> None:
    cuts = PackedSelection()
    cuts.add("first", np.array([True, True, False]))
    cuts.add("second", np.array([True, False, True]))
    nothing = np.empty(0, np.int64)
    flow = cutflow(Selected(cuts, nothing, nothing, nothing.astype(np.int8), {}), np.array([2.0, -1.0, 0.5]))
    assert {name: row.tolist() for name, row in flow.items()} == {
        "all": [3, 1.5, 5.25],
        "first": [2, 1.0, 5.0],
        "second": [1, 2.0, 4.0],
    }
