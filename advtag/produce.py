"""Commands that make events and taggers: simulate, prepare, train, export, evaluate."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from advtag import samples
from advtag.progress import one_bar
from advtag.tables import show

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def simulate(
    process: Annotated[
        str, typer.Argument(help="dy, wc, wlight, ttsl, tt, qcd, ...: see docs/simulation.md.")
    ],
    *,
    events: Annotated[int, typer.Option(min=1, help="Events to generate.")],
    out: Annotated[Path, typer.Option(help="The ROOT file to write.")],
    scenario: Annotated[
        str,
        typer.Option(
            help="mc, null, data, one knob of it (data_tails), or several: data_tails+data_efficiency."
        ),
    ] = "mc",
    seed: Annotated[int, typer.Option(min=1, help="Same seed, same events.")] = 1,
    fileset: Annotated[
        Path | None, typer.Option(help="Also list the file in this JSON, for `process`.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make simulated events in PFNano's format; scenario "data" differs from "mc" in known ways.

    Example: advtag simulate dy --events 20000 --out samples/dy_mc.root --fileset samples/fileset.json
    """
    from simulation import SampleRequest, simulate_sample

    request = SampleRequest(process=process, scenario=scenario, n_events=events, seed=seed)
    with one_bar(f"simulate {process} ({scenario})") as progress:
        info = simulate_sample(request, out, progress=progress)
    if fileset is not None:
        samples.add_to_fileset(fileset, info.path)
    show([asdict(info)], title="Simulated events", as_json=as_json)


def prepare(
    config: Annotated[
        Path, typer.Argument(help="YAML: inputs, output, reweighting; see configs/prepare.yaml.")
    ],
) -> None:
    """Turn ROOT files into shuffled, scaled, weighted shards of jets for training.

    Example: advtag prepare configs/prepare.yaml
    """
    from training.config import read_prepare_config
    from training.prepare import prepare as prepare_data

    settings = read_prepare_config(config)
    with one_bar("prepare") as progress:
        manifest = prepare_data(settings, progress=progress)
    typer.echo(manifest)


def train(
    config: Annotated[
        Path, typer.Argument(help="YAML: name, data, output, attack; see configs/train_*.yaml.")
    ],
    *,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last complete epoch.")] = False,
) -> None:
    """Train a tagger, basic or on FGSM-attacked inputs: a checkpoint, tagger and attack (ONNX) per epoch.

    Example: advtag train configs/train_adversarial.yaml --resume
    """
    from training.config import read_train_config
    from training.train import train as train_tagger

    settings = read_train_config(config)
    with one_bar(f"train {settings.name}") as progress:
        run = train_tagger(settings, resume=resume, progress=progress)
    typer.echo(run)


def export(run: Annotated[Path, typer.Argument(help="A run directory with checkpoints.")]) -> None:
    """Write the tagger and attack ONNX of every checkpoint again.

    Example: advtag export runs/basic
    """
    from training.checkpoints import export as export_run

    for path in export_run(run):
        typer.echo(path)


def evaluate(
    runs: Annotated[list[Path], typer.Argument(help="Run directories.")],
    *,
    data: Annotated[Path, typer.Option(help="The prepared jets; their test split is used.")],
    variants: Annotated[
        str, typer.Option(help="Inputs: raw, noise:SIGMA, fgsm:EPSILON.")
    ] = "raw,noise:0.1,fgsm:0.1",
    epochs: Annotated[str | None, typer.Option(help="Epochs, e.g. 1,5,20; all if not given.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for auc.csv and roc.csv.")] = Path("evaluation"),
    as_json: AsJson = False,
) -> None:
    """Measure AUC and ROC of every checkpoint on the test jets, raw and distorted.

    Example: advtag evaluate runs/basic runs/adversarial --data training_data --out evaluation
    """
    from models.perturbations import parse_variants
    from training.evaluate import evaluate as areas_of
    from training.evaluate import roc_curves, write_auc_table, write_roc_table

    wanted = parse_variants(variants)
    with one_bar("evaluate") as progress:
        rows = areas_of(runs, data=data, variants=wanted, epochs=parse_epochs(epochs), progress=progress)
    write_auc_table(rows, out / "auc.csv")
    write_roc_table(roc_curves(runs, data=data, variants=wanted), out / "roc.csv")
    show([row._asdict() for row in rows], title="AUC on the test jets", as_json=as_json)


def parse_epochs(text: str | None) -> list[int] | None:
    """Return the epochs of a list such as ``1,5,20``; None stays None and means all.

    Raises:
        ValueError: If something else is listed.
    """
    if text is None:
        return None
    try:
        epochs = [int(part) for part in text.split(",")]
    except ValueError:
        epochs = [0]
    if min(epochs) < 1:
        raise ValueError(f"epochs {text!r}: give whole numbers from 1 on, e.g. 1,5,20")
    return epochs
