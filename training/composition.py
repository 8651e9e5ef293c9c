"""From a run card to its methods, and to what they read beside the training jets."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch

from models.scaler import FeatureScaler
from models.unlabelled import read_unlabelled
from training.adaptation import GradientReversal, MmdHidden, MmdOutputs
from training.attacks import Perturbation, in_proportion_to
from training.config import TrainConfig
from training.distillation import Distilled, Teacher, read_teacher
from training.method_cards import (
    AdaptationCard,
    AnyMethodCard,
    AugmentCard,
    DistillationCard,
    GradientReversalCard,
    MmdHiddenCard,
    MmdOutputsCard,
    PairConsistencyCard,
    ScaleFactorPenaltyCard,
)
from training.methods import Consistency, Method, Perturbed
from training.paired_methods import Augmented, PairConsistency
from training.penalty import ScaleFactorPenalty
from training.shards import TrainingData
from training.unlabelled import UnlabelledLoader, UnlabelledPool


class Sources(NamedTuple):
    """What methods need beside the batches.

    Attributes:
        scaler: Of the features.
        shifts: By how much detector variations move each feature, in scaled units, ``(67,)``; None without.
        steps_per_epoch: Of the optimiser.
        pools: The unlabelled jets, by their folder.
        teachers: The networks to learn from, by their card.
        fingerprints: Of pools and teachers, in the order of the cards.
        adapted_on: Which events the unlabelled jets are from, as text; None without any.
    """

    scaler: FeatureScaler
    shifts: tuple[float, ...] | None
    steps_per_epoch: float
    pools: Mapping[Path, UnlabelledPool]
    teachers: Mapping[DistillationCard, Teacher]
    fingerprints: tuple[str, ...] = ()
    adapted_on: str | None = None


def read_sources(config: TrainConfig, data: TrainingData, device: torch.device) -> Sources:
    """Read what the methods of a run card name: unlabelled jets and teachers.

    Raises:
        FileNotFoundError: If one of them is not there.
        ValueError: If one is broken, if unlabelled jets are from different splits of events, or if the data
            hold no variations and the card asks for them.
    """
    if config.needs_partners:
        data.require_variations()
    scaler = data.scaler()
    pools: dict[Path, UnlabelledPool] = {}
    teachers: dict[DistillationCard, Teacher] = {}
    fingerprints, splits = [], {}
    for card in config.methods:
        if isinstance(card, AdaptationCard):
            for folder in card.unlabelled:
                if folder not in pools:
                    jets = read_unlabelled(folder)
                    pools[folder] = UnlabelledPool(jets, scaler, device=device, name=str(folder))
                fingerprints.append(pools[folder].fingerprint)
                splits[folder] = pools[folder].split.name
        elif isinstance(card, DistillationCard):
            teacher = teachers[card] = read_teacher(card.teacher, card.epoch, scaler, device=device)
            fingerprints.append(teacher.fingerprint)
            if teacher.adapted_on is not None:
                splits[card.teacher] = teacher.adapted_on
    return Sources(
        scaler,
        data.manifest.shifts,
        data.n_jets("train") / config.batch_size,
        pools,
        teachers,
        tuple(fingerprints),
        _common_split(splits),
    )


def _common_split(splits: Mapping[Path, str]) -> str | None:
    """Return the split of events that all have; None of none."""
    first = next(iter(splits), None)
    for folder, split in splits.items():
        if first is not None and split != splits[first]:
            raise ValueError(
                f"{first} has jets of the events {splits[first]}, {folder} of {split}: "
                "collect both with the same share and seed, or no event is left that neither has seen"
            )
    return None if first is None else splits[first]


def methods_of(config: TrainConfig, sources: Sources, device: torch.device) -> list[Method]:
    """Return what a run card asks for, attacks last; nothing for the basic training.

    Raises:
        ValueError: If attacks are to follow the shifts of variations, and there are none.
    """
    methods = [
        _method_of(card, config=config, sources=sources, number=number, device=device)
        for number, card in enumerate(config.methods)
    ]
    if config.attack.is_identity:
        return methods
    variant = config.attack
    if config.attack_factors == "shifts":
        if sources.shifts is None:
            raise ValueError(
                f"attack_factors: shifts needs jets with variations, and {config.data} has none: "
                "prepare them with 'variations'"
            )
        variant = in_proportion_to(variant, sources.shifts)
    perturbation = Perturbation(
        variant, scaler=sources.scaler, loss_input=config.loss_input, mode=config.attack_mode, device=device
    )
    methods.append(Perturbed(perturbation, mix=config.mix, every=config.attack_every))
    if config.consistency:
        methods.append(Consistency(perturbation, weight=config.consistency))
    return methods


def _method_of(
    card: AnyMethodCard, *, config: TrainConfig, sources: Sources, number: int, device: torch.device
) -> Method:
    match card:
        case AugmentCard():
            return Augmented(share=card.share)
        case PairConsistencyCard():
            return PairConsistency(weight=card.weight)
        case DistillationCard():
            network = sources.teachers[card].network
            return Distilled(network, temperature=card.temperature, weight=card.weight)
    loader = UnlabelledLoader(
        [sources.pools[folder] for folder in card.unlabelled],
        n_jets=card.jets,
        seed=config.seed,
        number=number,
    )
    ramp_steps = card.ramp_epochs * sources.steps_per_epoch
    match card:
        case MmdOutputsCard():
            return MmdOutputs(loader, weight=card.weight, ramp_steps=ramp_steps)
        case MmdHiddenCard():
            return MmdHidden(loader, weight=card.weight, ramp_steps=ramp_steps)
        case GradientReversalCard():
            return GradientReversal(
                loader, weight=card.weight, ramp_steps=ramp_steps, width=card.width, device=device
            )
        case ScaleFactorPenaltyCard():
            return ScaleFactorPenalty(
                loader,
                weight=card.weight,
                ramp_steps=ramp_steps,
                discriminators=card.discriminators,
                n_bins=card.bins,
            )
