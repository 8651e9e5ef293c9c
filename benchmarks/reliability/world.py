"""A production of some hundred events, from simulation to a report: what all parts work on."""

import json
import shutil
from pathlib import Path

import yaml

from benchmarks.reliability.trials import Limits, call

PREPARE = {"inputs": ["samples/qcd_mc_*.root", "samples/tt_mc_*.root"], "pt_bins": 4, "eta_bins": 2}
TRAIN = {"data": "jets", "epochs": 2, "batch_size": 100, "gamma": 0, "seed": 1, "threads": 1}
TAGGERS = ("--taggers", "runs/basic", "--taggers", "runs/adversarial")
VARIANTS = ("--variants", "raw,noise:0.1")
SELECTIONS = "dy,wc,ttsemilep"


class World:
    """The folder of a production; everything in it is made by the commands under test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *arguments: object) -> None:
        """Run a command that must end well.

        Raises:
            RuntimeError: If it does not.
        """
        ended = call(arguments, self.folder, Limits(seconds=600))
        if ended.code != 0:
            raise RuntimeError(f"advtag {' '.join(map(str, arguments))}: {ended.stderr[-1000:]}")

    def card(self, name: str, content: object) -> Path:
        """Write a card and return its path."""
        path = self.folder / name
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return path


def make_world(folder: Path) -> World:
    """Return the production in a folder; it is made where it is not there."""
    world = World(folder.resolve())
    if (folder / "complete").is_file():
        return world
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _make_samples(world)
    world.card("prepare.yaml", PREPARE | {"output": "jets"})
    world.run("prepare", "prepare.yaml")
    for name, attack in (("basic", "raw"), ("adversarial", "fgsm:0.1")):
        world.card(f"{name}.yaml", TRAIN | {"name": name, "attack": attack, "output": f"runs/{name}"})
        world.run("train", f"{name}.yaml")
    world.run("evaluate", "runs/basic", "runs/adversarial", "--data", "jets", "--variants", "raw,noise:0.1")
    world.run(
        "process", "--selection", SELECTIONS, "--fileset", "samples/fileset.json", *TAGGERS, *VARIANTS,
        "--executor", "iterative", "--out", "results",
    )  # fmt: skip
    world.run("divergence", "results", "--evaluation", "evaluation", "--replicas", 20)
    world.run("fit", "results", "--coarse")
    world.card("study.yaml", study_card())
    world.card("fit.yaml", {"engine": "solve"})
    _make_texts(world)
    (folder / "complete").touch()
    return world


def _make_samples(world: World) -> None:
    fileset = ("--fileset", "samples/fileset.json")
    world.run("simulate", "qcd", "tt", "--events", 250, "--out", "samples")
    world.run("simulate", "dy", "wc", "ttsl", "--events", 300, "--out", "samples", *fileset)
    for process in ("dy", "wc", "ttsl"):
        world.run(
            "simulate", process, "--events", 250, "--scenario", "data", "--seed", 2,
            "--out", f"samples/{process}_data.root", *fileset,
        )  # fmt: skip


def study_card() -> dict[str, object]:
    """Return the card of a study of two methods that takes the events of the production."""
    return {
        "name": "tiny", "title": "A tiny study", "output": "study",
        "training_inputs": ["samples/qcd_mc_*.root", "samples/tt_mc_*.root"],
        "filesets": {"data": "samples/fileset.json"},
        "prepare": {"pt_bins": 4, "eta_bins": 2}, "training": {"epochs": 1},
        "methods": {"basic": {}, "fgsm": {"attack": "fgsm:0.1"}},
        "seeds": [1], "early_epochs": [1], "replicas": 10,
    }  # fmt: skip


def _make_texts(world: World) -> None:
    """Write the other texts that users write: sections, a table of corrections and its card, a site."""
    folder = world.folder
    (folder / "golden.json").write_text(json.dumps({"299593": [[1, 1000]], "1": [[1, 100_000]]}))
    bins = {"nodetype": "binning", "input": "pt", "edges": [0.0, 50.0, 1000.0], "content": [1.0, 0.9]}
    correction = {
        "name": "muon", "version": 1, "inputs": [{"name": "pt", "type": "real"}],
        "output": {"name": "weight", "type": "real"}, "data": bins | {"flow": "clamp"},
    }  # fmt: skip
    (folder / "table.json").write_text(
        json.dumps({"schema_version": 2, "corrections": [correction]}, indent=1)
    )
    weight = {
        "name": "muon", "file": "table.json", "correction": "muon", "object": "muon", "inputs": {"pt": "pt"},
    }  # fmt: skip
    world.card("corrections.yaml", {"weights": [weight]})
    world.card("site.yaml", {"name": "here", "scheduler": "htcondor", "request": {"memory_mb": 1000}})
