"""A trained tagger at work: an ONNX file, its attack, and what they know about themselves. Needs no torch."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.features import FLAVOURS, N_FEATURES
from models.metadata import TaggerMetadata, read_metadata
from models.networks import Network
from models.onnx_files import read_model, weight_files
from models.scaler import FeatureScaler
from models.sessions import hash_of, run_in_parts, session_of
from models.trial import ATTACK, TAGGER, Interface, require_usable
from storage.names import printable

TAGGER_SUFFIX = "_tagger.onnx"
ATTACK_SUFFIX = "_attack.onnx"
PRETRAINED = "pretrained"
"""Stands for the folders of taggers that come with the package, ``pretrained:basic`` for one of them."""

_EPOCH = re.compile(r"epoch_(\d+)" + re.escape(TAGGER_SUFFIX))


@dataclass(frozen=True)
class Tagger:
    """The network of one epoch of one training, from raw features to logits; it pickles to its bytes.

    Attributes:
        metadata: The training behind it.
        tagger_bytes: The content of its ONNX file.
        attack_bytes: The content of its attack's ONNX file, or None if there is none.
    """

    metadata: TaggerMetadata
    tagger_bytes: bytes
    attack_bytes: bytes | None = None

    @property
    def name(self) -> str:
        """The label of the training, e.g. ``basic``."""
        return self.metadata.name

    @property
    def epoch(self) -> int:
        """Epochs of training behind it."""
        return self.metadata.epoch

    @property
    def label(self) -> str:
        """Training and epoch, e.g. ``basic@12``."""
        return self.metadata.label

    @property
    def scaler(self) -> FeatureScaler:
        """The scaling of its inputs."""
        return self.metadata.scaler

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of both files' content, in hexadecimal."""
        return hash_of(self.tagger_bytes + (self.attack_bytes or b""))

    @cached_property
    def _tagger_hash(self) -> str:
        return hash_of(self.tagger_bytes)

    @cached_property
    def _attack_hash(self) -> str:
        return hash_of(self.attack_bytes or b"")

    @cached_property
    def network(self) -> Network | None:
        """What lies behind the scaling, for many taggers on the same jets; None for files made elsewhere."""
        from models.cutting import cut_network  # imports onnx

        return cut_network(self.tagger_bytes, self.attack_bytes, self.metadata)

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled: with the network, so that a worker needs no onnx."""
        _ = self.network
        return self.__dict__

    def __repr__(self) -> str:
        return f"Tagger({self.label}, {self.content_hash[:12]})"

    def logits(self, raw: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the outputs before the softmax, columns b, bb, c, udsg, shape ``(n_jets, 4)``.

        They do not depend on how jets are cut into batches, bit by bit. Absurd inputs may give infinity or
        NaN.

        Args:
            raw: Features in physical units as read, shape ``(n_jets, 67)``.

        Raises:
            ValueError: If the shape is another.
        """
        raw = _checked_features(raw)
        session = session_of(self._tagger_hash, self.tagger_bytes)
        (logits,) = run_in_parts(session, {"features": raw}, {"logits": len(FLAVOURS)})
        return logits

    def gradient_sign(self, raw: NDArray[np.float32], labels: ArrayLike) -> NDArray[np.float32]:
        """Return the sign of d(loss)/d(scaled feature), in -1, 0, 1, shape ``(n_jets, 67)``.

        It is 0 for defaults and integers, which no attack moves.

        Args:
            raw: Features in physical units as read, shape ``(n_jets, 67)``.
            labels: True flavours, 0 to 3, shape ``(n_jets,)``.

        Raises:
            ValueError: If the tagger has no attack file, a shape is wrong, or a label is not 0 to 3.
        """
        if self.attack_bytes is None:
            raise ValueError(f"tagger {self.label}: it was loaded without its attack file (*{ATTACK_SUFFIX})")
        raw = _checked_features(raw)
        truth = _checked_labels(labels, len(raw))
        session = session_of(self._attack_hash, self.attack_bytes)
        (sign,) = run_in_parts(session, {"features": raw, "labels": truth}, {"gradient_sign": N_FEATURES})
        return sign


def load_tagger(path: Path) -> Tagger:
    """Return the tagger of an ONNX file, with the attack that lies beside it, if there is one.

    The attack of ``epoch_012_tagger.onnx`` is ``epoch_012_attack.onnx``. Any feed-forward ONNX model serves
    that has the metadata of `models.metadata` and the inputs and outputs of `models.onnx_graphs`, these in
    any precision. Weights that it keeps in files beside it become part of the tagger.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a file is no such model, lacks metadata, inputs or outputs, gives no finite outputs, or
            the attack is another tagger's.
    """
    path = Path(path)
    content, metadata = _read(path, TAGGER)
    attack_path = attack_file(path)
    if not (path.name.endswith(TAGGER_SUFFIX) and attack_path.is_file()):
        return Tagger(metadata, content)
    attack, attacked = _read(attack_path, ATTACK)
    if attacked != metadata:
        raise ValueError(f"{attack_path}: its metadata are not those of {path.name}: export both again")
    return Tagger(metadata, content, attack)


