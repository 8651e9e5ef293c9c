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

Weight = NDArray[np.float64]

_SHOWER = re.compile(r"\[(\d+)\] is ISR=([\d.]+) FSR=([\d.]+)")
_SCALE = re.compile(r"\[(\d+)\] is ([^\[]*)")
_NUMBER = r'\s*=\s*"?(\d*\.?\d+(?:[eEdD][+-]?\d+)?)'
_RENORMALISATION = re.compile(rf"(?:renscfact|mur){_NUMBER}", re.IGNORECASE)
_FACTORISATION = re.compile(rf"(?:facscfact|muf){_NUMBER}", re.IGNORECASE)
_DIRECTIONS = {2.0: "Up", 0.5: "Down"}
_WITH_ALPHA_S = (33, 103)
"""Lengths of lists that end with two members for the strong coupling, which are no densities."""

_BRANCHES = {"ISR": "PSWeight", "FSR": "PSWeight", "muR": "LHEScaleWeight", "muF": "LHEScaleWeight"}


def theory_sources(card: TheoryCard) -> dict[str, str]:
    """Return the sources of variation that are asked for, each with the branch it is read from."""
    wanted = {"ISR": card.parton_shower, "FSR": card.parton_shower, "muR": card.scales, "muF": card.scales}
    sources = {name: _BRANCHES[name] for name, asked in wanted.items() if asked}
    return sources if card.pdf == "none" else sources | {"pdf": "LHEPdfWeight"}


def theory_weights(events: ak.Array, card: TheoryCard) -> tuple[dict[str, Weight], list[str]]:
    """Return the factors on the weight of each event by variation, and which sources vary nothing.

    Args:
        events: A chunk of simulation.
        card: What is asked for.

    Returns:
        For each source Up and Down, shape ``(n_events,)`` each, 1 where the file does not have it; and one
        sentence for each branch that is a dummy or of unknown order (that one is absent is known before).

    Source:
        NanoAOD documentation of PSWeight, LHEScaleWeight and LHEPdfWeight; Up is what the title calls 2.
    """
    factors: dict[str, Weight] = {}
    missing: dict[str, list[str]] = {}
    for source, branch in theory_sources(card).items():
        found = None
        if branch in events.fields:
            members = (
                _pdf_members(events, card) if source == "pdf" else _title_members(events, source, branch)
            )
            found = members if members and all(np.isfinite(one).all() for one in members.values()) else None
        if found is None:
            if branch in events.fields:
                missing.setdefault(branch, []).append(source)
            found = dict.fromkeys((f"{source}Up", f"{source}Down"), np.ones(len(events)))
        factors |= found
    return factors, [
        f"{branch} is a dummy or of unknown order: {' and '.join(sources)} vary nothing"
        for branch, sources in missing.items()
    ]


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


def _title_members(events: ak.Array, source: str, branch: str) -> dict[str, Weight]:
    weights = events[branch]
    read: Mapping[str, Callable[[str], dict[str, int]]] = {
        "PSWeight": shower_members,
        "LHEScaleWeight": scale_members,
    }
    members = read[branch](str(getattr(weights, "__doc__", "") or ""))
    wanted = [f"{source}Up", f"{source}Down"]
    if not all(name in members for name in wanted):
        return {}
    last = max(members[name] for name in wanted)
    if bool(ak.any(ak.num(weights, axis=1) <= last)):
        return {}
    return {name: np.asarray(weights[:, members[name]], dtype=np.float64) for name in wanted}


def _pdf_members(events: ak.Array, card: TheoryCard) -> dict[str, Weight]:
    r"""Return 1 plus and minus the spread of the densities, event by event; or their envelope.

    .. math:: \sigma = \sqrt{\sum_{i>0} (w_i - w_0)^2} \ \text{(Hessian)}, \quad
        \sigma = \sqrt{\langle (w_i - \langle w \rangle)^2 \rangle} \ \text{(replicas)}

    Source:
        PDF4LHC recommendations for LHC Run II, J. Phys. G 43 (2016) 023001, Eqs. 20 and 21.
    """
    weights = events.LHEPdfWeight
    lengths = np.unique(np.asarray(ak.num(weights, axis=1)))
    if len(lengths) != 1 or lengths[0] < 3:
        return {}
    table = np.asarray(ak.to_regular(weights, axis=1), dtype=np.float64)
    end = -2 if lengths[0] in _WITH_ALPHA_S else None
    members = table[:, 1:end]
    if card.pdf == "envelope":
        return {"pdfUp": table.max(axis=1), "pdfDown": table.min(axis=1)}
    spread = members.std(axis=1)
    if card.pdf == "hessian":
        spread = np.sqrt(np.square(members - table[:, :1]).sum(axis=1))
    return {"pdfUp": 1 + spread, "pdfDown": 1 - spread}


def _number(text: str) -> float:
    return float(text.lower().replace("d", "e"))
