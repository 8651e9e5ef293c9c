"""The processor: select, weigh, gather features, perturb, infer, fill."""

from collections.abc import Mapping, Sequence
from typing import Any

import awkward as ak
from coffea.processor import ProcessorABC

from models.discriminators import SCORES
from models.features import default_mask
from models.perturbations import Variant
from models.tagger import Tagger
from processors import histograms, weights
from processors.filesets import DatasetMetadata
from processors.histograms import Histogram, Jets, Scenario
from processors.inference import gather_features, jet_keys, score_jets
from processors.luminosity import GoldenJson, certified
from processors.truth import flavour_of, labels_of
from selections.catalogue import SELECT
from selections.parameters import Selection
from selections.selected import Selected

Output = dict[str, Any]


class TaggerProcessor(ProcessorABC):
    """Fills the histograms of one selection with the scores of any number of taggers and variants.

    It holds plain values and taggers (bytes), nothing open, and travels to any worker.

    Args:
        parameters: The row of the selection.
        datasets: What each dataset is.
        taggers: The taggers; without any the cutflow and the control variables alone are filled.
        variants: How the inputs are distorted in simulation; data are filled as they are.
        seed: The seed of the noise.
        golden: Certified luminosity sections, for data; None takes all.
    """

    def __init__(
        self,
        *,
        parameters: Selection,
        datasets: Mapping[str, DatasetMetadata],
        taggers: Sequence[Tagger] = (),
        variants: Sequence[Variant] = (Variant("raw"),),
        seed: int = 0,
        golden: GoldenJson | None = None,
    ) -> None:
        self.parameters = parameters
        self.datasets = dict(datasets)
        self.taggers = tuple(taggers)
        self.variants = tuple(variants)
        self.seed = seed
        self.golden = golden

    def process(self, events: ak.Array) -> Output:
        """Return histograms, cutflow and sums of weights of a chunk of events."""
        dataset, path = events.metadata["dataset"], events.metadata["filename"]
        is_data = self.datasets[dataset].is_data
        good_luminosity = certified(events, self.golden) if is_data else None
        selected = SELECT[self.parameters.name](events, self.parameters, good_luminosity=good_luminosity)
        event_weight = weights.event_weights(events, is_data=is_data).weight()
        flavour = flavour_of(events, selected, is_data=is_data)
        jets = Jets(dataset, flavour, selected.sign, event_weight[selected.event])
        filled = _fill_control(jets, selected)
        if self.taggers:
            filled |= self._fill_scores(events, selected, jets, is_data=is_data)
        return {
            "histograms": filled,
            "cutflow": {dataset: weights.cutflow(selected, event_weight)},
            "processed": {(dataset, path): len(events)},
        }

    def postprocess(self, accumulator: Output) -> Output:
        """Return the sum of all chunks unchanged: nothing is normalised here."""
        return accumulator

    def _fill_scores(
        self, events: ak.Array, selected: Selected, jets: Jets, *, is_data: bool
    ) -> dict[str, Histogram]:
        raw = gather_features(events, selected)
        variants = (Variant("raw"),) if is_data else self.variants
        filled = self._empty_histograms(jets.dataset, variants)
        histograms.fill_defaults(filled["defaults"], default_mask(raw))
        scored = score_jets(
            self.taggers,
            variants,
            raw=raw,
            keys=jet_keys(events, selected),
            labels=labels_of(jets.flavour),
            seed=self.seed,
        )
        for part, tagger, variant, scores in scored:
            some = jets.part(part)
            scenario = Scenario(tagger.name, tagger.epoch, variant.name)
            for name, values in scores.items():
                histograms.fill_score(filled[name], some, values, scenario)
            histograms.fill_plane(filled["plane"], some, scores["CvsL"], scores["CvsB"], scenario)
        return filled

    def _empty_histograms(self, dataset: str, variants: Sequence[Variant]) -> dict[str, Histogram]:
        categories: dict[str, Any] = {
            "taggers": [tagger.name for tagger in self.taggers],
            "epochs": [tagger.epoch for tagger in self.taggers],
            "variants": [variant.name for variant in variants],
        }
        empty = {name: histograms.score_histogram(dataset, **categories) for name in SCORES}
        empty["plane"] = histograms.plane_histogram(dataset, **categories)
        empty["defaults"] = histograms.default_counts(dataset)
        return empty


def _fill_control(jets: Jets, selected: Selected) -> dict[str, Histogram]:
    filled = {}
    for name, values in selected.control.items():
        filled[name] = histograms.control_histogram(jets.dataset, name)
        histograms.fill_control(filled[name], jets, values)
    return filled
