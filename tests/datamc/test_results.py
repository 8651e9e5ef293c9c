import zipfile
from dataclasses import replace
from pathlib import Path

import hist
import pytest

from datamc.histograms import luminosity_pb
from datamc.results import (
    CutflowRow,
    DatasetRecord,
    LedgerEntry,
    LedgerError,
    Result,
    merge_results,
    read_result,
    write_result,
)


def score_histogram(dataset: str | None = "ttbar", values: tuple[float, ...] = (0.5,)) -> hist.Hist:
    """A score histogram with growing axes, empty of categories when `dataset` is None."""
    histogram = hist.Hist(
        hist.axis.StrCategory([], growth=True, name="dataset"),
        hist.axis.IntCategory([-1, 0, 1, 4, 5, 6], name="flavour"),
        hist.axis.StrCategory(["OS", "SS"], name="sign"),
        hist.axis.IntCategory([], growth=True, name="epoch"),
        hist.axis.Regular(4, 0, 1, name="value", label="score"),
        storage=hist.storage.Weight(),
    )
    if dataset is not None:
        histogram.fill(dataset=dataset, flavour=5, sign="OS", epoch=3, value=values, weight=0.1)
    return histogram


def one_result(dataset: str = "ttbar", file: str = "a.root", **changes: object) -> Result:
    result = Result(
        selection="ttsemilep",
        histograms={"b": score_histogram(dataset), "CvsL": score_histogram(None)},
        datasets={
            dataset: DatasetRecord(
                False, "ttbar", 365.34, None, True, 10, sum_weights=0.1 + 0.2, sum_weights2=1e-300
            )
        },
        cutflows={dataset: [CutflowRow("all", 10, 1 / 3, 1.0), CutflowRow("trigger", 1, 0.1, 0.01)]},
        ledger=[LedgerEntry(dataset, file, 10, 10)],
        notes=["no Flag_x in a.root"],
        config={"seed": 1, "variants": ["raw", "fgsm:0.1"], "cuts": {"jet_pt": 20.0}},
        versions={"advtag": "0.1.0"},
    )
    return replace(result, **changes)


def test_round_trip_is_exact(tmp_path: Path) -> None:
    result = one_result()
    # one value below, one above the range: flow bins must survive
    result.histograms["b"].fill(dataset="ttbar", flavour=0, sign="SS", epoch=7, value=[-1, 2], weight=1 / 3)
    write_result(result, tmp_path / "out" / "ttsemilep.zip")
    again = read_result(tmp_path / "out" / "ttsemilep.zip")
    assert again == result
    assert list(again.histograms) == ["b", "CvsL"]
    assert again.histograms["b"].axes["value"].label == "score"
    assert again.histograms["b"].sum(flow=True).value == pytest.approx(0.1 + 2 / 3)


def test_axes_still_grow_after_reading(tmp_path: Path) -> None:
    write_result(one_result(), tmp_path / "r.zip")
    histogram = read_result(tmp_path / "r.zip").histograms["CvsL"]
    assert list(histogram.axes["dataset"]) == []
    histogram.fill(dataset="new", flavour=4, sign="SS", epoch=12, value=0.1)
    assert list(histogram.axes["dataset"]) == ["new"]


