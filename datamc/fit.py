"""One interface to the scale-factor fits: an engine by name, one checkpoint or a whole training history."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from datamc.cells import COARSE_BINNING, PUBLISHED_BINNING, Binning
from datamc.histograms import scenarios_of
from datamc.iterative import DEFAULT_ITERATION, IterativeOptions
from datamc.iterative_planes import iterate_planes
from datamc.planes import FIT_SELECTIONS, PlaneTemplates, plane_templates
from datamc.records import Result
from datamc.scale_factors import ScaleFactors
from datamc.scenarios import Scenario
from datamc.solve import DEFAULT_THRESHOLDS, Thresholds, solve_planes
from datamc.systematics import RATE_SOURCES, RateSource, shifted_planes
from datamc.unscored import no_result_sentences, without_result
from datamc.yields import normalise_yields
from storage.documents import read_yaml
from storage.wording import few

Engine = Literal["solve", "iterative", "likelihood"]

Shifted = Mapping[str, PlaneTemplates]

_AT_ONCE = 16
"""Checkpoints and variants whose templates, shifted ones too, are in memory together."""


class LikelihoodOptions(BaseModel):
    """What the likelihood holds besides data, templates and statistics."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    charge_symmetric: bool = True
    """A free background of the same size in opposite and same sign of W+c, in every cell."""
    nuisances: bool = True
    """Sources of systematic uncertainty as parameters that all cells share."""


class FitCard(BaseModel):
    """How scale factors are fitted; every constant of every engine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    engine: Engine = "solve"
    binning: Binning = PUBLISHED_BINNING
    thresholds: Thresholds = DEFAULT_THRESHOLDS
    iteration: IterativeOptions = DEFAULT_ITERATION
    likelihood: LikelihoodOptions = LikelihoodOptions()
    systematics: bool = True
    """Whether shifted templates are fitted, too."""
    rates: Annotated[tuple[RateSource, ...], Field(description="Uncertain rates")] = RATE_SOURCES
    normalise_yields: bool = False
    """Keep the number of jets of each flavour in its own selection."""


def read_fit_card(path: Path) -> FitCard:
    """Return the card of a fit.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not YAML, or a key is unknown or a value impossible.
    """
    content = read_yaml(path, kind="card", advice="start from configs/fit.yaml")
    try:
        return FitCard.model_validate({} if content is None else content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ValueError(f"{path}: {place}: {first['msg']}") from error


def card_for(card: FitCard | None, *, coarse: bool, engine: Engine | None = None) -> FitCard:
    """Return a card with the options of the command line in it."""
    changed: dict[str, object] = {"binning": COARSE_BINNING} if coarse else {}
    if engine is not None:
        changed["engine"] = engine
    return (card or FitCard()).model_copy(update=changed)


def fit(
    planes: Sequence[PlaneTemplates],
    *,
    engine: Engine | None = None,
    variations: Sequence[Shifted] = (),
    card: FitCard | None = None,
) -> list[ScaleFactors]:
    """Return the scale factors of checkpoints and variants, in the order of their templates.

    Args:
        planes: One per checkpoint and variant.
        engine: `solve`, `iterative` or `likelihood`; by default that of the card.
        variations: The shifted templates of each plane by name, the same names for all; or nothing.
        card: Every other option.
    """
    card = card or FitCard()
    found = _run(engine or card.engine, planes, variations, card)
    return [normalise_yields(each) for each in found] if card.normalise_yields else found


def require_engine(engine: Engine) -> None:
    """Raise unless what an engine needs is installed.

    Raises:
        ValueError: If the likelihood lacks Minuit, which no other engine needs.
    """
    if engine == "likelihood":
        try:
            import datamc.likelihood_planes  # noqa: F401
        except ModuleNotFoundError as error:
            raise ValueError(f"the likelihood needs {error.name}: pip install 'advtag[fit]'") from error


def _run(
    engine: Engine, planes: Sequence[PlaneTemplates], variations: Sequence[Shifted], card: FitCard
) -> list[ScaleFactors]:
    if engine == "iterative":
        return iterate_planes(planes, variations=variations, binning=card.binning, options=card.iteration)[0]
    if engine == "likelihood":
        require_engine(engine)
        from datamc.likelihood_planes import maximise_planes

        return maximise_planes(
            planes,
            variations=variations,
            binning=card.binning,
            thresholds=card.thresholds,
            charge_symmetric=card.likelihood.charge_symmetric,
            nuisances=card.likelihood.nuisances,
        )
    return solve_planes(planes, variations=variations, binning=card.binning, thresholds=card.thresholds)


def fit_points(
    results: Mapping[str, Result], *, only: Collection[tuple[str, int]] | None = None
) -> list[Scenario]:
    """Return every checkpoint and variant that all three selections hold, and have scores of.

    Args:
        results: One result per selection, by name.
        only: The checkpoints that are wanted; None for all.

    Raises:
        ValueError: If a selection is missing, there is no such checkpoint, or none has scores.
    """
    missing = [name for name in FIT_SELECTIONS if name not in results]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise ValueError(
            f"the fit needs dy, wc and ttsemilep, but {' and '.join(missing)} {verb} missing: process first"
        )
    chosen = [results[name] for name in FIT_SELECTIONS]
    # Once for each result: a look through all cells.
    filled = [scenarios_of(result) for result in chosen]
    common = [
        point
        for point in filled[0]
        if all(point in others for others in filled[1:]) and (only is None or point[:2] in only)
    ]
    if not common:
        raise ValueError(
            "no tagger has scores in all of dy, wc and ttsemilep: process them with the same --taggers, or "
            "more events"
        )
    without = {point for result in chosen for point in without_result(result)}
    points = [point for point in common if point not in without]
    if not points:
        raise ValueError(f"nothing to fit: {few(no_result_sentences(chosen), most=1)}")
    return points


def fit_history(
    results: Mapping[str, Result],
    *,
    card: FitCard | None = None,
    only: Collection[tuple[str, int]] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[ScaleFactors]:
    """Return the scale factors of every checkpoint and variant that all three selections hold.

    Args:
        results: One result per selection, by name.
        card: How to fit.
        only: The checkpoints (tagger, epoch) to fit; None for all.
        progress: Called with the checkpoints and variants done and their total.

    Raises:
        ValueError: If a selection is missing, or there is no such checkpoint.
    """
    card = card or FitCard()
    points = fit_points(results, only=only)
    at_once = 1 if card.engine == "likelihood" else _AT_ONCE
    found: list[ScaleFactors] = []
    for start in range(0, len(points), at_once):
        chosen = points[start : start + at_once]
        planes = [
            plane_templates(results, tagger=tagger, epoch=epoch, variant=variant)
            for tagger, epoch, variant in chosen
        ]
        variations = [
            shifted_planes(results, tagger=tagger, epoch=epoch, variant=variant, rates=card.rates)
            for tagger, epoch, variant in chosen
            if card.systematics
        ]
        has_any = any(variations)
        found += fit(planes, variations=variations if has_any else (), card=card)
        if progress:
            progress(len(found), len(points))
    return found
