"""Trainings of different length side by side: each at an epoch that it has, which the page says."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datamc.agreement import divergence_table
from plotting.report import write_report


@pytest.fixture(scope="module")
def page_file(production: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the production, whose adversarial training ended after the second of five epochs."""
    results = {}
    for name, result in production.results.items():
        histograms = {key: histogram.copy() for key, histogram in result.histograms.items()}
        for histogram in histograms.values():
            at = [
                histogram.axes[axis].index(value) for axis, value in (("tagger", "adversarial"), ("epoch", 5))
            ]
            histogram.view(flow=True)[:, :, :, at[0], at[1]] = np.zeros((), histogram.view().dtype)
        results[name] = replace(result, histograms=histograms)
    ends = {"basic": 5, "adversarial": 2}
    return write_report(
        tmp_path_factory.mktemp("unequal") / "report.html",
        results=results,
        divergence=divergence_table(results, n_bootstrap=0),
        auc_rows=[row for row in production.areas if row.epoch <= ends[row.tagger]],
        roc_rows=[
            Point(tagger, epoch, "raw", "CvsL", e, e) for tagger, epoch in ends.items() for e in (0.1, 0.9)
        ],
    )


class Point:
    def __init__(self, tagger: str, epoch: int, variant: str, score: str, efficiency: float, mistag: float):
        self.tagger, self.epoch, self.variant, self.score = tagger, epoch, variant, score
        self.efficiency, self.mistag = efficiency, mistag


def test_each_training_is_shown_at_its_own_epoch(browser: Any, page_file: Path) -> None:
    page = browser.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(page_file.as_uri() + "#selection=dy&score=CvsL&training=basic&compare=adversarial&epoch=5")
    page.wait_for_function("document.getElementById('stack-a').data !== undefined")
    assert page.inner_text("#stack-a-title").startswith("basic, epoch 5")
    assert page.inner_text("#stack-b-title").startswith("adversarial, epoch 2")
    assert "adversarial (epoch 2): KL = " in page.inner_text("#readout")
    title = page.inner_text("#roc-title")
    assert "basic epoch 5" in title
    assert "adversarial epoch 2" in title
    names = page.evaluate("document.getElementById('roc').data.map(trace => trace.name)")
    assert {name.split(",")[0] for name in names} == {"basic", "adversarial"}
    assert "epoch 2 against epoch 5" in page.inner_text("#summary")
    assert problems == []
    page.close()
