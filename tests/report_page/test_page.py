"""The report in a browser: what is drawn is what was computed, whatever is chosen."""

import csv
import io
import re

import numpy as np
import pytest

from datamc.stacks import process_templates, systematic_shifts
from datamc.templates import score_templates
from plotting.after_fit import agreement

DESKTOP = {"width": 1300, "height": 900}
PHONE = {"width": 390, "height": 844}


class Opened:
    """A page that notes what went wrong, and reads the charts."""

    def __init__(self, page, path):
        self.page, self.problems, self.requests = page, [], []
        page.on("console", lambda message: self.problems.append(message.text))
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_function("document.getElementById('stack-a').data !== undefined")

    def chart(self, name):
        return self.page.evaluate(
            "id => { const c = document.getElementById(id); return {data: c.data, layout: c.layout}; }", name
        )

    def choose(self, name, value):
        self.page.select_option(f"#{name}", value)

    def text(self, name):
        return self.page.inner_text(f"#{name}")

    def divergence(self, tagger):
        """The number in the text below the controls."""
        return float(re.search(rf"^{tagger}: KL = ([\d.]+)", self.text("readout"), re.M)[1])

    def stack(self, place="a", *, n_groups=3):
        """Data, groups and ratio as drawn."""
        traces = self.chart(f"stack-{place}")["data"]
        points = [trace for trace in traces if trace["type"] == "scatter"]
        return (
            np.array(points[0]["y"], float),
            np.array([trace["y"] for trace in traces[:n_groups]], float),
            np.array(points[1]["y"], float),
        )

    def band(self, name):
        """The ends of a band around the simulation, and around one in the ratio."""
        traces = self.chart("stack-a")["data"]
        (start,) = [i for i, trace in enumerate(traces) if trace.get("name") == name]
        of_ratio = [
            trace for trace in traces[start:] if trace["type"] == "bar" and trace.get("yaxis") == "y2"
        ]
        # The wider one is drawn first, so that it lies behind.
        found = traces[start], of_ratio[0 if name != "MC stat." else -1]
        return [(np.array(each["base"], float), np.add(each["base"], each["y"])) for each in found]


START = (
    "selection=dy&score=CvsL&training=basic&compare=adversarial"
    "&variant=raw&view=OS%2BSS&epoch=5&log=0&plane=value&auc=raw&by=flavour&fit=before"
)
GO = """start => new Promise((done) => {
  if (location.hash === `#${start}`) { done(); return; }
  addEventListener("hashchange", () => setTimeout(done), { once: true });
  location.hash = start;
})"""


@pytest.fixture(scope="module")
def page(browser, production):
    """Opening takes seconds, so the tests share a page."""
    context = browser.new_context(viewport=DESKTOP, color_scheme="light", accept_downloads=True)
    yield Opened(context.new_page(), production.path)
    context.close()


@pytest.fixture
def opened(page, production):
    """The page as it opens; whatever is done with it, there is no error and no request."""
    page.page.evaluate(GO, START)
    yield page
    assert page.problems == []
    fetched = {url.partition("#")[0] for url in page.requests if not url.startswith(("data:", "blob:"))}
    assert fetched == {production.path.as_uri()}


def assert_stack(
    opened,
    production,
    *,
    selection="dy",
    score="CvsL",
    tagger="basic",
    epoch=5,
    variant="raw",
    view=None,
    place="a",
):
    expected = score_templates(
        production.results[selection], score, tagger=tagger, epoch=epoch, variant=variant, view=view
    )
    assert_drawn(opened, expected, place=place)


def assert_drawn(opened, expected, *, place="a"):
    """Data, groups and ratio are those of the templates."""
    data, groups, ratio = opened.stack(place, n_groups=len(expected.mc))
    total = expected.mc.sum(axis=0)
    seen = (expected.data != 0) | (total != 0)
    np.testing.assert_allclose(data[seen], expected.data[seen])
    assert np.isnan(data[~seen]).all()
    np.testing.assert_allclose(groups, expected.mc, rtol=1e-3, atol=0.05)
    with np.errstate(divide="ignore", invalid="ignore"):
        wanted = np.where(total > 0, expected.data / total, np.nan)
    np.testing.assert_allclose(ratio, wanted, rtol=3e-3, equal_nan=True)


