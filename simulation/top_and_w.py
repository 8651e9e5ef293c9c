"""Single top with a W, b g -> t W, which PYTHIA 8 lacks: the process at leading order, for PYTHIA to use."""

import math
from typing import Any

import pythia8mc

_TOP, _W, _BOTTOM, _GLUON = 6, 24, 5, 21
_CODE = 609
"""The number of the process in PYTHIA's lists: behind its own ones with a top quark."""


def top_and_w(s: float, u1: float, top: float, w: float) -> float:
    r"""Return the squared amplitude of b g -> t W without couplings, summed over colours' rest and all spins.

    .. math:: M_W^2 \sum |M|^2 = a \left( -\frac{4 d^2}{s u_1} + \frac{4 d}{s} + \frac{4 d}{u_1} -
        \frac{2 u_1}{s} - \frac{2 s}{u_1} + \frac{4 m^2 d}{u_1^2} \right) - 4 m^2

    with :math:`a = 2 M_W^2 + m^2` and :math:`d = M_W^2 - m^2`; the vertices are :math:`\gamma^\mu P_L` and
    :math:`\gamma^\nu`, and the bottom quark has no mass.

    Args:
        s: Of the incoming partons, squared, in GeV^2.
        u1: Momentum transfer squared between gluon and top, less `top`; negative.
        top: Mass squared of the top quark.
        w: Mass squared of the W.

    Source:
        The traces of the two diagrams (s channel of the bottom, exchange of the top); the tests compute them
        from Dirac's matrices.
    """
    a, d = 2.0 * w + top, w - top
    poles = -4.0 * d * d / (s * u1) + 4.0 * d / s + 4.0 * d / u1 - 2.0 * u1 / s - 2.0 * s / u1
    return (a * (poles + 4.0 * top * d / (u1 * u1)) - 4.0 * top) / w


class TopAndW(pythia8mc.Sigma2Process):  # type: ignore[misc]
    """The process b g -> t W- and its charge conjugate.

    PYTHIA does the rest as for its own processes: densities, masses, phase space, decays, showers. The decay
    of the top knows its W's polarisation; the other W decays as if it had none.

    Args:
        pythia: That it is given to.
    """

    def __init__(self, pythia: Any) -> None:
        super().__init__()
        self._particles = pythia.particleData
        self._pythia = pythia
        self._factor, self._by_gluon = 0.0, (0.0, 0.0)
        self._open = {1: 1.0, -1: 1.0}

    def initProc(self) -> None:  # noqa: N802 (PYTHIA's name)
        """Look up constants when PYTHIA starts."""
        self._weak = math.pi / (48.0 * self._pythia.parm("StandardModel:sin2thetaW"))
        self._open = {sign: self._particles.resOpenFrac(sign * _TOP, -sign * _W) for sign in (1, -1)}

    def sigmaKin(self) -> None:  # noqa: N802 (PYTHIA's name)
        """Compute what does not depend on the flavours: d sigma / dt, with the gluon on either side.

        Coupling factors: g_s^2 (g^2 / 2), averages over 6 x 2 x 2 of colours and spins, and 1 / (16 pi s^2).
        """
        factor = self._weak * self.alpS * self.alpEM / (self.sH * self.sH)
        self._by_gluon = (
            factor * top_and_w(self.sH, self.tH - self.s3, self.s3, self.s4),
            factor * top_and_w(self.sH, self.uH - self.s3, self.s3, self.s4),
        )

    def sigmaHat(self) -> float:  # noqa: N802 (PYTHIA's name)
        """Return d sigma / dt of the flavours that PYTHIA asks for; only bottom quarks have one."""
        gluon_is_second = self.id2 == _GLUON
        quark = self.id1 if gluon_is_second else self.id2
        if abs(quark) != _BOTTOM:
            return 0.0
        return self._by_gluon[gluon_is_second] * self._open[1 if quark > 0 else -1]

    def setIdColAcol(self) -> None:  # noqa: N802 (PYTHIA's name)
        """Tell the outgoing particles and how colour flows."""
        gluon_is_second = self.id2 == _GLUON
        sign = 1 if (self.id1 if gluon_is_second else self.id2) > 0 else -1
        self.setId(self.id1, self.id2, sign * _TOP, -sign * _W)
        quark, gluon, top, w = (1, 0), (2, 1), (2, 0), (0, 0)
        incoming = (*quark, *gluon) if gluon_is_second else (*gluon, *quark)
        self.setColAcol(*incoming, *top, *w)
        if sign < 0:
            self.swapColAcol()

    def weightDecay(self, process: Any, first: int, last: int) -> float:  # noqa: N802 (PYTHIA's name)
        """Return the weight of a decay: PYTHIA's own for the W of a top."""
        mother = process[process[first].mother1()]
        return float(self.weightTopDecay(process, first, last)) if mother.idAbs() == _TOP else 1.0

    def name(self) -> str:
        """Return what PYTHIA calls it."""
        return "b g -> t W"

    def code(self) -> int:
        """Return its number."""
        return _CODE

    def inFlux(self) -> str:  # noqa: N802 (PYTHIA's name)
        """Return which partons collide, for PYTHIA's records: `initFlux` leaves bottom quarks alone."""
        return "qg"

    def initFlux(self) -> bool:  # noqa: N802 (PYTHIA's name)
        """Tell which partons collide: without the lighter quarks, five times fewer calls."""
        for parton in (_BOTTOM, -_BOTTOM, _GLUON):
            self.addBeamA(parton)
            self.addBeamB(parton)
        for quark in (_BOTTOM, -_BOTTOM):
            self.addPair(quark, _GLUON)
            self.addPair(_GLUON, quark)
        return True

    def id3Mass(self) -> int:  # noqa: N802 (PYTHIA's name)
        """Return whose mass the third particle has."""
        return _TOP

    def id4Mass(self) -> int:  # noqa: N802 (PYTHIA's name)
        """Return whose mass the fourth particle has."""
        return _W
