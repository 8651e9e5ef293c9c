from datamc.results import DatasetRecord, Result, merge_results
from datamc.sections import pairs_of, ranges_of


def test_sections_are_listed_as_ranges_by_run() -> None:
    pairs = [(7, 3), (7, 1), (7, 2), (7, 2), (9, 5), (7, 5)]
    ranges = ranges_of(pairs)
    assert ranges == {"7": [(1, 3), (5, 5)], "9": [(5, 5)]}
    assert pairs_of(ranges) == set(pairs)
    assert ranges_of([]) == {}


def test_merged_results_list_every_section_once() -> None:
    first, second = (
        Result(
            selection="dy",
            histograms={},
            datasets={"data": DatasetRecord(is_data=True, process="data")},
            sections={"data": sections},
        )
        for sections in ({"7": [(1, 3)]}, {"7": [(3, 4)], "9": [(1, 1)]})
    )
    assert merge_results([first, second]).sections == {"data": {"7": [(1, 4)], "9": [(1, 1)]}}
