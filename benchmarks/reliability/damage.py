"""One file damaged, one command on it, and whether what came of it is allowed."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from benchmarks.reliability.digests import digest
from benchmarks.reliability.mutants import Mutation, mutant
from benchmarks.reliability.outcomes import Outcome, complaint
from benchmarks.reliability.trials import Ended, Limits, call

LIMITS = Limits(seconds=90, memory_mb=4000)
WITH_LOSSES = 3

SAME = "the same result"
SENTENCE = "a sentence that names the file"
DECLARED = "a declared loss"
DIFFERENT = "another result without a word"

Explain = Callable[[Path, bytes], str | None]
"""Why another result is right, given the damaged file and its old content; None if it is not."""


def _no_reason(_path: Path, _original: bytes) -> str | None:
    return None


@dataclass
class Trial:
    """A command, the files of its input that are damaged in turn, and its output.

    Attributes:
        name: Of the row in the table.
        folder: Where the command runs.
        damaged: The files.
        arguments: Of the command.
        output: What it makes; it is removed before each call.
        mutations: Ways of damage.
        explain: Says why another result is right.
        names: What an error has to name, besides the file itself.
        skips: Whether damaged files have to be skipped: an error is allowed where the file reads as another
            kind of file alone, without a branch.
        before: Called before each command, after the file was damaged.
    """

    name: str
    folder: Path
    damaged: Sequence[Path]
    arguments: Sequence[object]
    output: Path
    mutations: Mapping[str, Mutation]
    explain: Explain = _no_reason
    names: tuple[str, ...] = ()
    skips: bool = False
    before: Callable[[], None] = lambda: None
    commands: Sequence[Sequence[object]] = field(default_factory=list)
    _reference: str | None = None

    @property
    def reference(self) -> str:
        """The output of the undamaged input."""
        if self._reference is None:
            ended = self._call()
            if ended.code != 0:
                raise RuntimeError(f"{self.name}: {ended.stderr[-1500:]}")
            self._reference = digest(self.output)
        return self._reference

    def outcome(self, case: str, rng: Random) -> Outcome:
        """Damage a file, run, judge, and put the file back."""
        reference = self.reference
        path = rng.choice(list(self.damaged))
        original = path.read_bytes()
        way, content = mutant(original, self.mutations, rng)
        try:
            path.write_bytes(content)
            ended = self._call()
            what, allowed, detail = self._judge(ended, path, original, reference)
        finally:
            path.write_bytes(original)
        if not allowed:
            kept = self.folder / "wrong" / case.replace("/", "_")
            kept.mkdir(parents=True, exist_ok=True)
            (kept / path.name).write_bytes(content)
            (kept / "stderr").write_text(ended.stderr)
        return Outcome(self.name, f"{case} ({path.name}: {way})", what, allowed, detail)

    def _call(self) -> Ended:
        _remove(self.output)
        self.before()
        for arguments in [*self.commands, self.arguments]:
            ended = call(arguments, self.folder, LIMITS)
            if ended.code not in (0, WITH_LOSSES):
                break
        return ended

    def _judge(self, ended: Ended, path: Path, original: bytes, reference: str) -> tuple[str, bool, str]:
        if (wrong := complaint(ended)) is not None:
            return wrong, False, ended.last_line[:300]
        if ended.code not in (0, WITH_LOSSES):
            if self.skips and "branch" not in ended.stderr:
                return "an end in spite of --skip-bad-files", False, ended.last_line[:300]
            if any(name in ended.stderr for name in (path.name, *self.names)):
                return SENTENCE, True, ended.last_line
            return "a sentence that names no file", False, ended.last_line[:300]
        if ended.code == WITH_LOSSES:
            named = path.name in ended.stderr + ended.stdout
            return DECLARED if named else "a loss of an unnamed file", named, ended.last_line[:300]
        try:
            found = digest(self.output)
        except Exception as error:
            return "an output that is not whole", False, f"{type(error).__name__}: {error}"[:300]
        if found == reference:
            return SAME, True, ""
        reason = self.explain(path, original)
        return (reason, True, "") if reason else (DIFFERENT, False, f"{found} for {reference}")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
