"""Scale factors of a fit as weights of simulated jets, where the checkpoint is filled that they belong to."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamc.results import Scenario
from processors.lookup import Lookup, read_lookup

CORRECTION = "flavour_tagging_shape"
"""The name of the correction in the files of `advtag fit`."""

_BELONGS_TO = re.compile(
    r"tagger: (?P<tagger>.+?), epoch (?P<epoch>\d+); inputs of the simulation: (?P<variant>[^;]+);"
)
_INPUTS = ("CvsL", "CvsB", "flavour", "systematic")
_HADRON_FLAVOUR = {0: 0, 1: 0, 4: 4, 5: 5, 6: 5}
"""By the flavour of the histograms: pileup counts as light, bb as b."""

Scores = Mapping[str, NDArray[np.float64]]
Scored = tuple[slice, Scenario, Scores]


@dataclass(frozen=True)
class ScaleFactorWeights:
    """The scale factors of one checkpoint and variant; travels to any worker.

    Attributes:
        lookup: The correction.
        scenario: What the factors were measured for: only there they are a weight.
        systematic: Which of the file's: `central`, `total_up`, ...
    """

    lookup: Lookup
    scenario: Scenario
    systematic: str = "central"

    def of_jets(self, scores: Scores, flavour: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the factor of each jet, shape ``(n_jets,)``; jets of unknown flavour get 1.

        Raises:
            ValueError: If one is no finite number.
        """
        is_known = np.isin(flavour, list(_HADRON_FLAVOUR))
        hadron = np.array([_HADRON_FLAVOUR.get(int(each), 0) for each in flavour], dtype=np.int64)
        inputs: dict[str, Any] = {
            "CvsL": scores["CvsL"],
            "CvsB": scores["CvsB"],
            "flavour": hadron,
            "systematic": self.systematic,
        }
        factors = np.where(is_known, self.lookup.evaluate(inputs, len(flavour)), 1.0)
        if n_broken := int(np.count_nonzero(~np.isfinite(factors))):
            raise ValueError(
                f"{self.lookup.file}: {n_broken} of {len(factors)} jets get a scale factor "
                f"({self.systematic}) that is no finite number: fit again"
            )
        return factors

    def weights(
        self,
        scored: Iterable[Scored],
        *,
        flavour: NDArray[np.int64],
        event: NDArray[np.int64] | None = None,
    ) -> Iterator[tuple[slice, Scenario, Scores, NDArray[np.float64]]]:
        """Yield what was scored with the weight of each jet.

        Args:
            scored: Jets, what they are scored for, and their scores, some jets at a time.
            flavour: Of all jets, shape ``(n_jets,)``.
            event: The event of each jet: its weight is then the product over the jets of its event. Without
                it, each jet (the probe) has its own factor.
        """
        if event is not None:
            yield from self._of_events(list(scored), flavour, event)
            return
        for part, scenario, scores in scored:
            is_own = scenario == self.scenario
            size = len(flavour[part])
            yield part, scenario, scores, self.of_jets(scores, flavour[part]) if is_own else np.ones(size)

    def _of_events(
        self, scored: list[Scored], flavour: NDArray[np.int64], event: NDArray[np.int64]
    ) -> Iterator[tuple[slice, Scenario, Scores, NDArray[np.float64]]]:
        _, number = np.unique(event, return_inverse=True)
        product = np.ones(number.max(initial=-1) + 1)
        for part, scenario, scores in scored:
            if scenario == self.scenario:
                np.multiply.at(product, number[part], self.of_jets(scores, flavour[part]))
        for part, scenario, scores in scored:
            is_own = scenario == self.scenario
            yield part, scenario, scores, product[number[part]] if is_own else np.ones(len(flavour[part]))


def read_scale_factor_weights(path: Path, *, systematic: str = "central") -> ScaleFactorWeights:
    """Return the scale factors of a file of `advtag fit`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds no scale factors, does not tell whose they are, or lacks the systematic.
    """
    lookup = read_lookup(path, CORRECTION)
    found = _BELONGS_TO.search(lookup.text)
    if found is None:
        raise ValueError(f"{path}: does not tell the tagger it belongs to: write it with `advtag fit`")
    scenario = Scenario(found["tagger"], int(found["epoch"]), found["variant"])
    if set(lookup.inputs) != set(_INPUTS):
        raise ValueError(
            f"{path}: takes the inputs {', '.join(lookup.inputs)}, not {', '.join(_INPUTS)}: "
            "write it with `advtag fit`"
        )
    if lookup.missing_key({"systematic": systematic}) is not None:
        raise ValueError(f"{path}: no systematic {systematic!r} in it: choose e.g. central or total_up")
    return ScaleFactorWeights(lookup, scenario, systematic)
