"""Whether results belong together: those that are read together must have been made alike.

Scale factors rest on several selections at once, and a page puts them side by side. A year, a profile or a
network that differs between them goes unnoticed in every number that follows.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from datamc.records import DatasetRecord, Result
from storage.wording import few

SETTINGS: Final = ("year", "profile", "seed", "jets", "golden_json", "corrections")
"""What every result tells of itself; results of an earlier version that do not tell it count as alike."""

OPTIONAL_SETTINGS: Final = ("held_out", "scale_factors")
"""What a result tells only where it was asked for."""

DATASET_KEYS: Final = (
    "is_data",
    "process",
    "cross_section_pb",
    "luminosity_pb",
    "simulated",
    "same_events",
)
"""What a dataset of one name must have in common wherever it was processed."""


class Named(NamedTuple):
    """A result and what to call it in a sentence: the path of its file."""

    name: str
    result: Result


def networks_of(result: Result) -> dict[tuple[str, int], str]:
    """Return the SHA-256 of every tagger that a result was made with, by (tagger, epoch)."""
    rows: Sequence[Mapping[str, Any]] = result.config.get("taggers") or ()
    return {(row["name"], row["epoch"]): row["sha256"] for row in rows if row.get("sha256")}


def require_one_production(named: Sequence[Named]) -> None:
    """Check that results read together were made alike, from the same datasets and with the same networks.

    Raises:
        ValueError: If two were not; the sentence names the files, and what differs.
    """
    require_same_settings(named)
    known: dict[str, tuple[str, DatasetRecord]] = {}
    for name, result in named:
        for dataset, record in result.datasets.items():
            place, other = known.setdefault(dataset, (name, record))
            different = [key for key in DATASET_KEYS if getattr(other, key) != getattr(record, key)]
            if different:
                values = _values((key, getattr(other, key), getattr(record, key)) for key in different)
                raise ValueError(
                    f"{place} and {name} hold the dataset {dataset} with {values}: process both with one "
                    "fileset"
                )


def require_same_settings(named: Sequence[Named]) -> None:
    """Check that results were made with the same settings and networks, from whatever datasets.

    Raises:
        ValueError: If two were not.
    """
    for other in named[1:]:
        first = named[0]
        different = [key for key in SETTINGS if _differ(first.result.config, other.result.config, key)]
        different += [
            key for key in OPTIONAL_SETTINGS if first.result.config.get(key) != other.result.config.get(key)
        ]
        if different:
            ours, theirs = first.result.config, other.result.config
            values = _values((key, ours.get(key), theirs.get(key)) for key in different)
            raise ValueError(
                f"{first.name} and {other.name} were not made alike: {values}: process them again with the "
                "same options, or read them with commands of their own"
            )
    require_same_networks([(name, networks_of(result)) for name, result in named])


def require_same_networks(networks: Sequence[tuple[str, Mapping[tuple[str, int], str]]]) -> None:
    """Check that a tagger's name and epoch mean one network everywhere.

    Args:
        networks: Where networks were used, and their SHA-256 by (tagger, epoch).

    Raises:
        ValueError: If they mean two.
    """
    known: dict[tuple[str, int], tuple[str, str]] = {}
    for name, own in networks:
        for (tagger, epoch), sha256 in own.items():
            place, other = known.setdefault((tagger, epoch), (name, sha256))
            if other != sha256:
                raise ValueError(
                    f"{tagger}, epoch {epoch}, is one network in {place} (sha256 {other[:12]}) and another "
                    f"in {name} ({sha256[:12]}): make both with one of them, or give each a name of its own"
                )


def _differ(ours: Mapping[str, Any], theirs: Mapping[str, Any], key: str) -> bool:
    return key in ours and key in theirs and ours[key] != theirs[key]


def _values(different: Any) -> str:
    """Return what differs in words; values that are long are only named."""
    said = []
    for key, ours, theirs in different:
        texts = [repr(value) for value in (ours, theirs)]
        is_short = all(len(text) <= 40 for text in texts)
        said.append(f"{key} {texts[0]} and {texts[1]}" if is_short else f"two different {key}")
    return few(said, joint=", ")
