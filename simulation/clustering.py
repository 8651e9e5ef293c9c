"""Anti-kT jets, with what each is made of, fast enough that a second clustering of an event costs little.

The jets are those of FastJet, bit by bit: the same distances and the same sums. Each pseudo jet knows its
nearest neighbour, and loops over all of them are left to the vector units of the processor.

Source:
    M. Cacciari, G. Salam, G. Soyez, JHEP 04 (2008) 063; the strategy is "N2Plain" of FastJet (the same
    authors, Eur. Phys. J. C 72 (2012) 1896, section 5).
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulation.compiled import lean_kernel

RADIUS = 0.4

_RADIUS2 = RADIUS * RADIUS
_LARGEST_RAPIDITY = 1e5


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


_PX, _PY, _PZ, _E, _Y, _PHI, _INVERSE_PT2, _SEPARATION, _DISTANCE, _SCRATCH = range(10)
"""Rows of `floats`: momentum, direction, the squared distance to the nearest neighbour, the distance of the
algorithm (times the squared radius), and room for distances to all others."""
_NEIGHBOUR, _FIRST, _LAST, _NEXT, _ORPHAN = range(5)
"""Rows of `links`: the nearest neighbour, the first and last particle of a pseudo jet, the particle after a
particle, and room for a list. There is a column for each pseudo jet; those in use stand without a gap."""
# Two tables, not a record of arrays: each array that a kernel is given costs a count of references.


@lean_kernel
def _set_direction(floats: NDArray[Any], i: int) -> None:
    px, py, pz, energy = floats[_PX, i], floats[_PY, i], floats[_PZ, i], floats[_E, i]
    pt2 = px * px + py * py
    phi, y = 0.0, _LARGEST_RAPIDITY
    if pt2 > 0.0:
        phi = math.atan2(py, px)
        m2 = max(0.0, (energy + pz) * (energy - pz) - pt2)
        y = 0.5 * math.log((pt2 + m2) / (energy + abs(pz)) ** 2)
    floats[_Y, i] = -y if pz > 0.0 else y
    floats[_PHI, i] = phi + 2.0 * math.pi if phi < 0.0 else phi
    floats[_INVERSE_PT2, i] = 1.0 / pt2 if pt2 > 0.0 else 1e300


@lean_kernel
def _separations(floats: NDArray[Any], i: int, n: int) -> None:
    """Fill the squared distances of the first n pseudo jets from one of them, and a large one from itself."""
    y, phi = floats[_Y, i], floats[_PHI, i]
    for k in range(n):
        d_phi = abs(phi - floats[_PHI, k])
        d_phi = min(d_phi, 2.0 * math.pi - d_phi)
        d_y = y - floats[_Y, k]
        floats[_SCRATCH, k] = d_phi * d_phi + d_y * d_y
    floats[_SCRATCH, i] = np.inf


@lean_kernel
def _smallest(values: NDArray[Any], n: int) -> int:
    """Return where the smallest of the first n values stands; none is negative."""
    # The bits of such numbers, read as integers, are in the order of the numbers.
    bits = values.view(np.int64)
    smallest = bits[0]
    for k in range(1, n):
        smallest = min(smallest, bits[k])
    for k in range(n):
        if bits[k] == smallest:
            return k
    return 0


@lean_kernel
def _make_neighbours(floats: NDArray[Any], links: NDArray[Any], i: int, neighbour: int) -> None:
    links[_NEIGHBOUR, i], floats[_SEPARATION, i] = neighbour, floats[_SCRATCH, neighbour]
    inverse_pt2 = min(floats[_INVERSE_PT2, i], floats[_INVERSE_PT2, neighbour])
    floats[_DISTANCE, i] = floats[_SEPARATION, i] * inverse_pt2


@lean_kernel
def _find_neighbour(floats: NDArray[Any], links: NDArray[Any], i: int, n: int) -> None:
    """Fill the nearest neighbour among the first n, -1 if none lies within the radius."""
    _separations(floats, i, n)
    nearest = _smallest(floats[_SCRATCH], n)
    if floats[_SCRATCH, nearest] < _RADIUS2:
        _make_neighbours(floats, links, i, nearest)
    else:
        links[_NEIGHBOUR, i], floats[_SEPARATION, i] = -1, _RADIUS2
        floats[_DISTANCE, i] = _RADIUS2 * floats[_INVERSE_PT2, i]


@lean_kernel
def _introduce(floats: NDArray[Any], links: NDArray[Any], i: int, n: int) -> None:
    """Find the nearest neighbour of one pseudo jet, and tell the others where it is nearer than theirs."""
    _find_neighbour(floats, links, i, n)
    for k in range(n):
        separation = floats[_SCRATCH, k]
        if separation < floats[_SEPARATION, k]:
            links[_NEIGHBOUR, k], floats[_SEPARATION, k] = i, separation
            inverse_pt2 = min(floats[_INVERSE_PT2, i], floats[_INVERSE_PT2, k])
            floats[_DISTANCE, k] = separation * inverse_pt2


@lean_kernel
def _free_column(floats: NDArray[Any], links: NDArray[Any], gone: int, last: int) -> None:
    """Move the pseudo jet of the last column to one that is free now; links to it are the caller's."""
    for row in range(_SCRATCH):
        floats[row, gone] = floats[row, last]
    for row in range(_NEXT):
        links[row, gone] = links[row, last]


