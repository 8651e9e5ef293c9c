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
    f"Jet_DeepCSV_{name}": axis
    for name, axis in {
        "trackSip2dSig_0": Axis(60, -15, 45, "2D significance, 1st track"),
        "trackSip2dSig_2": Axis(60, -15, 45, "2D significance, 3rd track"),
        "trackSip3dSig_0": Axis(60, -15, 45, "3D significance, 1st track"),
        "trackSip3dSig_2": Axis(60, -15, 45, "3D significance, 3rd track"),
        "trackSip2dValAboveCharm": Axis(60, -0.1, 0.2, "2D impact parameter, above-charm track [cm]"),
        "trackSip2dSigAboveCharm": Axis(60, -15, 45, "2D significance, above-charm track"),
        "trackSip3dValAboveCharm": Axis(60, -0.2, 0.4, "3D impact parameter, above-charm track [cm]"),
        "trackDecayLenVal_0": Axis(50, 0, 5, "decay length, 1st track [cm]"),
        "trackJetDistVal_0": Axis(50, -0.07, 0, "distance to the jet axis, 1st track [cm]"),
        "trackPtRel_0": Axis(50, 0, 5, "pT relative to the jet, 1st track [GeV]"),
        "trackPtRatio_0": Axis(50, 0, 0.3, "pT relative to the jet over momentum, 1st track"),
        "trackDeltaR_0": Axis(50, 0, 0.3, "ΔR to the jet, 1st track", log=False),
        "trackEtaRel_0": Axis(50, 0, 8, "η relative to the jet, 1st track of a vertex", log=False),
        "trackSumJetEtRatio": Axis(50, 0, 1.5, "energy of tracks over that of the jet", log=False),
        "trackSumJetDeltaR": Axis(50, 0, 0.3, "ΔR of tracks to the jet"),
        "trackJetPt": Axis(50, 0, 200, "pT of the tracks [GeV]"),
        "vertexMass": Axis(50, 0, 10, "vertex mass [GeV]"),
        "vertexNTracks": Axis(13, -0.5, 12.5, "tracks of the vertex"),
        "vertexEnergyRatio": Axis(50, 0, 2, "energy of the vertex over that of the tracks", log=False),
        "vertexJetDeltaR": Axis(50, 0, 0.4, "ΔR of the vertex to the jet"),
        "flightDistance2dVal": Axis(50, 0, 2.5, "2D flight distance [cm]"),
        "flightDistance2dSig": Axis(50, 0, 100, "2D flight distance significance"),
        "flightDistance3dVal": Axis(50, 0, 5, "3D flight distance [cm]"),
        "jetNSecondaryVertices": Axis(5, -0.5, 4.5, "secondary vertices"),
        "jetNSelectedTracks": Axis(21, -0.5, 20.5, "selected tracks", log=False),
        "jetNTracksEtaRel": Axis(13, -0.5, 12.5, "tracks with relative η"),
    }.items()
}
"""Inputs that are drawn by flavour."""

JET_AXES: dict[str, Axis] = {
    "Jet_pt": Axis(50, 20, 270, "jet pT [GeV]"),
    "Jet_eta": Axis(50, -2.5, 2.5, "jet η", log=False),
}
N_JETS = Axis(11, -0.5, 10.5, "jets above 20 GeV", log=False)
MET = Axis(50, 0, 200, "missing transverse momentum [GeV]")
ELECTRON_PT = Axis(50, 0, 150, "electron pT [GeV]")
MUON_PT = Axis(50, 0, 150, "muon pT [GeV]")
MUON_ETA = Axis(50, -2.5, 2.5, "muon η", log=False)
MUON_PULL = Axis(60, -6, 6, "d0 of prompt muons over its error")
MUON_D0 = Axis(60, -0.05, 0.05, "muon d0 [cm]")
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


def sample_spectra(sample: Sample) -> list[Spectrum]:
    """Return jets, leptons and missing momentum of a sample, weighted: samples share their figures."""
    jets, muons, electrons = sample.jets.accepted(), sample.muons, sample.electrons
    weight, name = sample.weight, sample.name
    n_jets = np.bincount(jets.event, minlength=len(weight)).astype(np.float64)
    spectra = [
        _spectrum(branch, axis, name, jets.raw[:, BRANCHES.index(branch)], weight[jets.event])
        for branch, axis in JET_AXES.items()
    ]
    return [
        *spectra,
        _spectrum("number of jets", N_JETS, name, n_jets, weight),
        _spectrum("missing transverse momentum", MET, name, sample.met, weight),
        _spectrum("muons, pT", MUON_PT, name, muons.pt, weight[muons.event]),
        _spectrum("muons, η", MUON_ETA, name, muons.eta, weight[muons.event]),
        _spectrum("electrons, pT", ELECTRON_PT, name, electrons.pt, weight[electrons.event]),
        *_pull_spectra(sample),
    ]


def _pull_spectra(sample: Sample) -> list[Spectrum]:
    muons = sample.muons
    own = (muons.origin == 1) & (muons.d0_error > 0)
    if not own.any():
        return []
    pull = muons.d0[own] / muons.d0_error[own]
    name = "prompt muons, pull of d0"
    return [_spectrum(name, MUON_PULL, sample.name, pull, sample.weight[muons.event[own]])]


def origin_spectra(sample: Sample) -> list[Spectrum]:
    """Return momentum and impact parameter of muons by origin, weighted; none where it is unknown."""
    muons = sample.muons
    spectra = []
    for what, axis, values in (("pT", MUON_PT, muons.pt), ("d0", MUON_D0, muons.d0)):
        for origin, series in MUON_ORIGINS.items():
            own = muons.origin == origin
            if own.any():
                title = f"muons by origin, {what}, {sample.name}"
                spectra.append(_spectrum(title, axis, series, values[own], sample.weight[muons.event[own]]))
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
