"""Options of the commands that process events."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Mode(StrEnum):
    """Which variations of simulation are filled."""

    NONE = "none"
    WEIGHT_ONLY = "weight_only"
    TOTAL = "total"


class Executor(StrEnum):
    """Where the chunks are processed."""

    ITERATIVE = "iterative"
    FUTURES = "futures"
    DASK = "dask"


class WhichJets(StrEnum):
    """Which jets of the selected events are filled."""

    PROBE = "probe"
    ALL = "all"


Selections = Annotated[
    str, typer.Option(help="dy, wc, ttsemilep, inclusive, ...: docs/selections.md; several: dy,wc.")
]
FilesetFile = Annotated[Path, typer.Option(help="JSON: datasets with their files and metadata.")]
Profile = Annotated[
    str, typer.Option(help="Profile of the parameter table: btv20001, legacy, btvnano, other_jet.")
]
Year = Annotated[str, typer.Option(help="Year of data taking.")]
SkipBadFiles = Annotated[
    bool,
    typer.Option(
        "--skip-bad-files",
        help="Declare unreadable files lost, by name, instead of stopping; the exit code is then 3.",
    ),
]
Where = Annotated[Executor, typer.Option(help="Where to run.")]
Workers = Annotated[int, typer.Option(min=1, help="Processes, one thread each.")]
DaskAddress = Annotated[str | None, typer.Option(help="Scheduler of a running dask cluster.")]
DaskSite = Annotated[
    str | None,
    typer.Option(help="With --executor dask: workers are jobs at this site, as of `advtag condor submit`."),
]
Chunksize = Annotated[int, typer.Option(min=1, help="Events per chunk; changes no result.")]
MemoryLimit = Annotated[
    int | None, typer.Option(min=1, help="MB of memory a worker may take; none if not given.")
]
GoldenJsonFile = Annotated[Path | None, typer.Option(help="Certified luminosity sections, applied to data.")]
CorrectionsFile = Annotated[
    Path | None, typer.Option(help="YAML of corrections of simulation; see configs/corrections.yaml.")
]
Retries = Annotated[
    int, typer.Option(min=0, help="Tries more where reading fails, after 1, 2, 4 ... seconds.")
]


def split_text(text: str | None) -> str | None:
    """Return the text of a split of events if it is one; called by the command line.

    Raises:
        typer.BadParameter: If it is none.
    """
    from models.event_split import EventSplit

    try:
        return None if text is None else EventSplit.parse(text).name
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
