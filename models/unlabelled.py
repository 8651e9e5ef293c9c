"""Unlabelled jets: jets of data and simulation whose truth nobody looks at, as a folder of arrays.

unlabelled.json   what they are: selection, split of events, samples
features.npy      the 67 inputs as read, float32, shape ``(n_jets, 67)``
is_data.npy       whether a jet is one of data, bool, shape ``(n_jets,)``
weights.npy       what a jet counts for, negative where its sign is subtracted, float32, shape ``(n_jets,)``
keys.npy          run, luminosity block, event and position of the jet, uint64, shape ``(n_jets, 4)``
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from models.event_split import EventSplit
from models.features import BRANCHES, N_FEATURES
from storage.arrays import read_array, reserved_array
from storage.documents import read_json
from storage.files import replaced_folder, sha256, write_text

DESCRIPTION: Final = "unlabelled.json"

_ARRAYS: Final[Mapping[str, tuple[type[np.generic], tuple[int, ...]]]] = {
    "features": (np.float32, (N_FEATURES,)),
    "is_data": (np.bool_, ()),
    "weights": (np.float32, ()),
    "keys": (np.uint64, (4,)),
}
"""Each array's type, and its shape after the axis of jets."""


class UnlabelledJets(NamedTuple):
    """Jets of data and simulation of one selection, from the events that may be adapted to.

    Attributes:
        features: As read, in physical units, float32, shape ``(n_jets, 67)``.
        is_data: Which are data, shape ``(n_jets,)``.
        weights: What each counts for, shape ``(n_jets,)``; negative for same sign where it is subtracted.
            Those of simulation add up to those of data.
        keys: Run, luminosity block, event and position of the jet in its event, shape ``(n_jets, 4)``.
        selection: Which jets they are.
        split: Which events they are from.
        fingerprint: Of all of the above; empty until they are written.
    """

    features: NDArray[np.float32]
    is_data: NDArray[np.bool_]
    weights: NDArray[np.float32]
    keys: NDArray[np.uint64]
    selection: str
    split: EventSplit
    fingerprint: str = ""


