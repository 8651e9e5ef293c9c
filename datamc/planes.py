"""The plane (CvsL, CvsB) of the three selections: what the scale factors are fitted to."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from datamc.histograms import (
    DATA_VARIANT,
    GROUPS,
    NOMINAL,
    Content,
    Floats,
    RateShift,
    bin_edges,
    content_of,
    fold_overflow,
)
from datamc.normalisation import View, combine_signs, data_over_mc, normalisation, view_of
from datamc.records import Result

FIT_SELECTIONS: tuple[str, ...] = ("wc", "ttsemilep", "dy")
"""The selections of the fit; each calibrates the flavour at the same place in `FIT_FLAVOURS`."""

FIT_FLAVOURS: tuple[str, ...] = ("c", "b", "light")


class SameSign(NamedTuple):
    """The same-sign jets of W+c: what was subtracted, in data and scaled simulation."""

    data: Floats
    """Shape `(n_cvsb, n_cvsl)`, a count: its own variance."""
    mc: Floats
    """Shape `(n_flavours, n_cvsb, n_cvsl)`. So is the variance."""
    mc_variance: Floats
    default_data: Floats
    """Shape `()`."""
    default_mc: Floats
    """Shape `(n_flavours,)`. So is the variance."""
    default_mc_variance: Floats


class PlaneTemplates(NamedTuple):
    """Data and scaled simulation of the three selections in the plane, for one checkpoint and variant.

    Selections in the order of `FIT_SELECTIONS`, flavours in that of `FIT_FLAVOURS`; W+c is OS-SS. Jets with a
    default score are not in the plane but in the `default` numbers.
    """

    cvsl_edges: Floats
    cvsb_edges: Floats
    data: Floats
    """Shape `(n_selections, n_cvsb, n_cvsl)`. So are the variances."""
    data_variance: Floats
    mc: Floats
    """Shape `(n_selections, n_flavours, n_cvsb, n_cvsl)`. So are the variances."""
    mc_variance: Floats
    default_data: Floats
    """Shape `(n_selections,)`. So are the variances."""
    default_data_variance: Floats
    default_mc: Floats
    """Shape `(n_selections, n_flavours)`. So are the variances."""
    default_mc_variance: Floats
    factors: Floats
    """Data/MC per selection, from the number of probe jets, shape `(n_selections,)`; contained in `mc`."""
    tagger: str
    epoch: int
    variant: str
    same_sign: SameSign | None = None
    """Of W+c; the likelihood fit needs it."""


def plane_templates(
    results: Mapping[str, Result],
    *,
    tagger: str,
    epoch: int,
    variant: str = DATA_VARIANT,
    normalise: bool = True,
    systematic: str = NOMINAL,
    rate: RateShift | None = None,
) -> PlaneTemplates:
    """Return the templates of the scale-factor fit for one checkpoint and variant.

    Args:
        results: One result per selection, by name.
        tagger: The name of the training.
        epoch: The checkpoint of that training.
        variant: The perturbation of the simulation; data are the same for all.
        normalise: Multiply each simulation by the factor data/MC of its selection (default scores included);
            a varied simulation by its own.
        systematic: A variation of the simulation; data are always nominal, and so is a selection without it.
        rate: More or fewer jets of some of the simulation.

    Raises:
        ValueError: If one of the three selections, its plane or a cross section is missing.
    """
    missing = [selection for selection in FIT_SELECTIONS if selection not in results]
    if missing:
        needed = ", ".join(FIT_SELECTIONS)
        raise ValueError(f"no result of {', '.join(missing)}: the fit needs {needed} together")
    chosen = [results[selection] for selection in FIT_SELECTIONS]
    contents = [
        content_of(
            result,
            "plane",
            tagger=tagger,
            epoch=epoch,
            variant=variant,
            systematic=systematic if _holds(result, systematic) else NOMINAL,
            rate=rate,
        )
        for result in chosen
    ]
    is_varied = systematic != NOMINAL or rate is not None
    views = [view_of(result) for result in chosen]
    factors = np.array(
        [
            _factor_of(content, view_of(result)) if is_varied else normalisation(result).factor
            for content, result in zip(contents, chosen, strict=True)
        ]
    )
    scales = factors if normalise else np.ones_like(factors)
    data, data_variance, mc, mc_variance = _stacked_planes(contents, views, scales=scales)
    return PlaneTemplates(
        cvsl_edges=bin_edges(chosen[0], "plane", axis="cvsl"),
        cvsb_edges=bin_edges(chosen[0], "plane", axis="cvsb"),
        data=_inside(data),
        data_variance=_inside(data_variance),
        mc=_inside(mc),
        mc_variance=_inside(mc_variance),
        default_data=_default(data),
        default_data_variance=_default(data_variance),
        default_mc=_default(mc),
        default_mc_variance=_default(mc_variance),
        factors=factors,
        tagger=tagger,
        epoch=epoch,
        variant=variant,
        same_sign=_same_sign(contents[FIT_SELECTIONS.index("wc")], scales[FIT_SELECTIONS.index("wc")]),
    )


def _holds(result: Result, systematic: str) -> bool:
    return "plane" in result.histograms and systematic in list(result.histograms["plane"].axes["systematic"])


def _factor_of(content: Content, view: View) -> float:
    """Return data/MC from all jets of a plane, those without scores among them."""
    counts = Content(*(part.sum(axis=(-1, -2)) for part in content))
    return data_over_mc(counts, view).factor


def _stacked_planes(
    contents: Iterable[Content], views: Iterable[View], *, scales: Floats
) -> tuple[Floats, Floats, Floats, Floats]:
    """Return data and simulation with variances, selections first, bins `(cvsb, cvsl)` and underflow."""
    stacks: tuple[list[Floats], ...] = ([], [], [], [])
    for content, view, scale in zip(contents, views, scales, strict=True):
        data = combine_signs(content.data, content.data_variance, view, axis=0)
        mc = combine_signs(scale * content.mc[_ORDER], scale**2 * content.mc_variance[_ORDER], view, axis=1)
        for stack, plane in zip(stacks, (*data, *mc), strict=True):
            stack.append(_transposed_plane(plane))
    return np.stack(stacks[0]), np.stack(stacks[1]), np.stack(stacks[2]), np.stack(stacks[3])


_ORDER = [GROUPS.index(flavour) for flavour in FIT_FLAVOURS]


def _same_sign(content: Content, scale: float) -> SameSign:
    data, _ = combine_signs(content.data, content.data_variance, "SS", axis=0)
    mc, mc_variance = combine_signs(
        scale * content.mc[_ORDER], scale**2 * content.mc_variance[_ORDER], "SS", axis=1
    )
    planes = [_transposed_plane(part) for part in (data, mc, mc_variance)]
    return SameSign(*(_inside(plane) for plane in planes), *(_default(plane) for plane in planes))


def _transposed_plane(plane: Floats) -> Floats:
    """Return `(..., cvsb, cvsl)` from `(..., cvsl, cvsb)`, overflows folded in and cut off."""
    transposed = fold_overflow(fold_overflow(plane).swapaxes(-1, -2))
    return transposed[..., :-1, :-1]


def _inside(plane: Floats) -> Floats:
    return plane[..., 1:, 1:]


def _default(plane: Floats) -> Floats:
    """Return the jets whose CvsL or CvsB is a default, that is, in an underflow."""
    return np.asarray(plane[..., 0, :].sum(axis=-1) + plane[..., 1:, 0].sum(axis=-1))
