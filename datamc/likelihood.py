r"""The binned Poisson likelihood of cells: opposite and same sign of W+c apart, top pairs, DY.

In every cell the channels k hold

.. math:: \mu_k = \gamma_k \sum_f x_f T_{kf}(\theta) + \beta B_k

with the scale factors x, one charge-symmetric background :math:`\beta` in both signs of W+c, the statistics
of the simulation :math:`\gamma_k` (one factor per channel and cell, Gaussian) and nuisance parameters
:math:`\theta` that all cells share. No bin is negative, as none of the templates is a difference.

Source:
    HistFactory (CERN-OPEN-2012-016) for :math:`\gamma` and the interpolation in :math:`\theta`.
"""

from typing import NamedTuple

import numpy as np
from iminuit import Minuit
from numpy.typing import NDArray

from datamc.histograms import Floats

N_CHANNELS = 4
"""W+c opposite sign, W+c same sign, top pairs, DY."""
N_LOCAL = 4 + N_CHANNELS
"""Parameters of a cell: scale factors, charge-symmetric background, statistics of the simulation."""
BACKGROUND = 3

_FLOOR = 0.01
"""Expected jets below which the likelihood goes on as a parabola, so that it has a minimum everywhere."""
_MAX_PRECISION = 1e6
_SMALLEST_CURVATURE = 1e-2
_MAX_STEPS = 1000
_CONVERGED = 1e-3


