"""Files with the same events as other detectors see them: which belong to which input, read side by side."""

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from models.features import BRANCHES, N_FEATURES
from training.pairs import nominal_index_by_direction, partners_by_index
from training.reading import (
    NOMINAL_INDEX,
    InputFile,
    Jets,
    UnusableFileError,
    VariationFile,
    features_of,
    find_inputs,
    flat,
    inspect_file,
    is_clean,
    refuse_copies,
    usable,
)

_DIRECTION: Final = ("Jet_pt", "Jet_eta", "Jet_phi")

_log = logging.getLogger(__name__)


def assign_variations(inputs: Sequence[InputFile], paths: Sequence[str]) -> list[InputFile]:
    """Return the inputs, each with the files that hold its events as other detectors see them.

    A file belongs to the input with the same events in the same order. The order of `paths` is of no account.

    Args:
        inputs: The nominal files.
        paths: Variations: paths, URLs or globs of either.

    Raises:
        FileNotFoundError: If a path matches no file.
        ValueError: If a variation belongs to no input or to several, lacks branches, or if inputs have
            different numbers of them.
    """
    if not paths and not any(file.is_variation for file in inputs):
        return list(inputs)
    by_events = _by_events(inputs)
    if not paths:
        return list(inputs)
    found: dict[str, list[VariationFile]] = {file.path: [] for file in inputs}
    listed = find_inputs(paths, key="variations")
    if twice := [path for path in listed if path in found]:
        raise ValueError(f"{twice[0]}: is listed under 'inputs' and 'variations': remove it from one of them")
    variations = [inspect_file(path) for path in listed]
    refuse_copies([*{file.identity: file for file in inputs}.values(), *variations])
    for path, variation in zip(listed, variations, strict=True):
        nominal = _nominal_of(path, by_events.get(events_fingerprint(path), []), inputs)
        if not variation.is_variation:
            _require_directions(path, nominal.path)
        found[nominal.path].append(VariationFile(path, variation.fingerprint, variation.is_variation))
    _check_numbers(found)
    return [file._replace(variations=tuple(found[file.path])) for file in inputs]


def number_of_variations(files: Sequence[InputFile]) -> int:
    """Return how many variations a jet has, where it has any."""
    return max((len(file.variations) for file in files), default=0)


def with_variations(
    chunks: Iterator[tuple[int, Jets]], file: InputFile, *, n_variations: int, chunk_events: int
) -> Iterator[tuple[int, Jets]]:
    """Yield the chunks of a file with the variations of their jets, all files being read side by side.

    A variation that `training.reading.clean_jets` would drop is left out.

    Args:
        chunks: Of all jets of the file, as `training.reading.read_jets` gives them.
        file: The file and its variations, if it has any.
        n_variations: Of jets that have any.
        chunk_events: As for the chunks.

    Raises:
        ValueError: If a file ends early or cannot be decompressed, or names a jet that is not there.
    """
    readers = [_read_variation(each, file.path, chunk_events=chunk_events) for each in file.variations]
    for n_events, jets in chunks:
        variations = np.full((len(jets.labels), n_variations, N_FEATURES), np.nan, dtype=np.float32)
        for number, reader in enumerate(readers):
            partners, features = next(reader)
            rows = np.flatnonzero(partners >= 0)
            rows = rows[is_clean(features)[partners[rows]]]
            variations[rows, number] = features[partners[rows]]
        yield n_events, jets._replace(variations=variations)


def events_fingerprint(path: str) -> str:
    """Return a SHA-256 over run, luminosity block and event of all events in their order, hexadecimal.

    Raises:
        ValueError: If the file cannot be read.
    """
    digest = hashlib.sha256()
    with usable(path) as file:
        tree = file.tree("Events")
        for branch in ("run", "luminosityBlock", "event"):
            digest.update(tree.column(branch).astype("<u8").tobytes())
    return digest.hexdigest()


def _by_events(inputs: Sequence[InputFile]) -> dict[str, list[InputFile]]:
    """Return the inputs by their events; there must not be a variation beside its nominal file."""
    by_events: dict[str, list[InputFile]] = {}
    for file in inputs:
        by_events.setdefault(events_fingerprint(file.path), []).append(file)
    for files in by_events.values():
        if len(files) > 1 and (varied := [file for file in files if file.is_variation]):
            other = next(file for file in files if file is not varied[0])
            raise ValueError(
                f"{varied[0].path} and {other.path} hold the same events, to train on and to test on: "
                "leave the nominal file under 'inputs' and list the other under 'variations'"
            )
    return by_events


def _nominal_of(path: str, candidates: Sequence[InputFile], inputs: Sequence[InputFile]) -> InputFile:
    """Return the one input that holds a variation's events."""
    if not candidates:
        others = " or any other input" if len(inputs) > 1 else ""
        raise ValueError(
            f"{path}: does not hold the events of {inputs[0].path}{others}: "
            "add the nominal file of the same events to 'inputs', or remove this one from 'variations'"
        )
    if len(candidates) > 1:
        raise ValueError(
            f"{path}: {candidates[0].path} and {candidates[1].path} both hold its events: "
            "leave only the nominal one under 'inputs'"
        )
    return candidates[0]


def _require_directions(path: str, nominal_path: str) -> None:
    """Check that the jets of two files can be matched without an index."""
    for each in (path, nominal_path):
        with usable(each) as file:
            if "Jet_phi" not in file.tree("Events"):
                raise UnusableFileError(
                    f"{path}: its jets cannot be matched with those of {nominal_path}: "
                    f"make it with {NOMINAL_INDEX}, or both with Jet_phi"
                )
    _log.warning("%s: no branch %s: jets are matched by their directions", path, NOMINAL_INDEX)


def _check_numbers(found: Mapping[str, Sequence[VariationFile]]) -> None:
    varied = {path: len(files) for path, files in found.items() if files}
    most, least = max(varied, key=varied.__getitem__), min(varied, key=varied.__getitem__)
    if varied[most] != varied[least]:
        raise ValueError(
            f"{most} has {varied[most]} variations but {least} has {varied[least]}: give all the same number"
        )
    if without := [path for path in found if path not in varied]:
        _log.warning("%s: no variations, as of %d of %d files", without[0], len(without), len(found))


def _read_variation(
    file: VariationFile, nominal_path: str, *, chunk_events: int
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32]]]:
    """Yield, chunk by chunk, the row of each nominal jet's variation, -1 for none, and their features."""
    how = ("nJet",) if file.has_index else _DIRECTION
    with usable(nominal_path) as nominal_file, usable(file.path) as varied_file:
        branches = {*BRANCHES, *((NOMINAL_INDEX,) if file.has_index else _DIRECTION)}
        chunks = zip(
            varied_file.tree("Events").steps(sorted(branches), chunk_events),
            nominal_file.tree("Events").steps(how, chunk_events),
            strict=True,
        )
        for varied, nominal in chunks:
            if file.has_index:
                index, nominal_counts = flat(varied[NOMINAL_INDEX]), ak.to_numpy(nominal["nJet"])
            else:
                jets = ([events[name] for name in _DIRECTION] for events in (varied, nominal))
                index = nominal_index_by_direction(*jets)
                nominal_counts = ak.to_numpy(ak.num(nominal["Jet_pt"]))
            counts = ak.to_numpy(ak.num(varied["Jet_pt"]))
            yield partners_by_index(index, counts, nominal_counts), features_of(varied)
