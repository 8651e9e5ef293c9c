"""What the generator knows: where particles come from, the heavy hadrons and the partons of an event."""

import math
from typing import Any

from numpy.typing import NDArray

from simulation.compiled import lean_kernel
from simulation.pythia import GeneratedParticles
from simulation.records import (
    ORIGIN_BOTTOM,
    ORIGIN_CHARM,
    ORIGIN_LIGHT,
    ORIGIN_PROMPT,
    ORIGIN_TAU,
    Records,
)

GHOST_SCALE = 1e-18
"""Momenta of ghosts are scaled by this: a jet gathers them and does not notice."""

_TAU = 15
_GLUON = 21
_FIRST_READY, _LAST_READY = 71, 79
"""PYTHIA's status codes of partons that are ready to become hadrons."""


@lean_kernel
def is_hadron(pdg: int) -> bool:
    """Return whether an absolute PDG number is a hadron's: quarks, leptons and diquarks are not."""
    return pdg > 100 and (pdg // 10) % 10 != 0 and (pdg // 100) % 10 != 0


@lean_kernel
def heavy_flavour(pdg: int) -> int:
    """Return 5 or 4 for a hadron (absolute PDG number) with a bottom or charm quark, else 0."""
    if not is_hadron(pdg):
        return 0
    baryon_quark = (pdg // 1000) % 10
    quark = baryon_quark if baryon_quark > 0 else (pdg // 100) % 10
    return quark if quark in (ORIGIN_CHARM, ORIGIN_BOTTOM) else 0


@lean_kernel
def _rank(origin: int) -> int:
    return 2 if origin == ORIGIN_TAU else origin


@lean_kernel
def _origin_after(mother_pdg: int, mother_origin: int) -> int:
    """Return the origin of a particle whose mother is given: the heaviest flavour up the line counts."""
    own = ORIGIN_PROMPT
    if is_hadron(mother_pdg):
        flavour = heavy_flavour(mother_pdg)
        own = flavour if flavour > 0 else ORIGIN_LIGHT
    elif mother_pdg == _TAU:
        own = ORIGIN_TAU
    return own if _rank(own) > _rank(mother_origin) else mother_origin


@lean_kernel
def trace_origins(generated: GeneratedParticles, begin: int, end: int, origins: NDArray[Any]) -> None:
    """Fill the origin of the particles of an event, rows `begin` to `end`, into `origins` from 0."""
    for i in range(end - begin):
        mother = generated.mother[begin + i]
        if 0 < mother < i:  # mothers stand before their daughters
            origins[i] = _origin_after(abs(generated.pdg[begin + mother]), origins[mother])
        else:
            origins[i] = ORIGIN_PROMPT


@lean_kernel
def is_last_of_its_flavour(generated: GeneratedParticles, begin: int, row: int, flavour: int) -> bool:
    """Return whether no daughter of a hadron has its heavy quark: whether it decays weakly."""
    first = generated.first_daughter[row]
    if first <= 0:
        return True
    for daughter in range(first, max(generated.last_daughter[row], first) + 1):
        if heavy_flavour(abs(generated.pdg[begin + daughter])) == flavour:
            return False
    return True


@lean_kernel
def collect_ghosts(
    generated: GeneratedParticles, begin: int, end: int, ghosts: Records, n_ghosts: int
) -> int:
    """Append the heavy hadrons of an event that decay weakly; return the new number of ghosts."""
    for row in range(begin, end):
        flavour = heavy_flavour(abs(generated.pdg[row]))
        if flavour == 0 or not is_last_of_its_flavour(generated, begin, row, flavour):
            continue
        ghost = ghosts[n_ghosts]
        ghost.px = generated.px[row] * GHOST_SCALE
        ghost.py = generated.py[row] * GHOST_SCALE
        ghost.pz = generated.pz[row] * GHOST_SCALE
        ghost.energy = generated.energy[row] * GHOST_SCALE
        ghost.flavour = flavour
        n_ghosts += 1
    return n_ghosts


@lean_kernel
def collect_partons(
    generated: GeneratedParticles, begin: int, end: int, partons: Records, n_partons: int
) -> int:
    """Append the quarks and gluons of an event that become hadrons; return the new number of partons."""
    for row in range(begin, end):
        pdg = abs(generated.pdg[row])
        if not _FIRST_READY <= abs(generated.status[row]) <= _LAST_READY or (pdg > 5 and pdg != _GLUON):
            continue
        pt = math.hypot(generated.px[row], generated.py[row])
        if pt < 0.5:
            continue
        parton = partons[n_partons]
        parton.pt = pt
        parton.eta = math.asinh(generated.pz[row] / pt)
        parton.phi = math.atan2(generated.py[row], generated.px[row])
        parton.pdg = generated.pdg[row]
        n_partons += 1
    return n_partons
