"""How messages name many things: the first ones, and how many more there are."""

from collections.abc import Sequence


def few(names: Sequence[object], *, most: int = 5, joint: str = "; ") -> str:
    """Return the first names of a list joined, and the number of those left out."""
    said = joint.join(map(str, names[:most]))
    return f"{said} and {len(names) - most} more" if len(names) > most else said