def kl_of(production, **place):
    (row,) = [
        row
        for row in production.divergence
        if all(getattr(row, key) == value for key, value in place.items())
    ]
    return row


def test_the_page_opens_without_error_and_fetches_nothing(opened, production):
    assert_stack(opened, production)
    assert_stack(opened, production, tagger="adversarial", place="b")
    assert opened.page.locator("h1").count() == 1
    assert "σ" in opened.page.inner_text(".answer")


def test_the_slider_moves_stack_ratio_and_divergence_together(opened, production):
    opened.page.focus("#epoch")
    for epoch in (2, 1):
        opened.page.keyboard.press("ArrowLeft")
        assert opened.text("epoch-value") == str(epoch)
        assert_stack(opened, production, epoch=epoch)
        assert_stack(opened, production, tagger="adversarial", epoch=epoch, place="b")
        for chart in ("kl", "auc", "history"):
            assert opened.chart(chart)["layout"]["shapes"][0]["x0"] == epoch
        marked = [trace for trace in opened.chart("trade-off")["data"] if trace.get("text")]
        assert [[text for text in trace["text"] if text] for trace in marked] == [[f"epoch {epoch}"]] * 2
        row = kl_of(production, selection="dy", score="CvsL", tagger="basic", epoch=epoch, variant="raw")
        assert opened.divergence("basic") == pytest.approx(row.kl, rel=0.01)
        assert f"basic, epoch {epoch}" in opened.text("plane-caption")


@pytest.mark.parametrize(
    ("name", "value", "place"),
    [
        ("selection", "wc", {"selection": "wc"}),
        ("score", "BvsL", {"score": "BvsL"}),
        ("training", "adversarial", {"tagger": "adversarial"}),
        ("variant", "fgsm:0.1", {"variant": "fgsm:0.1"}),
    ],
)
def test_every_selector_changes_what_is_shown(opened, production, name, value, place):
    opened.choose(name, value)
    assert_stack(opened, production, **place)
    wanted = {"selection": "dy", "score": "CvsL", "tagger": "basic", "epoch": 5, "variant": "raw"} | place
    kl = kl_of(production, **wanted).kl
    assert opened.divergence(wanted["tagger"]) == pytest.approx(kl, rel=0.01)
    assert f"{name}={value}".replace(":", "%3A") in opened.page.url


def test_the_other_training_is_compared_or_not(opened, production):
    opened.choose("compare", "")
    assert not opened.page.is_visible("#stack-b")
    opened.choose("training", "adversarial")
    opened.choose("compare", "basic")
    assert_stack(opened, production, tagger="basic", place="b")


@pytest.mark.parametrize("view", ["OS", "SS", "OS-SS"])
def test_signs_are_shown_apart_and_subtracted(opened, production, view):
    assert opened.page.is_disabled("#view")
    opened.choose("selection", "wc")
    opened.choose("view", view)
    assert_stack(opened, production, selection="wc", view=view)
    opened.choose("selection", "dy")
    assert opened.page.is_disabled("#view")
    assert_stack(opened, production)


def test_the_divergence_drawn_is_that_of_the_table(opened, production):
    opened.choose("selection", "wc")
    (line,) = [trace for trace in opened.chart("kl")["data"] if trace.get("name") == "adversarial, raw"]
    rows = [
        kl_of(production, selection="wc", score="CvsL", tagger="adversarial", epoch=epoch, variant="raw")
        for epoch in line["x"]
    ]
    assert line["x"] == [1, 2, 5]
    np.testing.assert_allclose(line["y"], [row.kl for row in rows], rtol=1e-4)


