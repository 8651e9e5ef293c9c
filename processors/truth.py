"""What a jet really is, where simulation says so."""

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from processors.histograms import DATA_FLAVOUR
from selections.branches import column
from selections.selected import Selected

_LABELS = {5: 0, 6: 1, 4: 2, 0: 3, 1: 3}
"""From the flavour axis to the tagger's labels b, bb, c, udsg; pileup counts as udsg."""


def flavour_of(events: ak.Array, selected: Selected, *, is_data: bool) -> NDArray[np.int64]:
    """Return the flavour of each probe, shape ``(n_probes,)``.

    4 c, 5 b, 6 two b hadrons (PFNano alone counts them), 1 neither hadron nor parton (pileup), 0 other light;
    -1 in data.

    Raises:
        ValueError: If simulation has no hadron flavour.

    Source:
        CMS flavour by ghost-matched hadrons (`Jet_hadronFlavour`); pileup and bb as in the thesis, A.5.
    """
    if is_data:
        return np.full(len(selected.jet), DATA_FLAVOUR, dtype=np.int64)
    hadron = column(events, "Jet_hadronFlavour")
    if hadron is None:
        raise ValueError("no branch Jet_hadronFlavour: simulation without flavours cannot be used")
    flavour = selected.values(hadron).astype(np.int64)
    n_b_hadrons = column(events, "Jet_nBHadrons")
    if n_b_hadrons is not None:
        flavour[(flavour == 5) & (selected.values(n_b_hadrons).astype(np.int64) >= 2)] = 6
    parton = column(events, "Jet_partonFlavour")
    if parton is not None:
        flavour[(flavour == 0) & (selected.values(parton).astype(np.int64) == 0)] = 1
    return flavour


def labels_of(flavour: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the tagger's labels 0 b, 1 bb, 2 c, 3 udsg; -1 where the flavour is unknown."""
    labels = np.full(len(flavour), -1, dtype=np.int64)
    for value, label in _LABELS.items():
        labels[flavour == value] = label
    return labels
