"""What an interrupted command leaves behind: said only where something was kept."""

from pathlib import Path
from typing import NamedTuple

NOTHING_KEPT = "it is not done, and no file was left half-written."


class _Place(NamedTuple):
    folder: Path
    pattern: str
    advice: str

    @property
    def holds_any(self) -> bool:
        return any(self.folder.glob(self.pattern))


_PLACES: list[_Place] = []


def keeps(folder: Path, pattern: str, *, advice: str) -> None:
    """Note where the running command leaves what is complete, and what to do with it after an interruption.

    Args:
        folder: Need not be there yet.
        pattern: As `Path.glob` takes it: what counts as complete.
        advice: For the user, e.g. "the same command goes on".
    """
    _PLACES.append(_Place(folder, pattern, advice))


def what_was_kept() -> str:
    """Return the sentence for the end of an interrupted command, true of what lies on the disk now."""
    for place in reversed(_PLACES):
        if place.holds_any:
            return f"what was complete is kept in {place.folder}: {place.advice}."
    return NOTHING_KEPT
