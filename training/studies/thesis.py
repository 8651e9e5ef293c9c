"""What the thesis found on CMS simulation, beside the same on the jets at hand.

Sizes of perturbations are in widths of the features, which are others on simulated events: wild values and
defaults inflate them in CMS files. So a size of the thesis stands beside ours times one factor, the size that
our adversarial training was made with over the thesis's 0.01.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from models.tagger import Tagger
from models.variants import parse_variant
from training.evaluate import REFERENCE, AucRow, ScoreRanks, auc_rows, reference_auc_rows
from training.scanning import Checkpoint
from training.studies.transfer import TransferRow

THESIS_EPSILON: Final = 0.01
"""Size of FGSM in the thesis's adversarial training."""
THESIS_EPOCHS: Final = 200

_SCORES: Final = ("b", "bb", "c", "udsg", "BvsL", "BvsC", "CvsL")

RAW_AREAS: Final[Mapping[str, tuple[float, ...]]] = {
    "basic": (0.9279, 0.9492, 0.5359, 0.8539, 0.94726, 0.86635, 0.74952),
    "adversarial": (0.9303, 0.9472, 0.5442, 0.8555, 0.94705, 0.86500, 0.73650),
    "gamma 2": (0.9196, 0.9500, 0.6831, 0.8608, 0.94600, 0.86420, 0.75004),
    "reference": (0.9325, 0.9533, 0.7206, 0.8424, 0.95035, 0.87360, 0.74714),
}
"""Areas at epoch 200 (the reference is DeepCSV), 13.28 million jets. Source: thesis, tables of AUC."""

DISTORTED_AREAS: Final[Mapping[str, Mapping[str, float]]] = {
    "basic": {
        "fgsm:0.005": 0.9236, "fgsm:0.01": 0.8942, "fgsm:0.05": 0.6759, "fgsm:0.1": 0.5217,
        "noise:0.01": 0.9464, "noise:0.05": 0.9307, "noise:0.1": 0.9113,
    },
    "adversarial": {
        "fgsm:0.005": 0.9420, "fgsm:0.01": 0.9366, "fgsm:0.05": 0.8768, "fgsm:0.1": 0.7608,
        "noise:0.01": 0.9470, "noise:0.05": 0.9440, "noise:0.1": 0.9323,
    },
}  # fmt: skip
"""BvsL at epoch 200 on distorted inputs. Source: thesis, as above."""

AREAS_OVER_EPOCHS: Final[Mapping[tuple[str, str], Mapping[int, float]]] = {
    ("basic", "raw"): {
        1: 0.9279, 2: 0.9349, 5: 0.9403, 10: 0.9424, 50: 0.9460, 100: 0.9468, 150: 0.9471, 200: 0.9473,
    },
    ("adversarial", "raw"): {
        1: 0.9282, 2: 0.9341, 5: 0.9396, 10: 0.9420, 50: 0.9457, 100: 0.9465, 150: 0.9468, 200: 0.9471,
    },
    ("basic", "fgsm:0.01"): {10: 0.9205, 100: 0.8993, 200: 0.8942},
    ("adversarial", "fgsm:0.01"): {10: 0.9320, 100: 0.9361, 200: 0.9366},
}  # fmt: skip
"""BvsL over the epochs; FGSM is that of the epoch itself. Source: thesis, as above."""

TRANSFERRED_AREAS: Final[Mapping[tuple[str, str], float]] = {
    ("early", "basic"): 0.9266,
    ("middle", "basic"): 0.9011,
    ("last", "adversarial"): 0.9388,
}
"""BvsL of a target (when, training) under the FGSM of basic at epoch 200; early is 10, middle 100."""


class ThesisRow(NamedTuple):
    """One number of the thesis beside ours; nan where either has none.

    `ours_is` says what ours is of: which training, epoch and variant.
    """

    phenomenon: str
    quantity: str
    thesis: float
    ours: float
    error: float
    ours_is: str


class _Place(NamedTuple):
    """Where a number of the thesis stands: whose area it is; its value is nan where the thesis has none."""

    role: str
    thesis: float
    variant: str = "raw"
    score: str = "BvsL"
    epoch: int = THESIS_EPOCHS


