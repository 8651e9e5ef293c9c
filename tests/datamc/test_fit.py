"""Closure of the fits on planes, systematics by source, and what happens where there is nothing to fit."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from datamc.cells import COARSE_BINNING, Binning
from datamc.fit import Engine, FitCard, card_for, fit, fit_history, read_fit_card
from datamc.histograms import RateShift
from datamc.history import history_rows
from datamc.likelihood import maximise
from datamc.likelihood_planes import cell_likelihood
from datamc.planes import PlaneTemplates, plane_templates
from datamc.results import Result
from datamc.scale_factors import ScaleFactors, Systematics, cell_of
from datamc.solve import Thresholds
from datamc.systematics import RateSource, paired_shifts, shifted_planes, source_of
from datamc.toys import throw_toys, toy_cells, toy_rows
from datamc.yields import normalise_yields, yield_rows

ENGINES: tuple[Engine, ...] = ("solve", "iterative", "likelihood")
LARGE = FitCard(binning=Binning(0.0, 25, 5))


def truth(x: NDArray, y: NDArray) -> NDArray:
    return np.array([1.2 + 0.3 * x, 0.9 - 0.2 * y, 1.1 + 0 * x])


def drawn(plane: PlaneTemplates, seed: int) -> PlaneTemplates:
    """The plane with Poisson data, signs apart."""
    random = np.random.default_rng(seed)
    assert plane.same_sign is not None
    same = random.poisson(plane.same_sign.data).astype(float)
    data = random.poisson(plane.data).astype(float)
    opposite = random.poisson(plane.data[0] + plane.same_sign.data)
    data[0] = opposite - same
    variance = data.copy()
    variance[0] = opposite + same
    return plane._replace(data=data, data_variance=variance, same_sign=plane.same_sign._replace(data=same))


def finite(found: ScaleFactors) -> bool:
    arrays = (found.value, found.covariance, *found.total_error, found.yield_ratio, found.n_effective)
    return all(np.isfinite(array).all() for array in arrays)


@pytest.mark.parametrize("engine", ENGINES)
def test_engines_share_interface_and_result(
    engine: Engine, make_plane: Callable[..., PlaneTemplates]
) -> None:
    planes = [make_plane(jets=0.02, truth=truth), make_plane(jets=0.03)._replace(epoch=8)]
    found = fit(planes, engine=engine, card=LARGE)
    assert [each.epoch for each in found] == [7, 8]
    assert all(each.engine == engine and finite(each) for each in found)
    assert found[0].error.shape == found[0].value.shape


@pytest.mark.parametrize("engine", ["solve", "likelihood"])
def test_factors_of_one_half_close_on_the_other(
    engine: Engine, make_plane: Callable[..., PlaneTemplates]
) -> None:
    expected = make_plane(jets=0.3, truth=truth)
    first, second = drawn(expected, 1), drawn(expected, 2)
    (found,) = fit([first], engine=engine, card=FitCard(binning=Binning(0.0, 10, 2)))
    x, y = np.meshgrid((np.arange(50) + 0.5) / 50, (np.arange(10) + 0.5) / 10)
    applied = np.moveaxis(found.value[cell_of(found, x, y)], -1, 0)
    # before: the simulation as it is; after: with the factors of the other half, in 15 bins of five by five
    chi2 = []
    for factors in (np.ones_like(applied), applied):
        total = (second.mc * factors).sum(axis=1)
        blocks = [part.reshape(3, 5, 2, 5, 10).sum(axis=(2, 4)) for part in (total, second.data)]
        variance = second.data_variance.reshape(3, 5, 2, 5, 10).sum(axis=(2, 4))
        # the data of both halves fluctuate alike
        chi2.append(((blocks[0] - blocks[1]) ** 2 / (2 * variance)).mean())
    assert chi2[0] > 10
    # 75 bins: the mean is known to sqrt(2 / 75) = 0.16; factors vary a little inside a cell
    assert 0.5 < chi2[1] < 1.5


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("nothing", ["data", "simulation", "one flavour", "one selection", "all"])
def test_what_is_missing_gives_a_status_and_no_nan(
    engine: Engine, nothing: str, make_plane: Callable[..., PlaneTemplates]
) -> None:
    plane = drawn(make_plane(jets=0.05), 3)
    assert plane.same_sign is not None
    mc, data = plane.mc.copy(), plane.data.copy()
    if nothing in ("data", "all"):
        data[:] = 0
    if nothing in ("simulation", "all"):
        mc[:] = 0
    if nothing == "one flavour":
        mc[:, 1] = 0
    if nothing == "one selection":
        mc[2], data[2] = 0, 0
    same = plane.same_sign._replace(
        data=plane.same_sign.data * (data[0] != 0), mc=plane.same_sign.mc * (mc[0] != 0)
    )
    (found,) = fit([plane._replace(mc=mc, data=data, same_sign=same)], engine=engine, card=LARGE)
    assert finite(found)
    inside, status = found.value[:-1], found.status[:-1]
    assert (inside > 0).all()
    assert (inside[~np.isin(status, ("ok", "unconverged"))] == 1).all()
    if nothing in ("data", "simulation", "all"):
        assert not (status == "ok").any()
    if nothing == "one flavour":
        assert set(status[:, 1]) == {"low_stat"}


@pytest.mark.parametrize("engine", ENGINES)
def test_plane_of_one_bin_is_fitted(engine: Engine, make_plane: Callable[..., PlaneTemplates]) -> None:
    plane = make_plane(n_cvsb=1, n_cvsl=1, jets=3.0, truth=truth)
    (found,) = fit([plane], engine=engine)
    assert found.value.shape == (2, 3)
    np.testing.assert_allclose(found.value[0], truth(np.array(0.5), np.array(0.5)), rtol=1e-3)


def test_no_planes_give_no_fits() -> None:
    assert [fit([], engine=engine) for engine in ENGINES] == [[], [], []]


def test_ridge_draws_what_is_ill_conditioned_towards_one(make_plane: Callable[..., PlaneTemplates]) -> None:
    plane = make_plane(jets=0.05, truth=truth)
    free, drawn_to_one = (
        fit([plane], card=FitCard(binning=LARGE.binning, thresholds=thresholds))[0]
        for thresholds in (Thresholds(), Thresholds(max_condition=1.0, ridge_error=1e-3))
    )
    assert (drawn_to_one.status == "ill_conditioned").all()
    np.testing.assert_allclose(drawn_to_one.value, 1, atol=0.01)
    wide = Thresholds(max_condition=1.0, ridge_error=100.0)
    (same,) = fit([plane], card=FitCard(binning=LARGE.binning, thresholds=wide))
    np.testing.assert_allclose(same.value, free.value, rtol=1e-3)


def test_yields_are_kept_where_asked(make_plane: Callable[..., PlaneTemplates]) -> None:
    plane = drawn(make_plane(jets=0.05, truth=truth), 4)
    (free,) = fit([plane], card=LARGE)
    (kept,) = fit([plane], card=LARGE.model_copy(update={"normalise_yields": True}))
    before, after = plane.mc.sum(axis=(2, 3)) + plane.default_mc, yield_rows(free)
    # the identity of the report: after = sum of SF x N
    weight = np.diagonal(free.mc, axis1=1, axis2=2)
    own = [
        row
        for row in after
        if (row.selection, row.flavour) in (("wc", "c"), ("ttsemilep", "b"), ("dy", "light"))
    ]
    np.testing.assert_allclose([row.before for row in own], np.diagonal(before))
    np.testing.assert_allclose([row.after for row in own], (weight * free.value).sum(axis=0))
    np.testing.assert_allclose(np.diagonal(kept.yield_ratio), 1)
    # a common shift of all cells is taken out, so what is left is more certain
    assert (kept.error <= free.error * 1.3).all()
    assert np.linalg.eigvalsh(kept.covariance).min() > 0


def test_normalised_yields_propagate_their_shifts() -> None:
    # two cells of 100 jets, factors 1.2 and 0.8, shifts 0.1 and 0: k = 1, y = x - y * mean shift
    found = ScaleFactors(
        cvsl=np.array([[0, 1.0], [-1, 0]]), cvsb=np.array([[0, 1.0], [-1, 0]]),
        value=np.array([[1.2] * 3, [0.8] * 3]), covariance=np.tile(0.01 * np.eye(3), (2, 1, 1)),
        status=np.full((2, 3), "ok"), spectral_radius=np.zeros(2), condition=np.ones(2),
        n_data=np.full((2, 3), 100.0), n_effective=np.full((2, 3, 3), 100.0),
        mc=np.tile(100 * np.eye(3), (2, 1, 1)), factors=np.ones(3), tagger="basic", epoch=1, variant="raw",
        systematics=Systematics(("a",), np.array([[[0.1] * 3, [0.0] * 3]]), np.zeros((1, 2, 3))),
    )  # fmt: skip
    kept = normalise_yields(found)
    assert kept.systematics is not None
    np.testing.assert_allclose(kept.systematics.up[0, :, 0], [0.1 - 1.2 * 0.05, -0.8 * 0.05])
    # Var y1 = (1 - 0.6)^2 0.01 + 0.6^2 0.01
    np.testing.assert_allclose(kept.covariance[0, 0, 0], 0.01 * (0.4**2 + 0.6**2))


def test_envelope_counts_shifts_of_one_sign_once() -> None:
    names = ["aUp", "aDown", "bUp"]
    shifts = np.array([0.10, 0.04, -0.03])[:, None, None] * np.ones((3, 1, 3))
    found = paired_shifts(names, shifts)
    assert found.sources == ("a", "b")
    np.testing.assert_allclose(found.error_up[:, 0, 0], [0.10, 0.0])
    np.testing.assert_allclose(found.error_down[:, 0, 0], [0.0, 0.03])
    np.testing.assert_allclose(found.symmetric[:, 0, 0], [0.10, -0.03])
    with pytest.raises(ValueError, match="'pileup': its name must end in Up or Down"):
        source_of("pileup")


def test_source_is_the_solution_with_shifted_templates(make_plane: Callable[..., PlaneTemplates]) -> None:
    plane = make_plane(jets=0.05, truth=truth)
    more_charm = plane.mc.copy()
    more_charm[:, 0] *= 1.1
    shifted = {"charmUp": plane._replace(mc=more_charm)}
    (found,) = fit([plane], variations=[shifted], card=LARGE)
    assert found.systematics is not None
    # ten per cent more c everywhere: SF_c falls by 1 / 1.1, the others stay
    inside = slice(None, -1)
    np.testing.assert_allclose(found.systematics.up[0, inside, 0], found.value[inside, 0] * (1 / 1.1 - 1))
    np.testing.assert_allclose(found.systematics.up[0, inside, 1:], 0, atol=1e-9)
    up, down = found.total_error
    np.testing.assert_allclose(up[inside], found.error[inside])
    np.testing.assert_allclose(
        down[inside, 0] ** 2, found.error[inside, 0] ** 2 + (found.value[inside, 0] / 11) ** 2
    )


def test_rates_shift_processes_before_they_are_normalised(results: dict[str, Result]) -> None:
    shift = RateShift(("wjets*",), 1.5)
    assert list(shift.factors_of("WJets")) == [1.5] * 3
    assert list(RateShift(("dy*",), 0.5, "b").factors_of("DYJets")) == [0.5, 1, 1]
    nominal, varied = (plane_templates(results, tagger="basic", epoch=3, rate=rate) for rate in (None, shift))
    # W+c: more of W, less of all to meet the same data; DY holds no W at all
    assert varied.factors[0] < nominal.factors[0]
    shapes = [plane.mc[2] / plane.factors[2] for plane in (varied, nominal)]
    np.testing.assert_allclose(*shapes)
    total = varied.mc[0].sum() + varied.default_mc[0].sum()
    np.testing.assert_allclose(total, varied.data[0].sum() + varied.default_data[0])
    planes = shifted_planes(results, tagger="basic", epoch=3, variant="raw")
    assert {"XSec_WJetsUp", "XSec_ttbarDown", "XSec_ST" + "Up", "XSec_BRUnc_DYJets_cUp"} <= set(planes)
    only = shifted_planes(
        results, tagger="basic", epoch=3, variant="raw", rates=(RateSource("no", ("qcd",), 0.1),)
    )
    assert only == {}


def test_history_tells_deviation_error_and_noise(results: dict[str, Result]) -> None:
    found = fit_history(results, card=FitCard(binning=COARSE_BINNING))
    assert len(found) == 2 * 2 * 3
    rows = history_rows(found)
    assert [row.flavour for row in rows[:4]] == ["c", "b", "light", "all"]
    row = rows[0]
    one = found[0]
    ok, jets = one.status[:, 0] == "ok", one.mc[:, 0, 0]
    assert row.n_ok == ok.sum()
    assert row.mean_deviation == pytest.approx(np.average(np.abs(one.value[ok, 0] - 1), weights=jets[ok]))
    assert row.expected == pytest.approx(np.sqrt(2 / np.pi) * np.average(one.error[ok, 0], weights=jets[ok]))
    assert 0 < row.error < row.expected
    assert history_rows(found) == rows
    two = fit_history(results, card=FitCard(binning=COARSE_BINNING), only=[("basic", 3), ("other", 1)])
    chosen = [each for each in found if (each.tagger, each.epoch) == ("basic", 3)]
    assert [each.variant for each in two] == [each.variant for each in chosen]
    for each, before in zip(two, chosen, strict=True):
        np.testing.assert_array_equal(each.value, before.value)


def test_missing_selection_and_tagger_are_one_sentence(results: dict[str, Result]) -> None:
    with pytest.raises(ValueError, match="needs dy, wc and ttsemilep, but dy is missing"):
        fit_history({name: result for name, result in results.items() if name != "dy"})
    histograms = {
        name: histogram for name, histogram in results["dy"].histograms.items() if name.startswith("jet")
    }
    bare = results | {"dy": replace(results["dy"], histograms=histograms)}
    with pytest.raises(ValueError, match="no tagger has scores in all"):
        fit_history(bare)
    with pytest.raises(ValueError, match="no tagger has scores in all"):
        fit_history(results, only=[("other", 1)])


def test_card_is_read_and_wrong_keys_are_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "fit.yaml"
    path.write_text("engine: iterative\nbinning: {target_error: 0.1}\niteration: {learning_rate: 0.002}\n")
    card = read_fit_card(path)
    assert (card.engine, card.binning.target_error, card.iteration.learning_rate) == ("iterative", 0.1, 0.002)
    assert card_for(card, coarse=True, engine="solve").binning == COARSE_BINNING
    path.write_text("binning: {error: 0.1}")
    with pytest.raises(ValueError, match=r"binning.error: Extra inputs are not permitted"):
        read_fit_card(path)
    with pytest.raises(FileNotFoundError, match="no such card"):
        read_fit_card(tmp_path / "none.yaml")
    example = Path(__file__).parents[2] / "configs" / "fit.yaml"
    assert read_fit_card(example) == FitCard()


@pytest.mark.parametrize("engine", ENGINES)
def test_pulls_of_toys_have_mean_0_and_width_1(engine: Engine) -> None:
    # 3000 toys: the mean is known to 0.018, the width to 0.013
    rows = toy_rows(throw_toys(3000, engine=engine, seed=5))
    assert [row.n_ok for row in rows] == [3000] * 3
    for row in rows:
        assert abs(row.pull_mean) < 0.1
        assert 0.9 < row.pull_width < 1.1


def test_likelihood_of_a_toy_is_its_solution() -> None:
    # As many unknowns as numbers: the best fit is the solution, with like errors, toy by toy. So the bias
    # of one engine is that of the other, known much better than the pulls of either.
    likely, solved = (throw_toys(1000, engine=engine, seed=6) for engine in ("likelihood", "solve"))
    assert (likely.status == "ok").all()
    np.testing.assert_allclose(likely.value, solved.value, atol=1e-4)
    np.testing.assert_allclose(likely.error, solved.error, rtol=0.1)
    assert (np.abs((likely.pull - solved.pull).mean(axis=0)) < 0.01).all()


def test_toys_fitted_together_are_as_if_alone() -> None:
    # The first of 30 toys shares its likelihood with others; nothing of it is theirs.
    cells = toy_cells(30, seed=9)
    status = np.full((30, 3), "ok")
    together, alone = (
        maximise(cell_likelihood(cells, {}, status=status, chosen=np.arange(n)), np.ones((n, 3)))
        for n in (30, 1)
    )
    np.testing.assert_allclose(together.local[0], alone.local[0], atol=1e-3)
    np.testing.assert_allclose(together.statistical[0], alone.statistical[0], rtol=1e-2)
