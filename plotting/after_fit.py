"""Data and simulation before and after the scale factors, side by side."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from datamc.after_fit import Axis, plane_view
from datamc.corrections import file_stem
from datamc.planes import FIT_SELECTIONS, plane_templates
from datamc.records import Result
from datamc.scale_factors import ScaleFactors
from datamc.templates import Templates
from plotting.stacks import draw_stack
from plotting.style import EventLabel, event_label, save_figure, selection_label, variant_label

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


def draw_after_fit(templates: Templates, *, title: str, xlabel: str, label: EventLabel) -> Figure:
    """Return the stack of one discriminator from the plane, with its chi2; jets without score lie below 0."""
    found = agreement(templates)
    text = f"{title}\nχ² = {found.chi2:.1f} in {found.n_bins} bins"
    return draw_stack(templates, xlabel=xlabel, title=text, label=label)


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
    total, written = len(chosen) * len(FIT_SELECTIONS) * len(AXES) * 2, []
    done = 0
    for each in chosen:
        plane = plane_templates(results, tagger=each.tagger, epoch=each.epoch, variant=each.variant)
        for selection in FIT_SELECTIONS:
            label = event_label([results[selection]])
            for axis in AXES:
                for when, factors in (("before", None), ("after", each)):
                    title = (
                        f"{selection_label(selection)}, {when} the fit\n"
                        f"{each.tagger}, epoch {each.epoch}, {variant_label(each.variant)}"
                    )
                    figure = draw_after_fit(
                        plane_view(plane, selection, axis, scale_factors=factors),
                        title=title,
                        xlabel=axis,
                        label=label,
                    )
                    stem = file_stem(each.tagger, each.epoch, each.variant)
                    name = f"fit_{when}_{selection}_{axis}_{stem}"
                    written += save_figure(figure, output / name, formats=formats)
                    done += 1
                    if progress:
                        progress(done, total)
    return written
