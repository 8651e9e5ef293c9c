import base64
import gzip
import hashlib
import json
import re
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest

from datamc.templates import score_templates
from plotting.report import write_report

VOID = {"meta", "link", "input", "br"}


class Page(HTMLParser):
    """What a page holds; fails on tags that do not match."""

    def __init__(self, source):
        super().__init__()
        self.open, self.elements, self.scripts, self.ids, self.words = [], [], [], [], []
        self.feed(source)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.elements.append((tag, attributes))
        if "id" in attributes:
            self.ids.append(attributes["id"])
        if tag == "script":
            self.scripts.append((attributes, ""))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] == ["script"]:
            attributes, text = self.scripts[-1]
            self.scripts[-1] = (attributes, text + data)
        elif self.open[-1:] != ["style"]:
            self.words.append(data)

    @property
    def numbers(self):
        (text,) = (text for attributes, text in self.scripts if attributes.get("id") == "numbers")
        unpacked = gzip.decompress(base64.b64decode(text))
        return json.loads(unpacked, parse_constant=pytest.fail)  # NaN and Infinity are no JSON

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture
def tables(row, auc_row, roc_row, scale_factors):
    return {
        "divergence": [
            row(tagger, kl, selection=selection, score=score, epoch=epoch)
            for selection in ("dy", "wc")
            for score in ("CvsB", "CvsL")
            for epoch in (1, 3)
            for tagger, kl in (("basic", 2.0), ("adversarial", 1.0))
        ],
        "auc_rows": [auc_row("basic", 3, "raw", "CvsL", 0.75), auc_row("basic", 3, "fgsm:0.1", "CvsL", 0.5)],
        "roc_rows": [roc_row("basic", 3, "raw", "CvsL", 0.5, 0.1)],
        "scale_factors": [scale_factors],
    }


@pytest.fixture
def source(results, tables, tmp_path):
    path = write_report(tmp_path / "report.html", results=results, **tables)
    assert [each.name for each in tmp_path.iterdir()] == ["report.html"]
    return path.read_text(encoding="utf-8")


@pytest.fixture
def page(source):
    return Page(source)


def test_numbers_in_the_page_are_those_given(page, results, tables):
    key = ("wc", "CvsL", "basic", "3")
    for view in ("OS", "SS"):
        expected = score_templates(
            results["wc"], "CvsL", tagger="basic", epoch=3, variant="fgsm:0.1", view=view
        )
        mc = page.numbers["mc"]["\x1f".join((*key, "fgsm:0.1", view))]
        np.testing.assert_allclose(mc["n"], expected.mc, rtol=1e-3)
        data = page.numbers["data"]["\x1f".join((*key, view))]
        np.testing.assert_allclose(data["n"], expected.data)
    assert [tuple(row[:8]) for row in page.numbers["divergence"]] == [row[:8] for row in tables["divergence"]]
    assert [row[4] for row in page.numbers["auc"]] == [0.75, 0.5]
    assert page.numbers["roc"][0]["efficiency"] == [0.5]
    assert page.numbers["planes"][0]["flavours"][0]["value"] == [0.9, 0.8, 0.7, 1.6, 0.95]


def test_nothing_is_fetched(page, source):
    addresses = [
        value
        for _, attributes in page.elements
        for name, value in attributes.items()
        if name in ("src", "href")
    ]
    assert all(address.startswith(("#", "data:")) for address in addresses)
    style = source[source.index("<style>") : source.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    policy = next(a["content"] for tag, a in page.elements if tag == "meta" and "http-equiv" in a)
    assert policy.startswith("default-src 'none'")


def test_only_the_pages_own_scripts_may_run(page):
    policy = next(a["content"] for tag, a in page.elements if tag == "meta" and "http-equiv" in a)
    scripts = [text for attributes, text in page.scripts if attributes.get("id") != "numbers"]
    assert len(scripts) == 2
    for script in scripts:
        assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in policy
    assert "unsafe-inline" not in policy.split("style-src")[0]


def test_strings_from_data_cannot_become_markup(result_of, row, tmp_path):
    evil = "</script><img src=x onerror=alert(1)>"
    result = result_of("dy")
    result.notes.append(evil)
    result.config[evil] = evil
    result.versions[evil] = evil
    rows = [row(evil, 1.0), row("basic", 2.0, selection=evil)]
    path = write_report(tmp_path / "r.html", results={"dy": result}, divergence=rows, title=evil)
    page = Page(path.read_text(encoding="utf-8"))
    assert "img" not in {tag for tag, _ in page.elements}
    assert len(page.scripts) == 3
    assert evil in page.text
    assert evil in [tagger["key"] for tagger in page.numbers["taggers"]]


def test_the_summary_follows_from_the_numbers(page):
    # KL 2 +- 0.1 against 1 +- 0.1: -7.1 sigma in each of 2 selections x 2 scores
    assert (
        "“adversarial” agrees better with data: “adversarial” is better in 4 and worse in 0 of 4" in page.text
    )
    sentence = "at epoch 3, KL beyond statistics alone is lower for “adversarial”"
    assert f"W + c (OS−SS), undistorted : {sentence}" in page.text
    assert "“basic” from 0.7500 to 0.5000 (−0.2500)" in page.text
    assert "2 trainings: basic (2 checkpoints), adversarial (2 checkpoints)." in page.text
    # dy and wc read the same: 1000 + 500 events
    assert "1,500 events read from 3 files." in page.text


def test_simulated_events_are_called_simulated(page):
    assert "Simulated events: no recorded data on this page" in page.text
    assert page.numbers["dataName"] == "Data (simulated)"
    assert "CMS" not in page.text
    assert "Preliminary" not in page.text


def test_recorded_data_are_called_recorded(result_of, tmp_path):
    real, simulated = result_of("dy", simulated=False), result_of("wc")
    page = Page(write_report(tmp_path / "r.html", results={"dy": real}).read_text(encoding="utf-8"))
    assert "Recorded data" in page.text
    assert page.numbers["dataName"] == "Data"
    assert "Simulated events" not in page.text
    both = write_report(tmp_path / "b.html", results={"dy": real, "wc": simulated})
    assert "Simulated events in part" in Page(both.read_text(encoding="utf-8")).text


def test_page_is_small(source):
    assert len(source.encode()) < 15_000_000


def test_page_can_be_read_by_a_machine_and_a_screen_reader(page):
    tags = [tag for tag, _ in page.elements]
    levels = [int(tag[1]) for tag in tags if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(lower - upper <= 1 for upper, lower in pairwise(levels))
    assert {"header", "nav", "main", "footer", "caption"} <= set(tags)
    assert len(page.ids) == len(set(page.ids))
    labels = {
        value for _, attributes in page.elements for value in attributes.get("aria-labelledby", "").split()
    }
    assert labels <= set(page.ids)
    regions = [
        attributes["aria-label"] for _, attributes in page.elements if attributes.get("role") == "region"
    ]
    assert len(regions) == len(set(regions))


def test_every_element_the_scripts_ask_for_is_there(page):
    scripts = [text for attributes, text in page.scripts if attributes.get("id") != "numbers"]
    asked = set(re.findall(r'element\("([a-z-]+)"\)', scripts[1]))
    assert asked
    assert asked <= set(page.ids)


def test_an_empty_production_gives_a_page(tmp_path):
    page = Page(write_report(tmp_path / "r.html", results={}).read_text(encoding="utf-8"))
    assert "No divergence of data from simulation was computed." in page.text
    assert page.numbers["mc"] == {}
