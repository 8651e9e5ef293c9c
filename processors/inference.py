"""Many taggers, raw and distorted inputs, one pass over the jets."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from models.discriminators import scores
from models.features import BRANCHES
from models.perturbations import JetKeys, Variant
from models.predictions import predictions
from models.tagger import Tagger
from processors.jet_inputs import read_jets
from selections.selected import Selected, flat_values

BLOCK = 16384
"""Jets that go through all taggers and variants together; bounds the memory, not the result."""


class Scored(NamedTuple):
    """The scores of some jets by one tagger for one variant, and the distorted features behind them."""

    jets: slice
    tagger: Tagger
    variant: Variant
    scores: dict[str, NDArray[np.float64]]
    features: NDArray[np.float32]


def gather_features(events: ak.Array, selected: Selected) -> NDArray[np.float32]:
    """Return the features of the probes as read, shape ``(n_probes, 67)``; without probes none is read.

    They are those in the file, whatever has been done to the jets of `events`.
    """
    return _transposed(jet_columns(events, selected, BRANCHES))


def jet_columns(events: ak.Array, selected: Selected, branches: Sequence[str]) -> NDArray[np.float32]:
    """Return branches of the probes as they are in the file, shape ``(n_branches, n_probes)``."""
    if len(selected.jet) == 0:
        return np.empty((len(branches), 0), dtype=np.float32)
    tree = _local_tree(events)
    if tree is not None:
        entry = selected.event + int(events.metadata["entrystart"])
        return read_jets(tree, branches, entry=entry, jet=selected.jet)
    jets = events.Jet
    position = selected.flat_position(jets.pt)
    with np.errstate(over="ignore", invalid="ignore"):
        columns = [flat_values(jets[branch.removeprefix("Jet_")])[position] for branch in branches]
        return np.array(columns, dtype=np.float32)


def _local_tree(events: ak.Array) -> Any:
    """Return the open tree behind the events; None for a remote one, of which whole columns come faster."""
    factory = events.attrs.get("@events_factory")
    file = None if factory is None else factory.file_handle
    if file is None or "://" in events.metadata["filename"]:
        return None
    return file[events.metadata["treename"]]


def _transposed(columns: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a copy of shape ``(n_jets, 67)``, made by parts that fit into the processor's cache."""
    rows = np.empty(columns.shape[::-1], dtype=np.float32)
    for start in range(0, len(rows), 1024):
        rows[start : start + 1024] = columns[:, start : start + 1024].T
    return rows


def jet_keys(events: ak.Array, selected: Selected) -> JetKeys:
    """Return what names each probe in its file, whatever chunk it came in."""
    run, block, event = (
        np.asarray(events[name])[selected.event] for name in ("run", "luminosityBlock", "event")
    )
    return JetKeys(run, block, event, selected.jet)


def score_jets(
    taggers: Sequence[Tagger],
    variants: Sequence[Variant],
    *,
    raw: NDArray[np.float32],
    keys: JetKeys,
    labels: NDArray[np.int64],
    seed: int,
) -> Iterator[Scored]:
    """Yield the scores of all taggers and variants, some jets at a time.

    Args:
        taggers: The taggers.
        variants: How the inputs are distorted; attacks need labels.
        raw: Features as read, shape ``(n_jets, 67)``.
        keys: What names the jets.
        labels: True flavours, 0 to 3, shape ``(n_jets,)``; -1 where unknown.
        seed: The seed of the noise.
    """
    for start in range(0, len(raw), BLOCK):
        jets = slice(start, start + BLOCK)
        own_keys = JetKeys(*(key[jets] for key in keys))
        for tagger, variant, features, logits in predictions(
            taggers, variants, raw=raw[jets], keys=own_keys, labels=labels[jets], seed=seed
        ):
            yield Scored(jets, tagger, variant, scores(logits), features)
