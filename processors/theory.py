"""Variations by weights the generator left in the file: parton shower, scales, parton densities.

Which member of a list means what is told by the title of its branch, and by nothing else: the order changed
between productions, and a list of one is a dummy.
"""

import re
from collections.abc import Callable, Iterable, Mapping

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from processors.corrections import TheoryCard
from selections.selected import counts_of, pick

Weight = NDArray[np.float64]

_SHOWER = re.compile(r"\[(\d+)\] is ISR=([\d.]+) FSR=([\d.]+)")
_SCALE = re.compile(r"\[(\d+)\] is ([^\[]*)")
_NUMBER = r'\s*=\s*"?(\d*\.?\d+(?:[eEdD][+-]?\d+)?)'
_RENORMALISATION = re.compile(rf"(?:renscfact|mur){_NUMBER}", re.IGNORECASE)
_FACTORISATION = re.compile(rf"(?:facscfact|muf){_NUMBER}", re.IGNORECASE)
_DIRECTIONS = {2.0: "Up", 0.5: "Down"}
_WITH_ALPHA_S = (33, 103)
"""Lengths of lists that end with two members for the strong coupling, which are no densities."""

_FEWEST_DENSITIES = 3

_BRANCHES = {
    "ISR": "PSWeight",
    "FSR": "PSWeight",
    "muR": "LHEScaleWeight",
    "muF": "LHEScaleWeight",
    "pdf": "LHEPdfWeight",
}


def theory_sources(card: TheoryCard) -> dict[str, str]:
    """Return the sources of variation that are asked for, each with the branch it is read from."""
    wanted = {
        "ISR": card.parton_shower,
        "FSR": card.parton_shower,
        "muR": card.scales,
        "muF": card.scales,
        "pdf": card.pdf != "none",
    }
    return {name: branch for name, branch in _BRANCHES.items() if wanted[name]}


def theory_weights(events: ak.Array, card: TheoryCard) -> tuple[dict[str, Weight], dict[str, int]]:
    """Return the factors on the weight of each event by variation, and how many events a source cannot vary.

    An event whose own list is too short, or holds what is no finite number, stays nominal, as all events do
    where the title of the branch does not tell the order. The other events of the chunk do not matter.

    Args:
        events: A chunk of simulation.
        card: What is asked for.

    Returns:
        For each source Up and Down, shape ``(n_events,)`` each, 1 where the file does not have it; and by
        ``branch:source``, where the file has the branch, the number of events that it leaves nominal.

    Source:
        NanoAOD documentation of PSWeight, LHEScaleWeight and LHEPdfWeight; Up is what the title calls 2.
    """
    factors: dict[str, Weight] = {}
    unvaried: dict[str, int] = {}
    for source, branch in theory_sources(card).items():
        names = (f"{source}Up", f"{source}Down")
        members = np.full((2, len(events)), np.nan)
        if branch in events.fields:
            members = _pdf_members(events, card) if source == "pdf" else _title_members(events, branch, names)
        usable = np.isfinite(members).all(axis=0)
        if branch in events.fields and not usable.all():
            unvaried[f"{branch}:{source}"] = int(np.count_nonzero(~usable))
        factors |= zip(names, np.where(usable, members, 1.0), strict=True)
    return factors, unvaried


def shower_members(title: str) -> dict[str, int]:
    """Return which member of PSWeight is ISRUp, ISRDown, FSRUp and FSRDown, as far as a title tells."""
    return _members(
        (int(index), {"ISR": float(isr), "FSR": float(fsr)}) for index, isr, fsr in _SHOWER.findall(title)
    )


def scale_members(title: str) -> dict[str, int]:
    """Return which member of LHEScaleWeight is muRUp, muRDown, muFUp and muFDown, as far as a title tells."""
    found = []
    for index, text in _SCALE.findall(title):
        renormalisation, factorisation = _RENORMALISATION.search(text), _FACTORISATION.search(text)
        if renormalisation and factorisation:
            found.append((int(index), {"muR": _number(renormalisation[1]), "muF": _number(factorisation[1])}))
    return _members(found)


def _members(found: Iterable[tuple[int, dict[str, float]]]) -> dict[str, int]:
    """Return the members in which one factor is 2 or 0.5 and the other 1; the first of each kind."""
    members: dict[str, int] = {}
    for index, factors in found:
        moved = {name: factor for name, factor in factors.items() if factor != 1.0}
        if len(moved) == 1:
            ((name, factor),) = moved.items()
            if factor in _DIRECTIONS:
                members.setdefault(f"{name}{_DIRECTIONS[factor]}", index)
    return members


def _title_members(events: ak.Array, branch: str, names: tuple[str, str]) -> Weight:
    """Return the members that a branch's title names, shape ``(2, n_events)``; NaN where there is none."""
    weights = events[branch]
    read: Mapping[str, Callable[[str], dict[str, int]]] = {
        "PSWeight": shower_members,
        "LHEScaleWeight": scale_members,
    }
    members = read[branch](str(getattr(weights, "__doc__", "") or ""))
    if not all(name in members for name in names):
        return np.full((2, len(weights)), np.nan)
    return np.stack([_member(weights, members[name]) for name in names])


def _member(weights: ak.Array, index: int) -> Weight:
    """Return one member of each event's list, NaN where the list is shorter, shape ``(n_events,)``."""
    return pick(weights, np.where(counts_of(weights) > index, index, -1))


def _pdf_members(events: ak.Array, card: TheoryCard) -> Weight:
    r"""Return 1 plus and minus the spread of the densities, event by event; or their envelope.

    .. math:: \sigma = \sqrt{\sum_{i>0} (w_i - w_0)^2} \ \text{(Hessian)}, \quad
        \sigma = \sqrt{\langle (w_i - \langle w \rangle)^2 \rangle} \ \text{(replicas)}

    Returns:
        Up and down, shape ``(2, n_events)``; NaN for an event with fewer than three members.

    Source:
        PDF4LHC recommendations for LHC Run II, J. Phys. G 43 (2016) 023001, Eqs. 20 and 21.
    """
    weights = events.LHEPdfWeight
    lengths = counts_of(weights)
    found = np.full((2, len(lengths)), np.nan)
    for length in np.unique(lengths[lengths >= _FEWEST_DENSITIES]):
        own = lengths == length
        table = np.asarray(ak.to_regular(weights[own], axis=1), dtype=np.float64)
        found[:, own] = _up_and_down(table, card)
    return found


def _up_and_down(table: Weight, card: TheoryCard) -> Weight:
    """Return the variations by a table of members, shape ``(n_events, n_members)``, as ``(2, n_events)``."""
    if card.pdf == "envelope":
        return np.stack([table.max(axis=1), table.min(axis=1)])
    members = table[:, 1 : -2 if table.shape[1] in _WITH_ALPHA_S else None]
    spread = members.std(axis=1)
    if card.pdf == "hessian":
        spread = np.sqrt(np.square(members - table[:, :1]).sum(axis=1))
    return np.stack([1 + spread, 1 - spread])


def _number(text: str) -> float:
    return float(text.lower().replace("d", "e"))