class _Ours(NamedTuple):
    """Our areas, and which training plays which part in the thesis's tables."""

    areas: Mapping[tuple[str, int, str, str], AucRow]
    names: Mapping[str, str]
    epochs: Mapping[str, list[int]]
    factor: float
    ranks: ScoreRanks

    def row(self, role: str, quantity: str, thesis: float, *, phenomenon: str, score: str = "BvsL",
            variant: str = "raw", epoch: int = THESIS_EPOCHS) -> ThesisRow:  # fmt: skip
        """Return a thesis's area beside ours."""
        name = self.names.get(role, "")
        own_epoch = self.epoch(name, epoch)
        own_variant = self.variant(variant)
        found = self.areas.get((name, own_epoch, own_variant, score))
        if found is None:
            return ThesisRow(phenomenon, quantity, thesis, math.nan, math.nan, "")
        ours_is = f"{name}@{own_epoch} {own_variant}" if name != REFERENCE.tagger else name
        return ThesisRow(phenomenon, quantity, thesis, found.auc, found.error, ours_is)

    def difference(self, phenomenon: str, of: "_Place", minus: "_Place") -> ThesisRow:
        """Return a difference of areas with the error that follows from the same jets."""
        thesis = of.thesis - minus.thesis
        places = [self.checkpoint(place) for place in (of, minus)]
        areas = {
            place: row.auc for place in places if (row := self.areas.get((*place, of.score))) is not None
        }
        if len(areas) < len(set(places)):
            return ThesisRow(phenomenon, "difference of AUC", thesis, math.nan, math.nan, "")
        found = self.ranks.paired(of.score).difference(areas, *places)
        names = " − ".join(f"{place.tagger}@{place.epoch} {place.variant}" for place in places)
        return ThesisRow(phenomenon, "difference of AUC", thesis, found.value, found.error, names)

    def checkpoint(self, place: "_Place") -> Checkpoint:
        """Return which of ours stands for one of the thesis's."""
        name = self.names.get(place.role, "")
        return Checkpoint(name, self.epoch(name, place.epoch), self.variant(place.variant))

    def epoch(self, name: str, epoch: int) -> int:
        """Return the epoch of ours that is as far through its training as the thesis's through 200."""
        own = self.epochs.get(name, [0])
        return min(own, key=lambda each: abs(each - own[-1] * epoch / THESIS_EPOCHS))

    def variant(self, thesis: str) -> str:
        """Return the name of our perturbation that corresponds to the thesis's."""
        kind, _, size = thesis.partition(":")
        if not size:
            return thesis
        return parse_variant(f"{kind}:{float(size) * self.factor:.6g}").name


def thesis_rows(
    ranks: ScoreRanks,
    taggers: Sequence[Tagger],
    reweighting: Mapping[str, str],
    transfer: Iterable[TransferRow] = (),
) -> list[ThesisRow]:
    """Return every number of the thesis's tables beside ours, and the phenomena they stand for.

    Args:
        ranks: Of all checkpoints and variants, and of the reference tagger.
        taggers: The checkpoints; their metadata tell which training plays which part.
        reweighting: For each training how its jets were weighted.
        transfer: Areas under attacks against other checkpoints.
    """
    areas = [*auc_rows(ranks), *reference_auc_rows(ranks)]
    known = {(row.tagger, row.epoch, row.variant, row.score): row for row in areas}
    names = roles_of(taggers, reweighting) | {"reference": REFERENCE.tagger}
    epochs = {name: sorted({key[1] for key in known if key[0] == name}) for name in {key[0] for key in known}}
    ours = _Ours(known, names, epochs, size_factor(taggers, names), ranks)
    return [
        *_phenomena(ours, list(transfer)),
        *_raw_areas(ours),
        *_distorted_areas(ours),
        *_areas_over_epochs(ours),
    ]


def roles_of(taggers: Sequence[Tagger], reweighting: Mapping[str, str]) -> dict[str, str]:
    """Return which training is basic, adversarial, the one with gamma 2, with gamma 25 and with flat weights.

    Basic and adversarial are called so, or are the first of their method; the others are like basic but for
    the one thing they are named after.
    """
    last = {tagger.name: tagger.metadata for tagger in taggers}
    roles: dict[str, str] = {}
    for role, is_basic in (("basic", True), ("adversarial", False)):
        candidates = [name for name, about in last.items() if (about.method == "basic") == is_basic]
        if candidates:
            roles[role] = role if role in candidates else candidates[0]
    basic = roles.get("basic", "")
    for name, about in last.items():
        if about.method != "basic":
            continue
        same_weights = reweighting.get(name, "") == reweighting.get(basic, "")
        same_loss = (about.gamma, about.loss_input) == (last[basic].gamma, last[basic].loss_input)
        if same_weights and about.gamma in (2.0, 25.0):
            roles.setdefault(f"gamma {about.gamma:g}", name)
        if reweighting.get(name) == "flat" and same_loss:
            roles.setdefault("flat", name)
        if reweighting.get(name) == "average" and same_loss:
            roles.setdefault("average", name)
    return roles


