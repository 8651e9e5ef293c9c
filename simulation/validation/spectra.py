"""Distributions of simulated samples, ready to be drawn."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.features import BRANCHES, default_mask, index_of
from simulation.validation.expectations import FLAVOURS
from simulation.validation.reading import Floats, Integers, Sample


class Axis(NamedTuple):
    """The bins of a variable, and how it is called."""

    n_bins: int
    low: float
    high: float
    label: str
    log: bool = True

    @property
    def edges(self) -> Floats:
        """Shape `(n_bins + 1,)`."""
        return np.linspace(self.low, self.high, self.n_bins + 1)


class Spectrum(NamedTuple):
    """One distribution: a series of jets (muons) per bin, and the squares of their errors."""

    name: str
    label: str
    log: bool
    edges: Floats
    series: str
    """What is counted: a flavour, an origin, or a sample."""
    counts: Floats
    variance: Floats

    def plus(self, other: "Spectrum") -> "Spectrum":
        """Return the sum of two spectra of the same name and series."""
        return self._replace(counts=self.counts + other.counts, variance=self.variance + other.variance)


INPUT_AXES: dict[str, Axis] = {
    "Jet_DeepCSV_trackSip2dSig_0": Axis(60, -15, 45, "2D significance, 1st track"),
    "Jet_DeepCSV_trackSip2dSig_2": Axis(60, -15, 45, "2D significance, 3rd track"),
    "Jet_DeepCSV_trackSip3dSig_0": Axis(60, -15, 45, "3D significance, 1st track"),
    "Jet_DeepCSV_trackDecayLenVal_0": Axis(50, 0, 5, "decay length, 1st track [cm]"),
    "Jet_DeepCSV_vertexMass": Axis(50, 0, 10, "vertex mass [GeV]"),
    "Jet_DeepCSV_flightDistance2dVal": Axis(50, 0, 2.5, "2D flight distance [cm]"),
    "Jet_DeepCSV_flightDistance2dSig": Axis(50, 0, 100, "2D flight distance significance"),
    "Jet_DeepCSV_jetNSelectedTracks": Axis(21, -0.5, 20.5, "selected tracks", log=False),
}
"""Inputs that are drawn by flavour."""

JET_AXES: dict[str, Axis] = {
    "Jet_pt": Axis(50, 20, 270, "jet pT [GeV]"),
    "Jet_eta": Axis(50, -2.5, 2.5, "jet η", log=False),
}
MUON_PT = Axis(50, 0, 150, "muon pT [GeV]")
MUON_ORIGINS = {1: "prompt", 5: "from b", 4: "from c", 0: "no muon", 3: "from light hadrons", 15: "from τ"}


def flavour_spectra(sample: Sample) -> list[Spectrum]:
    """Return the inputs of the accepted jets that have them, by flavour, unweighted."""
    jets = sample.jets.accepted()
    mask = default_mask(jets.raw)
    spectra = []
    for branch, axis in INPUT_AXES.items():
        column = index_of(branch)
        for label, flavour in enumerate(FLAVOURS):
            own = (jets.flavour == label) & ~mask[:, column]
            spectra.append(_spectrum(branch, axis, flavour, jets.raw[own, column], np.ones(own.sum())))
    return spectra


def category_spectra(n_category: Integers) -> list[Spectrum]:
    """Return the categories of vertices by flavour, from numbers of jets of shape ``(4, 4)``."""
    axis = Axis(4, -0.5, 3.5, "vertex: 0 reconstructed, 1 pseudo, 2 none, 3 no track", log=False)
    return [
        Spectrum(
            "vertex category", axis.label, axis.log, axis.edges, flavour, *(counts.astype(np.float64),) * 2
        )
        for flavour, counts in zip(FLAVOURS, n_category, strict=True)
    ]


def jet_spectra(sample: Sample) -> list[Spectrum]:
    """Return momentum and direction of the accepted jets, weighted."""
    jets = sample.jets.accepted()
    weight = sample.weight[jets.event]
    return [
        _spectrum(branch, axis, sample.name, jets.raw[:, BRANCHES.index(branch)], weight)
        for branch, axis in JET_AXES.items()
    ]


def muon_spectra(sample: Sample) -> list[Spectrum]:
    """Return the momenta of muons by origin, weighted; none where their origin is unknown."""
    muons = sample.muons
    spectra = []
    for origin, name in MUON_ORIGINS.items():
        own = muons.origin == origin
        if own.any():
            title = f"muons, {sample.name}"
            spectra.append(_spectrum(title, MUON_PT, name, muons.pt[own], sample.weight[muons.event[own]]))
    return spectra


def _spectrum(name: str, axis: Axis, series: str, values: NDArray[np.floating], weight: Floats) -> Spectrum:
    counts, _ = np.histogram(values, axis.edges, weights=weight)
    variance, _ = np.histogram(values, axis.edges, weights=weight**2)
    return Spectrum(name, axis.label, axis.log, axis.edges, series, counts, variance)


def add_spectra(spectra: list[Spectrum]) -> list[Spectrum]:
    """Return the spectra with those of the same name and series added up."""
    added: dict[tuple[str, str], Spectrum] = {}
    for spectrum in spectra:
        key = (spectrum.name, spectrum.series)
        added[key] = added[key].plus(spectrum) if key in added else spectrum
    return list(added.values())
