"""Histograms to templates: data and simulation by flavour, on one scale, ready to be compared or fitted."""

from typing import NamedTuple

from datamc.histograms import (
    DATA_VARIANT,
    GROUPS,
    NOMINAL,
    Content,
    Floats,
    bin_edges,
    content_of,
    control_variables_of,
    fold_overflow,
    scores_of,
    taggers_of,
    variants_of,
)
from datamc.normalisation import (
    Normalisation,
    PurityRow,
    View,
    combine_signs,
    default_view,
    normalisation,
    purity_table,
    view_of,
)
from datamc.planes import PlaneTemplates, plane_templates
from datamc.records import Result

__all__ = [
    "DATA_VARIANT",
    "GROUPS",
    "Normalisation",
    "PlaneTemplates",
    "PurityRow",
    "SignedTemplates",
    "Templates",
    "View",
    "combine_signs",
    "control_variables_of",
    "default_view",
    "normalisation",
    "plane_templates",
    "purity_table",
    "score_templates",
    "scores_of",
    "signed_templates",
    "taggers_of",
    "variants_of",
]


class SignedTemplates(NamedTuple):
    """Data and scaled simulation of one histogram, OS and SS apart on the axis before the bins."""

    edges: Floats
    """Bin edges, shape `(n_bins + 1,)`."""
    data: Floats
    """Jets, shape `(2, n_bins)`: OS, SS. So are the variances."""
    data_variance: Floats
    mc: Floats
    """Scaled simulation per group, shape `(n_groups, 2, n_bins)`. So are the variances."""
    mc_variance: Floats


class Templates(NamedTuple):
    """Data and scaled simulation of one histogram in one view of the signs; OS-SS may be negative."""

    edges: Floats
    """Bin edges, shape `(n_bins + 1,)`."""
    data: Floats
    """Jets, shape `(n_bins,)`. So are the variances."""
    data_variance: Floats
    mc: Floats
    """Scaled simulation per group, shape `(n_groups, n_bins)`. So are the variances."""
    mc_variance: Floats
    groups: tuple[str, ...]
    factor: float
    """Data/MC of the selection, from the number of probe jets; part of `mc` where that was asked for."""


def signed_templates(
    result: Result,
    name: str,
    *,
    tagger: str | None = None,
    epoch: int | None = None,
    variant: str = DATA_VARIANT,
    systematic: str = NOMINAL,
) -> SignedTemplates:
    """Return the templates of one histogram with the signs apart, scaled to the luminosity, not to data.

    A score beyond the range counts in the last bin, since it can only be 1; a control variable beyond its
    range is left out.

    Raises:
        ValueError: If the histogram or a cross section is missing, or simulated jets have no known flavour.
    """
    content = content_of(result, name, tagger=tagger, epoch=epoch, variant=variant, systematic=systematic)
    if "tagger" in result.histograms[name].axes.name:  # a score
        content = Content(*(fold_overflow(part) for part in content))
    return SignedTemplates(bin_edges(result, name), *(part[..., 1:-1] for part in content))


def score_templates(
    result: Result,
    score: str,
    *,
    tagger: str | None = None,
    epoch: int | None = None,
    variant: str = DATA_VARIANT,
    normalise: bool = True,
    view: View | None = None,
    systematic: str = NOMINAL,
) -> Templates:
    """Return data and scaled simulation of one score for one checkpoint and variant.

    Args:
        result: The result of one selection.
        score: A score, or a control variable (which needs no tagger and epoch).
        tagger: The name of the training.
        epoch: The checkpoint of that training.
        variant: The perturbation of the simulation; data are the same for all.
        normalise: Multiply the simulation by the one factor data/MC of the selection.
        view: How opposite and same sign are combined; the default is that of the result: OS-SS for W+c.
        systematic: A variation of the simulation; data are always nominal.

    Raises:
        ValueError: If the histogram or a cross section is missing, or simulated jets have no known flavour.
    """
    signed = signed_templates(
        result, score, tagger=tagger, epoch=epoch, variant=variant, systematic=systematic
    )
    factor = normalisation(result).factor
    scale = factor if normalise else 1.0
    view = view or view_of(result)
    data = combine_signs(signed.data, signed.data_variance, view, axis=0)
    mc = combine_signs(scale * signed.mc, scale**2 * signed.mc_variance, view, axis=1)
    return Templates(signed.edges, *data, *mc, GROUPS, factor)
