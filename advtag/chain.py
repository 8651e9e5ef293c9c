"""The stages of the whole chain on simulated events, each from what the one before it left on disk."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from advtag import production
from advtag.progress import ProgressCallback
from advtag.samples import write_fileset
from storage.documents import read_json
from storage.files import write_text

if TYPE_CHECKING:
    from datamc.results import Result
    from simulation import SampleInfo

SELECTIONS = ("dy", "ttsemilep", "wc")
TRAININGS = ("basic", "adversarial")
ATTACK = "fgsm:0.1"
"""FGSM step of the adversarial training. On these simulated events it does what 0.01 does on CMS files, whose
scaling the defaults and outliers inflate."""

VARIANTS = "raw,noise:0.1,fgsm:0.05,fgsm:0.1"
EPOCHS = 20
PROCESSED_EPOCHS = (1, 2, 4, 7, 10, 15, 20)

SIMULATED_EVENTS = {"dy": 30_000, "wc": 12_000, "ttsl": 40_000, "qcd": 15_000, "tt": 10_000}
"""Generated events per process at scale 1; QCD and inclusive top pairs are what the taggers learn from."""

TRAINED_ON = ("qcd", "tt")
LUMINOSITY_PB = {"dy": 80.0, "wc": 500.0, "ttsl": 500.0}
"""Of the "data" at scale 1, in inverse pb: one luminosity per primary dataset."""


class Folders(NamedTuple):
    """Where everything of one production lies."""

    top: Path

    @property
    def samples(self) -> Path:
        """Simulated ROOT files, and the fileset."""
        return self.top / "samples"

    @property
    def training_data(self) -> Path:
        """Shards of jets."""
        return self.top / "training_data"

    @property
    def evaluation(self) -> Path:
        """AUC and ROC tables."""
        return self.top / "evaluation"

    @property
    def results(self) -> Path:
        """Histograms, one file per selection, and what is made of them."""
        return self.top / "results"

    def run(self, name: str) -> Path:
        """Return the run directory of a training."""
        return self.top / "runs" / name


def simulate(
    folders: Folders, *, scale: float, n_processes: int, progress: ProgressCallback
) -> list["SampleInfo"]:
    """Return simulation and "data" for training and selections; what exists is not made again."""
    from simulation import SampleRequest, events_for_luminosity, simulate_samples

    _claim(folders, scale)
    requests = [
        SampleRequest(process, "mc", round(n_events * scale), seed=1)
        for process, n_events in SIMULATED_EVENTS.items()
    ] + [
        SampleRequest(process, "data", events_for_luminosity(process, luminosity * scale, seed=2), seed=2)
        for process, luminosity in LUMINOSITY_PB.items()
    ]
    samples = simulate_samples(requests, folders.samples, n_processes=n_processes, progress=progress)
    selected = [sample for sample in samples if sample.process not in TRAINED_ON]
    write_fileset(selected, folders.samples / "fileset.json")
    return samples


def _claim(folders: Folders, scale: float) -> None:
    """Write down what the folder is for, or check that it is for the same."""
    settings = folders.top / "settings.json"
    mine = {"scale": scale}
    if not settings.exists():
        write_text(settings, json.dumps(mine))
    elif (found := read_json(settings, remedy="choose another --out, or remove it")) != mine:
        raise ValueError(
            f"{folders.top}: holds a demo of scale {found['scale']}, not {scale}: choose another --out, "
            "or remove it"
        )


def prepare(folders: Folders, samples: Sequence["SampleInfo"], *, progress: ProgressCallback) -> None:
    """Make the training data from the samples for training."""
    from training.config import PrepareConfig
    from training.prepare import prepare

    inputs = tuple(str(sample.path) for sample in samples if sample.process in TRAINED_ON)
    # Some ten thousand jets: coarser bins than the thesis's, and no jet that outweighs all others.
    config = PrepareConfig(inputs=inputs, output=folders.training_data, eta_bins=10, weight_cap=5)
    prepare(config, progress=progress)


def train(folders: Folders, *, n_processes: int, progress: Mapping[str, ProgressCallback]) -> None:
    """Train both taggers side by side."""
    from advtag.trainings import train_side_by_side
    from training.config import TrainConfig

    configs = [
        TrainConfig(
            name=name, attack=attack, data=folders.training_data, output=folders.run(name), epochs=EPOCHS,
        )
        for name, attack in zip(TRAININGS, ("raw", ATTACK), strict=True)
    ]  # fmt: skip
    train_side_by_side(configs, n_processes=n_processes, progress=progress)


def evaluate(folders: Folders, *, progress: ProgressCallback) -> production.Evaluation:
    """Return areas under the ROC curves of the processed epochs, and the curves of the last."""
    from advtag.evaluation import run_studies, write_tables
    from models.perturbations import parse_variants

    runs = [folders.run(name) for name in TRAININGS]
    tables = run_studies(
        runs, data=folders.training_data, variants=parse_variants(VARIANTS), epochs=PROCESSED_EPOCHS,
        progress=progress,
    )  # fmt: skip
    write_tables(tables, folders.evaluation, studies=())
    return tables.evaluation


def process(
    folders: Folders, *, workers: int, progress: Mapping[str, ProgressCallback]
) -> dict[str, "Result"]:
    """Return the results of the three selections, with every processed checkpoint and variant."""
    from datamc.results import write_result
    from models.perturbations import parse_variants
    from models.tagger import load_taggers
    from processors.extras import Extras
    from processors.filesets import read_fileset
    from processors.run import run_selection

    taggers = load_taggers([folders.run(name) for name in TRAININGS], epochs=PROCESSED_EPOCHS)
    fileset = read_fileset(folders.samples / "fileset.json")
    results = {}
    for selection in SELECTIONS:
        results[selection] = run_selection(
            selection=selection, fileset=fileset, taggers=taggers, variants=parse_variants(VARIANTS),
            executor="futures", workers=workers, progress=progress[selection], extras=Extras(blocks=32),
        )  # fmt: skip
        write_result(results[selection], folders.results / f"{selection}.zip")
    return results


def compare(
    folders: Folders, results: dict[str, "Result"], *, progress: ProgressCallback
) -> production.Comparison:
    """Return divergence and scale factors, and write them with the standard figures."""
    found = production.compare(results, coarse=True, evaluation=folders.evaluation, progress=progress)
    production.write_agreement(found.agreement, folders.results / "divergence.csv")
    production.write_scale_factors(results, found.scale_factors, folders.results / "scale_factors")
    return found


def draw(
    folders: Folders,
    found: production.Comparison,
    evaluation: production.Evaluation,
    *,
    progress: ProgressCallback,
) -> None:
    """Draw the standard figures as PNG; `advtag plot` writes them as PDF, too."""
    from plotting.figures import plot_results

    plot_results(
        found.results,
        folders.results / "figures",
        divergence=found.divergence,
        curve=found.agreement.curve,
        scale_factors=found.scale_factors,
        auc_rows=evaluation.areas,
        roc_rows=evaluation.curves,
        formats=("png",),
        progress=progress,
    )


def report(folders: Folders, found: production.Comparison, evaluation: production.Evaluation) -> Path:
    """Write the report and return its path."""
    from plotting.report import write_report

    return write_report(
        folders.top / "report.html", results=found.results, divergence=found.divergence,
        differences=found.agreement.differences, curve=found.agreement.curve,
        equal_auc=found.agreement.equal_auc, scale_factors=found.scale_factors,
        auc_rows=evaluation.areas, roc_rows=evaluation.curves,
        auc_differences=evaluation.differences,
        title="Basic and adversarial training on simulated events",
    )  # fmt: skip
