"""Weights of the variations of theory: renormalisation and factorisation scale, parton densities, showers."""

from functools import cache
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
import pythia8mc
from numpy.typing import NDArray

SHOWER_VARIATIONS: tuple[tuple[str, str, float], ...] = (
    ("ISR=2 FSR=1", "isr", 0.5),
    ("ISR=1 FSR=2", "fsr", 0.5),
    ("ISR=0.5 FSR=1", "isr", 2.0),
    ("ISR=1 FSR=0.5", "fsr", 2.0),
)
"""The order of `PSWeight`: what CMS's titles call a variation, the shower, and the factor of its scale.

"2" is more radiation: the strong coupling at half the scale, as in CMS's productions of 2016 to 2018."""

SCALE_FACTORS: tuple[tuple[float, float], ...] = tuple(
    (r, f) for r in (0.5, 1.0, 2.0) for f in (0.5, 1.0, 2.0)
)
"""Of renormalisation and factorisation scale, in the order of `LHEScaleWeight`."""

DENSITIES: tuple[tuple[int, int], ...] = ((13, 247000), (14, 246800), (17, 315200))
"""The order of `LHEPdfWeight`: number of the set in PYTHIA and in LHAPDF.

NNPDF2.3 LO with a strong coupling of 0.130 (what PYTHIA uses) and 0.119, NNPDF3.1 LO with 0.130. They are
other sets, not members of one: their envelope says something, their spread does not."""

SHOWER_SETTINGS: tuple[str, ...] = (
    "UncertaintyBands:doVariations = on",
    "UncertaintyBands:List = {"
    + ", ".join(f"advtag{i} {shower}:muRfac={k}" for i, (_, shower, k) in enumerate(SHOWER_VARIATIONS))
    + "}",
    # Without oversampling the events stay as fast to make; below a few GeV emissions do not vary, or single
    # weights above 100 would drown the others.
    "UncertaintyBands:overSampleISR = 1.",
    "UncertaintyBands:overSampleFSR = 1.",
    "UncertaintyBands:FSRpTmin2Fac = 20.",
)
"""What PYTHIA is told to weigh its showers.

Source:
    S. Mrenna, P. Skands, Phys. Rev. D 94 (2016) 074005; the limit for emissions is that of CMS's productions.
"""

_OUTGOING = 23
"""PYTHIA's status (absolute) of what leaves the hard process, the products of W, Z and top included."""
_LAST_QUARK, _GLUON = 5, 21


class TheoryWeights(NamedTuple):
    """Weights of the varied over the nominal theory, one row an event."""

    shower: NDArray[np.float64]
    """Shape ``(n_events, 4)``, or ``(n_events, 1)`` of ones if not asked for."""
    scale: NDArray[np.float64]
    """Shape ``(n_events, 9)``."""
    density: NDArray[np.float64]
    """Shape ``(n_events, n_sets)``; of the first set all are 1."""
    hard_process: dict[str, NDArray[np.generic]]
    """What else NanoAOD knows of the hard process, by branch, shape ``(n_events,)`` each."""

    def branches(self) -> dict[str, NDArray[np.float64]]:
        """Return the weights under the names of their branches."""
        return {"PSWeight": self.shower, "LHEScaleWeight": self.scale, "LHEPdfWeight": self.density}


def branch_titles(*, with_showers: bool) -> dict[str, str]:
    """Return the titles of the branches of weights, which tell readers their order, in CMS's words."""
    shower = "; ".join(f"[{i}] is {name}" for i, (name, _, _) in enumerate(SHOWER_VARIATIONS))
    scale = " ; ".join(f"[{i}] is muR={r:.1f} muF={f:.1f}" for i, (r, f) in enumerate(SCALE_FACTORS))
    sets = ", ".join(str(number) for _, number in DENSITIES)
    return {
        "PSWeight": f"PS weights (w_var / w_nominal); {shower}" if with_showers else "dummy PS weight (1.0) ",
        "LHEScaleWeight": f"LHE scale variation weights (w_var / w_nominal); {scale}",
        "LHEPdfWeight": f"LHE pdf variation weights (w_var / w_nominal) for LHA IDs {sets}",
    }


