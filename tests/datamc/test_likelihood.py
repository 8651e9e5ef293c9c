"""The likelihood: its derivatives, its minimum, and pyhf's answer on the same workspace."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyhf
import pytest
from numpy.typing import NDArray

from datamc.cells import Binning, CellTemplates, cell_layout, sum_cells
from datamc.likelihood import BACKGROUND, N_LOCAL, CellLikelihood, maximise
from datamc.likelihood_planes import cell_likelihood, maximise_planes
from datamc.planes import PlaneTemplates
from datamc.solve import solve, standing_of
from datamc.toys import toy_cells
from datamc.workspace import CHANNELS, workspace, write_workspace

LARGE = Binning(0.0, 25, 5)
"""Four cells, and the default scores."""


def shifted(plane: PlaneTemplates, size: float) -> PlaneTemplates:
    """More c and fewer light jets, differently in each selection."""
    factors = 1 + size * np.array([[1.0, 0.2, -0.5], [0.5, -0.3, 0.4], [0.8, 0.1, -0.2]])
    mc = plane.mc * factors[:, :, None, None]
    assert plane.same_sign is not None
    return plane._replace(mc=mc, default_mc=plane.default_mc * factors)


@pytest.fixture(scope="module")
def plane(make_plane: Callable[..., PlaneTemplates]) -> PlaneTemplates:
    """Data drawn from known factors, signs apart."""
    expected = make_plane(jets=0.1, truth=lambda x, y: np.array([1.2 + 0 * x, 0.9 + 0 * x, 1.1 - 0.2 * y]))
    random = np.random.default_rng(8)
    assert expected.same_sign is not None
    same = random.poisson(expected.same_sign.data).astype(float)
    data = random.poisson(expected.data).astype(float)
    data[0] = random.poisson(expected.data[0] + expected.same_sign.data) - same
    return expected._replace(data=data, same_sign=expected.same_sign._replace(data=same))


def likelihood_of(plane: PlaneTemplates) -> tuple[CellLikelihood, CellTemplates, dict[str, CellTemplates]]:
    layout = cell_layout(plane, LARGE)
    cells = sum_cells(plane, layout)
    varied = {
        f"{name}{direction}": sum_cells(shifted(plane, size), layout)
        for name, sizes in (("pileup", (0.010, -0.007)), ("muR", (0.003, -0.005)))
        for direction, size in zip(("Up", "Down"), sizes, strict=True)
    }
    status = standing_of(cells.mc, cells.mc_variance)
    chosen = np.flatnonzero((status == "ok").all(axis=1))
    return cell_likelihood(cells, varied, status=status, chosen=chosen), cells, varied


def test_derivatives_are_those_of_the_value(plane: PlaneTemplates) -> None:
    likelihood, _, _ = likelihood_of(plane)
    random = np.random.default_rng(3)
    n = likelihood.precision.size + likelihood.n_sources
    # nuisance parameters on either side of the joint at 1, factors around 1
    place = np.concatenate([likelihood.centre.ravel() + 0.1 * random.normal(size=n - 2), [0.6, -1.4]])
    steps = 1e-6 * np.eye(n)
    numeric = [(likelihood.value(place + s) - likelihood.value(place - s)) / 2e-6 for s in steps]
    gradient = likelihood.gradient(place)
    np.testing.assert_allclose(gradient, numeric, rtol=1e-5, atol=1e-5 * np.abs(gradient).max())
    slopes = [(likelihood.gradient(place + s) - likelihood.gradient(place - s)) / 2e-6 for s in steps]
    hessian = likelihood.hessian(place)
    np.testing.assert_allclose(hessian, slopes, rtol=1e-5, atol=1e-6 * np.abs(hessian).max())
    np.testing.assert_allclose(hessian, hessian.T, rtol=1e-12)


# pyhf 0.7 asks jsonschema for what it will remove
@pytest.mark.filterwarnings("ignore:jsonschema.RefResolver is deprecated:DeprecationWarning")
def test_pyhf_has_the_same_best_fit_and_errors(plane: PlaneTemplates, tmp_path: Path) -> None:
    likelihood, cells, varied = likelihood_of(plane)
    fitted = maximise(likelihood, np.ones((len(likelihood.data), 3)))
    assert fitted.is_valid.all()
    path = tmp_path / "new" / "workspace.json"
    write_workspace(workspace(cells, varied, solve(plane, binning=LARGE)), path)
    pyhf.set_backend("numpy", pyhf.optimize.minuit_optimizer(tolerance=1e-3, strategy=2, maxiter=20_000))
    model = pyhf.Workspace(json.loads(path.read_text())).model(poi_name=None)
    data = np.concatenate([likelihood.data.T[CHANNELS.index(name)] for name in model.config.channels])
    data = np.append(data, model.config.auxdata)
    best = np.asarray(pyhf.infer.mle.fit(data, model, return_uncertainties=True), dtype=float)
    errors = np.sqrt(np.diagonal(fitted.covariance))
    ours = in_order_of(model, fitted.local, fitted.nuisances)
    our_errors = in_order_of(model, *likelihood.split(errors))
    places = np.arange(model.config.npars)
    of_factors = np.concatenate([places[model.config.par_slice(f"sf_{f}")] for f in ("c", "b", "light")])
    np.testing.assert_allclose(ours, best[:, 0], rtol=1e-3, atol=1e-3)
    # Minuit's errors come from numerical second derivatives
    np.testing.assert_allclose(our_errors[of_factors], best[of_factors, 1], rtol=5e-3)
    # What an error is: this far along it, all else following, pyhf's likelihood falls by half its square.
    step = 0.05
    for i in [*np.arange(likelihood.precision.size).reshape(-1, N_LOCAL)[:, :BACKGROUND].ravel(), -1, -2]:
        along = in_order_of(model, *likelihood.split(step * fitted.covariance[i] / errors[i]))
        fall = [-float(model.logpdf(ours + sign * along, data)[0]) for sign in (1, 0, -1)]
        assert fall[0] - 2 * fall[1] + fall[2] == pytest.approx(step**2, rel=1e-3)


def in_order_of(model: pyhf.Model, local: NDArray, nuisances: NDArray) -> NDArray:
    """Our parameters in the order of pyhf's."""
    ordered = np.zeros(model.config.npars)
    names = ["sf_c", "sf_b", "sf_light", "charge_symmetric", *(f"mc_statistics_{name}" for name in CHANNELS)]
    for name, column in zip(names, local.T, strict=True):
        ordered[model.config.par_slice(name)] = column
    for name, value in zip(("pileup", "muR"), nuisances, strict=True):
        ordered[model.config.par_slice(name)] = value
    return ordered


