"""What happened in each case, whether it is allowed, and the table of it all."""

import json
from collections import Counter
from collections.abc import Sequence
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


def report(outcomes: Sequence[Outcome], out: Path, *, name: str) -> int:
    """Print how often what happened and write every case; return the number of those not allowed."""
    out.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(outcome._asdict()) for outcome in outcomes]
    (out / f"{name}.jsonl").write_text("\n".join([*lines, ""]), encoding="utf-8")
    table = Table(title=f"{name}: {len(outcomes)} cases", title_justify="left")
    for column in ("part", "what happened", "cases", "allowed"):
        table.add_column(column)
    counted = Counter((outcome.part, outcome.what, outcome.allowed) for outcome in outcomes)
    for (part, what, allowed), n_cases in sorted(counted.items()):
        table.add_row(part, escape(what), str(n_cases), "" if allowed else "NO")
    console = Console(width=160)
    console.print(table)
    wrong = [outcome for outcome in outcomes if not outcome.allowed]
    for outcome in wrong:
        console.print(
            f"{outcome.part} {outcome.case}: {outcome.what}: {outcome.detail}", markup=False, soft_wrap=True
        )
    return len(wrong)