@lean_kernel
def _merge(floats: NDArray[Any], links: NDArray[Any], kept: int, gone: int, n: int) -> None:
    """Add pseudo jet `gone` to `kept`, which stands before it; n are left."""
    for row in (_PX, _PY, _PZ, _E):
        floats[row, kept] += floats[row, gone]
    links[_NEXT, links[_LAST, kept]] = links[_FIRST, gone]
    links[_LAST, kept] = links[_LAST, gone]
    _set_direction(floats, kept)
    _free_column(floats, links, gone, n)
    n_orphans = 0
    for k in range(n):
        neighbour = links[_NEIGHBOUR, k]
        if k != kept and neighbour in (kept, gone):
            links[_ORPHAN, n_orphans] = k
            n_orphans += 1
        elif neighbour == n:
            links[_NEIGHBOUR, k] = gone
    for place in range(n_orphans):
        _find_neighbour(floats, links, links[_ORPHAN, place], n)
    _introduce(floats, links, kept, n)


@lean_kernel
def _cluster_event(
    floats: NDArray[Any], links: NDArray[Any], n: int, min_pt: float, jets: ClusteredJets, n_jets: int
) -> int:
    """Cluster the first n columns; append jets above `min_pt`; return the new number of jets."""
    for i in range(n):
        links[_FIRST, i], links[_LAST, i], links[_NEXT, i] = i, i, -1
        floats[_SEPARATION, i] = _RADIUS2
        _set_direction(floats, i)
        _introduce(floats, links, i, i + 1)
    while n > 0:
        n -= 1
        i = _smallest(floats[_DISTANCE], n + 1)
        k = links[_NEIGHBOUR, i]
        if k >= 0:
            _merge(floats, links, min(i, k), max(i, k), n)
            continue
        if floats[_INVERSE_PT2, i] * min_pt * min_pt <= 1.0:
            _append(floats, links, i, jets, n_jets)
            n_jets += 1
        # A pseudo jet without a neighbour is nobody's neighbour.
        _free_column(floats, links, i, n)
        for k in range(n):
            if links[_NEIGHBOUR, k] == n:
                links[_NEIGHBOUR, k] = i
    return n_jets


@lean_kernel
def _append(floats: NDArray[Any], links: NDArray[Any], i: int, jets: ClusteredJets, n_jets: int) -> None:
    for row in (_PX, _PY, _PZ, _E):
        jets.momenta[n_jets, row] = floats[row, i]
    n_members, member = jets.member_offsets[n_jets], links[_FIRST, i]
    while member >= 0:
        jets.members[n_members] = member
        n_members += 1
        member = links[_NEXT, member]
    jets.member_offsets[n_jets + 1] = n_members


@lean_kernel
def _cluster_all(
    momenta: NDArray[Any], offsets: NDArray[Any], min_pt: float, floats: NDArray[Any], links: NDArray[Any],
    jets: ClusteredJets,
) -> None:  # fmt: skip
    """Fill the jets of all events, those of an event in the order of their clustering."""
    n_jets = jets.offsets[0]  # 0, and not a constant, which would be compiled on its own
    for event in range(len(offsets) - 1):
        n_particles = offsets[event + 1] - offsets[event]
        for i in range(n_particles):
            for row in (_PX, _PY, _PZ, _E):
                floats[row, i] = momenta[offsets[event] + i, row]
        n_jets = _cluster_event(floats, links, n_particles, min_pt, jets, n_jets)
        jets.offsets[event + 1] = n_jets


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
    largest = int(np.max(np.diff(offsets), initial=0))
    floats, links = np.empty((10, largest)), np.empty((5, largest), np.int64)
    n_particles = len(momenta)
    jets = ClusteredJets(
        np.empty((n_particles, 4)), np.zeros(len(offsets), np.int64), np.empty(n_particles, np.int64),
        np.zeros(n_particles + 1, np.int64),
    )  # fmt: skip
    _cluster_all(momenta, offsets, min_pt, floats, links, jets)
    n_jets = int(jets.offsets[-1])
    member_offsets = jets.member_offsets[: n_jets + 1]
    members = jets.members[: member_offsets[-1]]
    found = ClusteredJets(jets.momenta[:n_jets], jets.offsets, members, member_offsets)
    return in_order_of_pt(found, max_eta=max_eta)
