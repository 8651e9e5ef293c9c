"""Damaged texts: filesets, cards, sites, corrections, sections, tables, manifests.

A text that is read is taken for what it says, so another result is right; what may not happen is a traceback,
an error that names no file, or something that is executed.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

from benchmarks.reliability.damage import Trial
from benchmarks.reliability.mutants import TEXTS
from benchmarks.reliability.world import TRAIN, World

ACCEPTED = "accepted: it says something else"


def _accepted(_path: Path, _original: bytes) -> str | None:
    return ACCEPTED


def text_trials(world: World, folder: Path) -> Sequence[Trial]:
    """Return one trial for each kind of text that a command reads."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(world.folder, folder, symlinks=True)
    fileset = json.loads((folder / "samples" / "fileset.json").read_text())
    few = {name: dataset for name, dataset in fileset.items() if name.startswith("dy")}
    (folder / "samples" / "fileset.json").write_text(json.dumps(few, indent=1))
    process: list[object] = ["process", "--selection", "dy", "--executor", "iterative", "--out", "out"]
    with_fileset: list[object] = [*process, "--fileset", "samples/fileset.json"]
    submit: list[object] = ["condor", "submit", "jobs", "--dry-run", "--selection", "dy"]
    factors = _first(folder, "results/scale_factors/*.json")
    card = {"name": "basic", "attack": "raw", "output": "out/run"}
    (folder / "train.yaml").write_text(yaml.safe_dump(TRAIN | card, sort_keys=False))
    readers: dict[str, tuple[str, Sequence[object]]] = {
        "fileset": ("samples/fileset.json", with_fileset),
        "golden JSON": ("golden.json", [*with_fileset, "--golden-json", "golden.json"]),
        "corrections": ("corrections.yaml", [*with_fileset, "--corrections", "corrections.yaml"]),
        "table of corrections": ("table.json", [*with_fileset, "--corrections", "corrections.yaml"]),
        "site": ("site.yaml", [*submit, "--site", "site.yaml", "--fileset", "samples/fileset.json"]),
        "card of prepare": ("prepare.yaml", ["prepare", "prepare.yaml"]),
        "card of train": ("train.yaml", ["train", "train.yaml"]),
        "card of fit": ("fit.yaml", ["fit", "results", "--config", "fit.yaml", "--out", "out"]),
        "card of study": ("study.yaml", ["study", "study.yaml", "--dry-run"]),
        "manifest of jets": ("jets/manifest.json", ["train", "train.yaml"]),
        "scaler of jets": ("jets/scaler.json", ["train", "train.yaml"]),
        "table of areas": (
            "evaluation/auc.csv",
            ["divergence", "results", "--evaluation", "evaluation", "--replicas", 2, "--out", "out/d.csv"],
        ),
        "table of ROC": (
            "evaluation/roc.csv", ["report", "results", "--evaluation", "evaluation", "--out", "out/r.html"],
        ),
        "table of divergence": ("results/divergence.csv", ["report", "results", "--out", "out/r.html"]),
        "scale factors": (
            factors,
            [*with_fileset, "--taggers", "runs/basic", "--apply-sf", factors],
        ),
    }  # fmt: skip
    before = _fresh(folder)
    return [
        Trial(name, folder, [folder / path], arguments, folder / "out", TEXTS, _accepted, before=before)
        for name, (path, arguments) in readers.items()
    ]


def _first(folder: Path, pattern: str) -> str:
    return next((str(path.relative_to(folder)) for path in sorted(folder.glob(pattern))), "")


def _fresh(folder: Path) -> Callable[[], None]:
    def remove() -> None:
        for name in ("study", "jobs"):
            shutil.rmtree(folder / name, ignore_errors=True)

    return remove
