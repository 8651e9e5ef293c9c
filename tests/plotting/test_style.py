import base64
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from plotting.stacks import draw_stack
from plotting.style import (
    EventLabel,
    embedded_png,
    event_label,
    in_order,
    largest_fgsm,
    luminosity_text,
    save_figure,
    variant_label,
)

HOSTILE = ("$\\frac{", "$x$ costs $5", "\x1b]0;owned\x07", "a$b", "$", "</svg><script>", "µ\u202eb")


def test_any_name_can_be_drawn(templates, tmp_path):
    """Names of processes and taggers come from files: they need not be mathematics that matplotlib knows."""
    for number, name in enumerate(HOSTILE):
        groups = tuple(f"{group} {name}" for group in templates.groups)
        figure = draw_stack(templates._replace(groups=groups), title=f"{name}\nepoch 3", xlabel=name)
        (written,) = save_figure(figure, tmp_path / str(number), formats=["png"])
        assert written.stat().st_size > 10_000
        assert base64.b64decode(embedded_png(figure, dpi=20)).startswith(b"\x89PNG")
        drawn = [text.get_text() for text in figure.findobj(Text)]
        assert all(line.isprintable() for text in drawn for line in text.split("\n"))


def test_mathematics_of_labels_is_drawn_as_such(templates):
    figure = draw_stack(templates, title=r"$\mathrm{t\bar{t}}$ semileptonic")
    embedded_png(figure, dpi=20)
    (title,) = (text for text in figure.findobj(Text) if "bar" in text.get_text())
    assert title.get_parse_math()


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_simulated_events_never_bear_an_experiments_name(templates):
    label = EventLabel(simulated=True, experiment="CMS", status="Preliminary")
    words = " ".join(texts(draw_stack(templates, label=label)))
    assert "Simulated events" in words
    assert "CMS" not in words
    assert "Preliminary" not in words


def test_recorded_data_bear_the_label_they_are_given(templates):
    label = EventLabel(
        simulated=False, experiment="CMS", status="Private work", right="41.5 fb$^{-1}$ (13 TeV)"
    )
    words = " ".join(texts(draw_stack(templates, label=label)))
    assert "CMS" in words
    assert "Private work" in words
    assert "41.5" in words
    assert "Simulated" not in words


def test_label_is_read_from_the_results(result_of):
    assert event_label([result_of("dy")], experiment="CMS").left == ("", "Simulated events")
    real = event_label([result_of("dy", simulated=False)], experiment="CMS", status="Private work")
    assert real.left == ("CMS", "Private work")
    assert real.right == "1.5 fb$^{-1}$ (13 TeV)"
    mixed = [result_of("dy", simulated=False), result_of("wc")]
    assert event_label(mixed, experiment="CMS").simulated


def test_luminosity_has_the_fitting_unit():
    assert luminosity_text(41540.0) == "41.5 fb$^{-1}$"
    assert luminosity_text(12.0) == "12 pb$^{-1}$"


def test_variants_are_written_as_people_do():
    assert [variant_label(name) for name in ("raw", "noise:0.01", "fgsm:0.1")] == [
        "raw",
        "noise σ = 0.01",
        "FGSM ε = 0.1",
    ]
    assert variant_label("other:1") == "other:1"


def test_largest_fgsm_is_found_by_its_size():
    assert largest_fgsm(["raw", "fgsm:0.05", "noise:3", "fgsm:0.1", "fgsm:0.01"]) == "fgsm:0.1"
    assert largest_fgsm(["raw"]) is None


def test_the_reference_training_comes_first():
    assert in_order(["adversarial", "basic", "adversarial", "pgd"]) == ["basic", "adversarial", "pgd"]


def test_a_figure_is_written_whole_or_not_at_all(tmp_path):
    figure = Figure()
    figure.subplots().plot(np.arange(3))
    written = save_figure(figure, tmp_path / "stack_1.5")
    assert written == [tmp_path / "stack_1.5.png", tmp_path / "stack_1.5.pdf"]
    assert written[0].read_bytes().startswith(b"\x89PNG")
    assert written[1].read_bytes().startswith(b"%PDF")
    with pytest.raises(ValueError, match="not supported"):
        save_figure(figure, tmp_path / "other", formats=("nonsense",))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["stack_1.5.pdf", "stack_1.5.png"]


def test_a_luminosity_is_told_only_where_all_results_share_it(result_of):
    dy, wc = result_of("dy", simulated=False), result_of("wc", simulated=False)
    assert event_label([dy, wc]).right == "1.5 fb$^{-1}$ (13 TeV)"
    wc.datasets = {
        name: replace(record, luminosity_pb=700.0 if record.is_data else None)
        for name, record in wc.datasets.items()
    }
    assert event_label([wc]).right == "700 pb$^{-1}$ (13 TeV)"
    assert event_label([dy, wc]).right == "13 TeV"
