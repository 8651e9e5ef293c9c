"""Names and files made to do harm: nothing is executed, nothing written elsewhere, nothing raw is shown.

Every case has a folder of its own, with inputs in `in` and outputs in `out`. A canary is a file that appears
where a name or a file is executed. Kinds: `names` and `files`.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from benchmarks.reliability.hostile_files import FILES
from benchmarks.reliability.hostile_names import NAMES, TARGETS
from benchmarks.reliability.outcomes import Outcome, complaint
from benchmarks.reliability.trials import Ended
from benchmarks.reliability.world import make_world

CANARY = "CANARY"
_ALLOWED_CONTROL = "\n\t\r"
_TURNS_AROUND = "\u202a\u202b\u202d\u202e\u2066\u2067\u2068"
"""Characters that change the direction of text, and so hide what is written."""


class Case(NamedTuple):
    """A hostile case: its row, its number, and its folder."""

    row: str
    number: str
    folder: Path


def run(n_cases: int, seed: int, out: Path, only: Iterable[str] | None = None) -> Iterator[Outcome]:
    """Yield what came of each hostile name in each place where names stand, and of each hostile file.

    Args:
        n_cases: At most so many names; every file is tried in any case.
        seed: The first name to take.
        out: Where cases are made.
        only: `names`, `files`, or places of names.
    """
    world = make_world(out.parent / "world")
    chosen = set(only or ("names", "files"))
    for target, apply in TARGETS.items():
        if not chosen & {"names", target}:
            continue
        for number, name in list(enumerate(NAMES))[seed - 1 : seed - 1 + n_cases]:
            case = _case(f"name of a {target}", repr(name[:40]), out / f"{target.replace(' ', '_')}_{number}")
            yield from _tried(case, partial(apply, world, case.folder, name), (name,))
    for file, apply_file in FILES.items() if chosen & {"files"} else ():
        case = _case(file, file, out / file.replace(" ", "_"))
        yield from _tried(case, partial(apply_file, world, case.folder), ())


def _case(row: str, number: str, folder: Path) -> Case:
    shutil.rmtree(folder, ignore_errors=True)
    for part in ("in", "out"):
        (folder / part).mkdir(parents=True)
    return Case(row, number, folder)


def _tried(case: Case, apply: Callable[[], list[tuple[str, Ended]]], names: Sequence[str]) -> list[Outcome]:
    calls = apply()
    problems = [problem for label, ended in calls for problem in _said(label, ended)]
    problems += [*_executed(case.folder), *_elsewhere(case.folder), *_raw_in_pages(case.folder, names)]
    if problems:
        what = problems[0].partition(":")[0]
        return [Outcome(case.row, case.number, what, allowed=False, detail="; ".join(problems)[:600])]
    refused = [label for label, ended in calls if ended.code not in (0, 3)]
    return [Outcome(case.row, case.number, "refused in a sentence" if refused else "harmless", allowed=True)]


def _said(label: str, ended: Ended) -> list[str]:
    problems = []
    if (wrong := complaint(ended)) is not None:
        problems.append(f"{wrong}: {label}: {ended.last_line[:300]}")
    shown = ended.stdout + ended.stderr
    raw = {
        c for c in shown if (ord(c) < 32 and c not in _ALLOWED_CONTROL) or c in _TURNS_AROUND or c == "\x7f"
    }
    if raw:
        problems.append(f"raw on the terminal: {label}: {sorted(map(repr, raw))}")
    return problems


def _executed(folder: Path) -> list[str]:
    places = [path for path in folder.rglob(f"*{CANARY}") if path.name == CANARY]
    return [f"executed: {places[0]}"] if places else []


def _elsewhere(folder: Path) -> list[str]:
    """Return what is in the case's folder besides inputs and outputs, and new files beside the inputs."""
    others = [path.name for path in folder.iterdir() if path.name not in ("in", "out", "jobs", "place")]
    beside = [path.name for path in folder.parent.iterdir() if "escaped" in path.name]
    return [f"written elsewhere: {', '.join(map(repr, [*others, *beside]))}"] if others or beside else []


def _raw_in_pages(folder: Path, names: Sequence[str]) -> list[str]:
    tags = [name for name in names if "<" in name]
    pages = [path.read_text(errors="replace") for path in (folder / "out").rglob("*.html")]
    return ["raw in a page" for page in pages if any(tag in page for tag in tags)][:1]
