"""How a file was made, as it says itself. Reading it needs none of what simulating needs."""

from pathlib import Path
from typing import Any

from events.files import FileError, open_root
from storage.documents import parse_json

METADATA_KEY = "advtag_simulation"
"""The object in a file that holds its configuration, as JSON."""


def read_provenance(path: Path) -> dict[str, Any]:
    """Return the configuration that a file was made with.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not one of this simulation.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file: give files made by `advtag simulate`")
    try:
        with open_root(path) as file:
            text = file.text(METADATA_KEY)
    except FileError as error:
        raise ValueError(f"{error}: give files made by `advtag simulate`") from error
    if text is None:
        raise ValueError(
            f"{path}: not made by this simulation (no '{METADATA_KEY}' in it): use `advtag simulate`"
        )
    provenance = parse_json(text, source=f"{path}, {METADATA_KEY}", remedy="simulate the file again")
    if not isinstance(provenance, dict):
        raise ValueError(f"{path}: '{METADATA_KEY}' in it is no configuration: simulate the file again")
    return provenance