class CellLikelihood(NamedTuple):
    """Data and templates of cells; channels in the order of `N_CHANNELS`, flavours in that of the fit."""

    data: Floats
    """Jets, shape `(n_cells, n_channels)`."""
    templates: Floats
    """Scaled simulation, shape `(n_cells, n_channels, n_flavours)`."""
    up: Floats
    """What a source adds to the templates, shape `(n_sources, n_cells, n_channels, n_flavours)`."""
    down: Floats
    background: Floats
    """The charge-symmetric background where its factor is 1, shape `(n_cells, n_channels)`."""
    is_used: NDArray[np.bool_]
    """Shape `(n_cells, n_channels)`."""
    precision: Floats
    """Of what is known of each parameter beforehand (1 / error^2; 0: nothing), shape `(n_cells, N_LOCAL)`."""

    @property
    def n_sources(self) -> int:
        """Number of nuisance parameters."""
        return len(self.up)

    @property
    def centre(self) -> Floats:
        """Where parameters are without any data: 1, and 0 for the background, shape `(n_cells, N_LOCAL)`."""
        centre = np.ones(self.precision.shape)
        centre[:, BACKGROUND] = 0.0
        return centre

    def split(self, parameters: Floats) -> tuple[Floats, Floats]:
        """Return the parameters of the cells `(n_cells, N_LOCAL)` and the nuisance parameters."""
        n = self.precision.size
        return parameters[:n].reshape(-1, N_LOCAL), parameters[n:]

    def value(self, parameters: Floats) -> float:
        """Return the negative logarithm of the likelihood, but for a constant."""
        local, nuisances = self.split(parameters)
        mu = self._expected(local, nuisances)
        pulls = self.precision * (local - self.centre) ** 2
        missing = np.maximum(_FLOOR - mu, 0.0) / _FLOOR
        poisson = np.where(self.is_used, mu - self.data * _extended_log(mu) + missing**2 / 2, 0.0)
        return float(poisson.sum() + 0.5 * pulls.sum() + 0.5 * np.square(nuisances).sum())

    def gradient(self, parameters: Floats) -> Floats:
        """Return its first derivatives, shape of the parameters."""
        local, nuisances = self.split(parameters)
        slope, _ = self._slopes(self._expected(local, nuisances))
        to_local, to_nuisances = self._jacobian(local, nuisances)
        of_cells = np.einsum("ck,ckp->cp", slope, to_local) + self.precision * (local - self.centre)
        of_nuisances = np.einsum("ck,jck->j", slope, to_nuisances) + nuisances
        return np.concatenate([of_cells.ravel(), of_nuisances])

    def hessian(self, parameters: Floats) -> Floats:
        """Return its second derivatives, a square matrix."""
        local, nuisances = self.split(parameters)
        slope, curvature = self._slopes(self._expected(local, nuisances))
        to_local, to_nuisances = self._jacobian(local, nuisances)
        n_cells, n_local = self.precision.shape
        blocks = np.einsum("ck,ckp,ckq->cpq", curvature, to_local, to_local)
        blocks += self.precision[:, :, None] * np.eye(n_local)
        templates, first, second = self._interpolated(nuisances)
        gamma, x = local[:, BACKGROUND + 1 :], local[:, :BACKGROUND]
        # mu is the product of gamma, x and the template: its mixed second derivatives
        mixed = np.einsum("ck,ckf->cfk", slope, templates)
        blocks[:, :BACKGROUND, BACKGROUND + 1 :] += mixed
        blocks[:, BACKGROUND + 1 :, :BACKGROUND] += mixed.swapaxes(1, 2)
        crossed = np.einsum("ck,jck,ckp->jcp", curvature, to_nuisances, to_local)
        crossed[..., :BACKGROUND] += np.einsum("ck,ck,jckf->jcf", slope, gamma, first)
        crossed[..., BACKGROUND + 1 :] += np.einsum("ck,cf,jckf->jck", slope, x, first)
        of_nuisances = np.einsum("ck,ick,jck->ij", curvature, to_nuisances, to_nuisances)
        of_nuisances += np.diag(1.0 + np.einsum("ck,ck,cf,jckf->j", slope, gamma, x, second))
        n = n_cells * n_local
        hessian = np.zeros((n + self.n_sources, n + self.n_sources))
        cells = np.arange(n_cells)
        hessian[:n, :n].reshape(n_cells, n_local, n_cells, n_local)[cells, :, cells, :] = blocks
        hessian[n:, :n] = crossed.reshape(self.n_sources, n)
        hessian[:n, n:] = hessian[n:, :n].T
        hessian[n:, n:] = of_nuisances
        return hessian

    def _expected(self, local: Floats, nuisances: Floats) -> Floats:
        templates, _, _ = self._interpolated(nuisances)
        jets = np.einsum("ckf,cf->ck", templates, local[:, :BACKGROUND])
        background = local[:, BACKGROUND, None] * self.background
        return np.asarray(local[:, BACKGROUND + 1 :] * jets + background)

    def _slopes(self, mu: Floats) -> tuple[Floats, Floats]:
        """Return first and second derivative of mu - n log(mu), 0 in channels that are not used."""
        high = np.maximum(mu, _FLOOR)
        first = 1.0 - self.data * (1.0 / high - (mu - high) / _FLOOR**2) + (mu - high) / _FLOOR**2
        second = self.data / high**2 + (mu < _FLOOR) / _FLOOR**2
        return np.where(self.is_used, first, 0.0), np.where(self.is_used, second, 0.0)

    def _jacobian(self, local: Floats, nuisances: Floats) -> tuple[Floats, Floats]:
        """Return the derivatives of mu: `(cells, channels, N_LOCAL)` and `(sources, cells, channels)`."""
        templates, first, _ = self._interpolated(nuisances)
        x, gamma = local[:, :BACKGROUND], local[:, BACKGROUND + 1 :]
        to_local = np.zeros((*self.data.shape, N_LOCAL))
        to_local[..., :BACKGROUND] = gamma[..., None] * templates
        to_local[..., BACKGROUND] = self.background
        channels = np.arange(N_CHANNELS)
        to_local[:, channels, BACKGROUND + 1 + channels] = np.einsum("ckf,cf->ck", templates, x)
        return to_local, np.einsum("ck,cf,jckf->jck", gamma, x, first)

    def _interpolated(self, nuisances: Floats) -> tuple[Floats, Floats, Floats]:
        """Return the templates at given nuisance parameters, with first and second derivatives by each.

        A polynomial within one standard deviation, straight lines beyond, smooth at the joint ("code 4p").
        """
        t = nuisances[:, None, None, None]
        half, lean = (self.up - self.down) / 2, (self.up + self.down) / 16
        inside = np.abs(t) <= 1
        shift = np.where(inside, t * half + lean * t**2 * (15 - 10 * t**2 + 3 * t**4),
                         np.where(t > 0, t * self.up, -t * self.down))  # fmt: skip
        first = np.where(inside, half + lean * t * (30 - 40 * t**2 + 18 * t**4),
                         np.where(t > 0, self.up, -self.down))  # fmt: skip
        second = np.where(inside, lean * (30 - 120 * t**2 + 90 * t**4), 0.0)
        return np.asarray(self.templates + shift.sum(axis=0)), first, second