def load_taggers(directories: Sequence[Path], *, epochs: Sequence[int] | None = None) -> list[Tagger]:
    """Return every epoch of the run directories, sorted by name and epoch.

    Args:
        directories: Folders with ``epoch_NNN_tagger.onnx`` files; the path of such a file stands for itself,
            ``pretrained`` and ``pretrained:basic`` for taggers that come with the package.
        epochs: Which epochs of each folder to load; all by default.

    Raises:
        FileNotFoundError: If a folder does not exist, holds no tagger, or lacks an epoch asked for.
        ValueError: If a file is no tagger, or two taggers have the same name and epoch.
    """
    paths = [path for folder in run_folders(directories) for path in tagger_files(folder, epochs)]
    found: dict[tuple[str, int], tuple[Tagger, Path]] = {}
    for path in paths:
        tagger = load_tagger(path)
        key = tagger.name, tagger.epoch
        if key in found:
            raise ValueError(
                f"{path}: tagger {tagger.label} was already read from {found[key][1]}: "
                "give each training a name of its own"
            )
        found[key] = tagger, path
    return [found[key][0] for key in sorted(found)]


def run_folders(names: Sequence[Path]) -> list[Path]:
    """Return the folders that paths stand for: themselves, and those of the package for ``pretrained``.

    Raises:
        FileNotFoundError: If the package has no such tagger.
    """
    folders = []
    for name in map(Path, names):
        kind, _, training = str(name).partition(":")
        if kind != PRETRAINED or name.exists():
            folders.append(name)
            continue
        top = Path(str(files("models").joinpath(PRETRAINED)))
        known = {folder.name: folder for folder in sorted(top.iterdir()) if folder.is_dir()}
        if training and training not in known:
            raise FileNotFoundError(
                f"{name}: no such tagger comes with advtag: choose from {', '.join(known)}"
            )
        folders += [known[training]] if training else known.values()
    return folders


def attack_file(tagger: Path) -> Path:
    """Return where the attack of a tagger's file lies, if it has one."""
    return tagger.with_name(tagger.name.removesuffix(TAGGER_SUFFIX) + ATTACK_SUFFIX)


def files_of(tagger: Path) -> list[Path]:
    """Return all files that a tagger is made of: its own, its attack's, and the weights beside either.

    Raises:
        FileNotFoundError: If there is no such tagger.
        ValueError: If it, or its attack, is no ONNX model, or has weights outside of its folder.
    """
    models = [tagger]
    if tagger.name.endswith(TAGGER_SUFFIX) and attack_file(tagger).is_file():
        models.append(attack_file(tagger))
    return list(dict.fromkeys(file for model in models for file in (model, *weight_files(model))))


def tagger_files(directory: Path, epochs: Sequence[int] | None) -> list[Path]:
    """Return the tagger files of a run directory, by epoch; the path of such a file stands for itself.

    Raises:
        FileNotFoundError: If the folder does not exist, holds no tagger, or lacks an epoch asked for.
    """
    if directory.is_file():
        return [directory]
    if not directory.is_dir():
        raise FileNotFoundError(f"{directory}: no such folder of taggers")
    matches = [(path, _EPOCH.fullmatch(path.name)) for path in directory.iterdir()]
    by_epoch = {int(match[1]): path for path, match in matches if match}
    if not by_epoch:
        raise FileNotFoundError(
            f"{directory}: no epoch_*{TAGGER_SUFFIX} in this folder: is it the run folder of a training?"
        )
    for epoch in epochs or ():
        if epoch not in by_epoch:
            raise FileNotFoundError(
                f"{directory}: no tagger of epoch {epoch}: there are {', '.join(map(str, sorted(by_epoch)))}"
            )
    return [by_epoch[epoch] for epoch in sorted(by_epoch) if epochs is None or epoch in epochs]


def _read(path: Path, interface: Interface) -> tuple[bytes, TaggerMetadata]:
    """Return the content of a model that has passed its trial, and its metadata."""
    model, source = read_model(path), printable(str(path))
    metadata = read_metadata(model.properties, source=source)
    require_usable(model.content, interface, metadata.scaler, source=source)
    return model.content, metadata


def _checked_features(raw: NDArray[np.float32]) -> NDArray[np.float32]:
    if raw.ndim != 2 or raw.shape[1] != N_FEATURES:
        raise ValueError(f"features have shape {raw.shape}, expected (n_jets, {N_FEATURES})")
    return np.ascontiguousarray(raw, dtype=np.float32)


def _checked_labels(labels: ArrayLike, n_jets: int) -> NDArray[np.int64]:
    truth = np.ascontiguousarray(labels, dtype=np.int64)
    if truth.shape != (n_jets,):
        raise ValueError(f"labels have shape {truth.shape}, expected ({n_jets},)")
    outside = (truth < 0) | (truth >= len(FLAVOURS))
    if outside.any():
        raise ValueError(
            f"{np.count_nonzero(outside)} of {n_jets} labels are not 0 to {len(FLAVOURS) - 1}: "
            "an attack needs the true flavour, so leave data out"
        )
    return truth
