"""What simulated events should look like, each number with where it comes from."""

from collections.abc import Mapping
from typing import NamedTuple

FLAVOURS: tuple[str, ...] = ("b", "bb", "c", "light")
"""Of a jet: one b hadron, two of them, charm, none. The order of the tagger's labels 0 to 3."""


class Expectation(NamedTuple):
    """A range that a number should fall into."""

    low: float
    high: float
    source: str


def around(value: float, relative: float, source: str) -> Expectation:
    """Return the range of a value with a relative margin on both sides."""
    return Expectation(value * (1 - relative), value * (1 + relative), source)


def within_factor(value: float, factor: float, source: str) -> Expectation:
    """Return the range from value / factor to value x factor."""
    return Expectation(value / factor, value * factor, source)


THESIS_DEFAULTS = "thesis, table of default fractions"
"""The cleaned QCD and top-pair jets of the thesis: CMS simulation of 2017, above 20 GeV in abs(eta) < 2.5."""

DEFAULT_FACTOR = 1.5
"""How far a default fraction may be from that of CMS simulation, up or down."""

_NEVER = (0.0, 0.0, 0.0, 0.0)
_NO_TRACKS = (0.43, 0.04, 0.58, 1.55)
_NO_RECO_VERTEX = (22.92, 9.41, 51.74, 76.67)
_NO_VERTEX = (17.92, 6.04, 47.54, 74.42)
_ABOVE_CHARM = (13.21, 1.90, 13.97, 16.74)
_ABOVE_CHARM_3D_SIG = (13.21, 1.90, 13.97, 16.75)
_TRACKS = (
    (0.98, 0.16, 1.19, 2.14),
    (6.36, 1.32, 6.58, 10.56),
    (18.87, 4.61, 17.62, 21.76),
    (36.82, 10.80, 32.79, 35.75),
    (55.99, 19.83, 48.10, 50.03),
    (72.05, 30.86, 61.30, 62.62),
)
_ETA_REL = (
    (17.87, 6.03, 47.53, 74.41),
    (17.87, 6.03, 47.53, 74.41),
    (37.59, 16.20, 66.65, 85.13),
    (57.01, 26.23, 79.65, 90.40),
)
_TRACK_QUANTITIES = ("DecayLenVal", "DeltaR", "JetDistVal", "PtRatio", "PtRel", "Sip2dSig", "Sip3dSig")
_COUNTS = ("jetNSecondaryVertices", "jetNSelectedTracks", "jetNTracksEtaRel", "vertexNTracks")


def _deepcsv(values: Mapping[str, tuple[float, ...]]) -> dict[str, tuple[float, ...]]:
    return {f"Jet_DeepCSV_{name}": percent for name, percent in values.items()}


CMS_DEFAULT_PERCENT: Mapping[str, tuple[float, ...]] = {
    **dict.fromkeys(("Jet_eta", "Jet_pt"), _NEVER),
    **_deepcsv({f"flightDistance{d}d{part}": _NO_RECO_VERTEX for d in (2, 3) for part in ("Sig", "Val")}),
    **_deepcsv({f"track{q}_{i}": _TRACKS[i] for q in _TRACK_QUANTITIES for i in range(6)}),
    **_deepcsv({f"trackEtaRel_{i}": _ETA_REL[i] for i in range(4)}),
    **_deepcsv(
        dict.fromkeys(("trackJetPt", "trackSumJetDeltaR", "trackSumJetEtRatio", "vertexCategory"), _NO_TRACKS)
    ),
    **_deepcsv({f"trackSip{d}d{part}AboveCharm": _ABOVE_CHARM for d in (2, 3) for part in ("Sig", "Val")}),
    **_deepcsv({"trackSip3dSigAboveCharm": _ABOVE_CHARM_3D_SIG}),
    **_deepcsv(dict.fromkeys(("vertexEnergyRatio", "vertexJetDeltaR", "vertexMass"), _NO_VERTEX)),
    **_deepcsv(dict.fromkeys(_COUNTS, _NEVER)),
}
"""How often an input holds no value, in per cent, for each of `FLAVOURS`. Source: `THESIS_DEFAULTS`."""

