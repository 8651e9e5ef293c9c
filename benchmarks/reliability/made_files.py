"""Small files of events whose fate is known by how they were made, and files broken in many ways.

An event either holds a Z to two muons with one good jet, which every cut of the selection `dy` lets pass, or
no muon at all. So what a histogram must hold can be counted without the code that fills it.
"""

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import awkward as ak
import numpy as np
import uproot
from numpy.typing import NDArray

TRIGGER = "HLT_Mu17_TrkIsoVVL_Mu8_TrkIsoVVL_DZ_Mass8"
Columns = dict[str, ak.Array | NDArray[np.generic]]


def made_events(n_events: int, *, first: int, is_data: bool, weights: NDArray[np.float32]) -> Columns:
    """Return events numbered from `first`; two thirds of them pass the selection, in no regular order.

    Args:
        n_events: How many.
        first: Number of the first event; files with other numbers hold other events.
        is_data: Whether generator weights and truth are left out.
        weights: Of the generator, shape ``(n_events,)``.
    """
    rng = np.random.default_rng(first)
    passes = rng.random(n_events) < 2 / 3
    n_muons = 2 * passes.astype(int)
    n_jets = rng.integers(1, 4, n_events)
    first_of_pair = np.tile([True, False], int(passes.sum()))
    # Back to back with 60 and 35 GeV: m = 2 sqrt(60 * 35) = 91.7 GeV, pT of the pair 25 GeV.
    muons = {
        "pt": np.where(first_of_pair, 60.0, 35.0), "eta": np.zeros(len(first_of_pair)),
        "phi": np.where(first_of_pair, 0.0, np.pi), "mass": np.full(len(first_of_pair), 0.106),
        "charge": np.where(first_of_pair, 1, -1).astype(np.int32),
        "tightId": np.ones(len(first_of_pair), bool), "pfRelIso04_all": np.full(len(first_of_pair), 0.01),
    }  # fmt: skip
    n = int(n_jets.sum())
    jets = {
        "pt": rng.uniform(30, 100, n), "eta": rng.uniform(-2, 2, n), "phi": rng.uniform(1, 2, n),
        "mass": np.full(n, 5.0), "jetId": np.full(n, 6, np.int32), "puId": np.full(n, 7, np.int32),
    }  # fmt: skip
    if not is_data:
        jets |= {"hadronFlavour": rng.choice(np.array([0, 4, 5], np.int32), n)}
        jets |= {"partonFlavour": np.ones(n, np.int32), "nBHadrons": np.zeros(n, np.int32)}
    electrons = dict.fromkeys(("pt", "eta", "phi", "mass"), np.zeros(0)) | {"charge": np.zeros(0, np.int32)}
    return {
        "run": np.full(n_events, 299593, np.uint32),
        "luminosityBlock": (first // 1000 + np.arange(n_events) // 50).astype(np.uint32),
        "event": (first + np.arange(n_events)).astype(np.uint64),
        TRIGGER: np.ones(n_events, bool),
        "Flag_goodVertices": np.ones(n_events, bool),
        **({} if is_data else {"genWeight": weights.astype(np.float32)}),
        "Muon": _collection(n_muons, muons),
        "Electron": _collection(np.zeros(n_events, int), electrons),
        "Jet": _collection(n_jets, jets),
    }


def _collection(counts: NDArray[np.int64], fields: Mapping[str, NDArray[np.generic]]) -> ak.Array:
    narrow = {
        name: values.astype(np.float32) if values.dtype == np.float64 else values
        for name, values in fields.items()
    }
    return ak.zip({name: ak.unflatten(values, counts) for name, values in narrow.items()})


def write(
    path: Path, events: Columns, *, cluster: int, compression: uproot.compression.Compression | None = None
) -> Path:
    """Write a tree Events, some events to a cluster."""
    kinds = {
        name: column.type.content if isinstance(column, ak.Array) else column.dtype
        for name, column in events.items()
    }
    with uproot.recreate(path, compression=compression or uproot.ZSTD(1)) as file:
        tree = file.mktree(
            "Events",
            kinds,
            counter_name=lambda collection: f"n{collection}",
            field_name=lambda collection, field: f"{collection}_{field}",
        )
        for start in range(0, len(events["event"]), cluster):
            tree.extend({name: column[start : start + cluster] for name, column in events.items()})
    return path


def rewritten(path: Path, target: Path) -> Path:
    """Write the events of a made file again, into other clusters in another compression, as a skim does."""
    with uproot.open(path) as file:
        tree = file["Events"]
        flat = {name: tree[name].array() for name in tree.keys()}  # noqa: SIM118
    events: Columns = {
        name: np.asarray(column) for name, column in flat.items() if column.ndim == 1 and name[0] != "n"
    }
    for collection in ("Muon", "Electron", "Jet"):
        prefix = f"{collection}_"
        events[collection] = ak.zip(
            {name.removeprefix(prefix): flat[name] for name in flat if name.startswith(prefix)}
        )
    return write(target, events, cluster=37, compression=uproot.ZLIB(3))


def damaged_inside(path: Path) -> Path:
    """Overwrite one basket of a branch that is needed: the file opens, and cannot be read in the middle."""
    with uproot.open(path) as file:
        branch = file["Events"]["Muon_pt"]
        seek, size = int(branch.member("fBasketSeek")[1]), int(branch.member("fBasketBytes")[1])
    content = bytearray(path.read_bytes())
    content[seek + size // 2 : seek + size] = b"\x07" * (size - size // 2)
    path.write_bytes(content)
    return path


def _no_tree(path: Path) -> None:
    with uproot.recreate(path) as file:
        file["something"] = "else"


def _another_object(path: Path) -> None:
    with uproot.recreate(path) as file:
        file["Events"] = np.histogram(np.arange(10.0))


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


BROKEN: Mapping[str, Callable[[Path, bytes], object]] = {
    "absent": lambda _path, _whole: None,
    "folder": lambda path, _whole: path.mkdir(),
    "no_bytes": lambda path, _whole: path.write_bytes(b""),
    "text": lambda path, _whole: path.write_text("404 not found\n" * 50),
    "half": lambda path, whole: path.write_bytes(whole[: len(whole) // 2]),
    "last_byte_missing": lambda path, whole: path.write_bytes(whole[:-1]),
    "head_alone": lambda path, whole: path.write_bytes(whole[:60]),
    "keys_zeroed": lambda path, whole: path.write_bytes(whole[:100] + bytes(400) + whole[500:]),
    "no_tree": lambda path, _whole: _no_tree(path),
    "another_object": lambda path, _whole: _another_object(path),
    "dangling_link": lambda path, _whole: path.symlink_to("nowhere.root"),
    "link_to_itself": lambda path, _whole: _loop(path),
    "pipe": lambda path, _whole: os.mkfifo(path),
}
"""Files that no reader can open; each is made at a path, of the bytes of a whole one."""


def make_broken(kind: str, path: Path, whole: Path) -> Path:
    """Make a file that cannot be opened, unless it is there already."""
    if not os.path.lexists(path):
        BROKEN[kind](path, whole.read_bytes())
    return path


def link(kind: str, original: Path, target: Path) -> Path:
    """Make another name of a file: a `symlink`, a `hardlink`, a `copy`, or the events `rewritten`."""
    match kind:
        case "symlink":
            target.symlink_to(original)
        case "hardlink":
            target.hardlink_to(original)
        case "copy":
            shutil.copyfile(original, target)
        case _:
            rewritten(original, target)
    return target
