"""What happened in each case, whether it is allowed, and the table of it all."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.reliability.trials import Ended


class Outcome(NamedTuple):
    """One case.

    Attributes:
        part: What was tried, one row of the table.
        case: Which one, enough to make it again.
        what: What happened, in a few words; cases of the same words are counted together.
        allowed: Whether it may happen.
        detail: What a reader needs who looks into it.
    """

    part: str
    case: str
    what: str
    allowed: bool
    detail: str = ""


def complaint(ended: Ended) -> str | None:
    """Return what is wrong with the way a call ended, whatever it was to do; None if nothing is.

    Allowed are success and an error in one sentence.
    """
    if ended.hung:
        return "hangs"
    if ended.code < 0:
        return f"ended by signal {-ended.code}"
    if "Traceback (most recent call last)" in ended.stderr + ended.stdout:
        return "traceback"
    if "should not happen" in ended.stderr:
        return "an error that is not the user's"
    if ended.code not in (0, 3) and "Error" not in ended.stderr:
        return f"exit code {ended.code} without a sentence"
    return None


def report(outcomes: Iterable[Outcome], out: Path, *, name: str) -> int:
    """Write every case as it comes, print how often what happened; return the number of those not allowed."""
    cases = []
    with (out / f"{name}.jsonl").open("w", encoding="utf-8") as file:
        for outcome in outcomes:
            cases.append(outcome)
            file.write(json.dumps(outcome._asdict()) + "\n")
            file.flush()
    console = Console(width=160)
    console.print(_table(cases, name))
    wrong = [outcome for outcome in cases if not outcome.allowed]
    for outcome in wrong:
        line = f"{outcome.part} {outcome.case}: {outcome.what}: {outcome.detail}"
        console.print(line, markup=False, soft_wrap=True)
    return len(wrong)


def _table(cases: Sequence[Outcome], name: str) -> Table:
    table = Table(title=f"{name}: {len(cases)} cases", title_justify="left")
    for column in ("part", "what happened", "cases", "allowed"):
        table.add_column(column)
    counted = Counter((case.part, case.what, case.allowed) for case in cases)
    for (part, what, allowed), n_cases in sorted(counted.items()):
        table.add_row(part, escape(what), str(n_cases), "" if allowed else "NO")
    return table