DEFAULT_KINDS: Mapping[str, str] = {
    "no vertex at all": "Jet_DeepCSV_vertexMass",
    "no reconstructed vertex": "Jet_DeepCSV_flightDistance2dVal",
    "no 1st etaRel": "Jet_DeepCSV_trackEtaRel_0",
    "no 3rd etaRel": "Jet_DeepCSV_trackEtaRel_2",
    "no 4th etaRel": "Jet_DeepCSV_trackEtaRel_3",
    "no above-charm track": "Jet_DeepCSV_trackSip2dSigAboveCharm",
    "no 1st track": "Jet_DeepCSV_trackSip2dSig_0",
    "no 3rd track": "Jet_DeepCSV_trackSip2dSig_2",
    "no 6th track": "Jet_DeepCSV_trackSip2dSig_5",
    "no selected track": "Jet_DeepCSV_trackJetPt",
}
"""One input for each way in which inputs hold no value together."""

_TUNED = "tuned so that a tagger performs as in CMS simulation"

RECO_VERTEX_RATES: Mapping[str, Expectation] = {
    "b": Expectation(0.70, 0.80, _TUNED),
    "c": Expectation(0.33, 0.42, _TUNED),
    "light": Expectation(0.05, 0.13, _TUNED),
}
"""Share of jets with a reconstructed secondary vertex."""

TRACKS_MARGIN = 0.20

SELECTED_TRACKS: Mapping[str, Expectation] = {
    "tt": around(2.35, TRACKS_MARGIN, "CMS simulation of top pairs, all jets: 2.35, within 20 %"),
    "qcd": around(4.28, TRACKS_MARGIN, "CMS simulation of QCD, all jets: 4.28, within 20 %"),
}
"""Mean number of selected tracks of a jet, by process."""

JET_PT: Mapping[str, Expectation] = {
    "tt": around(71.0, 0.10, "CMS simulation of top pairs: mean jet pT 71 GeV"),
}
"""Mean transverse momentum of jets above 20 GeV, in GeV."""

RESPONSE = Expectation(0.95, 1.05, "jets are calibrated to the momentum of their particles")
"""Median of measured over generated transverse momentum of jets generated above 30 GeV."""

Z_MASS = Expectation(90.2, 92.2, "PDG 2024: mass of the Z, 91.19 GeV, within 1 GeV")
"""Median mass of two muons between 81 and 101 GeV."""

PULL_MARGIN = 0.05
PULL_SOURCE = "the settings in the file: true over reported resolution, within 0.05"

MIN_P_VALUE = 0.01
"""Of a test that simulation of the same settings agrees."""

_FIRST_VERSION = "first version of this simulation"

PURITIES: Mapping[str, tuple[str, Expectation]] = {
    "dy": ("light", Expectation(0.80, 0.90, f"{_FIRST_VERSION}: 0.85, within 0.05")),
    "wc": ("c", Expectation(0.81, 0.97, f"{_FIRST_VERSION}: 0.86; public CMS histograms: 0.946 +- 0.021")),
    "ttsemilep": ("b", Expectation(0.77, 0.87, f"{_FIRST_VERSION}: 0.82, within 0.05")),
}
"""The flavour that a selection is made for, and its share of the jets; of W+c in OS-SS."""

SAME_SHAPE = Expectation(MIN_P_VALUE, 1.0, "same settings, other seed")
DATA_SPREAD = Expectation(0.08, 0.14, f"{_FIRST_VERSION}: 0.11")
"""Rms of Data/MC of CvsB in Drell-Yan events, for the scenario with all differences."""

LIFETIMES_PS: Mapping[int, tuple[str, float]] = {
    521: ("B+", 1.638),
    511: ("B0", 1.517),
    531: ("Bs", 1.516),
    421: ("D0", 0.4103),
    411: ("D+", 1.033),
    310: ("K0S", 89.54),
}
"""Mean lifetimes in picoseconds by PDG number. Source: PDG 2024 (S. Navas et al., PRD 110, 030001)."""

LIFETIME_MARGIN = 0.03
