"""Progress on long work: what is done, how much is left, how long it takes."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import TimeRemainingColumn as TimeLeftColumn
from rich.text import Text

from storage.names import printable

ProgressCallback = Callable[[int, int], None]
"""Called with (done, total); the total may become known, or change, on the way."""


class _Unread(Console):
    """A console that nobody has to read: when a pipe breaks it falls silent, and the work goes on."""

    def on_broken_pipe(self) -> None:
        """Write nothing any more."""
        self.quiet = True


console = _Unread(stderr=True)
"""Progress and errors go to standard error, so that tables and `--json` can be piped."""


def say(text: str, *, heading: str = "", style: str = "") -> None:
    """Write a line for people to standard error: square brackets are no markup here, and nothing is obeyed.

    Names of files and datasets come from others; control characters in them are written out.
    """
    start = Text(f"{heading} ", style=style) if heading else Text()
    console.print(start + Text(printable(text)), soft_wrap=True)


class OneLine(logging.Formatter):
    """Writes warnings of the library as `say` writes, one line each."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the message of a record without control characters."""
        return printable(record.getMessage())


class SpeedColumn(ProgressColumn):
    """Steps a second, where they are many: jets or events, not files."""

    def render(self, task: Task) -> Text:
        """Return such as ``215,000/s``, or nothing below 100 a second."""
        speed = task.finished_speed or task.speed or 0.0
        return Text(f"{speed:,.0f}/s" if speed >= 100 else "", style="progress.data.speed")


@contextmanager
def progress_board() -> Iterator[Progress]:
    """Yield a live board of progress bars; add one with `bar`."""
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        SpeedColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeLeftColumn(),
        console=console,
    ) as board:
        yield board


def bar(board: Progress, description: str) -> ProgressCallback:
    """Add a bar to the board and return the callback that moves it; its clock starts with the first call."""
    task = board.add_task(printable(description), total=None, start=False)

    def move(done: int, total: int) -> None:
        board.start_task(task)
        board.update(task, completed=done, total=total)

    return move


@contextmanager
def stage(board: Progress, *descriptions: str) -> Iterator[list[ProgressCallback]]:
    """Yield the callbacks of the bars of one stage; bars that never moved are told to be done already."""
    bars = [bar(board, description) for description in descriptions]
    first_task = len(board.tasks) - len(bars)
    yield bars
    for task in board.tasks[first_task:]:
        if task.total is None:
            board.start_task(task.id)
            board.update(task.id, description=f"{task.description} (done before)", completed=1, total=1)


@contextmanager
def one_bar(description: str) -> Iterator[ProgressCallback]:
    """Yield the callback of a single progress bar."""
    with progress_board() as board, stage(board, description) as (callback,):
        yield callback