@pytest.mark.parametrize(("choice", "variant"), [("raw", "raw"), ("attack", "fgsm:0.1")])
def test_agreement_is_drawn_against_performance(opened, production, choice, variant):
    opened.page.check(f"input[name=auc-of][value={choice}]")
    basic, adversarial = [trace for trace in opened.chart("trade-off")["data"] if trace.get("text")]
    for trace, tagger in ((basic, "basic"), (adversarial, "adversarial")):
        areas = [
            row.auc
            for row in production.areas
            if (row.tagger, row.variant, row.score) == (tagger, variant, "CvsL")
        ]
        np.testing.assert_allclose(trace["x"], areas)
        rows = [
            kl_of(production, selection="dy", score="CvsL", tagger=tagger, epoch=epoch, variant="raw")
            for epoch in (1, 2, 5)
        ]
        np.testing.assert_allclose(trace["y"], [row.kl - row.offset for row in rows], atol=1e-5)


def test_the_reference_with_noise_stands_beside_undistorted_areas(opened):
    first = opened.chart("trade-off")["data"][0]
    assert first["name"] == "basic with noise on its output, epoch 5"
    # AUC 0.8 - 0.1 sigma, divergence 0.5 - 0.2 sigma less 0.1 of statistics
    np.testing.assert_allclose((first["x"], first["y"]), [[0.7, 0.8], [0.2, 0.4]])
    opened.page.check("input[name=auc-of][value=attack]")
    assert not any("noise" in trace["name"] for trace in opened.chart("trade-off")["data"])


@pytest.mark.parametrize("selection", ["dy", "wc"])
def test_stacks_are_by_process_where_wanted(opened, production, selection):
    opened.choose("selection", selection)
    opened.page.check("input[name=by][value=process]")
    expected = process_templates(production.results[selection], "CvsL", tagger="basic", epoch=5)
    assert expected.groups == ("top pairs", "W+jets")
    assert_drawn(opened, expected)
    names = [trace["name"] for trace in opened.chart("stack-a")["data"][:2]]
    assert names == list(expected.groups)
    opened.page.focus("#epoch")
    opened.page.keyboard.press("ArrowLeft")
    expected = process_templates(production.results[selection], "CvsL", tagger="basic", epoch=2)
    assert_drawn(opened, expected)


def after_scale_factors(production, templates, *, tagger, epoch, variant):
    """Two cells, left and right of 0.5, flavours in the order b, c, light; the first bin has no jets."""
    (fit,) = [
        each
        for each in production.scale_factors
        if (each.tagger, each.epoch, each.variant) == (tagger, epoch, variant)
    ]
    edges = templates.edges[10:]
    factors = np.where(edges[:-1] < 0.499, fit.value[0][:, np.newaxis], fit.value[1][:, np.newaxis])
    c, b, light = factors

    def binned(values):
        return np.concatenate([np.zeros((*values.shape[:-1], 1)), values[..., 10:]], axis=-1)

    scale = np.concatenate([np.ones((3, 1)), [b, c, light]], axis=1)
    return templates._replace(
        edges=np.append(-0.1, edges),
        data=binned(templates.data),
        data_variance=binned(templates.data_variance),
        mc=binned(templates.mc) * scale,
        mc_variance=binned(templates.mc_variance) * scale**2,
    )


@pytest.mark.parametrize(
    ("selection", "view"), [("dy", "OS+SS"), ("wc", "OS-SS"), ("wc", "OS"), ("wc", "SS")]
)
def test_stacks_after_the_scale_factors_follow_everything(opened, production, selection, view):
    opened.choose("selection", selection)
    if selection == "wc":
        opened.choose("view", view)
    opened.page.check("input[name=fit][value=after]")
    for epoch, variant in ((5, "raw"), (2, "fgsm:0.1")):
        if epoch == 2:
            opened.page.focus("#epoch")
            opened.page.keyboard.press("ArrowLeft")
            opened.choose("variant", variant)
        for tagger, place in (("basic", "a"), ("adversarial", "b")):
            point = {"tagger": tagger, "epoch": epoch, "variant": variant}
            before = score_templates(production.results[selection], "CvsL", view=view, **point)
            expected = after_scale_factors(production, before, **point)
            assert_drawn(opened, expected, place=place)
            title = opened.text(f"stack-{place}-title")
            found = agreement(expected)
            chi2, n_bins = re.search(r"after scale factors; χ²\s=\s([\d.]+) in\s(\d+)\sbins", title).groups()
            assert float(chi2) == pytest.approx(found.chi2, rel=0.01)
            assert int(n_bins) == found.n_bins
    # All factors of a cell have an error of 0.1 and no correlation.
    before = score_templates(production.results[selection], "CvsL", view=view, tagger="basic", **point_of(2))
    cells = [before.mc[:, 10:35], before.mc[:, 35:]]
    moved = np.concatenate([[0.0], *(0.1 * np.sqrt((part**2).sum(axis=0)) for part in cells)])
    expected = after_scale_factors(production, before, tagger="basic", **point_of(2))
    assert_bands(opened, expected, "MC stat. + scale factors", np.stack([moved, moved]))


