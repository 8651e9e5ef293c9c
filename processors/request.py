"""What a run is asked for: refused where it cannot be done, and written down as what decides its content."""

import importlib.metadata
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from datamc.results import Scenario
from models.perturbations import Variant
from models.tagger import Tagger
from processors import reference
from processors.extras import Extras
from processors.tagger_processor import TaggerProcessor
from selections.eras import ERAS

_LIBRARIES: Final = ("advtag", "awkward", "coffea", "hist", "numpy", "onnxruntime", "uproot")


def _is_filled(scenario: Scenario, taggers: Sequence[Tagger], variants: Sequence[Variant]) -> bool:
    is_tagger = any((tagger.name, tagger.epoch) == scenario[:2] for tagger in taggers)
    return is_tagger and any(variant.name == scenario.variant for variant in variants)


def require_usable(
    taggers: Sequence[Tagger], variants: Sequence[Variant], extras: Extras, chunksize: int
) -> None:
    """Raise if something is asked for that cannot be made, or twice.

    Raises:
        ValueError: If so; the sentence says what to ask for instead.
    """
    if chunksize < 1:
        raise ValueError(f"chunk size {chunksize}: at least one event is needed")
    if extras.held_out is not None and extras.collected is not None:
        raise ValueError("events are either held out or collected: ask for one of them")
    if extras.collected is not None and not extras.rows:
        raise ValueError("jets are collected as rows of a table: name a folder for it")
    if taggers and not variants:
        raise ValueError("no variant to fill: ask for raw at least")
    labels = [tagger.label for tagger in taggers]
    names = [f"{reference.NAME}@{reference.EPOCH}"] if extras.reference_tagger else []
    _refuse_twins("tagger", [*labels, *names])
    _refuse_twins("variant", [variant.name for variant in variants])
    if extras.inputs_of is not None and extras.inputs_of not in labels:
        raise ValueError(f"inputs of {extras.inputs_of!r}: choose from {', '.join(labels) or 'no tagger'}")
    factors = extras.scale_factors
    if factors is not None and not _is_filled(factors.scenario, taggers, variants):
        wanted = f"{factors.scenario.tagger}@{factors.scenario.epoch} with {factors.scenario.variant}"
        raise ValueError(
            f"the scale factors belong to {wanted}, which is not filled: add it, or leave them out"
        )
    for tagger in taggers:
        attacks = [variant.name for variant in variants if variant.needs_truth]
        if attacks and tagger.attack_bytes is None:
            raise ValueError(
                f"tagger {tagger.label} has no attack file beside it, as {attacks[0]} needs: export it again"
            )


def _refuse_twins(what: str, names: Sequence[str]) -> None:
    """Raise if two of a kind would be filled into the same place of a histogram."""
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise ValueError(f"{what} {twice[0]} is asked for twice: give each {what} once")


def config_of(processor: TaggerProcessor, *, profile: str, year: str) -> dict[str, Any]:
    """Return what decides the content of the histograms, as plain JSON; merged results must share it."""
    parameters, golden = processor.parameters, processor.golden
    config = {
        "selection": parameters.name,
        "profile": profile,
        "year": year,
        "energy_tev": ERAS[year].energy_tev,
        "parameters": asdict(parameters),
        "taggers": [
            {"name": tagger.name, "epoch": tagger.epoch, "sha256": tagger.content_hash}
            for tagger in processor.taggers
        ],
        "variants": [variant.name for variant in processor.variants],
        "seed": processor.seed,
        "reference_tagger": processor.extras.reference_tagger,
        "inputs": _inputs(processor),
        "jets": "all" if processor.extras.all_jets else "probe",
        "blocks": processor.extras.blocks,
        "golden_json": None if golden is None else {"file": Path(golden.path).name, "sha256": golden.sha256},
        "corrections": processor.systematics.as_config(),
    }
    for name in ("held_out", "collected"):
        if (split := getattr(processor.extras, name)) is not None:
            config[name] = split.name
    factors = processor.extras.scale_factors
    if factors is not None:
        lookup = factors.lookup
        config["scale_factors"] = {
            "file": lookup.file, "sha256": lookup.sha256, "systematic": factors.systematic,
        }  # fmt: skip
    plain: dict[str, Any] = json.loads(json.dumps(config))
    return plain


def _inputs(processor: TaggerProcessor) -> dict[str, Any] | None:
    """Return the tagger whose inputs are filled, and the scaling of the axis; None without one."""
    for tagger in processor.taggers:
        if tagger.label == processor.extras.inputs_of:
            return {"tagger": tagger.label, **tagger.scaler.to_dict()}
    return None


def versions() -> dict[str, str]:
    """Return the versions of advtag and of the libraries that a result may depend on."""
    return {name: _version(name) for name in _LIBRARIES}


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
