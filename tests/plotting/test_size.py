"""The report of a large production stays small enough to be sent and opened."""

from itertools import product

import numpy as np
import pytest

from datamc.divergence import DivergenceRow
from datamc.history import HistoryRow
from datamc.normalisation import default_view
from datamc.reference_curve import CurvePoint
from datamc.templates import Templates
from plotting import payload, report
from plotting.report_stacks import STORED_VIEWS, Stack, Stacks, views_of

MOST = 15_000_000

SELECTIONS = ("dy", "ttsemilep", "wc")
SCORES = ("b", "bb", "c", "udsg", "BvsL", "BvsC", "CvsB", "CvsL")
TRAININGS = ("basic", "adversarial")
VARIANTS = ("raw", "noise:0.1", "fgsm:0.1")
EPOCHS = range(1, 201)
PROCESSES = ("dy", "wc", "ttsl", "single top", "dibosons", "QCD")
EDGES = {60: np.linspace(-0.2, 1, 61), 51: np.linspace(-0.02, 1, 52), 11: np.linspace(-0.1, 1, 12)}


def stack(random, n_bins):
    """Every bin holds data, every flavour and every process: more to store than in any true one."""
    mc = random.gamma(2.0, 500.0, (3, n_bins))
    shares = random.dirichlet(np.ones(len(PROCESSES)), n_bins).T * mc.sum(axis=0)
    data = random.poisson(mc.sum(axis=0)).astype(float)
    templates = Templates(EDGES[n_bins], data, data, mc, 0.3 * mc, ("b", "c", "light"), 0.98)
    return Stack(templates, dict(zip(PROCESSES, shares, strict=True)))


def made_stacks(results, *, scale_factors=(), epochs=None):
    """Stacks of all places, with systematic variations, before and after the scale factors."""
    random = np.random.default_rng(1)
    found = Stacks({}, {}, {}, {})
    places = product(results, SCORES, TRAININGS, epochs, VARIANTS)
    for place in places:
        selection, score, *_ = place
        after = {"CvsL": 51, "CvsB": 11}.get(score)
        for view in STORED_VIEWS[default_view(selection)]:
            found.before[*place, view] = stack(random, 60)
            if after:
                found.after[*place, view] = stack(random, after)
        for view in views_of(selection):
            found.bands[*place, view] = random.gamma(2.0, 5.0, (2, 60))
            if after:
                found.bands_after[*place, view] = random.gamma(2.0, 5.0, (1, after))
    return found


@pytest.fixture
def large(monkeypatch):
    """The numbers of 200 epochs in place of those of a result."""
    checkpoints = [(training, epoch) for training in TRAININGS for epoch in EPOCHS]
    for module in (payload, report):
        monkeypatch.setattr(module, "taggers_of", lambda _: checkpoints)
        monkeypatch.setattr(module, "collect_stacks", made_stacks)
    history = [
        HistoryRow(*place, 10, 9, *np.random.default_rng(2).random(6))
        for place in product(TRAININGS, EPOCHS, VARIANTS, ("c", "b", "light", "all"))
    ]
    monkeypatch.setattr(report, "history_rows", lambda _: history)


def test_a_report_of_two_hundred_epochs_is_small(large, result_of, scale_factors, auc_row, tmp_path):
    random = np.random.default_rng(3)
    places = list(product(SELECTIONS, SCORES, TRAININGS, EPOCHS, VARIANTS))
    rows = [
        DivergenceRow(
            *place, kl=kl, low=0.9 * kl, high=1.1 * kl, offset=kl / 3, chi2=80 * kl, n_degrees=50,
            n_data=9e3, n_mc=1e4, dropped_fraction=kl / 9, n_replaced=1, status="ok", kl_equal=kl / 2,
            kl_equal_offset=kl / 7, js=kl / 4, emd=kl / 5, p_value=kl,
        )
        for place, kl in zip(places, random.random(len(places)), strict=True)
    ]  # fmt: skip
    null = [row for row in rows if row.selection == "dy"]
    curve = [
        CurvePoint(selection, score, "basic", epoch, "kl", sigma, *random.random(4))
        for selection, score, epoch in product(SELECTIONS, SCORES, EPOCHS)
        for sigma in np.linspace(0, 3, 10)
    ]
    areas = [
        auc_row(training, epoch, variant, score, random.random())
        for training, epoch, variant, score in product(TRAININGS, EPOCHS, VARIANTS, SCORES)
    ]
    fits = [
        scale_factors._replace(tagger=training, epoch=epoch, variant=variant)
        for training, epoch, variant in product(TRAININGS, EPOCHS, VARIANTS)
    ]
    path = report.write_report(
        tmp_path / "report.html",
        results={selection: result_of(selection) for selection in SELECTIONS},
        divergence=rows,
        null=null,
        curve=curve,
        auc_rows=areas,
        scale_factors=fits,
    )
    size = path.stat().st_size
    assert 8_000_000 < size < MOST, f"{size / 1e6:.1f} MB"
