"""Commands that make events and taggers: simulate, prepare, train, export, evaluate."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from advtag import samples
from advtag.interruption import keeps
from advtag.progress import one_bar, progress_board, say, stage
from advtag.tables import show, show_line

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def simulate(
    processes: Annotated[
        list[str],
        typer.Argument(
            metavar="PROCESS...", help="dy, wc, wlight, ttsl, tt, qcd, ...: see docs/simulation.md."
        ),
    ],
    *,
    events: Annotated[int, typer.Option(min=1, help="Events to generate of each process.")],
    out: Annotated[
        Path, typer.Option(help="The .root file to write, or a folder: what is there already is kept.")
    ],
    scenario: Annotated[
        list[str] | None,
        typer.Option(
            help="mc (default), null, data, one knob of it (data_tails), several (data_tails+data_efficiency)"
            " or a YAML file. Given again, further detectors see the same events, into files of their own."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=1, help="Same seed, same events.")] = 1,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that work, with a folder.")] = 1,
    shower_weights: Annotated[
        bool, typer.Option("--shower-weights", help="PSWeight of varied showers; a quarter slower.")
    ] = False,
    fileset: Annotated[
        Path | None,
        typer.Option(
            help="Also list the files of the first scenario in this JSON, for `process`, with those of data "
            "that see the same events."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make simulated events in PFNano's format; scenario "data" differs from "mc" in known ways.

    Example: advtag simulate dy --events 20000 --out samples/dy_mc.root --fileset samples/fileset.json
    """
    from simulation import SampleRequest, scenario_from, simulate_sample, simulate_samples
    from storage.files import require_writable, require_writable_file

    one_file = out.suffix == ".root"
    if one_file:
        require_writable_file(out)
    else:
        require_writable(out)
        keeps(out, "*.root", advice="the same command goes on")
    if fileset is not None:
        require_writable_file(fileset)
    first, *variations = [scenario_from(text) for text in scenario or ["mc"]]
    requests = [
        SampleRequest(
            process=process,
            scenario=first,
            n_events=events,
            seed=seed,
            variations=tuple(variations),
            shower_weights=shower_weights,
        )
        for process in processes
    ]
    if one_file and (variations or len(requests) > 1):
        raise ValueError(f"--out {out} is one file: give a folder for several processes or scenarios")
    if fileset is not None:
        samples.files_listed_in(fileset)  # what is no fileset is said before the work
    with one_bar(f"simulate {', '.join(processes)} ({first})") as progress:
        if one_file:
            infos = [simulate_sample(requests[0], out, progress=progress)]
        else:
            infos = simulate_samples(requests, out, n_processes=jobs, progress=progress)
    if fileset is not None:
        samples.add_to_fileset(fileset, samples.files_to_list(infos, first))
    rows = [
        asdict(info)
        if as_json
        else {"file": info.path.name, "events": info.n_events, "luminosity_pb": info.luminosity_pb}
        for info in infos
    ]
    show(rows, title=f"Simulated events in {out}", as_json=as_json)


def prepare(
    config: Annotated[
        Path, typer.Argument(help="YAML: inputs, output, reweighting; see configs/prepare.yaml.")
    ],
) -> None:
    """Turn ROOT files into shuffled, scaled, weighted shards of jets for training.

    Example: advtag prepare configs/prepare.yaml
    """
    from storage.files import require_writable
    from training.config import read_prepare_config
    from training.prepare import prepare as prepare_data

    settings = read_prepare_config(config)
    require_writable(settings.output.absolute().parent)
    keeps(settings.output.parent, f".{settings.output.name}.unfinished/*", advice="the same command goes on")
    with one_bar("prepare") as progress:
        manifest = prepare_data(settings, progress=progress)
    show_line(manifest)


