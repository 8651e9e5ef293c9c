"""Jets and missing energy as corrected, and as they would be with another energy scale or resolution.

Jets stay where they are in their event, whatever their pT becomes: `Jet_muonIdx1` and `Muon_jetIdx` refer to
the order of the file.
"""

import json
from collections.abc import Mapping
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from processors.corrections import Corrections, ResolutionCard, Table
from processors.histograms import NOMINAL
from processors.look_up_counts import Counts, count_look_ups
from processors.lookup import Lookup
from processors.weights import event_column, input_branches, input_values, object_column
from selections.branches import UNCLUSTERED, column
from selections.selected import counts_of, flat_values, starts_of

Column = NDArray[np.float64]

MIN_PROPAGATED_PT = 15.0
"""Jets above it are part of the missing energy. Source: CMS, type-1 correction of missing energy."""
MAX_MATCH_DELTA_R = 0.2
MAX_MATCH_SIGMA = 3.0
"""A generated jet belongs to a jet within them. Source: CMS, smearing of jets by the hybrid method."""

GENERATED_JETS = ("Jet_genJetIdx", "GenJet_pt", "GenJet_eta", "GenJet_phi")
"""Without one of them every jet is smeared by a random number alone."""

_MET = ("MET", "PFMET", "PuppiMET")
_RESOLUTION, _UNCLUSTERED = "JER", "unclustered"


def shift_names(corrections: Corrections) -> tuple[str, ...]:
    """Return the variations of jets and missing energy that a configuration asks for."""
    jets = corrections.card.jets
    sources = [f"JES_{name}" for name in jets.energy_scale]
    sources += [_RESOLUTION] if jets.resolution is not None and jets.resolution.is_varied else []
    sources += [_UNCLUSTERED] if corrections.card.met.unclustered else []
    return tuple(f"{source}{direction}" for source in sources for direction in ("Up", "Down"))


def shift_branches(corrections: Corrections) -> tuple[set[str], set[str]]:
    """Return the branches that a configuration's tables need, and those without which less is shifted."""
    card = corrections.card
    tables = list(card.jets.energy_scale.values())
    optional: set[str] = set()
    if (resolution := card.jets.resolution) is not None:
        tables += [resolution.resolution, resolution.scale_factor]
        optional |= {*GENERATED_JETS}
    if card.met.unclustered:
        optional |= {f"{met}_{name}" for met in _MET for names in UNCLUSTERED for name in names}
    return {branch for table in tables for branch in input_branches(table, "jet")}, optional


def changes_nominal(corrections: Corrections) -> bool:
    """Return whether a configuration changes the jets of nominal simulation: smearing does."""
    return corrections.card.jets.resolution is not None


def shifted_events(
    events: ak.Array, shift: str, corrections: Corrections, counts: Counts | None = None
) -> ak.Array:
    """Return simulation with jets and missing energy corrected, and shifted by one variation.

    The energy scale is applied to the jets as read, the smearing after it; the change of all jets above
    15 GeV is taken from the missing energy.

    Args:
        events: A chunk of simulation.
        shift: `nominal`, or one of `shift_names`.
        corrections: The configuration.
        counts: Look-ups are added here: those of the nominal smearing, and of each energy scale up.

    Raises:
        ValueError: If a column that a table is looked up with is missing, or an entry of a table.

    Source:
        CMS recommendations on jet energy corrections, JINST 12 (2017) P02014, and on the smearing of jets.
    """
    counts = {} if counts is None else counts
    factor = _energy_scale(events, shift, corrections, counts)
    if (card := corrections.card.jets.resolution) is not None:
        label = {"JERUp": card.up, "JERDown": card.down}.get(shift, card.nominal)
        of_nominal = counts if shift == NOMINAL else {}
        factor = factor * _smearing(events, factor, card, corrections, label, of_nominal)
    moved = _with_met(_with_jets(events, factor), _propagated(events, factor))
    if shift.startswith(_UNCLUSTERED):
        moved = _with_met(moved, unclustered_change(events, shift.removeprefix(_UNCLUSTERED)))
    return moved


