"""Damaged inputs: the same result, a sentence that names the file, or a loss that is declared.

Kinds: `root`, `text`, `onnx`, `result` (results of runs and jobs, kept chunks, tables of jets).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from random import Random

from benchmarks.reliability.corrupt_onnx import onnx_trials
from benchmarks.reliability.corrupt_results import result_trials
from benchmarks.reliability.corrupt_root import root_trials
from benchmarks.reliability.corrupt_texts import text_trials
from benchmarks.reliability.damage import Trial
from benchmarks.reliability.outcomes import Outcome
from benchmarks.reliability.world import World, make_world

KINDS: dict[str, Callable[[World, Path], Sequence[Trial]]] = {
    "root": root_trials,
    "text": text_trials,
    "onnx": onnx_trials,
    "result": result_trials,
}


def run(n_cases: int, seed: int, out: Path, only: Iterable[str] | None = None) -> Iterator[Outcome]:
    """Yield what came of so many mutants of each kind."""
    world = make_world(out.parent / "world")
    for kind in only or KINDS:
        trials = KINDS[kind](world, out / kind)
        for number in range(n_cases):
            rng = Random(f"{kind}/{seed}/{number}")
            yield trials[number % len(trials)].outcome(f"{kind}/{seed}/{number}", rng)