def test_writing_leaves_one_file_and_keeps_the_old_one_on_failure(tmp_path: Path) -> None:
    path = tmp_path / "r.zip"
    write_result(one_result(), path)
    before = path.read_bytes()
    with pytest.raises(TypeError):
        write_result(one_result(histograms={"b": object()}), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_histogram_may_not_take_the_name_of_the_document(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'result'"):
        write_result(one_result(histograms={"result": score_histogram()}), tmp_path / "r.zip")


def test_missing_foreign_and_truncated_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.zip: no such result"):
        read_result(tmp_path / "none.zip")
    text = tmp_path / "text.zip"
    text.write_text("not a zip")
    with pytest.raises(ValueError, match=r"text\.zip: not a complete result"):
        read_result(text)
    foreign = tmp_path / "foreign.zip"
    with zipfile.ZipFile(foreign, "w") as file:
        file.writestr("readme", "hello")
    with pytest.raises(ValueError, match=r"foreign\.zip: a zip file, but not a result"):
        read_result(foreign)
    whole = tmp_path / "whole.zip"
    write_result(one_result(), whole)
    content = whole.read_bytes()
    for length in (0, 10, len(content) // 2, len(content) - 1):
        (tmp_path / "part.zip").write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"part\.zip: not a complete result"):
            read_result(tmp_path / "part.zip")


def test_damaged_histogram_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "r.zip"
    write_result(one_result(), path)
    with zipfile.ZipFile(path) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(path, "w") as file:
        for name, content in parts.items():
            file.writestr(name, b"\x93NUMPY" if name == "b_storage_values.npy" else content)
    with pytest.raises(ValueError, match=r"r\.zip: not a complete result"):
        read_result(path)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ('{"format": "advtag-result", "format_version": 99}', "version 99 .* update advtag"),
        ('{"format": "something", "format_version": 1}', r"not a result of advtag \(format"),
        ('{"format": "advtag-result", "format_version": 1}', r"not a result of advtag \(selection"),
        ("[", "not a result of advtag"),
    ],
)
def test_other_documents_are_refused(tmp_path: Path, document: str, message: str) -> None:
    path = tmp_path / "r.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("result.json", document)
    with pytest.raises(ValueError, match=message):
        read_result(path)


def test_merging_adds_every_number() -> None:
    merged = merge_results([one_result(), one_result(file="b.root"), one_result("wjets", "c.root")])
    assert merged.datasets["ttbar"].n_events == 20
    assert merged.datasets["ttbar"].sum_weights == 2 * (0.1 + 0.2)
    assert merged.datasets["wjets"].n_events == 10
    assert merged.cutflows["ttbar"][0] == CutflowRow("all", 20, 2 / 3, 2.0)
    assert merged.notes == ["no Flag_x in a.root"]
    histogram = merged.histograms["b"]
    assert list(histogram.axes["dataset"]) == ["ttbar", "wjets"]
    assert histogram["ttbar", hist.loc(5), "OS", hist.loc(3), 0.5j].value == pytest.approx(0.2)
    assert histogram.sum().variance == pytest.approx(3 * 0.01)
    merged.check_ledger()


def test_merging_leaves_its_inputs_alone() -> None:
    parts = [one_result(), one_result(file="b.root")]
    merge_results(parts)
    assert parts[0] == one_result()


def test_the_same_events_are_never_taken_twice() -> None:
    with pytest.raises(LedgerError, match=r"ttbar, a\.root: the events from 0 on are held twice"):
        merge_results([one_result(), one_result()])
    halves = [
        one_result(ledger=[LedgerEntry("ttbar", "a.root", 10, 10, entry_start=start)])
        for start in (0, 10, 15)
    ]
    merge_results(halves[:2]).check_ledger()
    with pytest.raises(LedgerError, match="from 15 on"):
        merge_results(halves)


def test_a_failed_range_is_made_good_by_a_later_result() -> None:
    failed = one_result(
        histograms={},
        datasets={},
        cutflows={},
        ledger=[LedgerEntry("ttbar", "a.root", 10, 0, "failed", "timeout")],
    )
    merged = merge_results([failed, one_result()])
    assert merged.ledger == [LedgerEntry("ttbar", "a.root", 10, 10)]
    merged.check_ledger()


def test_an_unmended_failure_stays_in_the_ledger() -> None:
    lost = LedgerEntry("ttbar", "b.root", 7, 0, "failed", "timeout")
    merged = merge_results([one_result(), one_result(histograms={}, datasets={}, cutflows={}, ledger=[lost])])
    assert lost in merged.ledger
    merged.check_ledger()


