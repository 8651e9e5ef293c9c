"""The journal of a preparation: what is done, so that an interrupted one goes on where it was."""

import json
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.features import FLAVOURS
from models.scaler import ScalerStatistics
from storage.documents import MOST_LIST_BYTES, read_json
from storage.files import write_text
from training.config import PrepareConfig
from training.manifest import ShardEntry
from training.pairs import PairStatistics
from training.reading import InputFile
from training.splitting import SPLITS, SplitName
from training.staging import Staging
from training.variations import number_of_variations

_JOURNAL_NAME: Final = "journal.json"


class Survey(NamedTuple):
    """What the first pass learns: from the training split, and which jets were dropped.

    `not_finite` are the inputs of the jets kept that are NaN or infinite, by branch. `pairs` is what the
    second learns of variations.
    """

    statistics: ScalerStatistics
    counts: NDArray[np.int64]
    dropped: Counter[str]
    not_finite: Counter[str]
    pairs: PairStatistics


class Journal:
    """What of a preparation is done: input files in pass one, shards in pass two.

    A step counts once it is committed. What a killed process had begun beyond that is undone by
    `open_journal`, so the result is byte by byte that of a preparation that never stopped.
    """

    def __init__(
        self, folder: Path, config: PrepareConfig, n_shards: dict[SplitName, int], *, n_variations: int
    ) -> None:
        self._path = folder / _JOURNAL_NAME
        self._plan = {
            "config": config.model_dump(mode="json"),
            "n_shards": dict(n_shards),
            "n_variations": n_variations,
        }
        self.staging = Staging(folder / "staging", n_shards, seed=config.seed, n_variations=n_variations)
        counts = np.zeros((len(FLAVOURS), config.pt_bins, config.eta_bins), dtype=np.int64)
        self.survey = Survey(
            ScalerStatistics(), counts, Counter(), Counter(), PairStatistics.empty(n_variations)
        )
        self.files: list[InputFile] = []
        self.shards: dict[SplitName, list[ShardEntry]] = {split: [] for split in SPLITS}
        self._staged: dict[str, int] = {}

    @property
    def n_written(self) -> int:
        """Number of shards written."""
        return sum(map(len, self.shards.values()))

    def commit_file(self, file: InputFile) -> None:
        """Write down that all jets of a file are staged and surveyed."""
        self.files.append(file)
        self._staged = self.staging.sizes()
        self._write()

    def commit_shard(self, split: SplitName, entry: ShardEntry) -> None:
        """Write down that a shard is written, and remove its staging file."""
        self.shards[split].append(entry)
        self._write()
        self.staging.remove(split, entry.number)

    def restore(self, files: Sequence[InputFile]) -> bool:
        """Take over what an interrupted preparation did; tell whether it was the same one.

        Files that were not read yet may have changed.
        """
        try:
            return self._take_over(files, read_json(self._path, most_bytes=MOST_LIST_BYTES, finite=False))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return False

    def _take_over(self, files: Sequence[InputFile], content: Any) -> bool:
        done = list(files[: len(content["files"])])
        if content["plan"] != self._plan or content["files"] != _plain(done):
            return False
        written = {split: [int(entry["number"]) for entry in content["shards"][split]] for split in SPLITS}
        if not self.staging.holds(content["staged"], written=written):
            return False  # the machine went down before all of it was on the disk
        self.files, self._staged = done, content["staged"]
        self.shards = {
            split: [ShardEntry.model_validate(entry) for entry in content["shards"][split]]
            for split in SPLITS
        }
        counts = np.array(content["counts"], dtype=np.int64)
        statistics = ScalerStatistics.from_dict(content["statistics"])
        pairs = PairStatistics.from_dict(content["pairs"])
        dropped, not_finite = Counter(content["dropped"]), Counter(content.get("not_finite", {}))
        self.survey = Survey(statistics, counts, dropped, not_finite, pairs)
        self.staging.cut_back(self._staged)
        for split in SPLITS:
            for entry in self.shards[split]:
                self.staging.remove(split, entry.number)
        return True

    def remove(self) -> None:
        """Remove the journal and the staging files, which a finished preparation does not need."""
        self._path.unlink()
        shutil.rmtree(self._path.parent / "staging")

    def _write(self) -> None:
        content: dict[str, Any] = {
            "plan": self._plan,
            "files": _plain(self.files),
            "staged": self._staged,
            "statistics": self.survey.statistics.to_dict(),
            "counts": self.survey.counts.tolist(),
            "dropped": dict(self.survey.dropped),
            "not_finite": dict(self.survey.not_finite),
            "pairs": self.survey.pairs.to_dict(),
            "shards": {
                split: [entry.model_dump(mode="json") for entry in entries]
                for split, entries in self.shards.items()
            },
        }
        write_text(self._path, json.dumps(content))


def open_journal(
    folder: Path, config: PrepareConfig, n_shards: dict[SplitName, int], files: Sequence[InputFile]
) -> Journal:
    """Return the journal of a folder: what was done there before, if it was for the same, else a new one.

    What another preparation left in the folder is removed.
    """
    n_variations = number_of_variations(files)
    journal = Journal(folder, config, n_shards, n_variations=n_variations)
    if not journal.restore(files):
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        journal = Journal(folder, config, n_shards, n_variations=n_variations)
    return journal


def _plain(files: Sequence[InputFile]) -> list[Any]:
    """Return files as they come back from JSON."""
    plain: list[Any] = json.loads(json.dumps(files))
    return plain
