import numpy as np
import pytest
from scipy.stats import chi2 as chi2_distribution

from datamc.method_scale_factors import chi2_of_one, method_scale_factors
from datamc.scale_factors import ScaleFactors


def made_fit(
    value: list[list[float]], *, tagger: str = "basic.s1", epoch: int = 3, error: float = 0.1
) -> ScaleFactors:
    """Cells of (c, b, light), each calibrated by one jet number; the last cell is the default one."""
    values = np.array(value)
    n = len(values)
    return ScaleFactors(
        cvsl=np.zeros((n, 2)),
        cvsb=np.zeros((n, 2)),
        value=values,
        covariance=np.repeat(error**2 * np.eye(3)[np.newaxis], n, axis=0),
        status=np.full((n, 3), "ok", dtype="<U16"),
        spectral_radius=np.zeros(n),
        condition=np.ones(n),
        n_data=np.full((n, 3), 100.0),
        n_effective=np.full((n, 3, 3), 100.0),
        mc=np.full((n, 3, 3), 50.0),
        factors=np.ones(3),
        tagger=tagger,
        epoch=epoch,
        variant="raw",
    )


def test_deviations_are_averaged_over_seeds_by_hand() -> None:
    fits = [
        made_fit([[1.2, 1.0, 1.0], [0.6, 1.0, 1.0]], tagger="basic.s1"),  # c: (0.2 + 0.4) / 2
        made_fit([[1.1, 1.0, 1.0], [0.9, 1.0, 1.0]], tagger="basic.s2"),  # c: 0.1
        made_fit([[9.0, 9.0, 9.0], [9.0, 9.0, 9.0]], tagger="basic.s2", epoch=1),  # not the last epoch
        made_fit([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]], tagger="aug.s1"),
    ]
    methods = {"basic": ["basic.s1", "basic.s2"], "aug": ["aug.s1"], "none": ["none.s1"]}
    rows = {(r.method, r.flavour): r for r in method_scale_factors(fits, scenario="data", methods=methods)}
    assert set(rows) == {(m, f) for m in ("basic", "aug") for f in ("c", "b", "light", "all")}
    c = rows["basic", "c"]
    assert (c.n_seeds, c.n_ok, c.deviation) == (2, 2, pytest.approx(0.2))
    # 0.3 and 0.1 scatter by 0.1 sqrt(2), their mean by 0.1; of one seed by 0.1 sqrt(2), as methods share it
    assert c.seeds_error == pytest.approx(0.1)
    assert rows["aug", "c"].seeds_error == pytest.approx(0.1 * np.sqrt(2))
    assert c.error == pytest.approx(np.hypot(c.fit_error, c.seeds_error))
    # chi2 of both: (0.2^2 + 0.4^2) / 0.1^2 = 20 and (0.1^2 + 0.1^2) / 0.1^2 = 2, two degrees each
    assert c.chi2_per_degree == pytest.approx(11 / 2)
    assert c.p_value == pytest.approx(chi2_distribution.sf(11, 2))
    assert rows["aug", "all"].p_value == pytest.approx(1.0)


def test_cells_that_were_not_measured_do_not_count() -> None:
    fit = made_fit([[1.2, 1.3, 1.0], [5.0, 5.0, 5.0]])
    fit.status[1] = "few_jets"
    assert chi2_of_one(fit) == pytest.approx((4 + 9, 3))
    assert chi2_of_one(fit, "b") == pytest.approx((9, 1))
    fit.status[:] = "few_jets"
    rows = method_scale_factors([fit], scenario="null", methods={"basic": ["basic.s1"]})
    assert all((row.deviation, row.p_value) == (0.0, 1.0) for row in rows)


def test_there_is_no_chi2_where_data_are_the_events_of_the_simulation() -> None:
    fit = made_fit([[1.2, 1.3, 1.0]])
    how = {"scenario": "edge", "methods": {"basic": ["basic.s1"]}}
    apart, together = (method_scale_factors([fit], same_events=same, **how) for same in (False, True))
    assert all(row.chi2_per_degree > 0 for row in apart if row.flavour == "all")
    for before, after in zip(apart, together, strict=True):
        assert after == before._replace(chi2_per_degree=0.0, p_value=1.0)


def test_factors_of_one_have_flat_p_values() -> None:
    random = np.random.default_rng(1)
    p_values = []
    for _ in range(300):
        fit = made_fit(1 + 0.1 * random.normal(size=(20, 3)))
        rows = method_scale_factors([fit], scenario="null", methods={"basic": ["basic.s1"]})
        p_values.append(rows[-1].p_value)
    assert np.mean(np.array(p_values) < 0.32) == pytest.approx(0.32, abs=0.08)