class TheoryVariations:
    """Computes the weights of a generator's events.

    Those of the hard process are ratios of what its cross section is proportional to, at the scales that
    PYTHIA used: a power of the strong coupling, and the densities of the two partons.

    Args:
        pythia: After its start.
        coupling_power: Of the strong coupling in the cross section of the process.
    """

    def __init__(self, pythia: Any, coupling_power: int) -> None:
        self._info = pythia.infoPython()
        self._coupling = pythia8mc.AlphaStrong()
        self._coupling.init(
            pythia.parm("SigmaProcess:alphaSvalue"),
            pythia.mode("SigmaProcess:alphaSorder"),
            pythia.mode("StandardModel:alphaSnfmax"),
            False,
        )
        self._coupling_power = coupling_power
        names = list(self._info.weightNameVector())
        self._shower_columns = [
            names.index(name)
            for name in (f"advtag{i}" for i in range(len(SHOWER_VARIATIONS)))
            if name in names
        ]

    def weights(self, record: ak.Array) -> TheoryWeights:
        """Return the weights of a batch."""
        info = record.info
        shower = np.ones((len(record), 1))
        if self._shower_columns:
            every = ak.to_numpy(info.weights)
            shower = every[:, self._shower_columns] / every[:, :1]
        partons = _Partons(*(ak.to_numpy(info[name]) for name in ("id1", "x1", "id2", "x2", "Q2Fac")))
        scale = self._scale_weights(partons, ak.to_numpy(info.Q2Ren))
        nominal = partons.luminosity(DENSITIES[0][0])
        others = [partons.luminosity(number) / nominal for number, _ in DENSITIES]
        return TheoryWeights(shower, scale, np.stack(others, axis=1), _hard_process(record))

    def _scale_weights(
        self, partons: "_Partons", renormalisation: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        factors = (0.5, 1.0, 2.0)
        coupling = {
            k: np.array([self._coupling.alphaS(k * k * scale) for scale in renormalisation]) for k in factors
        }
        luminosity = {k: partons.luminosity(DENSITIES[0][0], k) for k in factors}
        columns = [
            (coupling[r] / coupling[1.0]) ** self._coupling_power * (luminosity[f] / luminosity[1.0])
            for r, f in SCALE_FACTORS
        ]
        return np.stack(columns, axis=1)


def _hard_process(record: ak.Array) -> dict[str, NDArray[np.generic]]:
    """Return the incoming partons of each event, and the number and summed pT of the outgoing ones."""
    info = record.info
    columns: dict[str, NDArray[np.generic]] = {
        "Generator_scalePDF": np.sqrt(ak.to_numpy(info.Q2Fac)).astype(np.float32)
    }
    for side in (1, 2):
        columns[f"Generator_id{side}"] = ak.to_numpy(info[f"id{side}"]).astype(np.int32)
        columns[f"Generator_x{side}"] = ak.to_numpy(info[f"x{side}"]).astype(np.float32)
        columns[f"Generator_xpdf{side}"] = ak.to_numpy(info[f"pdf{side}"]).astype(np.float32)
    outgoing = record.prt[abs(record.prt.status) == _OUTGOING]
    kind = abs(outgoing.id)
    partons = outgoing[(kind <= _LAST_QUARK) | (kind == _GLUON)]
    columns["LHE_Njets"] = ak.to_numpy(ak.num(partons)).astype(np.uint8)
    columns["LHE_HT"] = ak.to_numpy(ak.sum(np.hypot(partons.p.px, partons.p.py), axis=1)).astype(np.float32)
    return columns


class _Partons(NamedTuple):
    """The incoming partons of hard processes, shape ``(n_events,)`` each; the scale is squared, in GeV^2."""

    pdg1: NDArray[np.int64]
    x1: NDArray[np.float64]
    pdg2: NDArray[np.int64]
    x2: NDArray[np.float64]
    scale: NDArray[np.float64]

    def luminosity(self, number: int, factor: float = 1.0) -> NDArray[np.float64]:
        """Return the product of both densities of a set, at a scale times a factor, shape ``(n_events,)``."""
        densities, squared = _densities(number), factor * factor
        values = [
            densities.xf(pdg1, x1, squared * scale) * densities.xf(pdg2, x2, squared * scale)
            for pdg1, x1, pdg2, x2, scale in zip(*(column.tolist() for column in self), strict=True)
        ]
        return np.array(values)


@cache
def _densities(number: int) -> Any:
    pythia = pythia8mc.Pythia("", False)
    for setting in ("Print:quiet = on", f"PDF:pSet = {number}"):
        pythia.readString(setting)
    return pythia.getPDFPtr(2212)
