"""Luminosity sections as CMS lists them: ranges by run, e.g. ``{"299593": [[1, 3], [7, 7]]}``."""

from collections.abc import Iterable, Mapping

Sections = dict[str, list[tuple[int, int]]]


def ranges_of(sections: Iterable[tuple[int, int]]) -> Sections:
    """Return pairs of run and section as ranges by run, in order; each range names first and last."""
    found: Sections = {}
    for run, section in sorted(set(sections)):
        ranges = found.setdefault(str(run), [])
        if ranges and ranges[-1][1] == section - 1:
            ranges[-1] = (ranges[-1][0], section)
        else:
            ranges.append((section, section))
    return found


def pairs_of(sections: Mapping[str, Iterable[tuple[int, int]]]) -> set[tuple[int, int]]:
    """Return what `ranges_of` was given."""
    return {
        (int(run), section)
        for run, ranges in sections.items()
        for first, last in ranges
        for section in range(first, last + 1)
    }
