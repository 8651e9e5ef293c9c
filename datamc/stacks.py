"""What a stack can show beside flavours: simulation by process, and what systematic variations do to it."""

from glob import escape
from typing import Any

import numpy as np

from datamc.histograms import NOMINAL, Content, Floats, RateShift, content_of, fold_overflow, scores_of
from datamc.normalisation import View, combine_signs, view_of
from datamc.records import Result
from datamc.systematics import source_of
from datamc.templates import Templates, score_templates


def process_templates(
    result: Result,
    name: str,
    *,
    tagger: str | None = None,
    epoch: int | None = None,
    variant: str = "raw",
    view: View | None = None,
) -> Templates:
    """Return data and scaled simulation as `score_templates` does, but by process instead of flavour.

    `groups` are the processes, the largest last.

    Raises:
        ValueError: If the histogram or a cross section is missing.
    """
    whole = score_templates(result, name, tagger=tagger, epoch=epoch, variant=variant, view=view)
    chosen = view or view_of(result)
    contents = process_contents(result, name, tagger=tagger, epoch=epoch, variant=variant)
    processes, parts = list(contents), []
    for content in contents.values():
        mc, variance = (part.sum(axis=0)[..., 1:-1] for part in (content.mc, content.mc_variance))
        parts.append(combine_signs(whole.factor * mc, whole.factor**2 * variance, chosen, axis=0))
    order = sorted(range(len(processes)), key=lambda i: float(parts[i][0].sum()))
    n_bins = len(whole.edges) - 1
    return whole._replace(
        mc=np.array([parts[i][0] for i in order]).reshape(-1, n_bins),
        mc_variance=np.array([parts[i][1] for i in order]).reshape(-1, n_bins),
        groups=tuple(processes[i] for i in order),
    )


def process_contents(
    result: Result, name: str, *, tagger: str | None = None, epoch: int | None = None, variant: str = "raw"
) -> dict[str, Content]:
    """Return what `content_of` does, with the simulation of one process each.

    The overflow of scores is folded in.

    Raises:
        ValueError: If the histogram or a cross section is missing.
    """
    point: dict[str, Any] = {"tagger": tagger, "epoch": epoch, "variant": variant}
    processes = list(dict.fromkeys(each.process for each in result.datasets.values() if not each.is_data))
    contents = {}
    for process in processes:
        others = tuple(escape(each) for each in processes if each != process)
        content = content_of(result, name, **point, rate=RateShift(others, 0.0))
        is_score = name in scores_of(result)
        contents[process] = Content(*(fold_overflow(part) for part in content)) if is_score else content
    return contents


def systematic_shifts(result: Result, name: str, **chosen: Any) -> Floats | None:
    """Return how far the systematic variations move the sum of simulation, down and up, shape `(2, n_bins)`.

    Per bin, the shifts of all variations in the result are added in quadrature, those down and those up
    apart. Each varied simulation is scaled to the jets of the nominal one first: the factor data/MC takes
    its rate away. Both rows are positive. None where the result holds no variation.

    Args:
        result: The result of one selection.
        name: A score or a control variable.
        **chosen: As for `score_templates`.

    Raises:
        ValueError: If a variation's name ends neither in Up nor in Down, or the histogram is missing.
    """
    variations = [each for each in result.histograms[name].axes["systematic"] if each != NOMINAL]
    if not variations:
        return None
    nominal = score_templates(result, name, **chosen).mc.sum(axis=0)
    squares = np.zeros((2, len(nominal)))
    for variation in variations:
        source_of(variation)
        varied = score_templates(result, name, systematic=variation, **chosen).mc.sum(axis=0)
        total = varied.sum()
        shift = varied * (nominal.sum() / total if total > 0 else 1.0) - nominal
        squares += [np.minimum(shift, 0.0) ** 2, np.maximum(shift, 0.0) ** 2]
    return np.sqrt(squares)
