"""Whose scores, from which inputs, and how many of the outputs behind them are no finite numbers."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

from storage.wording import few


class Scenario(NamedTuple):
    """Whose scores are filled, and from which inputs."""

    tagger: str
    epoch: int
    variant: str

    @property
    def label(self) -> str:
        """What it is called in files, e.g. ``basic@20/fgsm:0.1``; no name of a tagger holds @ or /."""
        return f"{self.tagger}@{self.epoch}/{self.variant}"

    @classmethod
    def of_label(cls, label: str) -> "Scenario":
        """Return what a label stands for."""
        tagger, _, rest = label.partition("@")
        epoch, _, variant = rest.partition("/")
        return cls(tagger, int(epoch), variant)


class NotFinite(NamedTuple):
    """Jets for which a tagger gave NaN or infinity, and all jets that it scored."""

    n_jets: int
    n_scored: int

    @property
    def share(self) -> float:
        """The share of the jets without a finite output."""
        return self.n_jets / self.n_scored if self.n_scored else 0.0


class Counted(Protocol):
    """What a dataset says of the outputs of taggers (`datamc.records.DatasetRecord`)."""

    @property
    def is_data(self) -> bool:
        """Whether it is filled raw alone."""

    @property
    def n_scored(self) -> int:
        """Jets that were scored."""

    @property
    def not_finite(self) -> Mapping[str, int]:
        """Those of them without a finite output, by label of the scenario."""


def not_finite_of(datasets: Iterable[Counted]) -> dict[Scenario, NotFinite]:
    """Return the counts of every scenario with outputs that are no finite numbers, over all datasets."""
    counted = list(datasets)
    found: dict[Scenario, NotFinite] = {}
    for label in dict.fromkeys(label for record in counted for label in record.not_finite):
        scenario = Scenario.of_label(label)
        # Only simulation is distorted.
        filled = [record for record in counted if scenario.variant == "raw" or not record.is_data]
        n_jets = sum(record.not_finite.get(label, 0) for record in filled)
        found[scenario] = NotFinite(n_jets, sum(record.n_scored for record in filled))
    return found


def not_finite_notes(counts: Mapping[Scenario, NotFinite]) -> list[str]:
    """Return one sentence for each tagger with such outputs."""
    notes = []
    for tagger in dict.fromkeys(scenario.tagger for scenario in counts):
        own = [(scenario, count) for scenario, count in counts.items() if scenario.tagger == tagger]
        named = [f"{scenario.label} {count.n_jets} of {count.n_scored}" for scenario, count in own]
        notes.append(f"{tagger}: outputs that are not finite for jets ({few(named, joint=', ')})")
    return notes