def smear_factor(
    pt: Column,
    *,
    generated_pt: Column,
    matched: NDArray[np.bool_],
    resolution: Column,
    scale_factor: Column,
    normal: Column,
) -> Column:
    r"""Return the factor on the pT of jets that gives them the resolution of data, shape ``(n_jets,)``.

    .. math:: 1 + (s - 1) (p_T - p_T^{gen}) / p_T \ \text{(matched)}, \quad
        1 + \sigma g \sqrt{\max(s^2 - 1, 0)} \ \text{(else)}

    Args:
        pt: Of the jets, in GeV.
        generated_pt: Of the generated jets, in GeV; anything where there is none.
        matched: Which jets have a generated one.
        resolution: Relative, :math:`\sigma`.
        scale_factor: Resolution in data over that in simulation, :math:`s`.
        normal: A number of mean 0 and width 1 for each jet, :math:`g`.

    Source:
        CMS recommendation for the smearing of jets (hybrid method).
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled = 1 + (scale_factor - 1) * (pt - generated_pt) / pt
    random = 1 + resolution * normal * np.sqrt(np.maximum(np.square(scale_factor) - 1, 0.0))
    return np.maximum(np.where(matched, scaled, random), 0.0)


def jet_normals(events: ak.Array, seed: int) -> Column:
    """Return a number of mean 0 and width 1 for each jet, a function of its event and position alone.

    Neither the size of chunks nor the order of events enters.
    """
    counts = np.asarray(ak.num(events.Jet.pt, axis=1))
    keys: dict[str, Any] = {
        name: np.repeat(np.asarray(events[name]).astype(np.int64), counts)
        for name in ("run", "luminosityBlock", "event")
    }
    keys["jet"] = flat_values(ak.local_index(events.Jet.pt, axis=1)).astype(np.int64)
    keys["seed"] = seed
    return _random_lookup(tuple(keys)).evaluate(keys, len(keys["jet"]))


def unclustered_change(events: ak.Array, direction: str) -> Mapping[str, tuple[Column, Column]]:
    """Return the change of missing energy in x and y by its unclustered part, for each kind in the file.

    Empty where the file says nothing of it.

    Args:
        events: A chunk of simulation.
        direction: Up or Down.
    """
    changes = {}
    for name in _present_met(events):
        met = events[name]
        if set(UNCLUSTERED[0]) <= set(met.fields):
            sign = 1.0 if direction == "Up" else -1.0
            changes[name] = (sign * _plain(met.MetUnclustEnUpDeltaX), sign * _plain(met.MetUnclustEnUpDeltaY))
        elif {pt := f"ptUnclustered{direction}", phi := f"phiUnclustered{direction}"} <= set(met.fields):
            x, y = _cartesian(_plain(met[pt]), _plain(met[phi]))
            x0, y0 = _cartesian(_plain(met.pt), _plain(met.phi))
            changes[name] = (x - x0, y - y0)
    return changes


def _energy_scale(events: ak.Array, shift: str, corrections: Corrections, counts: Counts) -> Column:
    """Return the factor on the pT of each jet by its energy scale, shape ``(n_jets,)``.

    A jet whose uncertainty is no finite number stays as it is, which is counted.
    """
    pt = flat_values(events.Jet.pt).astype(np.float64)
    for name, table in corrections.card.jets.energy_scale.items():
        if shift in (f"JES_{name}Up", f"JES_{name}Down"):
            is_up = shift.endswith("Up")
            of_up = counts if is_up else {}
            uncertainty = _look_up(events, table, corrections, None, pt, of_up, f"energy scale {name}")
            known = np.where(np.isfinite(uncertainty), uncertainty, 0.0)
            return 1 + known if is_up else 1 - known
    return np.ones(len(pt))


def _smearing(
    events: ak.Array,
    factor: Column,
    card: ResolutionCard,
    corrections: Corrections,
    label: str,
    counts: Counts,
) -> Column:
    pt = flat_values(events.Jet.pt) * factor
    resolution, scale_factor = (
        _look_up(events, table, corrections, label, pt, counts, name)
        for table, name in ((card.resolution, "resolution"), (card.scale_factor, "scale factor"))
    )
    generated_pt, near = _generated(events)
    with np.errstate(invalid="ignore"):
        matched = near & (np.abs(pt - generated_pt) < MAX_MATCH_SIGMA * resolution * pt)
    found = smear_factor(
        pt,
        generated_pt=generated_pt,
        matched=matched,
        resolution=resolution,
        scale_factor=scale_factor,
        normal=jet_normals(events, card.seed),
    )
    # A jet whose pT is no number stays one: no cut takes it. One without a resolution is not smeared.
    return np.where(np.isfinite(found), found, 1.0)


def _look_up(
    events: ak.Array,
    table: Table,
    corrections: Corrections,
    label: str | None,
    pt: Column,
    counts: Counts,
    name: str,
) -> Column:
    """Return a table's values for all jets; their pT is that of the moment, everything else as read."""

    def read(source: str) -> NDArray[np.floating]:
        if source == "pt":
            return pt
        if source.startswith("event."):
            values = event_column(events, source.removeprefix("event."))
            return np.repeat(values, counts_of(events.Jet.pt))
        return flat_values(object_column(events, f"Jet_{source}")).astype(np.float64)

    inputs, lookup = input_values(table, label, read), corrections.table(table)
    values = lookup.evaluate(inputs, len(pt))
    count_look_ups(counts, name, lookup, inputs, values)
    return values


