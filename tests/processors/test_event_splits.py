"""Events that taggers were adapted to: held out, or collected; and who may not be judged on which."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
import uproot

from datamc.histograms import dataset_scales
from datamc.results import Result, merge_results
from models.event_split import EventSplit
from models.features import BRANCHES
from models.perturbations import parse_variants
from models.tagger import Tagger
from processors.event_splits import split_to_hold_out
from processors.extras import Extras
from processors.run import run_selection
from processors.tagger_processor import TaggerProcessor
from selections.parameters import parameters_of

SPLIT = EventSplit(0.333, 3)


def run(
    fileset: dict[str, Any], taggers: list[Tagger], extras: Extras | None = None, **options: Any
) -> Result:
    options = {"selection": "dy", "variants": parse_variants("raw,noise:0.1"), "seed": 3} | options
    return run_selection(fileset=fileset, taggers=taggers, extras=extras, **options)


@pytest.fixture(scope="module")
def taggers(tagger: Callable[..., Tagger]) -> list[Tagger]:
    return [tagger("basic", 1, seed=1)]


def adapted(tagger: Tagger, split: str | None, *, name: str = "mmd") -> Tagger:
    """The same tagger, with metadata of one that saw unlabelled jets."""
    return replace(tagger, metadata=tagger.metadata.model_copy(update={"adapted_on": split, "name": name}))


@pytest.mark.parametrize("options", [{}, {"selection": "inclusive"}, {"all_jets": True}])
def test_held_out_and_adapted_events_are_the_whole(
    fileset: dict[str, Any], taggers: list[Tagger], tmp_path: Path, options: dict[str, Any]
) -> None:
    chosen = {"all_jets": options.pop("all_jets", False), "blocks": 16}
    whole = run(fileset, taggers, Extras(**chosen), **options)
    held = run(fileset, taggers, Extras(**chosen, held_out=SPLIT), **options)
    rest = run(fileset, taggers, Extras(**chosen, collected=SPLIT), table=tmp_path / "t", **options)
    assert list(held.histograms) == list(rest.histograms) == list(whole.histograms)
    for name, histogram in whole.histograms.items():
        both = held.histograms[name] + rest.histograms[name]
        assert tuple(both.axes) == tuple(histogram.axes), name
        found, expected = both.values(flow=True), histogram.values(flow=True)
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    for dataset, rows in whole.cutflows.items():
        parts = held.cutflows[dataset], rest.cutflows[dataset]
        assert [[row.cut for row in part[:2]] for part in parts] == [["all", "held_out"], ["all", "adapted"]]
        for row, one, two in zip(rows[1:], *(part[2:] for part in parts), strict=True):
            assert row.cut == one.cut == two.cut
            assert row.n_events == one.n_events + two.n_events
        assert sum(part[1].n_events for part in parts) == rows[0].n_events == 300
        # 200 +- 8 of 300 events
        assert 160 < parts[0][1].n_events < 240
        assert parts[0][-1].n_events > 20
        assert parts[1][-1].n_events > 20
        others = held.n_minus_one[dataset], rest.n_minus_one[dataset], whole.n_minus_one[dataset]
        for one, two, row in zip(others[0][1:], others[1][1:], others[2], strict=True):
            assert one.n_events + two.n_events == row.n_events


def test_luminosity_and_sums_of_weights_stay_those_of_all_events(
    fileset: dict[str, Any], taggers: list[Tagger]
) -> None:
    """Data and simulation lose the same share, so the scale of simulation stays what it is."""
    whole, held = run(fileset, taggers), run(fileset, taggers, Extras(held_out=SPLIT))
    # Fewer jets are scored; all else is as it was.
    assert all(held.datasets[name].n_scored < record.n_scored for name, record in whole.datasets.items())
    unscored = [
        {name: replace(each, n_scored=0) for name, each in one.datasets.items()} for one in (held, whole)
    ]
    assert unscored[0] == unscored[1]
    assert dataset_scales(held) == dataset_scales(whole)
    assert held.sections == whole.sections
    held.check_ledger()


def test_the_events_that_are_left_are_those_of_the_hash(fileset: dict[str, Any], tmp_path: Path) -> None:
    run(fileset, [], Extras(held_out=SPLIT), table=tmp_path / "held")
    run(fileset, [], Extras(collected=SPLIT), table=tmp_path / "collected")
    for dataset in fileset:
        for folder, expected in (("held", False), ("collected", True)):
            rows = pyarrow.parquet.read_table(tmp_path / folder / f"{dataset}.parquet").to_pydict()
            assert len(rows["run"]) > 20
            is_adapted = SPLIT.is_adapted(rows["run"], rows["luminosity_block"], rows["event"])
            assert (is_adapted == expected).all()


def test_collected_rows_hold_the_inputs_as_they_are_in_the_file(
    fileset: dict[str, Any], tmp_path: Path
) -> None:
    run(fileset, [], Extras(collected=SPLIT), table=tmp_path / "rows", chunksize=100)
    for dataset, content in fileset.items():
        rows = pyarrow.parquet.read_table(tmp_path / "rows" / f"{dataset}.parquet").to_pydict()
        with uproot.open(f"{next(iter(content['files']))}:Events") as tree:
            events = tree.arrays(["event", *BRANCHES])
        where = {number: position for position, number in enumerate(events["event"].to_list())}
        for branch in BRANCHES:
            column = events[branch]
            expected = [
                column[where[event]][jet] for event, jet in zip(rows["event"], rows["jet"], strict=True)
            ]
            np.testing.assert_array_equal(np.array(rows[branch], np.float32), np.array(expected, np.float32))


@pytest.mark.parametrize(
    ("held_out", "message"),
    [
        (None, r"mmd@1 was adapted to the events of the split 0.333:3 and no event is held out.*hold out 0"),
        (EventSplit(0.2, 3), r"0.333:3 and 0.2:3 is held out.*--held-out 0.333:3"),
        (EventSplit(0.5, 1), r"0.333:3 and 0.5:1 is held out"),
    ],
)
def test_a_tagger_is_never_judged_on_jets_it_has_seen(
    fileset: dict[str, Any], taggers: list[Tagger], held_out: EventSplit | None, message: str
) -> None:
    seen = adapted(taggers[0], SPLIT.name)
    with pytest.raises(ValueError, match=message):
        TaggerProcessor(
            parameters=parameters_of("dy"), datasets={}, taggers=[seen], extras=Extras(held_out=held_out)
        )
    with pytest.raises(ValueError, match=message):
        run(fileset, [*taggers, seen], Extras(held_out=held_out))


def test_a_covered_tagger_is_judged_beside_one_that_saw_nothing(
    fileset: dict[str, Any], taggers: list[Tagger]
) -> None:
    both = [*taggers, adapted(taggers[0], SPLIT.name)]
    extras = Extras(held_out=EventSplit(0.5, 3), reference_tagger=False)
    result = run(fileset, both, extras)
    chosen = result.histograms["CvsL"][{"variant": "raw"}].project("tagger", "value").values()
    np.testing.assert_array_equal(chosen[0], chosen[1])
    assert chosen.sum() > 0
    assert result.config["held_out"] == "0.5:3"


def test_what_is_held_out_by_itself_covers_all_taggers(taggers: list[Tagger]) -> None:
    made = [adapted(taggers[0], split, name=name) for name, split in (("a", "0.2:1"), ("b", "0.3:1"))]
    assert split_to_hold_out(taggers) is None
    assert split_to_hold_out([*taggers, *made]) == EventSplit(0.3, 1)
    with pytest.raises(ValueError, match=r"taggers c@1 and a@1 were adapted to splits of different seeds"):
        split_to_hold_out([*made, adapted(taggers[0], "0.1:2", name="c")])


def test_results_of_other_events_do_not_merge(fileset: dict[str, Any]) -> None:
    mc, data = ({name: fileset[name]} for name in ("mc", "data"))
    first = run(mc, [], Extras(held_out=SPLIT))
    assert merge_results([first, run(data, [], Extras(held_out=SPLIT))]).config["held_out"] == SPLIT.name
    with pytest.raises(ValueError, match="only one of them has 'held_out'"):
        merge_results([first, run(data, [])])
    with pytest.raises(ValueError, match=r"'held_out' is '0.333:3' in one and '0.5:3' in another"):
        merge_results([first, run(data, [], Extras(held_out=EventSplit(0.5, 3)))])


def test_finished_chunks_of_other_events_are_not_taken(fileset: dict[str, Any], tmp_path: Path) -> None:
    run(fileset, [], Extras(held_out=SPLIT), keep_chunks=tmp_path)
    before = set(tmp_path.iterdir())
    whole = run(fileset, [], keep_chunks=tmp_path)
    assert len(set(tmp_path.iterdir()) - before) == len(before) == 2
    assert whole.cutflows["mc"][-1].n_events == run(fileset, []).cutflows["mc"][-1].n_events


def test_rows_are_made_for_chunks_that_were_finished_without(fileset: dict[str, Any], tmp_path: Path) -> None:
    run(fileset, [], keep_chunks=tmp_path / "chunks")
    run(fileset, [], keep_chunks=tmp_path / "chunks", table=tmp_path / "resumed")
    run(fileset, [], table=tmp_path / "fresh")
    resumed, fresh = (
        pyarrow.parquet.read_table(tmp_path / name / "mc.parquet") for name in ("resumed", "fresh")
    )
    assert resumed.equals(fresh)


def test_requests_that_contradict_each_other_are_refused(fileset: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="either held out or collected"):
        run(fileset, [], Extras(held_out=SPLIT, collected=SPLIT), table=tmp_path)
    with pytest.raises(ValueError, match="name a folder"):
        run(fileset, [], Extras(collected=SPLIT))
