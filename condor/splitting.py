"""Files into jobs: so many files each, or so many events."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

from condor.manifest import Input, Job, Range
from processors.filesets import Fileset
from processors.planning import Plan


def planned_inputs(plans: Iterable[Plan]) -> tuple[list[Input], dict[int, tuple[int, int]]]:
    """Return the files of plans, each once, and the range of those (by number) of which not all is taken."""
    files = {(file.dataset, file.path): file for plan in plans for file in plan.files}
    inputs = [
        Input(file.dataset, file.path, file.tree, file.n_in_tree, file.identity) for file in files.values()
    ]
    parts = {
        number: (file.entry_start, file.entry_start + file.n_events)
        for number, file in enumerate(files.values())
        if file.n_events != file.n_in_tree
    }
    return inputs, parts


def uncounted_inputs(fileset: Fileset) -> tuple[list[Input], dict[int, tuple[int, int]]]:
    """Return every file without opening it, and the parts that the fileset restricts."""
    files = [
        (name, path, entry) for name, dataset in fileset.items() for path, entry in dataset.files.items()
    ]
    parts = {number: entry.entries for number, (_, _, entry) in enumerate(files) if entry.entries is not None}
    return [Input(name, path, entry.tree, -1) for name, path, entry in files], parts


def split(
    inputs: Sequence[Input],
    *,
    selections: Sequence[str],
    datasets: Mapping[str, Collection[str]],
    parts: Mapping[int, tuple[int, int]] | None = None,
    files_per_job: int = 10,
    events_per_job: int | None = None,
) -> list[Job]:
    """Return the jobs: every range of every input once for each selection that starts from its dataset.

    A job holds files of one dataset only, so that the loss of a job is the loss of a part of one dataset.

    Args:
        inputs: The files.
        selections: Their names.
        datasets: The datasets that each selection starts from.
        parts: The range of an input, by number, where only a part of it is wanted.
        files_per_job: At most so many files a job.
        events_per_job: At most so many events a job, cutting files if need be; None counts files alone.

    Raises:
        ValueError: If events are to be counted but were not, or no job comes out.
    """
    if events_per_job is not None and any(file.n_events < 0 for file in inputs):
        raise ValueError(
            "events per job need counted inputs: let the files be counted, or give files per job"
        )
    wanted = [
        Range(number, *(parts or {}).get(number, (0, file.n_events))) for number, file in enumerate(inputs)
    ]
    jobs = [
        Job(selection, tuple(ranges))
        for selection in selections
        for dataset in dict.fromkeys(file.dataset for file in inputs)
        if dataset in datasets[selection]
        for ranges in _groups(
            (part for part in wanted if inputs[part.input].dataset == dataset), files_per_job, events_per_job
        )
    ]
    if not jobs:
        raise ValueError(f"no dataset for {', '.join(selections)}: check the primary datasets of the fileset")
    return jobs


def _groups(ranges: Iterable[Range], files_per_job: int, events_per_job: int | None) -> Iterator[list[Range]]:
    group: list[Range] = []
    room = events_per_job or 0
    for part in ranges:
        for piece in [part] if events_per_job is None else _pieces(part, events_per_job):
            size = piece.stop - piece.start
            if group and (len(group) == files_per_job or (events_per_job is not None and size > room)):
                yield group
                group, room = [], events_per_job or 0
            group.append(piece)
            room -= size
    if group:
        yield group


def _pieces(part: Range, size: int) -> list[Range]:
    """Cut a range into nearly equal pieces of at most `size` events; an empty one stays."""
    n_events = part.stop - part.start
    n_pieces = max(1, -(-n_events // size))
    edges = [part.start + n_events * number // n_pieces for number in range(n_pieces + 1)]
    return [Range(part.input, start, stop) for start, stop in pairwise(edges)]
