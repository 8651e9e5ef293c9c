"""The processor: shift, select, weigh, gather features, perturb, infer, fill."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
from coffea.processor import ProcessorABC
from numpy.typing import NDArray

from datamc.results import Hashes, Scenario
from models.discriminators import SCORES
from models.features import BRANCHES, default_mask
from models.perturbations import Variant
from models.tagger import Tagger
from processors import histograms, reference, weights
from processors.all_jets import all_good_jets
from processors.blocks import PREFIX, block_histogram, blocks_of_events, fill_blocks
from processors.event_samples import group_of, sample_of
from processors.event_splits import of_the_split, require_held_out
from processors.extras import Extras
from processors.filesets import DatasetMetadata
from processors.generated import sums_of
from processors.histograms import Histogram, Jets
from processors.inference import gather_features, jet_columns, jet_keys, score_jets
from processors.input_shapes import fill_inputs, input_histogram
from processors.jet_table import add_scores, empty_rows
from processors.look_up_counts import Counts
from processors.luminosity import GoldenJson, certified, sections_of
from processors.not_finite import broken_values, count, require_finite
from processors.scale_factor_weights import Scored, Scores
from processors.systematics import Systematics, Theory
from processors.truth import flavour_of, labels_of
from selections.branches import branches_of
from selections.catalogue import SELECT
from selections.parameters import Selection
from selections.selected import Selected

Output = dict[str, Any]
Features = NDArray[np.float32]

_PT = BRANCHES.index("Jet_pt")
_REFERENCE = Scenario(reference.NAME, reference.EPOCH, "raw")


class Sample(NamedTuple):
    """The probes of one shift of the events of a chunk.

    Attributes:
        events: The shifted events.
        selected: Their probes.
        jets: What is filled, once for each systematic that differs in weight alone; the shift's own first.
    """

    events: ak.Array
    selected: Selected
    jets: tuple[Jets, ...]


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
        systematics: How simulation is corrected and varied; data are filled as they are.
        extras: What is made besides.

    Raises:
        ValueError: If a tagger was adapted to events that are not held out.
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
        systematics: Systematics | None = None,
        extras: Extras | None = None,
    ) -> None:
        self.parameters = parameters
        self.datasets = dict(datasets)
        self.taggers = tuple(taggers)
        self.variants = tuple(variants)
        self.seed = seed
        self.golden = golden
        self.systematics = systematics or Systematics()
        self.extras = extras or Extras()
        require_held_out(self.taggers, self.extras.held_out)

    # Numbers that are none (NaN, infinite) occur in files; no cut takes them, nobody needs to hear of each.
    @np.errstate(divide="ignore", invalid="ignore", over="ignore")
    def process(self, events: ak.Array) -> Output:
        """Return histograms, cutflow and sums of weights of a chunk of events."""
        dataset, path = events.metadata["dataset"], events.metadata["filename"]
        is_data = self.datasets[dataset].is_data
        generated = weights.event_weights(events, is_data=is_data)
        look_ups: Counts = {}
        theory, unvaried = self.systematics.theory(events, is_data=is_data)
        good_luminosity = certified(events, self.golden) if is_data else None
        filled: dict[str, Histogram] = {}
        samples = [
            self._sample(events, shift, dataset, generated, theory, good_luminosity, look_ups)
            for shift in self.systematics.shifts(is_data=is_data)
        ]
        for sample in samples:
            self._fill_control(filled, sample, is_data=is_data)
        scenarios = self._scenarios(is_data=is_data)
        rows = self._rows(events, samples[0], scenarios)
        not_finite: Counter[str] = Counter()
        if scenarios:
            filled |= self._empty_histograms(dataset, scenarios, is_data=is_data)
            not_finite = self._fill_all_scores(filled, rows, events, samples, is_data=is_data)
        n_scored = len(samples[0].selected.jet) if scenarios else 0
        require_finite(not_finite, n_scored, where=path)
        return {
            "histograms": filled,
            "cutflow": {dataset: weights.cutflow(samples[0].selected, generated)},
            "n_minus_one": {dataset: weights.n_minus_one(samples[0].selected, generated)},
            "variation_sums": {dataset: {name: float(generated @ factor) for name, factor in theory.items()}},
            "unvaried": {dataset: dict(unvaried)},
            "look_ups": {dataset: look_ups},
            "sections": {dataset: sections_of(events, good_luminosity) if is_data else set()},
            "broken_values": {dataset: broken_values(events, branches_of(self.parameters).needed)},
            "scored": {dataset: n_scored},
            "not_finite": {dataset: dict(not_finite)},
            "processed": {(dataset, path): len(events)},
            "weights": {(dataset, path): sums_of(generated, theory)},
            "samples": {(dataset, path): {events.metadata["entrystart"]: self._some_events(events, dataset)}},
            **({"rows": rows} if rows else {}),
        }

    def _some_events(self, events: ak.Array, dataset: str) -> Hashes:
        """Return hashes of some events, by which the same events in another file are found."""
        metadata = self.datasets[dataset]
        group = group_of(metadata, dataset, self.parameters.primary_dataset)
        return sample_of(events, group=group, is_data=metadata.is_data)

    def postprocess(self, accumulator: Output) -> Output:
        """Return the sum of all chunks unchanged: nothing is normalised here."""
        return accumulator

    def _sample(
        self,
        events: ak.Array,
        shift: str,
        dataset: str,
        generated: Any,
        theory: Theory,
        good_luminosity: Any,
        look_ups: Counts,
    ) -> Sample:
        """Return the probes of one shift, and their weights; the look-ups of corrections are counted."""
        is_data = self.datasets[dataset].is_data
        name = self.parameters.name
        shifted = self.systematics.shifted(events, shift, is_data=is_data, counts=look_ups)
        selected = SELECT[name](shifted, self.parameters, good_luminosity=good_luminosity)
        selected = of_the_split(shifted, selected, self.extras)
        if self.extras.all_jets:
            selected = all_good_jets(shifted, selected, self.parameters)
        flavour = flavour_of(shifted, selected, is_data=is_data)
        weighed = self.systematics.weights(
            shifted,
            selected,
            selection=name,
            shift=shift,
            generated=generated,
            theory=theory,
            is_data=is_data,
            counts=look_ups,
        )
        weights.require_finite_weights(events, weighed)
        jets = tuple(
            Jets(dataset, flavour, selected.sign, weight, systematic)
            for systematic, weight in weighed.items()
        )
        return Sample(shifted, selected, jets)

    def _fill_all_scores(
        self,
        filled: dict[str, Histogram],
        rows: dict[str, Any],
        events: ak.Array,
        samples: Sequence[Sample],
        *,
        is_data: bool,
    ) -> "Counter[str]":
        """Add the scores of all shifts; a jet's row is that of the nominal one.

        Returns:
            The nominal jets with an output that is no finite number, by label of the scenario.
        """
        not_finite: Counter[str] = Counter()
        features = _features(events, samples) if self.taggers else [None] * len(samples)
        for sample, raw in zip(samples, features, strict=True):
            if sample is samples[0] and raw is not None:
                histograms.fill_defaults(filled["defaults"], default_mask(raw))
            counter = not_finite if sample is samples[0] else Counter()
            scored = self._scored(filled, sample, raw, counter, is_data=is_data)
            block = self._blocks(sample) if sample is samples[0] else None
            for part, scenario, scores, factor in self._weighted(scored, sample, is_data=is_data):
                for some in (each.part(part).weighted(factor) for each in sample.jets):
                    histograms.fill_scores(filled, some, scores, scenario)
                    histograms.fill_plane(filled["plane"], some, scores["CvsL"], scores["CvsB"], scenario)
                if block is not None:
                    nominal = sample.jets[0].part(part).weighted(factor)
                    for name, values in scores.items():
                        fill_blocks(filled[PREFIX + name], nominal, block[part], values, scenario)
                if rows and sample is samples[0]:
                    add_scores(rows, part, scenario, scores)
        return not_finite

    def _blocks(self, sample: Sample) -> NDArray[np.int64] | None:
        """Return the block of each probe's event; None if none are filled."""
        if not self.extras.blocks:
            return None
        return blocks_of_events(jet_keys(sample.events, sample.selected), self.extras.blocks)

    def _weighted(
        self, scored: Iterator[Scored], sample: Sample, *, is_data: bool
    ) -> Iterator[tuple[slice, Scenario, Scores, NDArray[np.float64] | float]]:
        """Yield what was scored with the weights of scale factors, 1 without any."""
        factors = self.extras.scale_factors
        if factors is None or is_data:
            yield from ((part, scenario, scores, 1.0) for part, scenario, scores in scored)
            return
        event = sample.selected.event if self.extras.all_jets else None
        yield from factors.weights(scored, flavour=sample.jets[0].flavour, event=event)

    def _scored(
        self,
        filled: dict[str, Histogram],
        sample: Sample,
        raw: Features | None,
        not_finite: "Counter[str]",
        *,
        is_data: bool,
    ) -> Iterator[Scored]:
        """Yield the scores of one shift, some jets at a time; inputs that were asked for are filled then.

        Jets with an output that is no finite number are added to `not_finite`.
        """
        events, selected, (jets, *_) = sample
        if self.extras.reference_tagger:
            outputs = jet_columns(events, selected, reference.BRANCHES)
            count(not_finite, _REFERENCE, ~np.isfinite(outputs).all(axis=0))
            yield slice(0, len(selected.jet)), _REFERENCE, reference.reference_scores(outputs)
        if raw is None:
            return
        scored = score_jets(
            self.taggers,
            self._variants(is_data=is_data),
            raw=raw,
            keys=jet_keys(events, selected),
            labels=labels_of(jets.flavour),
            seed=self.seed,
        )
        for part, tagger, variant, scores, distorted in scored:
            scenario = Scenario(tagger.name, tagger.epoch, variant.name)
            count(not_finite, scenario, scores["b"] < 0)
            yield part, scenario, scores
            if tagger.label == self.extras.inputs_of and jets.systematic == histograms.NOMINAL:
                fill_inputs(filled["inputs"], jets.part(part), distorted, tagger.scaler, variant.name)

    def _variants(self, *, is_data: bool) -> Sequence[Variant]:
        return (Variant("raw"),) if is_data else self.variants

    def _scenarios(self, *, is_data: bool) -> list[Scenario]:
        """Return everything that scores are filled for."""
        found = [_REFERENCE] if self.extras.reference_tagger else []
        return found + [
            Scenario(tagger.name, tagger.epoch, variant.name)
            for tagger in self.taggers
            for variant in self._variants(is_data=is_data)
        ]

    def _rows(self, events: ak.Array, sample: Sample, scenarios: Sequence[Scenario]) -> dict[str, Any]:
        """Return the rows of the jets of the nominal shift, still without scores, if they were asked for."""
        if not self.extras.rows:
            return {}
        selected, (jets, *_) = sample.selected, sample.jets
        rows = empty_rows(jet_keys(sample.events, selected), jets, selected.control, scenarios)
        if self.extras.collected is not None:
            (features,) = _features(events, [sample])
            rows |= dict(zip(BRANCHES, features.T, strict=True))
        return rows

    def _fill_control(self, filled: dict[str, Histogram], sample: Sample, *, is_data: bool) -> None:
        """Add the control variables of one shift."""
        names = self.systematics.names(self.parameters.name, is_data=is_data)
        for name, values in sample.selected.control.items():
            for jets in sample.jets:
                if name not in filled:
                    filled[name] = histograms.control_histogram(jets.dataset, name, names)
                histograms.fill_control(filled[name], jets, values)

    def _empty_histograms(
        self, dataset: str, scenarios: Sequence[Scenario], *, is_data: bool
    ) -> dict[str, Histogram]:
        names = self.systematics.names(self.parameters.name, is_data=is_data)
        empty = {name: histograms.score_histogram(dataset, scenarios, systematics=names) for name in SCORES}
        empty["plane"] = histograms.plane_histogram(dataset, scenarios, systematics=names)
        if self.extras.blocks:
            for name in SCORES:
                empty[PREFIX + name] = block_histogram(dataset, self.extras.blocks, scenarios)
        if self.taggers:
            empty["defaults"] = histograms.default_counts(dataset)
        if self.extras.inputs_of is not None:
            variants = dict.fromkeys(scenario.variant for scenario in scenarios)
            empty["inputs"] = input_histogram(dataset, list(variants))
        return empty


def _features(events: ak.Array, samples: Sequence[Sample]) -> list[Features]:
    """Return the features of the probes of every shift, shape ``(n_probes, 67)`` each, read once for all.

    Of the inputs the pT of the jet alone is that of the shift; the others belong to tracks and vertices.

    Args:
        events: The events as read.
        samples: The shifts of these events; jets have the same positions in all of them.
    """
    if len(samples) == 1:
        return [_with_pt(gather_features(events, samples[0].selected), samples[0])]
    flat = [sample.selected.flat_position(sample.events.Jet.pt) for sample in samples]
    every, first = np.unique(np.concatenate(flat), return_index=True)
    event, jet = (
        np.concatenate([getattr(sample.selected, name) for sample in samples])[first]
        for name in ("event", "jet")
    )
    read = gather_features(events, replace(samples[0].selected, event=event, jet=jet))
    features = []
    for sample, position in zip(samples, flat, strict=True):
        features.append(_with_pt(read[np.searchsorted(every, position)], sample))
    return features


def _with_pt(raw: Features, sample: Sample) -> Features:
    raw[:, _PT] = sample.selected.values(sample.events.Jet.pt)
    return raw