def _generated(events: ak.Array) -> tuple[Column, NDArray[np.bool_]]:
    """Return the pT of each jet's generated jet, and whether there is one nearby, shape ``(n_jets,)``."""
    jets = events.Jet
    n_jets = int(ak.sum(ak.num(jets.pt, axis=1)))
    if any(column(events, branch) is None for branch in GENERATED_JETS):
        return np.zeros(n_jets), np.zeros(n_jets, dtype=np.bool_)
    counts, own = counts_of(events.GenJet.pt), counts_of(jets.pt)
    position = flat_values(jets.genJetIdx).astype(np.int64)
    there = (position >= 0) & (position < np.repeat(counts, own))
    flat = np.where(there, np.repeat(starts_of(events.GenJet.pt), own) + position, 0)
    pt, eta, phi = (_taken(flat_values(events.GenJet[name]), flat) for name in ("pt", "eta", "phi"))
    dphi = (flat_values(jets.phi) - phi + np.pi) % (2 * np.pi) - np.pi
    near = np.hypot(flat_values(jets.eta) - eta, dphi) < MAX_MATCH_DELTA_R
    return pt, there & near


def _taken(values: NDArray[np.floating], position: NDArray[np.int64]) -> Column:
    if len(values) == 0:
        return np.zeros(len(position))
    return np.asarray(values[position], dtype=np.float64)


def _with_jets(events: ak.Array, factor: Column) -> ak.Array:
    jets = events.Jet
    counts = ak.num(jets.pt, axis=1)
    for name in ("pt", "mass"):
        values = flat_values(jets[name])
        values = (values * factor).astype(values.dtype)
        jets = ak.with_field(jets, ak.unflatten(values, counts), name)
    return ak.with_field(events, jets, "Jet")


def _propagated(events: ak.Array, factor: Column) -> Mapping[str, tuple[Column, Column]]:
    """Return the change of missing energy in x and y that balances the change of the jets.

    A jet without a finite momentum changes nothing.
    """
    names = _present_met(events)
    if not names:
        return {}
    jets = events.Jet
    pt = flat_values(jets.pt).astype(np.float64)
    phi = flat_values(jets.phi).astype(np.float64)
    counted = (pt > MIN_PROPAGATED_PT) & np.isfinite(pt) & np.isfinite(phi)
    change, phi = np.where(counted, pt * (factor - 1), 0.0), np.where(counted, phi, 0.0)
    event = np.repeat(np.arange(len(events)), np.asarray(ak.num(jets.pt, axis=1)))
    x, y = np.zeros(len(events)), np.zeros(len(events))
    np.add.at(x, event, -change * np.cos(phi))
    np.add.at(y, event, -change * np.sin(phi))
    return dict.fromkeys(names, (x, y))


def _with_met(events: ak.Array, changes: Mapping[str, tuple[Column, Column]]) -> ak.Array:
    """Return the events with missing energy changed; where nothing changes it stays bit by bit."""
    for name, (dx, dy) in changes.items():
        met = events[name]
        x, y = _cartesian(_plain(met.pt), _plain(met.phi))
        x, y = x + dx, y + dy
        changed = (dx != 0) | (dy != 0)
        for field, values in (("pt", np.hypot(x, y)), ("phi", np.arctan2(y, x))):
            before = np.asarray(met[field])
            met = ak.with_field(met, np.where(changed, values, before).astype(before.dtype), field)
        events = ak.with_field(events, met, name)
    return events


def _present_met(events: ak.Array) -> list[str]:
    return [name for name in _MET if name in events.fields and {"pt", "phi"} <= set(events[name].fields)]


def _plain(values: ak.Array) -> Column:
    return np.asarray(values, dtype=np.float64)


def _cartesian(pt: Column, phi: Column) -> tuple[Column, Column]:
    return pt * np.cos(phi), pt * np.sin(phi)


def _random_lookup(keys: tuple[str, ...]) -> Lookup:
    """Return a correction whose value is a normal number drawn from the keys alone."""
    correction = {
        "name": "normal",
        "version": 1,
        "inputs": [{"name": key, "type": "int"} for key in keys],
        "output": {"name": "normal", "type": "real"},
        "data": {"nodetype": "hashprng", "inputs": list(keys), "distribution": "normal"},
    }
    text = json.dumps({"schema_version": 2, "corrections": [correction]}, sort_keys=True)
    return Lookup("", "", "normal", dict.fromkeys(keys, "int"), text)
