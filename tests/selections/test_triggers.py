from collections.abc import Callable

import awkward as ak

from selections.triggers import passes_all, passes_trigger

Events = Callable[..., ak.Array]
DZ = "HLT_Mu17_TrkIsoVVL_Mu8_TrkIsoVVL_DZ"
GROUPS = ((f"{DZ}_Mass8", f"{DZ}_Mass3p8"), (DZ,))


def chunk(**paths: list[bool]) -> ak.Array:
    paths = {name.removeprefix("HLT_"): fired for name, fired in paths.items()}
    return ak.zip({"HLT": ak.zip(paths), "run": [1, 1, 1]}, depth_limit=1)


def test_one_path_of_a_group_is_enough() -> None:
    events = chunk(**{f"{DZ}_Mass8": [True, False, False], f"{DZ}_Mass3p8": [False, True, False]})
    assert passes_trigger(events, GROUPS).tolist() == [True, True, False]


def test_the_fall_back_is_not_or_ed_to_the_first_group() -> None:
    events = chunk(**{f"{DZ}_Mass8": [True, False, False], DZ: [True, True, True]})
    assert passes_trigger(events, GROUPS).tolist() == [True, False, False]


def test_the_fall_back_decides_where_the_first_group_is_absent() -> None:
    assert passes_trigger(chunk(**{DZ: [False, True, True]}), GROUPS).tolist() == [False, True, True]


def test_a_file_without_triggers_passes() -> None:
    assert passes_trigger(chunk(HLT_Other=[False, False, False]), GROUPS).tolist() == [True, True, True]


def test_filters_are_all_required_and_absent_ones_left_out() -> None:
    flags = ak.zip({"goodVertices": [True, True, False], "eeBadScFilter": [True, False, True]})
    events = ak.zip({"Flag": flags}, depth_limit=1)
    names = ("Flag_goodVertices", "Flag_eeBadScFilter", "Flag_absent")
    assert passes_all(events, names).tolist() == [True, False, False]