def test_asimov_data_return_the_truth(make_plane: Callable[..., PlaneTemplates]) -> None:
    truth = np.array([1.3, 0.8, 1.1])
    plane = make_plane(truth=lambda x, y: truth[:, None, None] * np.ones_like(x + y))
    (found,) = maximise_planes([plane], binning=LARGE)
    inside = found.value[:-1]
    np.testing.assert_allclose(inside, np.tile(truth, (len(inside), 1)), rtol=1e-4)
    assert (found.status == "ok").all()


def test_without_free_background_same_sign_jets_tell_about_charm() -> None:
    # Free, the background takes what same sign says: four numbers, four unknowns, as in the direct solution.
    cells = toy_cells(1, seed=3)
    status = np.full((1, 3), "ok")
    errors = []
    for is_free in (True, False):
        likelihood = cell_likelihood(cells, {}, status=status, chosen=np.array([0]), charge_symmetric=is_free)
        errors.append(np.sqrt(maximise(likelihood, np.ones((1, 3))).statistical[0, 0, 0]))
    assert errors[1] < 0.85 * errors[0]


def test_sources_are_impacts_like_those_of_the_direct_solution(plane: PlaneTemplates) -> None:
    varied = {"pileupUp": shifted(plane, 0.02), "pileupDown": shifted(plane, -0.02)}
    (found,) = maximise_planes([plane], variations=[varied], binning=LARGE)
    direct = solve(plane, binning=LARGE)
    assert found.systematics is not None
    assert found.systematics.sources == ("pileup",)
    both = (found.status == "ok").all(axis=1) & (direct.status == "ok").all(axis=1)
    moved = solve(shifted(plane, 0.02), binning=LARGE, like=plane).value - direct.value
    np.testing.assert_allclose(found.systematics.up[0][both], moved[both], atol=0.004)
    np.testing.assert_allclose(found.systematics.down, -found.systematics.up)


def test_negative_and_empty_cells_have_a_status(make_plane: Callable[..., PlaneTemplates]) -> None:
    plane = make_plane(jets=0.02)
    plane = plane._replace(data=np.zeros_like(plane.data))
    (found,) = maximise_planes([plane], binning=LARGE)
    assert np.isfinite(found.value).all()
    assert np.isfinite(found.covariance).all()
    assert (found.value > 0).all()
    (nothing,) = maximise_planes([make_plane(jets=0.0)], binning=LARGE)
    assert (nothing.status == "low_stat").all()
    assert (nothing.value == 1).all()


def test_templates_without_signs_are_one_sentence(make_plane: Callable[..., PlaneTemplates]) -> None:
    with pytest.raises(ValueError, match="needs the same-sign jets of W\\+c"):
        maximise_planes([make_plane()._replace(same_sign=None)], binning=LARGE)
    assert BACKGROUND == 3
