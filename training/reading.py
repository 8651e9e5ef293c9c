"""PFNano files -> jets with their inputs and truth, a chunk of events at a time."""

import glob
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import UUID

import awkward as ak
import fsspec
import numpy as np
from numpy.typing import NDArray

from events.files import FileError, RootFile, is_remote, open_root
from events.identity import identity_of
from models.features import (
    BRANCHES,
    FLAVOURS,
    JET_FIELDS,
    N_FEATURES,
    default_mask,
    feature_matrix,
    index_of,
)
from storage.files import sha256
from training.reweighting import ETA_RANGE, PT_RANGE

EVENT_BRANCHES: Final = ("run", "luminosityBlock", "event", "nJet")
TRUTH_BRANCHES: Final = ("Jet_hadronFlavour", "Jet_nBHadrons")
NEEDED_BRANCHES: Final = (*EVENT_BRANCHES, *TRUTH_BRANCHES, *BRANCHES)

REFERENCE_BRANCHES: Final = ("Jet_btagDeepB_b", "Jet_btagDeepB_bb", "Jet_btagDeepC", "Jet_btagDeepL")
"""The outputs b, bb, c, udsg of the reference tagger, DeepCSV. Source: the PFNano branch names."""

NOMINAL_INDEX: Final = "Jet_nominalIdx"
"""The row of a jet's partner among the jets of the same event in the nominal file, -1 for none."""

MAX_TRACK_SUM_DELTA_R: Final = 0.3
"""Distance of the summed tracks from the jet axis. Source: thesis, section 2.2 (cleaning)."""

_ETA, _PT = index_of("Jet_eta"), index_of("Jet_pt")
_TRACK_SUM_DELTA_R = index_of("Jet_DeepCSV_trackSumJetDeltaR")
_UNKNOWN_FLAVOUR = 255
_MOST_NAMED = 10


class Jets(NamedTuple):
    """Jets as read and kept.

    `raw` is the feature matrix in physical units, shape ``(n_jets, 67)``; `labels` are 0 b, 1 bb, 2 c, 3
    udsg, shape ``(n_jets,)``; `keys` are run, luminosity block, event and index of the jet in its event,
    shape ``(n_jets, 4)``; `reference` are the reference tagger's probabilities of b, bb, c and udsg, shape
    ``(n_jets, 4)``, nan where the file has none; `variations` are the features of the same jets as other
    detectors see them, shape ``(n_jets, n_variations, 67)``, all nan where a detector sees no such jet, or
    one not to train on.
    """

    raw: NDArray[np.float32]
    labels: NDArray[np.uint8]
    keys: NDArray[np.uint64]
    reference: NDArray[np.float32]
    variations: NDArray[np.float32]

    @property
    def pt(self) -> NDArray[np.float32]:
        """Transverse momentum in GeV, shape ``(n_jets,)``."""
        return self.raw[:, _PT]

    @property
    def eta(self) -> NDArray[np.float32]:
        """Pseudorapidity, shape ``(n_jets,)``."""
        return self.raw[:, _ETA]

    def keep(self, selection: NDArray[np.bool_] | NDArray[np.intp]) -> "Jets":
        """Return the jets of a mask or of a list of indices."""
        return Jets(
            self.raw[selection],
            self.labels[selection],
            self.keys[selection],
            self.reference[selection],
            self.variations[selection],
        )


class VariationFile(NamedTuple):
    """The events of an input as another detector sees them.

    `has_index` tells whether it says which jet is which; else they are matched by their directions.
    """

    path: str
    fingerprint: str
    has_index: bool


class InputFile(NamedTuple):
    """A file that can be read: where, how long, and what identifies its content.

    `is_variation` tells whether it says which of its jets is which in another file; `identity` is what it has
    in common with its copies, and with no other file.
    """

    path: str
    n_events: int
    n_jets: int
    fingerprint: str
    has_reference: bool
    is_variation: bool = False
    variations: tuple[VariationFile, ...] = ()
    identity: str = ""


def find_inputs(inputs: Sequence[str], *, key: str = "inputs") -> list[str]:
    """Return the files named by paths, URLs and globs of either, sorted, each once.

    Args:
        inputs: Paths, URLs and globs.
        key: Where the configuration lists them, for the message.

    Raises:
        FileNotFoundError: If a path or glob matches nothing.
        ValueError: If a remote folder cannot be listed.
    """
    files: set[str] = set()
    for entry in inputs:
        matches = _remote_matches(entry) if "://" in entry else _local_matches(entry)
        if not matches:
            raise FileNotFoundError(f"{entry}: no such file: mend '{key}' of the configuration")
        files.update(matches)
    return sorted(files)


