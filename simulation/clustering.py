"""Anti-kT jets by FastJet, with what each is made of, as plain arrays.

Source:
    M. Cacciari, G. Salam, G. Soyez, JHEP 04 (2008) 063 and Eur. Phys. J. C 72 (2012) 1896.
"""

import contextlib
import ctypes
import functools
import os
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import awkward as ak
import fastjet
import numpy as np
from numpy.typing import NDArray

RADIUS = 0.4


class ClusteredJets(NamedTuple):
    """Jets of a batch in order of falling pT; event k has rows ``offsets[k]`` to ``offsets[k + 1]``.

    Attributes:
        momenta: px, py, pz and energy, shape ``(n_jets, 4)``.
        members: Positions of a jet's particles within its event, jet after jet.
        member_offsets: Where the members of each jet begin and end, shape ``(n_jets + 1,)``.
    """

    momenta: NDArray[np.float64]
    offsets: NDArray[np.int64]
    members: NDArray[np.int64]
    member_offsets: NDArray[np.int64]


def anti_kt_jets(
    momenta: NDArray[np.float64], offsets: NDArray[np.int64], *, min_pt: float, max_eta: float = 10.0
) -> ClusteredJets:
    """Return the anti-kT jets of all events, with a radius of 0.4.

    Args:
        momenta: px, py, pz and energy of all particles, event after event, shape ``(n_particles, 4)``.
        offsets: Where the particles of each event begin and end, shape ``(n_events + 1,)``.
        min_pt: Of the jets, in GeV.
        max_eta: Largest absolute pseudorapidity of the jets.
    """
    particles = ak.contents.RecordArray(
        [ak.contents.NumpyArray(np.ascontiguousarray(column)) for column in momenta.T],
        ["px", "py", "pz", "E"],
        parameters={"__record__": "Momentum4D"},
    )
    events = ak.Array(ak.contents.ListOffsetArray(ak.index.Index64(offsets), particles))
    sequence = fastjet.ClusterSequence(events, _definition())
    found = sequence.inclusive_jets(min_pt=min_pt)
    per_jet = ak.flatten(sequence.constituent_index(min_pt=min_pt), axis=1)
    columns = [ak.to_numpy(ak.flatten(found[field])) for field in ("px", "py", "pz", "E")]
    jets = ClusteredJets(
        np.stack(columns, axis=1),
        _offsets(ak.num(found)),
        ak.to_numpy(ak.flatten(per_jet)).astype(np.int64),
        _offsets(ak.num(per_jet)),
    )
    return in_order_of_pt(jets, max_eta=max_eta)


def in_order_of_pt(jets: ClusteredJets, *, min_pt: float = 0.0, max_eta: float = 10.0) -> ClusteredJets:
    """Return the jets of each event above a pT and below a pseudorapidity in order of falling pT."""
    pt = np.hypot(jets.momenta[:, 0], jets.momenta[:, 1])
    event = np.repeat(np.arange(len(jets.offsets) - 1), np.diff(jets.offsets))
    order = np.lexsort((-pt, event))
    order = order[(pt[order] >= min_pt) & (np.abs(jets.momenta[order, 2]) < pt[order] * np.sinh(max_eta))]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(event[order], minlength=len(jets.offsets) - 1))])
    counts = np.diff(jets.member_offsets)[order]
    member_offsets = np.concatenate([[0], np.cumsum(counts)])
    # The k-th member of a jet stays its k-th.
    moved = np.repeat(jets.member_offsets[:-1][order] - member_offsets[:-1], counts)
    members = jets.members[np.arange(len(moved)) + moved]
    return ClusteredJets(jets.momenta[order], offsets, members, member_offsets)


def _offsets(counts: ak.Array) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(ak.to_numpy(counts))]).astype(np.int64)


@functools.cache
def _definition() -> Any:
    """Return the jet definition; FastJet's banner, printed at the first clustering, is left out."""
    definition = fastjet.JetDefinition(fastjet.antikt_algorithm, RADIUS)
    one = ak.Array([[{"px": 1.0, "py": 0.0, "pz": 0.0, "E": 1.0}]], with_name="Momentum4D")
    with _standard_output_closed():
        fastjet.ClusterSequence(one, definition).inclusive_jets()
    return definition


@contextlib.contextmanager
def _standard_output_closed() -> Iterator[None]:
    """Send what C++ prints meanwhile to nowhere."""
    flush_c = ctypes.CDLL(None).fflush
    sys.stdout.flush()
    flush_c(None)
    kept = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
        flush_c(None)
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)
