"""Two productions, read back from where `advtag demo` or the single commands left them."""

from pathlib import Path
from typing import TYPE_CHECKING

from advtag import production
from advtag.progress import ProgressCallback

if TYPE_CHECKING:
    from datamc.shared_events import Place
    from plotting.comparison_page import Production


def read_production(
    folder: Path, *, name: str, coarse: bool, progress: ProgressCallback | None = None
) -> "Production":
    """Return a production and what is computed from it.

    Args:
        folder: With result files in it, or in its sub-folder `results`; areas are read from the folder
            `evaluation` in it or beside it, if there is one.
        name: What it is called on the page.
        coarse: As for `production.compare`.
        progress: Called with the steps done and their total.

    Raises:
        FileNotFoundError: If there is no result.
    """
    from plotting.comparison_page import Production

    results = folder / "results" if any((folder / "results").glob("*.zip")) else folder
    found = production.compare(production.read_results([results]), coarse=coarse, progress=progress)
    evaluations = [place / "evaluation" for place in (folder, results.parent)]
    evaluation = next((place for place in evaluations if (place / "auc.csv").exists()), None)
    areas = production.read_evaluation(evaluation).areas
    return Production(name, found.results, found.divergence, found.scale_factors, areas)


def paired_with(first: "Production", second: "Production") -> dict["Place", float]:
    """Return the errors of differences of all divergences that both productions have of the same events."""
    from datamc.shared_events import paired_errors
    from plotting.comparison_page import compared_divergences, place_of

    places = [place_of(each) for each in compared_divergences(first, second)]
    return paired_errors(first.results, second.results, places)


def names_of(first: Path, second: Path) -> tuple[str, str]:
    """Return the shortest ends of two paths that differ: what people call them."""
    ours, theirs = first.resolve().parts, second.resolve().parts
    for n in range(1, max(len(ours), len(theirs)) + 1):
        if ours[-n:] != theirs[-n:]:
            return "/".join(ours[-n:]), "/".join(theirs[-n:])
    raise ValueError(f"{first}: compared with itself: name two productions")
