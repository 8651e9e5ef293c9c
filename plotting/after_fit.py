"""Data and simulation before and after the scale factors, side by side."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from datamc.after_fit import STACK_ORDER, Axis, efficiencies, plane_view
from datamc.corrections import file_stem
from datamc.histograms import Floats
from datamc.planes import FIT_SELECTIONS, plane_templates
from datamc.records import Result
from datamc.scale_factors import ScaleFactors
from datamc.templates import Templates
from plotting.stacks import draw_stack
from plotting.style import (
    FLAVOUR_COLOURS,
    FLAVOUR_LABELS,
    EventLabel,
    checkpoint_label,
    draw_label,
    draw_legend,
    event_label,
    figure_style,
    save_figure,
    selection_label,
)

AXES: tuple[Axis, ...] = ("CvsL", "CvsB")


class Agreement(NamedTuple):
    """The chi2 of data and simulation of one stack, statistics of both, and the number of bins in it."""

    chi2: float
    n_bins: int


def agreement(templates: Templates) -> Agreement:
    """Return how well a stack agrees with its data, over the bins that have an error."""
    difference = templates.data - np.sum(templates.mc, axis=0)
    variance = templates.data_variance + np.sum(templates.mc_variance, axis=0)
    used = variance > 0
    return Agreement(float((difference[used] ** 2 / variance[used]).sum()), int(used.sum()))


def draw_after_fit(
    templates: Templates, *, title: str, xlabel: str, label: EventLabel, same_events: bool = False
) -> Figure:
    """Return the stack of one discriminator from the plane; jets without score lie below 0.

    Its chi2 is for independent samples: where data are the events of the simulation, it is left out.
    """
    if not same_events:
        found = agreement(templates)
        title += f"\nχ² = {found.chi2:.1f} in {found.n_bins} bins"
    return draw_stack(templates, xlabel=xlabel, title=title, label=label)


def draw_efficiencies(
    edges: Floats, before: Floats, after: Floats, *, xlabel: str, title: str, label: EventLabel
) -> Figure:
    """Return a figure of the share of jets above a cut, per flavour: dashed as simulated, solid as in data.

    Args:
        edges: The cuts, shape ``(n_cuts,)``.
        before: Shares without scale factors, shape ``(n_flavours, n_cuts)``, flavours as in `STACK_ORDER`.
        after: With them.
        xlabel: The discriminator.
        title: What is drawn.
        label: What stands above the axes.
    """
    with figure_style():
        figure = Figure(figsize=(8, 6.5), layout="constrained")
        axes = figure.subplots()
        for i, flavour in enumerate(STACK_ORDER):
            look: dict[str, Any] = {"color": FLAVOUR_COLOURS[flavour], "linewidth": 1.8}
            axes.plot(edges, before[i], linestyle="--", **look)
            axes.plot(edges, after[i], label=FLAVOUR_LABELS[flavour], **look)
        axes.set_xlim(edges[0], edges[-1])
        axes.set_ylim(0, 1.45)
        axes.set_xlabel(f"Cut on {xlabel}")
        axes.set_ylabel("Share of jets above the cut")
        draw_label(axes, label, title=f"{title}\nsolid: with scale factors, dashed: without")
        draw_legend(axes, loc="upper right")
    return figure


def plot_after_fit(
    results: Mapping[str, Result],
    scale_factors: Sequence[ScaleFactors],
    output: Path,
    *,
    formats: Sequence[str] = ("png", "pdf"),
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Write the stacks of CvsL and CvsB before and after the fit, each training at its last epoch.

    Args:
        results: One result per selection.
        scale_factors: Of any checkpoints and variants.
        output: The folder to write to.
        formats: Endings that matplotlib knows.
        progress: Called with (done, total) figures.
    """
    last = {each.tagger: each.epoch for each in sorted(scale_factors, key=lambda each: each.epoch)}
    chosen = [each for each in scale_factors if each.epoch == last[each.tagger]]
    total, written = len(chosen) * len(AXES) * (2 * len(FIT_SELECTIONS) + 1), []
    done = 0
    for each in chosen:
        plane = plane_templates(results, tagger=each.tagger, epoch=each.epoch, variant=each.variant)
        for axis in AXES:
            shares = [efficiencies(plane, axis, scale_factors=factors) for factors in (None, each)]
            figure = draw_efficiencies(
                plane.cvsl_edges if axis == "CvsL" else plane.cvsb_edges,
                *shares,
                xlabel=axis,
                title=checkpoint_label(each.tagger, each.epoch, each.variant),
                label=event_label(list(results.values())),
            )
            stem = file_stem(each.tagger, each.epoch, each.variant)
            written += save_figure(figure, output / f"efficiency_{axis}_{stem}", formats=formats)
            done += 1
        for selection in FIT_SELECTIONS:
            label = event_label([results[selection]])
            for axis in AXES:
                for when, factors in (("before", None), ("after", each)):
                    title = (
                        f"{selection_label(selection)}, {when} the fit\n"
                        f"{checkpoint_label(each.tagger, each.epoch, each.variant)}"
                    )
                    figure = draw_after_fit(
                        plane_view(plane, selection, axis, scale_factors=factors),
                        title=title,
                        xlabel=axis,
                        label=label,
                        same_events=results[selection].same_events,
                    )
                    stem = file_stem(each.tagger, each.epoch, each.variant)
                    name = f"fit_{when}_{selection}_{axis}_{stem}"
                    written += save_figure(figure, output / name, formats=formats)
                    done += 1
                    if progress:
                        progress(done, total)
    return written
