"""Unlabelled jets from the rows that a run left: weighted, added up, written some at a time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from datamc.results import Result
    from models.event_split import EventSplit
    from models.unlabelled import Description, UnlabelledJets

FEW_JETS = 2000
"""Effective jets below which a training would soon know each of them: some eight steps of 256 jets."""
DIFFERENT_YIELDS = 0.1
"""Data and simulation whose numbers differ by more than that may hold other flavours."""

_BATCH = 65_536
"""Jets in memory at once: 20 MB."""
_LABELS: Mapping[str, tuple[int, ...]] = {"b": (5,), "bb": (6,), "c": (4,), "udsg": (0, 1)}
"""What the tagger calls the values of the flavour axis; pileup counts as udsg."""


class Yield(NamedTuple):
    """Jets of data, or of simulation scaled to the luminosity of data; same sign counts negative for W+c."""

    n_jets: int = 0
    sum_weights: float = 0.0
    sum_weights2: float = 0.0

    @property
    def effective_jets(self) -> float:
        """How many jets of weight 1 have the same relative error."""
        return self.sum_weights**2 / self.sum_weights2 if self.sum_weights2 else 0.0

    def plus(self, other: "Yield") -> "Yield":
        """Return both together."""
        return Yield(
            self.n_jets + other.n_jets,
            self.sum_weights + other.sum_weights,
            self.sum_weights2 + other.sum_weights2,
        )


class Collected(NamedTuple):
    """What was collected.

    Attributes:
        description: As it was written.
        result: Cutflow and notes of the selection.
        data: Jets of data.
        mc: Jets of simulation.
        data_over_mc: The ratio of their yields and its error; None where the luminosity is unknown.
    """

    description: "Description"
    result: "Result"
    data: Yield
    mc: Yield
    data_over_mc: tuple[float, float] | None

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for data and one for simulation."""
        ratio, error = self.data_over_mc or (None, None)
        unknown = dict.fromkeys(self.description.mc_flavours)
        return [
            {
                "sample": name,
                "jets": each.n_jets,
                "effective": each.effective_jets,
                "yield": each.sum_weights,
                **flavours,
                "data/MC": ratio,
                "error": error,
            }
            for name, each, flavours in (
                ("MC", self.mc, self.description.mc_flavours),
                ("data", self.data, unknown),
            )
        ]

    def warnings(self) -> list[str]:
        """Return what speaks against adapting to these jets, one sentence each."""
        few = [
            f"{each.effective_jets:.0f} effective jets of {name} are few, {FEW_JETS} or more are better: "
            "a training would learn them by heart; take a larger share or more files"
            for name, each in (("data", self.data), ("simulation", self.mc))
            if each.effective_jets < FEW_JETS
        ]
        if self.data_over_mc is None:
            return [*few, "the luminosity of data is unknown, so that their yield was not compared"]
        ratio, error = self.data_over_mc
        if abs(ratio - 1.0) - 2.0 * error > DIFFERENT_YIELDS:
            few.append(
                f"data/MC is {ratio:.3g} ± {error:.2g}: if their flavour composition differs, too, an "
                "alignment learns that difference; check cross sections, luminosity and corrections first"
            )
        return few


def gather_jets(result: "Result", rows: Path, split: "EventSplit", out: Path) -> Collected:
    """Write the folder of unlabelled jets from the rows of all jets.

    The rows are read twice, some at a time: first for the sums, then for what is written.

    Args:
        result: Of a run with collected jets.
        rows: The folder with a parquet file for each dataset.
        split: Which events the jets are from.
        out: Where to.

    Raises:
        ValueError: If there are no jets of data or of simulation, or one's weights do not add up to more
            than 0.
    """
    from datamc.histograms import dataset_scales, luminosity_pb
    from datamc.normalisation import view_of
    from models.unlabelled import write_parts

    scales = {name: 1.0 for name, record in result.datasets.items() if record.is_data}
    scales |= dataset_scales(result)
    signed = view_of(result) == "OS-SS"
    data, mc, flavours = _yields(result, rows, scales, signed=signed)
    _require_jets(result.selection, data, mc)
    to_data = data.sum_weights / mc.sum_weights
    description = write_parts(
        _parts(result, rows, split, scales, to_data=to_data, signed=signed),
        out,
        n_jets=data.n_jets + mc.n_jets,
        selection=result.selection,
        split=split,
        samples=_samples(result),
        mc_flavours={label: value / mc.sum_weights for label, value in flavours.items()},
    )
    known = luminosity_pb(result) is not None
    error = to_data * (1.0 / data.effective_jets + 1.0 / mc.effective_jets) ** 0.5
    return Collected(description, result, data, mc, (to_data, error) if known else None)


