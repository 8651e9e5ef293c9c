from collections import Counter

import pytest

from condor.manifest import Input, Job, Range
from condor.splitting import split, uncounted_inputs
from processors.filesets import parse_fileset

INPUTS = [
    Input("dy", "a.root", "Events", 100),
    Input("dy", "b.root", "Events", 250),
    Input("tt", "c.root", "Events", 0),
]
BOTH = {"dy": ["dy", "tt"]}


def ranges(jobs: list[Job]) -> list[list[tuple[int, int, int]]]:
    return [[tuple(part) for part in job.ranges] for job in jobs]


def test_files_are_grouped_within_a_dataset() -> None:
    jobs = split(INPUTS, selections=["dy"], datasets=BOTH, files_per_job=10)
    assert ranges(jobs) == [[(0, 0, 100), (1, 0, 250)], [(2, 0, 0)]]


def test_large_files_are_cut_into_nearly_equal_parts() -> None:
    jobs = split(INPUTS, selections=["dy"], datasets=BOTH, events_per_job=120)
    # 250 events in parts of at most 120: three, with edges 0, 83, 166, 250.
    assert ranges(jobs) == [[(0, 0, 100)], [(1, 0, 83)], [(1, 83, 166)], [(1, 166, 250)], [(2, 0, 0)]]


@pytest.mark.parametrize("events_per_job", [1, 7, 99, 100, 350, 10_000])
def test_every_event_is_in_one_job(events_per_job: int) -> None:
    jobs = split(INPUTS, selections=["dy"], datasets=BOTH, events_per_job=events_per_job)
    events = Counter(
        (part.input, event) for job in jobs for part in job.ranges for event in range(part.start, part.stop)
    )
    assert events == Counter(
        (number, event) for number, file in enumerate(INPUTS) for event in range(file.n_events)
    )
    assert max(sum(part.stop - part.start for part in job.ranges) for job in jobs) <= events_per_job


def test_only_the_wanted_part_of_a_file_is_split() -> None:
    jobs = split(INPUTS[1:2], selections=["dy"], datasets=BOTH, parts={0: (50, 90)}, events_per_job=30)
    assert ranges(jobs) == [[(0, 50, 70)], [(0, 70, 90)]]


def test_data_go_to_the_selections_that_start_from_them() -> None:
    inputs = [Input("muons", "a.root", "Events", 5), Input("mc", "b.root", "Events", 5)]
    datasets = {"dy": ["muons", "mc"], "wc": ["mc"]}
    jobs = split(inputs, selections=["dy", "wc"], datasets=datasets)
    assert [(job.selection, [part.input for part in job.ranges]) for job in jobs] == [
        ("dy", [0]),
        ("dy", [1]),
        ("wc", [1]),
    ]
    with pytest.raises(ValueError, match="no dataset for wc"):
        split(inputs[:1], selections=["wc"], datasets=datasets)


def test_files_that_were_not_counted_cannot_be_cut() -> None:
    inputs, parts = uncounted_inputs(parse_fileset({"dy": ["a.root", "b.root"]}))
    assert (inputs, parts) == ([Input("dy", "a.root", "Events", -1), Input("dy", "b.root", "Events", -1)], {})
    jobs = split(inputs, selections=["dy"], datasets=BOTH, files_per_job=1)
    assert jobs == [Job("dy", (Range(0, 0, -1),)), Job("dy", (Range(1, 0, -1),))]
    with pytest.raises(ValueError, match="events per job need counted inputs"):
        split(inputs, selections=["dy"], datasets=BOTH, events_per_job=10)