class LikelihoodFit(NamedTuple):
    """The best fit of cells."""

    local: Floats
    """Parameters of the cells, shape `(n_cells, N_LOCAL)`."""
    nuisances: Floats
    """In standard deviations of what was known beforehand, shape `(n_sources,)`."""
    covariance: Floats
    """Of all parameters, cells first: the inverse of the second derivatives."""
    statistical: Floats
    """Of the scale factors with the nuisance parameters held, shape `(n_cells, n_flavours, n_flavours)`."""
    is_valid: NDArray[np.bool_]
    """Whether the minimiser converged, shape `(n_cells,)`."""


def maximise(likelihood: CellLikelihood, start: Floats) -> LikelihoodFit:
    """Return the best fit, found by Minuit's interface to the trust-region method with exact derivatives.

    Args:
        likelihood: Data and templates.
        start: Scale factors to start from, shape `(n_cells, n_flavours)`.
    """
    local = likelihood.centre
    local[:, :BACKGROUND] = start
    first = np.concatenate([local.ravel(), np.zeros(likelihood.n_sources)])
    # In steps of like effect the trust region is a ball for all parameters.
    step = 1 / np.sqrt(np.maximum(np.diagonal(likelihood.hessian(first)), _SMALLEST_CURVATURE))
    minuit = Minuit(
        lambda z: likelihood.value(first + step * z),
        np.zeros_like(first),
        grad=lambda z: step * likelihood.gradient(first + step * z),
    )
    minuit.errordef = Minuit.LIKELIHOOD
    minuit.scipy(
        method="trust-krylov",
        hess=lambda z: step[:, None] * likelihood.hessian(first + step * z) * step,
        options={"gtol": 1e-5, "maxiter": _MAX_STEPS},
    )
    if len(local) == 1:
        minuit.migrad()
    best = first + step * np.array(minuit.values)
    hessian = likelihood.hessian(best)
    found, nuisances = likelihood.split(best)
    n_cells = len(found)
    n = n_cells * N_LOCAL
    cells = np.arange(n_cells)
    blocks = hessian[:n, :n].reshape(n_cells, N_LOCAL, n_cells, N_LOCAL)[cells, :, cells, :]
    inverse = np.linalg.inv(blocks)
    gradient = likelihood.gradient(best)
    slope = gradient[:n].reshape(n_cells, N_LOCAL)
    # What the minimum is still away, in units of the likelihood's logarithm
    distance = np.einsum("cp,cpq,cq->c", slope, inverse, slope)
    is_convex = np.linalg.eigvalsh(blocks)[:, 0] > 0
    covariance = np.asarray(np.linalg.inv(hessian), dtype=np.float64)
    is_joint = np.abs(gradient[n:] @ covariance[n:, n:] @ gradient[n:]) < _CONVERGED
    return LikelihoodFit(
        found,
        nuisances,
        covariance,
        np.asarray(inverse[:, :BACKGROUND, :BACKGROUND], dtype=np.float64),
        is_convex & (distance < _CONVERGED) & is_joint,
    )


def statistics_precision(templates: Floats, variance: Floats) -> Floats:
    """Return 1 / error^2 of the simulation in a channel, relative to its jets, shape `(n_cells, n_channels)`.

    Args:
        templates: Shape `(n_cells, n_channels, n_flavours)`.
        variance: Same shape.
    """
    jets, spread = templates.sum(axis=-1), variance.sum(axis=-1)
    square = np.divide(jets**2, spread, out=np.full_like(jets, _MAX_PRECISION), where=spread > 0)
    return np.asarray(np.clip(square, 1.0, _MAX_PRECISION))


def _extended_log(mu: Floats) -> Floats:
    high = np.maximum(mu, _FLOOR)
    step = (mu - high) / _FLOOR
    return np.asarray(np.log(high) + step - step**2 / 2)