def test_other_configuration_is_refused_and_the_key_named() -> None:
    other = {"seed": 1, "variants": ["raw", "fgsm:0.1"], "cuts": {"jet_pt": 30.0}}
    with pytest.raises(ValueError, match=r"'cuts.jet_pt' is 20.0 in one and 30.0 in another"):
        merge_results([one_result(), one_result(file="b.root", config=other)])
    with pytest.raises(ValueError, match="only one of them has 'seed'"):
        merge_results([one_result(), one_result(config={"variants": ["raw", "fgsm:0.1"]})])
    with pytest.raises(ValueError, match="different selections"):
        merge_results([one_result(), one_result(selection="dy")])
    with pytest.raises(ValueError, match="no result to merge"):
        merge_results([])


def test_other_description_of_a_dataset_is_refused() -> None:
    other = one_result(file="b.root")
    other.datasets["ttbar"] = replace(other.datasets["ttbar"], cross_section_pb=1.0)
    with pytest.raises(ValueError, match=r"ttbar: cross_section_pb is 365\.34 in one result and 1\.0"):
        merge_results([one_result(), other])
    other = one_result(file="b.root", cutflows={"ttbar": [CutflowRow("all", 1, 1, 1)]})
    with pytest.raises(ValueError, match="ttbar: the results cut on"):
        merge_results([one_result(), other])


def test_other_versions_are_noted() -> None:
    merged = merge_results([one_result(), one_result(file="b.root", versions={"advtag": "0.2.0"})])
    assert "merged results of different versions: advtag 0.1.0 and 0.2.0" in merged.notes


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (LedgerEntry("ttbar", "a.root", 10, 9), "10 events expected, 9 processed, 0 declared lost"),
        (LedgerEntry("ttbar", "a.root", 9, 10), "9 events expected, 10 processed"),
        (LedgerEntry("ttbar", "a.root", 12, 10, "failed"), "failed without a reason"),
        (LedgerEntry("ttbar", "a.root", 9, 9), "histograms hold 10 processed events but the ledger lists 9"),
    ],
)
def test_ledger_that_does_not_add_up_is_an_error(entry: LedgerEntry, message: str) -> None:
    with pytest.raises(LedgerError, match=message):
        one_result(ledger=[entry]).check_ledger()


def test_ledger_with_declared_losses_is_complete() -> None:
    # 12 expected = 10 processed + 2 declared lost
    one_result(ledger=[LedgerEntry("ttbar", "a.root", 12, 10, "failed", "corrupt basket")]).check_ledger()


def test_ledger_with_a_range_twice_is_an_error() -> None:
    with pytest.raises(LedgerError, match="held twice"):
        one_result(ledger=[LedgerEntry("ttbar", "a.root", 5, 5)] * 2).check_ledger()


def test_the_processed_fraction_counts_unopened_files_as_the_mean_of_the_others() -> None:
    """Files of 300 and 100 events opened, 200 of the 300 processed; a third file never opened.

    400 events in 2 files make 600 in 3: (200 + 100) / 600 = 0.5.
    """
    ledger = [
        LedgerEntry("data", "a", 300, 200, "failed", "damaged"),
        LedgerEntry("data", "b", 100, 100),
        LedgerEntry("data", "c", 0, 0, "skipped", "no such file"),
        LedgerEntry("mc", "d", 0, 0),
        LedgerEntry("gone", "e", 0, 0, "skipped", "no such file"),
    ]
    datasets = {"data": DatasetRecord(is_data=True, process="data", luminosity_pb=40.0, n_events=300)}
    result = Result(selection="dy", histograms={}, datasets=datasets, ledger=ledger)
    assert [result.processed_fraction(name) for name in ("data", "mc", "gone")] == [0.5, 1.0, 0.0]
    assert luminosity_pb(result) == 20.0
