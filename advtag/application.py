"""The commands of `advtag`: one per stage of the analysis, and what comes of them.

Importing this module is cheap, and so is `advtag --help`: a command imports what it needs when it is called.
"""

import logging
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

import typer

from advtag import batch, collecting, compare, demo, fitting, processing, produce, slurm, study, validate
from advtag.endings import was_by_signal
from advtag.interruption import what_was_kept
from advtag.progress import OneLine, say
from advtag.surroundings import BROKEN_PIPE, goes_nowhere
from storage.disk import DiskFullError, full_disk
from storage.processes import ProcessDiedError

app = typer.Typer(
    name="advtag",
    help="Does adversarial training make a jet-flavour tagger agree better with data?\n\n"
    "Start with [bold]advtag demo[/]: the whole chain on simulated events, in a few minutes.",
    rich_markup_mode="rich",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"advtag {version('advtag')}")
        raise typer.Exit


@app.callback()
def options(
    *,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    show_version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Options that hold for every command."""


EVENTS = "Events and training"
COMPARISON = "Data and simulation"

app.command(rich_help_panel="Everything at once")(demo.demo)
app.command(rich_help_panel="Everything at once")(study.study)
app.command(rich_help_panel=EVENTS)(produce.simulate)
app.command(rich_help_panel=EVENTS)(validate.validate_simulation)
app.command(rich_help_panel=EVENTS)(produce.prepare)
app.command(rich_help_panel=EVENTS)(collecting.collect)
app.command(rich_help_panel=EVENTS)(produce.train)
app.command(rich_help_panel=EVENTS)(produce.export)
app.command(rich_help_panel=EVENTS)(produce.evaluate)
app.command(rich_help_panel=COMPARISON)(processing.skim)
app.command(rich_help_panel=COMPARISON)(processing.process)
app.command(rich_help_panel=COMPARISON)(fitting.fit)
app.command(rich_help_panel=COMPARISON)(fitting.compare_scale_factors)
app.command(rich_help_panel=COMPARISON)(validate.true_scale_factors)
app.command(rich_help_panel=COMPARISON)(compare.divergence)
app.command(rich_help_panel=COMPARISON)(compare.plot)
app.command(rich_help_panel=COMPARISON)(compare.report)

app.add_typer(batch.condor, name="condor", rich_help_panel="Batch systems")
app.add_typer(slurm.slurm, name="slurm", rich_help_panel="Batch systems")


def run(arguments: Sequence[str]) -> int:
    """Run a command and return its exit code; an error is one sentence.

    Args:
        arguments: The words after `advtag`; `--debug` is welcome anywhere among them.

    Raises:
        Exception: Any error, with `--debug`.
    """
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(OneLine())
    debug = "--debug" in arguments
    rest = [argument for argument in arguments if argument != "--debug"]
    try:
        app(args=["--debug", *rest] if debug else rest, prog_name="advtag")
    except SystemExit as end:
        return _code_of(end)
    except Exception as error:
        if debug:
            raise
        say(_sentence(error), heading="Error:", style="bold red")
        return 1
    return 0


def _code_of(end: SystemExit) -> int:
    """Return the exit code of a command that ended by itself, after a word if it is not done."""
    if isinstance(end.__context__, BrokenPipeError) and goes_nowhere(sys.stdout):
        return BROKEN_PIPE  # without a word: `| head` has seen enough
    code = end.code if isinstance(end.code, int) else int(end.code is not None)
    if was_by_signal(code):
        say(getattr(end, "kept", None) or what_was_kept(), heading="Interrupted:", style="bold")
    return code


def _sentence(error: Exception) -> str:
    """Return what went wrong in one line; an error that is not the user's says so."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, ModuleNotFoundError) and error.name == "torch":
        return "training needs torch, which is not installed: pip install 'advtag[train]'"
    if isinstance(error, RecursionError):
        return "a file holds something nested too deeply to read: run it again with --debug to see which"
    if isinstance(error, OSError) and not isinstance(error, DiskFullError) and (reason := full_disk(error)):
        where = error.filename or f"a temporary file in {os.environ.get('TMPDIR', '/tmp')} or another file"
        return f"{where}: {reason}: free some space or choose another folder, and run the command again"
    if isinstance(error, (ValueError, OSError, ImportError, ProcessDiedError)):
        return text
    return f"{type(error).__name__}: {text} (this should not happen: run it again with --debug and report it)"