def size_factor(taggers: Sequence[Tagger], names: Mapping[str, str]) -> float:
    """Return our size of an attack over the thesis's that corresponds to it."""
    for tagger in taggers:
        if tagger.name == names.get("adversarial"):
            variant = parse_variant(tagger.metadata.attack)
            return variant.size / THESIS_EPSILON if variant.size else 1.0
    return 1.0


def _raw_areas(ours: _Ours) -> list[ThesisRow]:
    return [
        ours.row(role, f"AUC {score}, {role}", value, phenomenon="raw inputs, last epoch", score=score)
        for role, values in RAW_AREAS.items()
        for score, value in zip(_SCORES, values, strict=True)
    ]


def _distorted_areas(ours: _Ours) -> list[ThesisRow]:
    return [
        ours.row(role, f"AUC BvsL, {role}, {variant}", value, phenomenon="distorted inputs", variant=variant)
        for role, values in DISTORTED_AREAS.items()
        for variant, value in values.items()
    ]


def _areas_over_epochs(ours: _Ours) -> list[ThesisRow]:
    return [
        ours.row(
            role, f"AUC BvsL, {role}, {variant}, epoch {epoch}", value, phenomenon="over the epochs",
            variant=variant, epoch=epoch,
        )
        for (role, variant), values in AREAS_OVER_EPOCHS.items()
        for epoch, value in values.items()
    ]  # fmt: skip


def _phenomena(ours: _Ours, transfer: Sequence[TransferRow]) -> list[ThesisRow]:
    rows = []
    for role in ("basic", "adversarial"):
        distorted = DISTORTED_AREAS[role]
        raw = _Place(role, _raw_area(role, "BvsL"))
        attacked = _Place(role, distorted["fgsm:0.01"], "fgsm:0.01")
        noised = _Place(role, distorted["noise:0.01"], "noise:0.01")
        early = _Place(role, AREAS_OVER_EPOCHS[role, "fgsm:0.01"][10], "fgsm:0.01", epoch=10)
        rows += [
            ours.difference(f"FGSM changes BvsL: {role}", attacked, raw),
            ours.difference(f"noise changes BvsL: {role}", noised, raw),
            ours.difference(f"BvsL under FGSM, last minus early epoch: {role}", attacked, early),
        ]
    for of, minus, scores in (
        ("adversarial", "basic", ("BvsL", "CvsL")),
        ("gamma 2", "gamma 25", ("BvsL", "CvsL", "c")),
        ("flat", "average", ("BvsL", "CvsL")),
    ):
        for score in scores:
            places = (_Place(role, _raw_area(role, score), score=score) for role in (of, minus))
            rows.append(ours.difference(f"raw {score}, {of} minus {minus}", *places))
    return rows + _transfer_rows(ours, transfer)


def _raw_area(role: str, score: str) -> float:
    """Return the thesis's area; its basic training has gamma 25. It lists none for flat against average."""
    values = RAW_AREAS.get("basic" if role == "gamma 25" else role)
    return values[_SCORES.index(score)] if values else math.nan


def _transfer_rows(ours: _Ours, transfer: Sequence[TransferRow]) -> list[ThesisRow]:
    basic = ours.names.get("basic", "")
    thesis_epochs = {"early": 10, "middle": 100, "last": THESIS_EPOCHS}
    rows = []
    for (when, role), value in TRANSFERRED_AREAS.items():
        name = ours.names.get(role, "")
        own = sorted({row.target_epoch for row in transfer if row.target == name})
        found = None
        if own:
            epoch = min(own, key=lambda each: abs(each - own[-1] * thesis_epochs[when] / THESIS_EPOCHS))
            last = max((row.source_epoch for row in transfer if row.source == basic), default=0)
            found = next(
                (
                    row for row in transfer
                    if (row.source, row.source_epoch) == (basic, last)
                    and (row.target, row.target_epoch, row.score) == (name, epoch, "BvsL")
                ),
                None,
            )  # fmt: skip
        quantity = f"AUC BvsL of {role}, {when} epoch"
        ours_is = (
            f"{basic}@{found.source_epoch} → {name}@{found.target_epoch} {found.variant}" if found else ""
        )
        numbers = (found.auc, found.error) if found else (math.nan, math.nan)
        rows.append(ThesisRow("FGSM of the last basic epoch transfers", quantity, value, *numbers, ours_is))
    return rows
