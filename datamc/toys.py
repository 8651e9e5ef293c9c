"""Pulls of the fits: pseudo-experiments with known scale factors, opposite and same sign drawn apart."""

from typing import NamedTuple

import numpy as np

from datamc.cells import CellSameSign, CellTemplates
from datamc.fit import Engine, FitCard
from datamc.histograms import Floats
from datamc.iterative import Slices, iterate, solution_of
from datamc.planes import FIT_FLAVOURS
from datamc.scale_factors import Statuses
from datamc.solve import solve_cells, standing_of

TYPICAL = np.array([[900.0, 30.0, 60.0], [150.0, 700.0, 250.0], [300.0, 150.0, 4000.0]])
"""Jets of c, b, light (columns) in W+c after OS-SS, top pairs, DY: roughly the purities of the selections."""

SAME_SIGN = np.array([200.0, 150.0, 500.0])
TRUTH = np.array([1.25, 0.8, 1.1])
WEIGHT = 0.5
"""Of a simulated jet: there are twice as many of them as in data."""

_AT_ONCE = 20
"""Toys whose likelihoods are multiplied and maximised together; they share no parameter."""


class Toys(NamedTuple):
    """Pseudo-experiments of one engine."""

    engine: Engine
    value: Floats
    """Shape `(n_toys, n_flavours)`."""
    error: Floats
    status: Statuses
    truth: Floats

    @property
    def pull(self) -> Floats:
        """(Fitted - true) / error, NaN where the fit does not call a factor `ok`."""
        return np.where(self.status == "ok", (self.value - self.truth) / self.error, np.nan)


class ToyRow(NamedTuple):
    """The pulls of one flavour."""

    engine: str
    flavour: str
    n_toys: int
    n_ok: int
    true: float
    mean: float
    """Of the fitted factors."""
    pull_mean: float
    pull_mean_error: float
    pull_width: float
    pull_width_error: float
    within_one: float
    """Share of the toys within one error of the truth: 0.683 if errors are normal."""


def throw_toys(n_toys: int, *, engine: Engine = "solve", card: FitCard | None = None, seed: int = 1) -> Toys:
    """Return the fits of pseudo-experiments: one cell each, data and simulation drawn anew every time.

    Args:
        n_toys: How many.
        engine: Which fit; the iteration fits the same cells.
        card: Constants of the fit.
        seed: Of the random numbers; the same for all engines.
    """
    card = card or FitCard()
    cells = toy_cells(n_toys, seed=seed)
    if engine == "solve":
        solved = solve_cells(cells.data, cells.data_variance, cells.mc, cells.mc_variance, card.thresholds)
        value, covariance, status = solved.value, solved.covariance, solved.status
    elif engine == "iterative":
        parts = (cells.data, cells.data_variance, cells.mc, cells.mc_variance)
        slices = Slices(*(part[..., np.newaxis] for part in parts))
        found = solution_of(slices, iterate(slices, card.iteration, binning=card.binning))
        value, covariance, status = found.value[:, 0], found.covariance[:, 0], found.status[:, 0]
    else:
        value, covariance, status = _maximised(cells, card)
    error = np.sqrt(np.diagonal(covariance, axis1=-2, axis2=-1))
    return Toys(engine, value, error, status, TRUTH)


def toy_cells(n_toys: int, *, seed: int, truth: Floats = TRUTH) -> CellTemplates:
    """Return pseudo-data with known factors, and simulation with statistics of its own, a cell per toy."""
    random = np.random.default_rng(seed)
    same = np.zeros((3, 3))
    same[0] = SAME_SIGN
    expected = {"OS": TYPICAL + same, "SS": same}
    data = {
        sign: random.poisson(jets @ truth, size=(n_toys, 3)).astype(np.float64)
        for sign, jets in expected.items()
    }
    mc = {
        sign: np.asarray(WEIGHT * random.poisson(jets / WEIGHT, size=(n_toys, 3, 3)), dtype=np.float64)
        for sign, jets in expected.items()
    }
    bounds = np.tile([0.0, 1.0], (n_toys, 1))
    return CellTemplates(
        bounds,
        bounds,
        data["OS"] - data["SS"],
        data["OS"] + data["SS"],
        mc["OS"] - mc["SS"],
        WEIGHT * (mc["OS"] + mc["SS"]),
        CellSameSign(data["SS"][:, 0], mc["SS"][:, 0], WEIGHT * mc["SS"][:, 0]),
    )


def _maximised(cells: CellTemplates, card: FitCard) -> tuple[Floats, Floats, Statuses]:
    """Return factors, covariance and status of every toy; some at once, as that is quicker."""
    from datamc.likelihood import BACKGROUND, maximise
    from datamc.likelihood_planes import cell_likelihood

    status = standing_of(cells.mc, cells.mc_variance, card.thresholds)
    direct = solve_cells(cells.data, cells.data_variance, cells.mc, cells.mc_variance, card.thresholds)
    value, covariance = direct.value.copy(), np.tile(np.eye(3), (len(cells.data), 1, 1))
    fitted_toys = np.flatnonzero((status == "ok").all(axis=-1))
    for first in range(0, len(fitted_toys), _AT_ONCE):
        part = fitted_toys[first : first + _AT_ONCE]
        likelihood = cell_likelihood(
            cells, {}, status=status, chosen=part, charge_symmetric=card.likelihood.charge_symmetric
        )
        fitted = maximise(likelihood, value[part])
        value[part], covariance[part] = fitted.local[:, :BACKGROUND], fitted.statistical
        status[part] = np.where(fitted.is_valid[:, None], status[part], "unconverged")
    return value, covariance, status


def toy_rows(toys: Toys) -> list[ToyRow]:
    """Return mean and width of the pulls per flavour, with their errors."""
    rows = []
    for f, flavour in enumerate(FIT_FLAVOURS):
        pull = toys.pull[:, f]
        used = pull[np.isfinite(pull)]
        n = len(used)
        nan = float("nan")
        width = float(used.std(ddof=1)) if n > 1 else nan
        rows.append(
            ToyRow(
                toys.engine,
                flavour,
                len(pull),
                n,
                float(toys.truth[f]),
                float(toys.value[np.isfinite(pull), f].mean()) if n else nan,
                float(used.mean()) if n else nan,
                float(width / np.sqrt(n)) if n else nan,
                width,
                float(width / np.sqrt(2 * n)) if n else nan,
                float((np.abs(used) < 1).mean()) if n else nan,
            )
        )
    return rows