def _local_matches(entry: str) -> list[str]:
    """Return the file of that name, brackets and all, or else those that match it as a pattern."""
    return [entry] if Path(entry).exists() else glob.glob(entry, recursive=True)  # noqa: PTH207


def _remote_matches(url: str) -> list[str]:
    """Return the files of a URL with * or ? in it, or the URL itself."""
    if not glob.has_magic(url):
        return [url]
    try:
        filesystem, path = fsspec.core.url_to_fs(url)
        return [filesystem.unstrip_protocol(match) for match in filesystem.glob(path)]
    except (ImportError, ValueError, OSError) as error:
        reason = " ".join(str(error).split())[:120]
        raise ValueError(f"{url}: cannot be listed ({reason}): list the files one by one") from error


def inspect_file(path: str) -> InputFile:
    """Return a file's size and fingerprint after checking that it holds every branch needed.

    Raises:
        ValueError: If it is no ROOT file with a tree Events, or branches are missing.
    """
    with usable(path) as file:
        if "Events" not in file:
            raise UnusableFileError(f"{path}: holds no tree Events: is this a NanoAOD file?")
        events = file.tree("Events")
        missing = events.missing(NEEDED_BRANCHES)
        if missing:
            named = ", ".join(missing[:_MOST_NAMED]) + (", ..." if len(missing) > _MOST_NAMED else "")
            raise UnusableFileError(
                f"{path}: lacks {len(missing)} of the {len(NEEDED_BRANCHES)} branches needed for training "
                f"({named}): is this simulation in the PFNano format?"
            )
        n_jets = int(events.column("nJet").sum())
        mark = f"root-uuid:{UUID(bytes=file.uuid)}"
        fingerprint = mark if is_remote(path) else f"sha256:{sha256(Path(path))}"
        has_reference = not events.missing(REFERENCE_BRANCHES)
        is_variation = NOMINAL_INDEX in events
        return InputFile(
            path, events.n_events, n_jets, fingerprint, has_reference, is_variation,
            identity=identity_of(file, events),
        )  # fmt: skip


def refuse_copies(files: Iterable[InputFile]) -> None:
    """Raise if a file is there under two names, through a link, or as a copy.

    Raises:
        ValueError: If so; the sentence names both.
    """
    first_of: dict[str, InputFile] = {}
    for file in files:
        first = first_of.setdefault(file.identity, file)
        if first is not file:
            raise ValueError(f"{file.path}: is {first.path} or a copy of it: list it once")


def refuse_same_jets(files: Iterable[InputFile]) -> None:
    """Raise if a file holds the jets of another one, written anew.

    Raises:
        ValueError: If so; the sentence names both.
    """
    alike: dict[tuple[int, int], list[InputFile]] = {}
    for file in files:
        alike.setdefault((file.n_events, file.n_jets), []).append(file)
    for candidates in alike.values():
        first_of: dict[str, InputFile] = {}
        for file in candidates if len(candidates) > 1 else ():
            first = first_of.setdefault(_jets_fingerprint(file.path), file)
            if first is not file:
                raise ValueError(f"{file.path}: holds the very jets of {first.path}, written anew: list one")


def _jets_fingerprint(path: str) -> str:
    """Return a SHA-256 over numbers and momenta of all jets in their order, hexadecimal."""
    digest = hashlib.sha256()
    with usable(path) as file:
        events = file.tree("Events").read([*EVENT_BRANCHES, "Jet_pt", "Jet_eta"])
    for name in EVENT_BRANCHES:
        digest.update(ak.to_numpy(events[name]).astype("<u8").tobytes())
    for name in ("Jet_pt", "Jet_eta"):
        digest.update(flat(events[name]).astype("<f4").tobytes())
    return digest.hexdigest()


def read_jets(path: str, *, chunk_events: int) -> Iterator[tuple[int, Jets]]:
    """Yield the number of events and all their jets, chunk by chunk; unknown flavours get the label 255.

    Only one chunk is in memory at a time.

    Raises:
        ValueError: If the file ends early or cannot be decompressed.
    """
    with usable(path) as file:
        tree = file.tree("Events")
        branches = NEEDED_BRANCHES + (() if tree.missing(REFERENCE_BRANCHES) else REFERENCE_BRANCHES)
        for events in tree.steps(branches, chunk_events):
            yield len(events), _jets_of(events)