def point_of(epoch):
    return {"epoch": epoch, "variant": "fgsm:0.1"}


def assert_bands(opened, templates, name, shifts):
    """Around the sum of simulation, statistics alone and with what else moves it."""
    total = templates.mc.sum(axis=0)
    error = np.sqrt(templates.mc_variance.sum(axis=0))
    for each, (down, up) in (("MC stat.", (error, error)), (name, np.hypot(shifts, error))):
        stack, ratio = opened.band(each)
        np.testing.assert_allclose(stack, [total - down, total + up], rtol=2e-3, atol=0.2)
        seen = total > 1
        wanted = [1 - down[seen] / total[seen], 1 + up[seen] / total[seen]]
        np.testing.assert_allclose([end[seen] for end in ratio], wanted, rtol=1e-2, atol=5e-3)


def test_systematic_variations_are_a_band_beside_statistics(opened, production):
    names = [trace.get("name") for trace in opened.chart("stack-a")["data"]]
    assert "MC stat." in names
    assert "MC stat. + syst." not in names  # dy holds none
    opened.choose("selection", "wc")
    for view in ("OS-SS", "OS"):
        opened.choose("view", view)
        point = {"tagger": "basic", "epoch": 5, "view": view}
        templates = score_templates(production.results["wc"], "CvsL", **point)
        shifts = systematic_shifts(production.results["wc"], "CvsL", **point)
        assert shifts.max() > 1
        assert_bands(opened, templates, "MC stat. + syst.", shifts)


def test_what_has_no_scale_factors_is_told(opened, production):
    opened.page.check("input[name=fit][value=after]")
    opened.choose("score", "BvsL")
    assert opened.page.is_disabled("input[name=fit][value=after]")
    assert "Scale factors are fitted in CvsL and CvsB" in opened.text("fit-note")
    assert_stack(opened, production, score="BvsL")
    opened.choose("score", "CvsL")
    assert opened.text("fit-note") == ""
    assert "after scale factors" in opened.text("stack-a-title")


def test_null_data_stand_beside_the_data(opened, production):
    def rows(table, tagger):
        place = ("dy", "CvsL", tagger, "raw")
        return [r for r in table if (r.selection, r.score, r.tagger, r.variant) == place]

    for tagger in ("basic", "adversarial"):
        null, data = rows(production.null, tagger), rows(production.divergence, tagger)
        line, dots = (
            next(trace for trace in opened.chart(name)["data"] if trace.get("name") == f"{tagger}, null data")
            for name in ("kl", "trade-off")
        )
        # The part that statistics add is that of the data.
        np.testing.assert_allclose(
            line["y"], [n.excess + d.offset for n, d in zip(null, data, strict=True)], rtol=1e-3
        )
        np.testing.assert_allclose(dots["y"], [row.excess for row in null], atol=1e-5)
        assert f"null data: KL = {null[-1].kl:.3g}" in opened.text("readout")
    assert "Statistics alone, DY + jets: null data" in opened.text("null-data")
    opened.choose("selection", "wc")
    assert not any("null" in trace.get("name", "") for trace in opened.chart("kl")["data"])


