"""Damaged files of events, read by `process`, `prepare` and `skim`.

Not every byte of a ROOT file is covered by a checksum: ZSTD baskets and uncompressed ones are not, nor is the
description of the tree. So a damaged file may say something else without being broken. Whether it does is
asked of uproot alone: where all its branches are read without an error and differ, no reader can know.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import uproot

from benchmarks.reliability.damage import Trial
from benchmarks.reliability.mutants import BYTES
from benchmarks.reliability.world import PREPARE, World
from simulation.fixture import fixture_files

SAYS_SOMETHING_ELSE = "another result: the file reads as other events, with any reader"


def root_trials(world: World, folder: Path) -> Sequence[Trial]:
    """Return the trials of files with events: simulated ones as they are, and fixtures in LZMA."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    trials: list[Trial] = []
    for name, events, jets in (("simulated", *_simulated(world)), ("lzma", *_fixtures())):
        place = folder / name
        place.mkdir()
        file, other = place / "events.root", place / "jets.root"
        shutil.copyfile(events, file)
        shutil.copyfile(jets, other)
        one = fileset_of_one(file)
        (place / "fileset.json").write_text(json.dumps(one))
        # A run that skips a bad file needs another one.
        beside = Path(shutil.copyfile(fixture_files()["wc"], place / "beside.root"))
        (place / "two.json").write_text(json.dumps(one | {"beside": fileset_of_one(beside)["dy"]}))
        (place / "prepare.yaml").write_text(json.dumps(PREPARE | {"inputs": ["jets.root"], "output": "jets"}))
        trials += _trials(place, file, other)
    return trials


def _simulated(world: World) -> tuple[Path, Path]:
    samples = world.folder / "samples"
    return next(samples.glob("dy_mc_*.root")), next(samples.glob("tt_mc_*.root"))


def _fixtures() -> tuple[Path, Path]:
    files = fixture_files()
    return files["dy"], files["ttsl"]


def fileset_of_one(file: Path) -> dict[str, object]:
    """Return the fileset of a file of simulation in its own folder."""
    metadata = {"is_data": False, "simulated": True, "process": "dy", "cross_section_pb": 1.0}
    return {"dy": {"files": {file.name: "Events"}, "metadata": metadata}}


def _trials(place: Path, file: Path, jets: Path) -> list[Trial]:
    process: list[object] = [
        "process", "--selection", "dy", "--taggers", "pretrained:basic", "--epochs", 20,
        "--executor", "iterative", "--retries", 0, "--chunksize", 100,
    ]  # fmt: skip
    skim: list[object] = ["skim", "--selection", "dy", "--fileset", "fileset.json"]
    one, two = (("--fileset", name) for name in ("fileset.json", "two.json"))
    return [
        Trial(
            f"process ({place.name})", place, [file], [*process, *one, "--out", "results"],
            place / "results", BYTES, _says_something_else,
        ),
        Trial(
            f"process --skip-bad-files ({place.name})", place, [file],
            [*process, *two, "--skip-bad-files", "--out", "skipped"], place / "skipped", BYTES,
            _says_something_else, skips=True,
        ),
        Trial(
            f"prepare ({place.name})", place, [jets], ["prepare", "prepare.yaml"], place / "jets", BYTES,
            _says_something_else,
        ),
        Trial(
            f"skim ({place.name})", place, [file], [*skim, "--out", "skimmed"], place / "skimmed", BYTES,
            _says_something_else,
        ),
    ]  # fmt: skip


def _says_something_else(path: Path, original: bytes) -> str | None:
    """Return whether uproot alone reads some branch without an error, and other values than before."""
    with tempfile.NamedTemporaryFile(suffix=".root") as before:
        before.write(original)
        before.flush()
        try:
            found, expected = _content(path), _content(Path(before.name))
        except Exception:
            return None
    differs = any(mark not in (_UNREADABLE, expected.get(name)) for name, mark in found.items())
    return SAYS_SOMETHING_ELSE if differs or len(found) < len(expected) else None


_UNREADABLE = "unreadable"


def _content(path: Path) -> dict[str, str]:
    """Return a mark of each branch of each tree."""
    marks = {}
    with uproot.open({str(path): None}) as file:
        for key in sorted(file.keys(cycle=False)):
            found = file[key]
            if isinstance(found, uproot.TTree):
                marks |= {f"{key}/{name}": _mark(found[name]) for name in sorted(found.keys())}
            else:
                marks[key] = str(found)
    return marks


def _mark(branch: uproot.TBranch) -> str:
    try:
        return hashlib.sha256(repr(branch.array().to_list()).encode()).hexdigest()
    except Exception:
        return _UNREADABLE
