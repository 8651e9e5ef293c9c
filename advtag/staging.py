"""The options of `advtag process` as they are given to many jobs: checked at once, their files gathered."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from advtag import process_settings, processing
from advtag.produce import parse_epochs

if TYPE_CHECKING:
    from condor.folder import Staged

_OF_THE_JOB = frozenset({"selection", "fileset", "out"})
_OF_NO_JOB = frozenset({"executor", "workers", "dask_address", "site", "as_json", "resume", "submission"})
"""Where, how many at once, and what is done again: the batch system decides that."""


class ProcessCommand(NamedTuple):
    """What every job runs.

    Attributes:
        selections: The selections, each a job of its own.
        fileset: The file with all datasets.
        settings: What is asked of every selection, as a local run asks it.
        skip_bad_files: Whether files that cannot be read are declared lost.
        words: The other options; files among them as `{inputs}/...`.
        staged: Those files.
    """

    selections: tuple[str, ...]
    fileset: Path
    settings: dict[str, Any]
    skip_bad_files: bool
    words: tuple[str, ...]
    staged: tuple["Staged", ...]


def parse_process(*, selection: str, fileset: Path, others: Sequence[str]) -> ProcessCommand:
    """Return the options of `advtag process`, checked as that command checks them.

    Raises:
        typer.BadParameter: If an option is unknown or its value wrong; the command line shows it as its own.
        ValueError: If an option does not concern a job, or a file it names is not there.
    """
    command = _process_command()
    given = ["--selection", selection, "--fileset", str(fileset), "--out", "output", *others]
    context = command.make_context("advtag process", given)
    process_settings.require_taggers_for(context.params["variants"], context.params["taggers"])
    words: list[str] = []
    staged: list[Staged] = []
    for parameter in command.params:
        name = parameter.name or ""
        if name in _OF_THE_JOB or not _was_given(context, name):
            continue
        if name in _OF_NO_JOB:
            raise ValueError(f"{parameter.opts[0]}: the batch system decides that: leave it out")
        words += _words(parameter, context.params, staged)
    settings = process_settings.settings_of(context.params)
    held_out = settings["extras"].held_out
    if held_out is not None and not _was_given(context, "held_out"):
        words += ["--held-out", held_out.name]
    return ProcessCommand(
        selections=tuple(selection.split(",")),
        fileset=fileset,
        settings=settings,
        skip_bad_files=context.params["skip_bad_files"],
        words=tuple(words),
        staged=tuple(staged),
    )


def _process_command() -> Any:
    alone = typer.Typer(add_completion=False)
    alone.command()(processing.process)
    return typer.main.get_command(alone)


def _was_given(context: Any, name: str) -> bool:
    # Compared by name: typer may bring a click of its own.
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _words(parameter: Any, values: dict[str, Any], staged: "list[Staged]") -> Iterator[str]:
    value, option = values[parameter.name or ""], parameter.opts[0]
    if parameter.is_flag:
        yield from [option] if value else []
        return
    several = value if isinstance(value, list | tuple) else [value]
    if parameter.name == "taggers":
        from models.tagger import run_folders

        several = run_folders(several)
    for number, each in enumerate(several):
        yield option
        yield _staged_name(parameter, each, number, values, staged) if isinstance(each, Path) else str(each)


def _staged_name(
    parameter: Any, path: Path, number: int, values: dict[str, Any], staged: "list[Staged]"
) -> str:
    from condor.folder import Staged

    if not path.exists():
        raise ValueError(f"{parameter.opts[0]} {path}: no such file or folder")
    name = f"{parameter.name}_{number}/{path.name if path.is_file() else path.resolve().name}"
    if parameter.name == "taggers":
        staged += _staged_taggers(path, name, parse_epochs(values.get("epochs")))
    elif parameter.name == "corrections":
        staged += _staged_corrections(path, name)
    else:
        staged.append(Staged(path, name))
    return f"{{inputs}}/{name}"


def _staged_taggers(path: Path, name: str, epochs: Sequence[int] | None) -> "Iterator[Staged]":
    """Yield the files of the taggers of a run directory, or of one tagger: with attacks and weights beside.

    Raises:
        FileNotFoundError: If the folder holds no tagger, or lacks an epoch asked for.
        ValueError: If a tagger is no ONNX model.
    """
    from condor.folder import Staged
    from models.tagger import files_of, tagger_files

    for tagger in tagger_files(path, epochs):
        folder = Path(name) if path.is_dir() else Path(name).parent
        yield from (Staged(file, str(folder / file.relative_to(tagger.parent))) for file in files_of(tagger))


def _staged_corrections(path: Path, name: str) -> "Iterator[Staged]":
    """Yield a configuration of corrections and the tables it names, which lie beside it from now on.

    Raises:
        ValueError: If the configuration or one of its tables does not fit.
    """
    import yaml

    from condor.folder import Staged
    from processors.corrections import read_corrections
    from selections.parameters import SELECTIONS
    from storage.documents import read_yaml

    read_corrections(path, selections=SELECTIONS)
    tables: dict[str, str] = {}

    def moved(plain: Any) -> Any:
        if isinstance(plain, list):
            return [moved(one) for one in plain]
        if not isinstance(plain, dict):
            return plain
        return {key: place(value) if key == "file" else moved(value) for key, value in plain.items()}

    def place(file: str) -> str:
        # A folder for each table: some of another folder may have the same name.
        return tables.setdefault(file, f"table_{len(tables)}/{Path(file).name}")

    card = moved(read_yaml(path))
    yield Staged(path, name, yaml.safe_dump(card, sort_keys=False))
    folder = Path(name).parent
    yield from (Staged(path.parent / file, str(folder / moved_to)) for file, moved_to in tables.items())