class Description(BaseModel):
    """What `unlabelled.json` says.

    Attributes:
        samples: Where the jets come from: datasets, files, versions and the configuration of the selection.
        mc_flavours: The share of each flavour in the summed weight of simulation.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["advtag-unlabelled"] = "advtag-unlabelled"
    format_version: Literal[1] = 1
    selection: str
    split: str
    n_mc: int = Field(gt=0)
    n_data: int = Field(gt=0)
    feature_names: tuple[str, ...] = BRANCHES
    fingerprint: str
    samples: dict[str, Any] = Field(default_factory=dict)
    mc_flavours: dict[str, float] = Field(default_factory=dict)

    @field_validator("feature_names")
    @classmethod
    def _same_features(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if names != BRANCHES:
            raise ValueError(f"its inputs are not the {N_FEATURES} that this advtag reads")
        return names

    @field_validator("split")
    @classmethod
    def _is_a_split(cls, text: str) -> str:
        return EventSplit.parse(text).name


def write_unlabelled(
    jets: UnlabelledJets,
    folder: Path,
    *,
    samples: Mapping[str, Any] | None = None,
    mc_flavours: Mapping[str, float] | None = None,
) -> Description:
    """Write unlabelled jets as a folder, whole or not at all; an older one is replaced.

    Args:
        jets: The jets; their fingerprint is made here.
        folder: Where to.
        samples: Where they come from, as plain JSON values.
        mc_flavours: The share of each flavour in the summed weight of simulation.

    Raises:
        ValueError: If there are none of data or none of simulation, or a weight is no finite number.
    """
    return write_parts(
        [jets],
        folder,
        n_jets=len(jets.features),
        selection=jets.selection,
        split=jets.split,
        samples=samples,
        mc_flavours=mc_flavours,
    )


def write_parts(
    parts: Iterable[UnlabelledJets],
    folder: Path,
    *,
    n_jets: int,
    selection: str,
    split: EventSplit,
    samples: Mapping[str, Any] | None = None,
    mc_flavours: Mapping[str, float] | None = None,
) -> Description:
    """Write jets that come part by part, one in memory at a time; else as `write_unlabelled`.

    Args:
        parts: The jets, `n_jets` in all.
        folder: Where to.
        n_jets: How many there will be.
        selection: Of all of them.
        split: Of all of them.
        samples: As of `write_unlabelled`.
        mc_flavours: As of `write_unlabelled`.

    Raises:
        ValueError: As `write_unlabelled`, or if there are not as many as said.
    """
    with replaced_folder(folder) as temporary:
        n_data = _write_arrays(parts, temporary, n_jets)
        if not 0 < n_data < n_jets:
            raise ValueError(
                f"{folder}: {n_data} jets of data and {n_jets - n_data} of simulation: both are needed"
            )
        description = Description(
            selection=selection,
            split=split.name,
            n_mc=n_jets - n_data,
            n_data=n_data,
            fingerprint=_fingerprint(temporary, selection, split.name),
            samples=dict(samples or {}),
            mc_flavours=dict(mc_flavours or {}),
        )
        write_text(temporary / DESCRIPTION, description.model_dump_json(indent=1))
    return description


def read_unlabelled(folder: Path) -> UnlabelledJets:
    """Return the jets of a folder, after a look at every byte of it.

    Raises:
        FileNotFoundError: If it is no folder of unlabelled jets.
        ValueError: If it is of another version, incomplete, or was changed.
    """
    description = read_description(folder)
    n_jets = description.n_mc + description.n_data
    arrays = {name: _read_array(folder / f"{name}.npy", name, n_jets) for name in _ARRAYS}
    if _fingerprint(folder, description.selection, description.split) != description.fingerprint:
        raise ValueError(f"{folder}: its arrays are not those that were written: collect the jets again")
    return UnlabelledJets(
        **arrays,
        selection=description.selection,
        split=EventSplit.parse(description.split),
        fingerprint=description.fingerprint,
    )


def read_description(folder: Path) -> Description:
    """Return what a folder of unlabelled jets says of itself; the arrays are not looked at.

    Raises:
        FileNotFoundError: If it is no folder of unlabelled jets.
        ValueError: If it is damaged or of another version.
    """
    path = Path(folder) / DESCRIPTION
    if not path.is_file():
        raise FileNotFoundError(f"{folder}: holds no {DESCRIPTION}: give the folder of `advtag collect`")
    try:
        return Description.model_validate(read_json(path, remedy="collect the jets again"))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the whole file"
        raise ValueError(
            f"{path}: not a description of unlabelled jets of this version ({place}: {first['msg']}): "
            "collect them again"
        ) from error


def _write_arrays(parts: Iterable[UnlabelledJets], folder: Path, n_jets: int) -> int:
    """Write the arrays of all parts; return how many jets are data."""
    arrays = {
        name: reserved_array(folder / f"{name}.npy", dtype=kind, shape=(n_jets, *shape))
        for name, (kind, shape) in _ARRAYS.items()
        if n_jets
    }
    start = n_data = 0
    for part in parts:
        stop = start + len(part.features)
        if stop > n_jets:
            break
        for name, array in arrays.items():
            array[start:stop] = getattr(part, name)
        if not np.isfinite(part.weights).all():
            raise ValueError("weights of unlabelled jets are no finite numbers: mend the corrections")
        n_data += int(np.count_nonzero(part.is_data))
        start = stop
    if start != n_jets:
        raise ValueError(f"{n_jets} unlabelled jets were announced, others came: collect them again")
    for array in arrays.values():
        array.flush()
    return n_data


def _read_array(path: Path, name: str, n_jets: int) -> NDArray[Any]:
    kind, shape = _ARRAYS[name]
    array = read_array(path, remedy="collect the jets again")
    expected = (n_jets, *shape)
    if array.dtype != np.dtype(kind) or array.shape != expected:
        raise ValueError(
            f"{path}: {array.dtype} of shape {array.shape}, expected {np.dtype(kind)} of shape {expected}: "
            "collect the jets again"
        )
    return array


def _fingerprint(folder: Path, selection: str, split: str) -> str:
    content = {name: sha256(folder / f"{name}.npy") for name in _ARRAYS}
    text = json.dumps([selection, split, list(BRANCHES), content], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
