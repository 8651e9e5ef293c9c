"""How fast training is, against what everybody would write first: python -m benchmarks.training.

Every row runs in turn, several times over, in one thread, on made-up jets; the fastest time of each counts,
in seconds of the processor, so that other users of the machine disturb little. Read the ratios: jets per
second are those of this machine.
"""

import argparse
import platform
import tempfile
import time
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.made_up_jets import made_up_data, made_up_teacher, made_up_unlabelled
from benchmarks.weaver_rows import WeaverBatches, is_installed
from models.features import FLAVOURS, N_FEATURES
from models.network import TaggerNetwork
from models.scaler import FeatureScaler
from training.batches import Batch, ShuffledTrainingJets
from training.composition import Sources, methods_of, read_sources
from training.config import TrainConfig
from training.methods import modules_of
from training.shards import TrainingData
from training.train import train_step

CPU = torch.device("cpu")
BATCH = 1000
PART = 0.25
"""Of the jets, for the rows that train; loaders read them all, since what fits a cache flatters them."""
Reader = Callable[[], Iterable[object]]


class Row(NamedTuple):
    """One line of the table: the jets of one round, what it runs, and the row it is compared to."""

    name: str
    n_jets: int
    run: Callable[[], None]
    compared_to: str = ""


def _part(data: TrainingData, batch_size: int) -> int:
    """Return the batches in the part of the jets that trainings take, at least 1."""
    return max(1, round(PART * data.n_jets("train") / batch_size))


def stock_loader(data: TrainingData) -> torch.utils.data.DataLoader[tuple[torch.Tensor, ...]]:
    """Return torch's own loader over the training jets, batch by batch."""
    jets = data.learning_jets("train")
    tensors = (jets.features.astype(np.float32), jets.labels.astype(np.int64), jets.weights)
    dataset = torch.utils.data.TensorDataset(*(torch.from_numpy(array) for array in tensors))
    return torch.utils.data.DataLoader(dataset, batch_size=BATCH, shuffle=True)


def eager_training(loader: Iterable[tuple[torch.Tensor, ...]], *, n_batches: int) -> Callable[[], None]:
    """Return part of an epoch as the tutorials have it: nn.Dropout, Adam, cross entropy."""
    layers: list[torch.nn.Module] = []
    for n_inputs in [N_FEATURES] + [100] * 4:
        layers += [torch.nn.Linear(n_inputs, 100), torch.nn.ReLU(), torch.nn.Dropout(0.1)]
    network = torch.nn.Sequential(*layers, torch.nn.Linear(100, len(FLAVOURS)))
    optimizer = torch.optim.Adam(network.parameters())

    def epoch() -> None:
        for features, labels, weights in islice(loader, n_batches):
            optimizer.zero_grad()
            losses = torch.nn.functional.cross_entropy(network(features), labels, reduction="none")
            ((weights * losses).sum() / weights.sum()).backward()
            optimizer.step()

    return epoch


def own_training(data: TrainingData, **settings: object) -> Callable[[], None]:
    """Return part of an epoch of ours with these settings of the run card."""
    config = TrainConfig.model_validate(
        {"name": "a", "data": data.folder, "output": data.folder, "batch_size": BATCH} | settings
    )
    jets = ShuffledTrainingJets(
        data, batch_size=config.batch_size, device=CPU, with_partners=config.needs_partners
    )
    network = TaggerNetwork().train()
    methods = methods_of(config, read_sources(config, data, CPU), CPU)
    parameters = [*network.parameters(), *modules_of(methods).parameters()]
    optimizer = torch.optim.Adam(parameters, fused=True)
    matmul = torch.backends.mkldnn.matmul

    def epoch() -> None:
        before = matmul.fp32_precision
        matmul.fp32_precision = "bf16" if config.precision == "bf16" else before
        for step, batch in enumerate(islice(jets.batches(1), _part(data, config.batch_size))):
            train_step(network, optimizer, batch, config, methods=methods, step=step)
        matmul.fp32_precision = before

    return epoch


def step_alone(**settings: object) -> Callable[[], None]:
    """Return ten steps on one batch, without the loader."""
    generator = torch.Generator().manual_seed(1)
    batch = Batch(
        torch.randn(BATCH, N_FEATURES, generator=generator),
        torch.arange(BATCH) % len(FLAVOURS),
        torch.ones(BATCH),
        torch.zeros(BATCH, 9, dtype=torch.uint8),
    )
    config = TrainConfig.model_validate(
        {"name": "a", "data": "d", "output": "o", "batch_size": BATCH} | settings
    )
    network = TaggerNetwork().train()
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    ones = np.ones(N_FEATURES, np.float32)
    sources = Sources(FeatureScaler(0 * ones, ones, 0 * ones), None, 1.0, {}, {})
    methods = methods_of(config, sources, CPU)

    def steps() -> None:
        for _ in range(10):
            train_step(network, optimizer, batch, config, methods=methods)

    return steps


def exhaust(reader: Reader) -> Callable[[], None]:
    """Return what reads all batches and does nothing with them."""

    def read() -> None:
        for _ in reader():
            pass

    return read