def clean_jets(jets: Jets) -> tuple[Jets, dict[str, int]]:
    """Return the jets to train on, and how many each cut removed of those the cuts before it left.

    Kept are jets with abs(eta) <= 2.5, 20 <= pT <= 1000 GeV, trackSumJetDeltaR <= 0.3 or missing, and flavour
    0, 4 or 5.

    Source:
        Thesis, section 2.2.4 (cleaning procedure).
    """
    cuts = _cuts(jets.raw) | {"flavour": jets.labels != _UNKNOWN_FLAVOUR}
    kept = np.ones(len(jets.labels), dtype=np.bool_)
    dropped = {}
    for name, passes in cuts.items():
        dropped[name] = int((kept & ~passes).sum())
        kept &= passes
    return jets.keep(kept), dropped


def is_clean(raw: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Tell which jets pass the cuts of `clean_jets` on their features, shape ``(n_jets,)``."""
    return np.asarray(np.all(list(_cuts(raw).values()), axis=0))


def _cuts(raw: NDArray[np.float32]) -> dict[str, NDArray[np.bool_]]:
    pt, eta, delta_r = raw[:, _PT], raw[:, _ETA], raw[:, _TRACK_SUM_DELTA_R]
    has_no_delta_r = default_mask(raw)[:, _TRACK_SUM_DELTA_R]
    return {
        "eta": (eta >= ETA_RANGE[0]) & (eta <= ETA_RANGE[1]),
        "pt": (pt >= PT_RANGE[0]) & (pt <= PT_RANGE[1]),
        "track_sum_delta_r": has_no_delta_r | (delta_r <= MAX_TRACK_SUM_DELTA_R),
    }


def labels_of(hadron_flavour: NDArray[np.integer], n_b_hadrons: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Return 0 b, 1 bb (two or more b hadrons), 2 c, 3 udsg or 255 for any other, shape ``(n_jets,)``.

    Source:
        Thesis, section 2.2.3 (definition of the targets).
    """
    flavour_names = np.select(
        [
            (hadron_flavour == 5) & (n_b_hadrons > 1),
            hadron_flavour == 5,
            hadron_flavour == 4,
            hadron_flavour == 0,
        ],
        [FLAVOURS.index("bb"), FLAVOURS.index("b"), FLAVOURS.index("c"), FLAVOURS.index("udsg")],
        default=_UNKNOWN_FLAVOUR,
    )
    return flavour_names.astype(np.uint8)


class UnusableFileError(ValueError):
    """A file that cannot serve as input; the message says which and why."""


@contextmanager
def usable(path: str) -> Iterator[RootFile]:
    """Yield a file opened for reading; one that is damaged, or holds what does not fit, is named.

    Raises:
        UnusableFileError: If it cannot be read.
    """
    try:
        with open_root(path) as file:
            yield file
    except (UnusableFileError, MemoryError):
        raise
    except FileError as error:
        raise UnusableFileError(
            f"{error.path}: cannot be read ({error.reason}): is the file whole? copy or make it anew"
        ) from error
    except Exception as error:  # branches that do not fit together fail where they are used
        reason = " ".join(str(error).split())[:120]
        raise UnusableFileError(
            f"{path}: cannot be read ({reason}): is the file whole? copy or make it anew"
        ) from error


def _jets_of(events: ak.Array) -> Jets:
    """Return all jets of a chunk of events."""
    counts = ak.num(events["Jet_pt"])
    keys = np.empty((int(ak.sum(counts)), 4), dtype=np.uint64)
    for column, branch in enumerate(("run", "luminosityBlock", "event")):
        keys[:, column] = np.repeat(ak.to_numpy(events[branch]), counts)
    keys[:, 3] = flat(ak.local_index(events["Jet_pt"]))
    raw = features_of(events)
    labels = labels_of(flat(events["Jet_hadronFlavour"]), flat(events["Jet_nBHadrons"]))
    reference = np.full((len(raw), len(REFERENCE_BRANCHES)), np.nan, dtype=np.float32)
    for column, branch in enumerate(REFERENCE_BRANCHES):
        if branch in events.fields:
            reference[:, column] = flat(events[branch])
    return Jets(raw, labels, keys, reference, np.empty((len(raw), 0, N_FEATURES), dtype=np.float32))


def features_of(events: ak.Array) -> NDArray[np.float32]:
    """Return the features of all jets of a chunk of events, as read, shape ``(n_jets, 67)``."""
    return feature_matrix({field: flat(events[f"Jet_{field}"]) for field in JET_FIELDS})


def flat(per_event: ak.Array) -> NDArray[Any]:
    """Return the values of all jets, one event after the other, shape ``(n_jets,)``."""
    return np.asarray(ak.to_numpy(ak.flatten(per_event)))