def test_log_scale_is_a_choice(opened):
    assert opened.chart("stack-a")["layout"]["yaxis"]["type"] == "linear"
    opened.page.check("#log")
    assert opened.chart("stack-a")["layout"]["yaxis"]["type"] == "log"


def test_planes_follow_training_epoch_and_inputs(opened, production):
    opened.choose("training", "adversarial")
    opened.choose("variant", "fgsm:0.1")
    opened.page.focus("#epoch")
    opened.page.keyboard.press("ArrowLeft")
    (fit,) = [
        each
        for each in production.scale_factors
        if (each.tagger, each.epoch, each.variant) == ("adversarial", 2, "fgsm:0.1")
    ]
    for i, _ in enumerate(fit.flavours):
        heat = opened.chart(f"plane-{i}")["data"][0]
        wanted = np.where(fit.status[:2, i] == "ok", fit.value[:2, i], np.nan)
        np.testing.assert_allclose(np.array(heat["z"], float), [wanted], rtol=1e-3, equal_nan=True)
        assert f"SF {fit.value[0, i]:.3g} ± 0.1" in heat["text"][0][0]
    opened.page.check("input[name=plane][value=error]")
    assert opened.chart("plane-0")["data"][0]["z"] == [[0.1, 0.1]]


def test_the_address_brings_back_what_was_shown(opened, production):
    opened.choose("selection", "wc")
    opened.choose("view", "SS")
    opened.page.reload()
    opened.page.wait_for_function("document.getElementById('stack-a').data !== undefined")
    assert_stack(opened, production, selection="wc", view="SS")


def test_figures_are_saved_with_what_they_are(opened):
    figure = opened.page.locator("figure", has=opened.page.locator("#stack-a"))
    with opened.page.expect_download() as download:
        figure.get_by_text("PNG", exact=True).click()
    assert download.value.path().read_bytes().startswith(b"\x89PNG")
    assert download.value.suggested_filename == "stack-a_dy_CvsL_basic_epoch5_raw.png"
    with opened.page.expect_download() as download:
        figure.get_by_text("SVG", exact=True).click()
    drawing = download.value.path().read_text()
    assert "Simulated events" in drawing
    assert "basic, epoch 5: DY + jets, raw" in drawing


def test_a_figure_is_printed_alone(opened):
    opened.page.evaluate("window.print = () => {}")
    figure = opened.page.locator("figure", has=opened.page.locator("#kl"))
    figure.get_by_text("PDF", exact=True).click()
    document = opened.page.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type /Page\b", document)) == 1
    opened.page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert opened.page.is_visible("h1")


def test_numbers_are_saved_as_csv(opened, production):
    with opened.page.expect_download() as download:
        opened.page.click("#save-stack")
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text())))
    expected = score_templates(production.results["dy"], "CvsL", tagger="basic", epoch=5)
    ours = [row for row in rows if row["training"] == "basic"]
    np.testing.assert_allclose([float(row["data"]) for row in ours], expected.data)
    np.testing.assert_allclose([float(row["c"]) for row in ours], expected.mc[1], rtol=1e-3)
    with opened.page.expect_download() as download:
        opened.page.click("#save-kl")
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text())))
    assert len(rows) == len(production.divergence)


def test_every_control_is_reached_by_keyboard(opened):
    reached = set()
    opened.page.reload()
    opened.page.wait_for_function("document.getElementById('stack-a').data !== undefined")
    opened.page.keyboard.press("Tab")
    assert opened.page.evaluate("document.activeElement.className") == "skip"
    for _ in range(40):
        opened.page.keyboard.press("Tab")
        reached.add(
            opened.page.evaluate(
                "document.activeElement.id || document.activeElement.getAttribute('aria-label')"
            )
        )
    assert {"selection", "score", "training", "compare", "variant", "epoch", "log", "play"} <= reached
    assert "Save this figure as PNG" in reached


@pytest.mark.parametrize("width", [320, 390, 768])
def test_a_small_screen_needs_no_scrolling_sideways(browser, production, width):
    page = browser.new_page(viewport={"width": width, "height": 800})
    opened = Opened(page, production.path)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert opened.problems == []
    page.close()
