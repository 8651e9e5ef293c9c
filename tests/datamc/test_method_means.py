"""Means over seeds and their errors: by hand, and in pseudo-experiments of linear measures."""

import numpy as np
import pytest

from datamc.differences import Measured
from datamc.method_means import (
    UNKNOWN,
    Mean,
    Training,
    difference_error,
    early_curve,
    mean_curve,
    mean_of,
    ratio_of,
    relative_scatter,
    seeds_error,
)
from datamc.reference_curve import Curve
from datamc.replicas import draw_weights, with_replicas

N_BLOCKS, N_REPLICAS = 32, 120
FLAT = np.zeros(1 + N_REPLICAS)


def constant(value: float, offset: float = 0.0) -> Measured:
    """A measure that no replica moves."""
    return Measured(FLAT + value, offset, 0.0)


def training(value: float, auc: float = 0.9, tagger: str = "t", epoch: int = 1) -> Training:
    return Training(tagger, epoch, auc, constant(value))


def mean(*values: float, auc: float = 0.9) -> Mean:
    return mean_of([training(value, auc) for value in values], n_blocks=N_BLOCKS)


def test_the_mean_over_seeds_by_hand() -> None:
    found = mean_of([training(3.0, 0.90), training(5.0, 0.94)], n_blocks=N_BLOCKS)
    assert (found.own.excess, found.auc, found.own.error) == pytest.approx((4.0, 0.92, 0.0))


def test_the_scatter_is_a_fraction_of_the_excess_pooled_over_methods() -> None:
    # (3, 5): squares 2 of the mean 4; (9, 11): squares 2 of 10: (2 + 2) / (1 x 16 + 1 x 100)
    found = relative_scatter([mean(3.0, 5.0), mean(9.0, 11.0), mean(7.0)], n_blocks=N_BLOCKS)
    assert found == pytest.approx(np.sqrt(4 / 116))
    assert relative_scatter([mean(3.0), mean(5.0)], n_blocks=N_BLOCKS) == 0


def test_seeds_that_move_along_the_curve_do_not_scatter_beside_it() -> None:
    curve = Curve(np.array([0.0, 1.0]), np.array([0.9, 0.8]), (constant(10.0), constant(5.0)))
    along = mean_of([training(10.0, 0.9), training(6.0, 0.82)], n_blocks=N_BLOCKS)
    assert relative_scatter([along], curve, n_blocks=N_BLOCKS) == pytest.approx(0, abs=1e-12)
    assert relative_scatter([along], n_blocks=N_BLOCKS) == pytest.approx(np.sqrt(8) / 8)


def test_errors_of_seeds_by_hand() -> None:
    # 0.8 x 0.1 x sqrt(1/2 + 1/4)
    assert seeds_error(0.8, 2, n_reference=4, scatter=0.1) == pytest.approx(0.08 * np.sqrt(0.75))
    one, other = (ratio_of(constant(each), constant(10.0), n_blocks=N_BLOCKS) for each in (6.0, 8.0))
    error = {"n_reference": 4, "scatter": 0.1, "n_blocks": N_BLOCKS}
    # 0.6 and 0.8: own parts 0.36/2 + 0.64/2, what both share (0.2)^2/4
    assert difference_error((one, 2), (other, 2), **error) == pytest.approx(0.1 * np.sqrt(0.5 + 0.01))
    # against the reference, which is 1: 0.36/2 + 0.36/4, as the error of the ratio itself
    reference = ratio_of(constant(10.0), constant(10.0), n_blocks=N_BLOCKS)
    expected = seeds_error(0.6, 2, n_reference=4, scatter=0.1)
    assert difference_error((one, 2), (reference, 0), **error) == pytest.approx(expected)


def test_nothing_is_known_over_a_reference_without_excess() -> None:
    assert ratio_of(constant(1.0), constant(2.0, offset=3.0), n_blocks=N_BLOCKS) is UNKNOWN