def rows_of(data: TrainingData) -> list[Row]:
    """Return the rows of the table."""
    n_jets = data.n_jets("train")
    part = round(PART * n_jets)
    jets = ShuffledTrainingJets(data, batch_size=BATCH, device=CPU)
    large = ShuffledTrainingJets(data, batch_size=8192, device=CPU)
    paired = ShuffledTrainingJets(data, batch_size=BATCH, device=CPU, with_partners=True)
    stock = stock_loader(data)
    in_pieces = "basic, batches of 100 000 in pieces of 8192"
    loader, epoch, basic = "DataLoader(TensorDataset, shuffle)", "DataLoader and eager loop", "basic"
    n_batches = _part(data, BATCH)
    rows = [
        Row(loader, n_jets, exhaust(lambda: stock)),
        Row("shards, batches of 1000", n_jets, exhaust(lambda: jets.batches(1)), loader),
        Row("shards, batches of 8192", n_jets, exhaust(lambda: large.batches(1)), loader),
        Row("shards with partners, of 1000", n_jets, exhaust(lambda: paired.batches(1)), loader),
        Row(epoch, part, eager_training(stock, n_batches=n_batches)),
        Row(basic, part, own_training(data), epoch),
        Row(in_pieces, part, own_training(data, batch_size=100_000, micro_batch=8192), epoch),
        Row("basic, bf16", part, own_training(data, precision="bf16"), epoch),
        Row("fgsm", part, own_training(data, attack="fgsm:0.1"), basic),
        Row("fgsm, every second step", part, own_training(data, attack="fgsm:0.1", attack_every=2), basic),
        Row("fgsm, mix 0.5", part, own_training(data, attack="fgsm:0.1", mix=0.5), basic),
        Row("pgd, 3 steps", part, own_training(data, attack="pgd:0.1:steps=3"), basic),
        Row("noise", part, own_training(data, attack="noise:0.1"), basic),
        Row("one step, basic", 10 * BATCH, step_alone()),
        Row("one step, fgsm", 10 * BATCH, step_alone(attack="fgsm:0.1"), "one step, basic"),
    ]  # fmt: skip
    if is_installed():
        weaver = WeaverBatches(data, batch_size=BATCH)
        rows += [
            Row("weaver-core's loader", n_jets, exhaust(lambda: weaver), loader),
            Row("weaver-core and eager loop", part, eager_training(weaver, n_batches=n_batches), epoch),
        ]
    return rows


def method_rows(data: TrainingData) -> list[Row]:
    """Return a row for each method, and the basic training they are compared to."""
    pool = {"unlabelled": [str(made_up_unlabelled(data.folder / "unlabelled"))]}
    augment, outputs = {"method": "augment"}, {"method": "mmd_outputs"} | pool
    reversal = {"method": "gradient_reversal"} | pool
    penalty = {"method": "scale_factor_penalty"} | pool
    distilled = {"method": "distillation", "teacher": str(made_up_teacher(data.folder / "teacher", data))}
    settings: dict[str, dict[str, object]] = {
        "augment": {"methods": [augment]},
        "pair_consistency": {"methods": [{"method": "pair_consistency"}]},
        "mmd_outputs": {"methods": [outputs]},
        "mmd_outputs, two selections": {"methods": [outputs | {"unlabelled": _twice(pool["unlabelled"])}]},
        "mmd_hidden": {"methods": [{"method": "mmd_hidden"} | pool]},
        "gradient_reversal": {"methods": [reversal]},
        "scale_factor_penalty": {"methods": [penalty]},
        "distillation": {"methods": [distilled]},
        "augment+mmd_outputs": {"methods": [augment, outputs]},
        "fgsm+augment+mmd_outputs": {"attack": "fgsm:0.05", "methods": [augment, outputs]},
        "fgsm+shifts": {"attack": "fgsm:0.05", "attack_factors": "shifts"},
    }
    part = round(PART * data.n_jets("train"))
    return [Row("basic", part, own_training(data))] + [
        Row(name, part, own_training(data, **changes), "basic") for name, changes in settings.items()
    ]


def _twice(folders: list[str]) -> list[str]:
    """Return the folders, and each under another name."""
    return [name for folder in folders for name in (folder, f"{folder}/../{Path(folder).name}")]


def measure(rows: list[Row], rounds: int) -> dict[str, float]:
    """Return the fastest rate of each row, in jets per second of the processor."""
    fastest = {row.name: float("inf") for row in rows}
    for _ in range(rounds):
        for row in rows:
            start = time.process_time()
            row.run()
            fastest[row.name] = min(fastest[row.name], (time.process_time() - start) / row.n_jets)
    return {name: 1.0 / seconds for name, seconds in fastest.items()}


def main() -> None:
    """Measure, and show the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jets", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--methods", action="store_true", help="rows of the methods alone")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    with tempfile.TemporaryDirectory() as folder:
        data = made_up_data(Path(folder), options.jets)
        rows = method_rows(data) if options.methods else rows_of(data)
        rates = measure(rows, options.rounds)
    table = Table(
        "",
        "M jets/s",
        "speed ratio",
        "to",
        title=f"{platform.processor() or platform.machine()}, torch {torch.__version__}, one thread",
    )
    for row in rows:
        ratio = f"{rates[row.name] / rates[row.compared_to]:.2f}" if row.compared_to else ""
        table.add_row(row.name, f"{rates[row.name] / 1e6:.3f}", ratio, row.compared_to)
    Console().print(table)


if __name__ == "__main__":
    main()
