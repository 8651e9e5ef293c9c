"""Commands for SLURM: train (an array of variants that go on by themselves), process, and what follows."""

import itertools
import re
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from advtag import batch
from advtag.progress import say
from storage.wording import few

slurm = typer.Typer(no_args_is_help=True, help="Trainings and jobs of `advtag process` on SLURM.")
slurm.command("process", context_settings=batch.PASSED_ON)(batch.submit)
slurm.command("status")(batch.status)
slurm.command("resubmit")(batch.resubmit)
slurm.command("merge")(batch.merge)


@slurm.command()
def train(
    config: Annotated[Path, typer.Argument(help="YAML as for `advtag train`.")],
    folder: Annotated[Path, typer.Argument(help="Folder of the jobs, made anew.")],
    *,
    site: Annotated[
        str, typer.Option(help="A site with SLURM, e.g. rwth, or the path of a profile.")
    ] = "rwth",
    vary: Annotated[
        list[str] | None,
        typer.Option(help="KEY=VALUE,VALUE,...: one training for each; several: for each combination."),
    ] = None,
    gpus: Annotated[int, typer.Option(min=0, help="GPUs of a training.")] = 1,
    minutes: Annotated[int, typer.Option(min=1, help="Time until it is put back into the queue.")] = 240,
    memory_mb: Annotated[int | None, typer.Option(min=100, help="Memory of a job; else the site's.")] = None,
    signal_seconds: Annotated[
        int, typer.Option(min=1, help="How long before its time is over a training keeps its state.")
    ] = 120,
    then: Annotated[
        list[str] | None,
        typer.Option(help='A command for when all are done, e.g. "advtag slurm process jobs ...".'),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be submitted.")] = False,
) -> None:
    """Submit a training, or many that differ in some keys; they resume by themselves until they are done.

    Example: advtag slurm train configs/train_adversarial.yaml trainings --site rwth
    --vary attack=fgsm:0.05,fgsm:0.1 --vary seed=1,2,3
    """
    from condor.handing_in import submitted
    from condor.sites import read_site
    from condor.submissions import Attempt
    from condor.trainings import Training, Trainings, script, submit_after, submit_trainings, write_trainings
    from storage.files import one_writer, require_writable
    from training.config import read_train_config

    if not dry_run:
        require_writable(folder)
    profile = read_site(site)
    if profile.scheduler != "slurm":
        raise ValueError(f"site {profile.name} has no SLURM: choose another one")
    asked = {"gpus": gpus, "minutes": minutes, **({"memory_mb": memory_mb} if memory_mb else {})}
    profile = profile.model_copy(update={"request": profile.request.model_copy(update=asked)})
    cards = list(_varied(read_train_config(config), vary or []))
    _require_apart(cards)
    planned = Trainings(
        site=profile,
        signal_seconds=signal_seconds,
        trainings=tuple(
            Training(card.name, str(card.output), card.epochs, card.patience is not None) for card in cards
        ),
    )
    attempts = [Attempt(job, profile.request.memory_mb, minutes) for job in range(len(cards))]
    text = script(planned, folder, attempts)
    if dry_run:
        typer.echo(text)
        for training in planned.trainings:
            say(f"{training.name} -> {training.output}", heading="Dry run:")
        return
    write_trainings(planned, [card.model_dump(mode="json") for card in cards], folder)
    with one_writer(folder):
        number = submitted(folder, attempts, partial(submit_trainings, planned, folder, attempts)).id
    say(f"{len(cards)} trainings submitted as {number}: see `advtag slurm status {folder}`.")
    for command in then or []:
        number = submit_after(shlex.split(command), profile, after=number, folder=folder)
        say(f"{command}: runs after them, as {number}.")


def _varied(card: Any, vary: Sequence[str]) -> Iterator[Any]:
    """Yield a run card for each combination of values, with a name and a run directory of its own.

    Raises:
        ValueError: If a key is unknown or a value out of bounds.
    """
    choices = [_choices(text) for text in vary]
    absolute = {"data": card.data.resolve(), "output": card.output.resolve()}
    for combination in itertools.product(*choices):
        values = dict(combination)
        suffix = "".join(f"-{key}-{_plain(value)}" for key, value in combination)
        content = card.model_dump(mode="json") | {key: str(path) for key, path in absolute.items()} | values
        if suffix:
            content["name"] = f"{card.name}{suffix}"
            content["output"] = f"{absolute['output']}{suffix}"
        try:
            yield type(card).model_validate(content)
        except ValueError as error:
            reason = " ".join(str(error).splitlines()[1:3])
            raise ValueError(f"--vary {', '.join(vary)}: {reason}: mend the key or value") from error


def _choices(text: str) -> list[tuple[str, Any]]:
    from storage.documents import parse_yaml

    key, equals, values = text.partition("=")
    if not equals or not values:
        raise ValueError(f"--vary {text!r}: write KEY=VALUE,VALUE, e.g. seed=1,2,3")
    return [(key, parse_yaml(value, source=f"--vary {text!r}")) for value in values.split(",")]


def _plain(value: Any) -> str:
    """Return a value as a part of a name: letters, digits, dots and dashes."""
    return re.sub("[^A-Za-z0-9.-]", "_", str(value))


def _require_apart(cards: Sequence[Any]) -> None:
    """Raise if two trainings would be called the same, and so write into one folder.

    Raises:
        ValueError: If two are.
    """
    twice = [name for name, times in Counter(card.name for card in cards).items() if times > 1]
    if twice:
        raise ValueError(f"--vary: {few(twice)} more than once: give values whose names differ")
