"""Names that a shell, a path, a page or a terminal would take for more than names, and where names stand."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import yaml

from benchmarks.reliability.jobs import batch_system, run_jobs
from benchmarks.reliability.trials import Ended, Limits, call
from benchmarks.reliability.world import TRAIN, World

NAMES = (
    "../../escaped", "$(touch${IFS}CANARY)", "\x1b]0;owned\x07\x1b[31mred", "a\ntouch CANARY\n",
    "<img src=x onerror=alert(1)>", "a name", "a'b\"c", "`touch CANARY`", "a; touch CANARY #",
    "x" * 300, "-rf", "\u202egnp.toor", "{inputs}", "$(Process) %s $1", "*?[a-z]",
    "/Muon/Run2022C-v1/NANOAOD", "..", ".", "", "a&&touch CANARY", "[bold]red[/bold]",
    "{{ 7 * 7 }}", "~root", "a=b,c:d", "CON.", "\ufeffé", "\\n\\t", "a|touch CANARY", "!touch CANARY",
)  # fmt: skip

Calls = list[tuple[str, Ended]]

DATA = {"is_data": True, "simulated": True, "process": "data", "luminosity_pb": 1.0}
LIMITS = Limits(seconds=180, memory_mb=6000)


def _simulation(process: str = "dy") -> dict[str, object]:
    return {"is_data": False, "simulated": True, "process": process, "cross_section_pb": 100.0}


def _files(world: World, folder: Path) -> tuple[Path, Path]:
    """Return copies of a file of simulation and one of data among the inputs of a case."""
    samples = world.folder / "samples"
    for source, name in (
        (next(samples.glob("dy_mc_*.root")), "mc.root"),
        (samples / "dy_data.root", "data.root"),
    ):
        shutil.copyfile(source, folder / "in" / name)
    return folder / "in" / "mc.root", folder / "in" / "data.root"


def fileset_of(
    world: World, folder: Path, *, simulation: str = "dy", data: str = "recorded", process: str = "dy"
) -> Path:
    """Write a fileset of one dataset of simulation and one of data, among the inputs of a case."""
    mc, recorded = _files(world, folder)
    content = {
        simulation: {"files": {str(mc): "Events"}, "metadata": _simulation(process)},
        data: {"files": {str(recorded): "Events"}, "metadata": DATA},
    }
    path = folder / "in" / "fileset.json"
    path.write_text(json.dumps(content))
    return path


def called(folder: Path, *arguments: object) -> tuple[str, Ended]:
    """Return the name of a command and how it ended."""
    return str(arguments[0]), call(arguments, folder, LIMITS)


def processed(folder: Path, fileset: Path, taggers: Path | str, *more: object) -> tuple[str, Ended]:
    """Process a fileset with taggers, and return how that ended."""
    return called(
        folder, "process", "--selection", "dy", "--fileset", fileset, "--taggers", taggers, "--executor",
        "iterative", "--columns", *more, "--out", "out/results",
    )  # fmt: skip


def _looked_at(folder: Path) -> Calls:
    """Return what came of everything that reads results."""
    if not (folder / "out" / "results" / "dy.zip").is_file():
        return []
    return [
        called(folder, "divergence", "out/results", "--replicas", 2),
        called(folder, "plot", "out/results", "--coarse", "--by", "process"),
        called(folder, "report", "out/results", "--coarse"),
    ]


def _in_jobs(folder: Path, fileset: Path, taggers: Path | str) -> Calls:
    """Return what came of jobs: their scripts are executed by a shell, as on a worker."""
    with batch_system(folder / "place") as site:
        calls = [
            called(
                folder, "condor", "submit", "out/jobs", "--site", site, "--selection", "dy", "--fileset",
                fileset, "--taggers", taggers, "--columns", "--files-per-job", 1,
            )
        ]  # fmt: skip
        if calls[0][1].code != 0:
            return calls
        for job, code in run_jobs(folder / "out" / "jobs", "dy").items():
            said = (folder / "out" / "jobs" / job / "stderr").read_text(errors="replace")
            calls.append((f"job {job}", Ended(code, "", said)))
        calls.append(called(folder, "condor", "status", "out/jobs"))
        return [*calls, called(folder, "condor", "merge", "out/jobs", "--out", "out/merged")]


def dataset(world: World, folder: Path, name: str) -> Calls:
    """Give two datasets the name, of simulation and (with a letter before it) of data."""
    fileset = fileset_of(world, folder, simulation=name, data=f"d{name}")
    calls = [processed(folder, fileset, "pretrained:basic", "--epochs", 20), *_looked_at(folder)]
    skim = called(folder, "skim", "--selection", "dy", "--fileset", fileset, "--out", "out/skimmed")
    return [*calls, skim, *_in_jobs(folder, fileset, "pretrained:basic")]


def process(world: World, folder: Path, name: str) -> Calls:
    """Give the physics process of a dataset the name."""
    fileset = fileset_of(world, folder, process=name)
    return [processed(folder, fileset, "pretrained:basic", "--epochs", 20), *_looked_at(folder)]


def folder_of_taggers(world: World, folder: Path, name: str) -> Calls:
    """Call the folder of taggers so, and send it with jobs."""
    fileset = fileset_of(world, folder)
    try:
        taggers = folder / "in" / name.replace("/", "_")
        shutil.copytree(world.folder / "runs" / "basic", taggers, dirs_exist_ok=True)
    except OSError:  # too long for any disk
        return []
    return [processed(folder, fileset, taggers), *_in_jobs(folder, fileset, taggers)]


def file_of_events(world: World, folder: Path, name: str) -> Calls:
    """Call a file of events so."""
    fileset = fileset_of(world, folder)
    content = json.loads(fileset.read_text())
    try:
        renamed = (folder / "in" / "mc.root").rename(folder / "in" / f"{name.replace('/', '_')}.root")
    except OSError:
        return []
    content["dy"]["files"] = {str(renamed): "Events"}
    fileset.write_text(json.dumps(content))
    skim = called(folder, "skim", "--selection", "dy", "--fileset", fileset, "--out", "out/skimmed")
    return [
        processed(folder, fileset, "pretrained:basic", "--epochs", 20),
        skim,
        *_in_jobs(folder, fileset, "pretrained:basic"),
    ]


def training(world: World, folder: Path, name: str) -> Calls:
    """Train a tagger of that name, process with it and look at the result."""
    card = TRAIN | {"name": name, "attack": "raw", "epochs": 1, "output": "out/run"}
    card["data"] = str(world.folder / "jets")
    (folder / "in" / "card.yaml").write_text(yaml.safe_dump(card))
    calls = [called(folder, "train", "in/card.yaml")]
    if calls[0][1].code != 0:
        return calls
    fileset = fileset_of(world, folder)
    calls.append(processed(folder, fileset, "out/run", "--inputs-of", f"{name}@1"))
    evaluated = called(
        folder, "evaluate", "out/run", "--data", world.folder / "jets", "--out", "out/evaluation"
    )
    return [*calls, evaluated, *_looked_at(folder)]


def page(world: World, folder: Path, name: str) -> Calls:
    """Give the title of a page and the label of figures the name."""
    results = world.folder / "results"
    return [
        called(folder, "report", results, "--coarse", "--title", name, "--out", "out/report.html"),
        called(
            folder,
            "plot",
            results,
            "--coarse",
            "--experiment",
            name,
            "--status",
            name,
            "--out",
            "out/figures",
        ),
    ]


TARGETS: Mapping[str, Callable[[World, Path, str], Calls]] = {
    "dataset": dataset,
    "process": process,
    "folder of taggers": folder_of_taggers,
    "file of events": file_of_events,
    "training": training,
    "page": page,
}
"""Where a user's name comes into paths, scripts, pages and tables."""