def train(
    config: Annotated[
        Path, typer.Argument(help="YAML: name, data, output, attack; see configs/train_*.yaml.")
    ],
    *,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where it stopped, or start.")] = False,
) -> None:
    """Train a tagger on raw, noised or attacked inputs: a checkpoint, tagger and attack (ONNX) per epoch.

    SIGTERM and SIGUSR1 end it after the step it is in, with everything kept (exit codes 143 and 138).

    Example: advtag train configs/train_adversarial.yaml --resume
    """
    from storage.files import require_writable
    from training.config import read_train_config
    from training.train import train as train_tagger

    settings = read_train_config(config)
    require_writable(settings.output)
    keeps(settings.output, "epoch_*.pt", advice="go on with `advtag train --resume`")
    with one_bar(f"train {settings.name}") as progress:
        run = train_tagger(settings, resume=resume, progress=progress)
    show_line(run)


def export(run: Annotated[Path, typer.Argument(help="A run directory with checkpoints.")]) -> None:
    """Write the tagger and attack ONNX of every checkpoint again.

    Example: advtag export runs/basic
    """
    from storage.files import one_writer, require_writable
    from training.checkpoints import export as export_run
    from training.checkpoints import read_run

    require_writable(run)
    read_run(run)  # what is no run directory is said before anything is made
    with one_writer(run):
        for path in export_run(run):
            show_line(path)


def evaluate(
    runs: Annotated[list[Path], typer.Argument(help="Run directories.")],
    *,
    data: Annotated[Path, typer.Option(help="The prepared jets; their test split is used.")],
    variants: Annotated[
        str, typer.Option(help="Inputs: raw, noise:SIGMA, fgsm:EPSILON, pgd:EPSILON, ...")
    ] = "raw,noise:0.1,fgsm:0.1",
    epochs: Annotated[str | None, typer.Option(help="Epochs, e.g. 1,5,20; all if not given.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for tables, figures and index.html.")] = Path(
        "evaluation"
    ),
    studies: Annotated[
        str,
        typer.Option(help="all, none, or names: transfer,thesis,...; see docs/evaluation.md."),
    ] = "none",
    features: Annotated[
        str | None, typer.Option(help="Inputs whose shapes are drawn: all, or names; 8 if not given.")
    ] = None,
    max_jets: Annotated[
        int | None, typer.Option(min=1, help="Only so many test jets, a random sample; all if not given.")
    ] = None,
    pdf: Annotated[bool, typer.Option("--pdf", help="Figures as PDF, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Measure every checkpoint on the test jets, raw and distorted: AUC, ROC and the studies of the thesis.

    Example: advtag evaluate runs/basic runs/adversarial --data training_data --studies all
    --variants raw,noise:0.1,fgsm:0.05,fgsm:0.1 --epochs 1,5,20 --out evaluation
    """
    from advtag import evaluation
    from models.perturbations import parse_variants
    from storage.files import one_writer, require_writable

    require_writable(out)
    wanted, chosen = evaluation.parse_studies(studies), parse_variants(variants)
    shown = features.split(",") if features else None
    if shown and "input_shapes" not in wanted:
        raise ValueError("--features: goes with the study input_shapes, e.g. --studies all")
    if pdf and not wanted:
        raise ValueError("--pdf: figures are those of studies, e.g. --studies all")
    if shown:
        from advtag.input_figures import require_features

        require_features(shown)
    with one_writer(out), progress_board() as board:
        with stage(board, "evaluate") as (progress,):
            tables = evaluation.run_studies(
                runs, data=data, variants=chosen, epochs=parse_epochs(epochs), studies=wanted,
                max_jets=max_jets, progress=progress,
            )  # fmt: skip
        evaluation.write_tables(tables, out, studies=wanted)
        if wanted:
            from advtag.study_figures import draw_studies

            with stage(board, "draw") as (progress,):
                page = draw_studies(
                    tables, wanted, out, features=shown,
                    formats=("png", "pdf") if pdf else ("png",), progress=progress,
                )  # fmt: skip
    if "thesis" in wanted and not as_json:
        show([row._asdict() for row in tables.thesis], title="Beside the thesis", as_json=False)
    last = {row.tagger: row.epoch for row in sorted(tables.auc, key=lambda row: row.epoch)}
    rows = [row._asdict() for row in tables.auc if as_json or row.epoch == last[row.tagger]]
    show(rows, title="AUC on the test jets, last epoch (all are in auc.csv)", as_json=as_json)
    if wanted:
        say(f"Open {page}")


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