def test_curves_are_averaged_at_equal_noise() -> None:
    sigma = np.array([0.0, 1.0])
    one = Curve(sigma, np.array([0.90, 0.80]), (constant(10.0), constant(6.0)))
    other = Curve(sigma, np.array([0.92, 0.84]), (constant(12.0), constant(8.0)))
    found = mean_curve([one, other], n_blocks=N_BLOCKS)
    # half way between (0.91, 11) and (0.82, 7)
    assert found.at(0.865)[0].excess == pytest.approx(9.0)
    with pytest.raises(ValueError, match="evaluate them together"):
        mean_curve([one, other._replace(sigma=2 * sigma)], n_blocks=N_BLOCKS)


def test_the_reference_stopped_early_ends_at_the_reference() -> None:
    # the AUC of epoch 3 was there at epoch 2 already, that of epoch 4 is above the last one
    aucs = {1: 0.7, 2: 0.8, 3: 0.79, 4: 0.95, 5: 0.9}
    curve = early_curve({epoch: mean(10.0 * epoch, auc=auc) for epoch, auc in aucs.items()})
    assert curve.sigma.tolist() == [5, 2, 1]
    assert curve.at(0.9)[0].excess == pytest.approx(50.0)
    assert curve.at(0.75)[0].excess == pytest.approx(15.0)


class Toys:
    """Trainings whose measures are linear in the events: parts that all share, and parts of their own."""

    def __init__(self, *, scatter: float, n_methods: int = 8, n_seeds: int = 3) -> None:
        self.truth = np.linspace(0.5, 1.3, n_methods)
        self.truth[0] = 1.0
        self.scatter, self.n_seeds = scatter, n_seeds

    def means(self, random: np.random.Generator, seed: int) -> list[Mean]:
        weights = draw_weights(N_REPLICAS, N_BLOCKS, seed=seed).data
        common = random.normal(0, 0.08, N_BLOCKS) / np.sqrt(N_BLOCKS)
        found = []
        for truth in self.truth:
            of_method = random.normal(0, 0.05, N_BLOCKS) / np.sqrt(N_BLOCKS)
            seeds = []
            for _ in range(self.n_seeds):
                level = truth * (1 + self.scatter * random.normal())
                own = random.normal(0, 0.06, N_BLOCKS) / np.sqrt(N_BLOCKS)
                blocks = (truth * common + of_method + own)[:, np.newaxis]
                values = level + with_replicas(blocks, weights)[:, 0]
                seeds.append(Training("t", 1, 0.9, Measured(values, 0.0, 0.0)))
            found.append(mean_of(seeds, n_blocks=N_BLOCKS))
        return found


@pytest.mark.parametrize(("scatter", "n_seeds"), [(0.0, 2), (0.08, 2), (0.08, 4), (0.2, 3)])
def test_errors_of_ratios_and_their_differences_cover_68_percent(scatter: float, n_seeds: int) -> None:
    """400 pseudo-experiments with 7 ratios each know the coverage to 2 %; it is asked for within 4 %."""
    toys, random = Toys(scatter=scatter, n_seeds=n_seeds), np.random.default_rng(3)
    covered, covered_differences = [], []
    for toy in range(400):
        means = toys.means(random, toy)
        curve = Curve(np.zeros(1), np.array([0.9]), (means[0].own,))
        rho = relative_scatter(means, curve, n_blocks=N_BLOCKS)
        ratios = [ratio_of(each.own, means[0].own, n_blocks=N_BLOCKS) for each in means]
        for ratio, truth in zip(ratios[1:], toys.truth[1:], strict=True):
            seeds = seeds_error(ratio.value, n_seeds, n_reference=n_seeds, scatter=rho)
            covered.append(abs(ratio.value - truth) < np.hypot(ratio.events, seeds))
        for i, j in ((1, 2), (1, 7), (0, 3)):
            error = difference_error(
                (ratios[i], n_seeds * (i > 0)), (ratios[j], n_seeds),
                n_reference=n_seeds, scatter=rho, n_blocks=N_BLOCKS,
            )  # fmt: skip
            truth = toys.truth[i] - toys.truth[j]
            covered_differences.append(abs(ratios[i].value - ratios[j].value - truth) < error)
    assert np.mean(covered) == pytest.approx(0.683, abs=0.04)
    assert np.mean(covered_differences) == pytest.approx(0.683, abs=0.05)
