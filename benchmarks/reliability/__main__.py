"""`python -m benchmarks.reliability PART --n N --seed S --out FOLDER`: one part, its table and its cases."""

import argparse
import importlib
from pathlib import Path

from benchmarks.reliability.outcomes import report
from benchmarks.reliability.trials import warm

PARTS = ("accounting", "kill", "corrupt", "full-disk", "hostile")


def main() -> None:
    """Run a part; the exit code is 1 if anything happened that may not."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reliability", description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--n", type=int, default=40, help="cases, or cases of each kind")
    parser.add_argument("--seed", type=int, default=1, help="other cases for every seed")
    parser.add_argument("--out", type=Path, default=Path("build/reliability"), help="folder for everything")
    parser.add_argument("--only", help="kinds of cases, separated by commas; all by default")
    options = parser.parse_args()
    out = (options.out / options.part).resolve()
    out.mkdir(parents=True, exist_ok=True)
    warm()
    module = importlib.import_module(f"benchmarks.reliability.{options.part.replace('-', '_')}")
    only = tuple(options.only.split(",")) if options.only else None
    outcomes = module.run(options.n, options.seed, out, only)
    raise SystemExit(1 if report(outcomes, out, name=_name(options)) else 0)


def _name(options: argparse.Namespace) -> str:
    kinds = f"_{options.only}" if options.only else ""
    return f"{options.part}{kinds}_{options.seed}".replace(" ", "_").replace(",", "_")


if __name__ == "__main__":
    main()