def _yields(
    result: "Result", rows: Path, scales: Mapping[str, float], *, signed: bool
) -> tuple[Yield, Yield, dict[str, float]]:
    """Return data, scaled simulation, and the summed weight of each flavour of simulation."""
    import numpy as np

    data, mc, flavours = Yield(), Yield(), dict.fromkeys(_LABELS, 0.0)
    for name, batch in _batches(result, rows, ("weight", "sign", "flavour")):
        weights = _weights(batch, scales[name], signed=signed)
        own = Yield(len(weights), float(weights.sum()), float((weights**2).sum()))
        if result.datasets[name].is_data:
            data = data.plus(own)
            continue
        mc = mc.plus(own)
        for label, values in _LABELS.items():
            flavours[label] += float(weights[np.isin(batch["flavour"], values)].sum())
    return data, mc, flavours


def _require_jets(selection: str, data: Yield, mc: Yield) -> None:
    for name, each in (("data", data), ("simulation", mc)):
        if each.n_jets == 0:
            raise ValueError(
                f"{selection}: no jet of {name} is left after all cuts: take a larger share or more files"
            )
        if each.sum_weights <= 0:
            raise ValueError(
                f"{selection}: the {each.n_jets} jets of {name} have a summed weight of "
                f"{each.sum_weights:.4g}, which nothing can be scaled to: take a larger share or more files"
            )


def _batches(result: "Result", rows: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield dataset and columns of some jets at a time, in the order of the datasets and their files."""
    import pyarrow.parquet

    from processors.jet_table import table_path

    for name in result.datasets:
        path = table_path(rows, name)
        if not path.is_file():  # all its chunks were lost
            continue
        with pyarrow.parquet.ParquetFile(path, page_checksum_verification=True) as table:
            for batch in table.iter_batches(_BATCH, columns=list(columns)):
                yield name, {column: batch[column].to_numpy(zero_copy_only=False) for column in columns}


def _weights(batch: Mapping[str, Any], scale: float, *, signed: bool) -> Any:
    """Return what jets count for, shape ``(n_jets,)``."""
    weights = batch["weight"] * scale
    return weights * batch["sign"] if signed else weights


def _parts(
    result: "Result",
    rows: Path,
    split: "EventSplit",
    scales: Mapping[str, float],
    *,
    to_data: float,
    signed: bool,
) -> "Iterator[UnlabelledJets]":
    """Yield the jets, those of simulation scaled to the yield of data."""
    import numpy as np

    from models.features import BRANCHES
    from models.unlabelled import UnlabelledJets

    names = ("run", "luminosity_block", "event", "jet")
    for name, batch in _batches(result, rows, (*names, "weight", "sign", *BRANCHES)):
        is_data = result.datasets[name].is_data
        scale = scales[name] * (1.0 if is_data else to_data)
        yield UnlabelledJets(
            features=np.stack([batch[branch] for branch in BRANCHES], axis=1).astype(np.float32, copy=False),
            is_data=np.full(len(batch["run"]), is_data),
            weights=_weights(batch, scale, signed=signed).astype(np.float32),
            keys=np.stack([batch[each].astype(np.uint64) for each in names], axis=1),
            selection=result.selection,
            split=split,
        )


def _samples(result: "Result") -> dict[str, Any]:
    """Return where the jets come from, as plain JSON values."""
    files: dict[str, list[str]] = {name: [] for name in result.datasets}
    for entry in result.ledger:
        if entry.n_processed:
            files[entry.dataset].append(entry.file)
    return {
        "datasets": {name: asdict(record) for name, record in result.datasets.items()},
        "files": files,
        "versions": result.versions,
        "config": result.config,
    }
