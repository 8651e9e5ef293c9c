"""Files that look like any other and are not: with formulas in them, damaged, cut."""

import struct
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import uproot
from uproot.serialization import numbytes_version
from uproot.writing import _cascadetree

from simulation.rewriting import extend_events, grouped

HostileCopy = Callable[..., Path]

_TREE_VERSION = 20
_TOBJECT = struct.pack(">HII", 1, 0, 0x0300_0000)


def _string(text: str) -> bytes:
    raw = text.encode()
    length = bytes([len(raw)]) if len(raw) < 255 else b"\xff" + struct.pack(">I", len(raw))
    return length + raw


def _counted(body: bytes, version: int) -> bytes:
    return numbytes_version(len(body), version) + body


def _pointer(class_name: str, body: bytes) -> bytes:
    inner = struct.pack(">I", 0xFFFF_FFFF) + class_name.encode() + b"\0" + body
    return struct.pack(">I", len(inner) | 0x4000_0000) + inner


def aliases_of(formulas: dict[str, str]) -> bytes:
    """The list of aliases of a tree as ROOT streams it: a TList of TNamed, each name with its formula."""
    named = [
        _pointer("TNamed", _counted(_TOBJECT + _string(name) + _string(formula), 1)) + b"\0"
        for name, formula in formulas.items()
    ]
    body = _TOBJECT + _string("") + struct.pack(">i", len(named)) + b"".join(named)
    return _pointer("TList", _counted(body, 5))


def _with_aliases(blob: list[bytes], formulas: dict[str, str]) -> list[bytes]:
    """Put aliases into a tree as uproot streams it: its last seven members are empty, the first are these."""
    assert blob[-1] == bytes(28)
    headers = [
        position
        for position in range(len(blob))
        if blob[position] == numbytes_version(sum(map(len, blob[position + 1 :])), _TREE_VERSION)
    ]
    blob = [*blob[:-1], aliases_of(formulas) + bytes(24)]
    (header,) = headers
    blob[header] = numbytes_version(sum(map(len, blob[header + 1 :])), _TREE_VERSION)
    return blob


@pytest.fixture(scope="session")
def hostile_copy() -> HostileCopy:
    """Copy a file without some branches of its events; under their names it has formulas instead."""

    def copy(source: Path, target: Path, *, without: Iterable[str], formula: str) -> Path:
        target.parent.mkdir(parents=True, exist_ok=True)
        formulas = dict.fromkeys(without, formula)
        plain = _cascadetree.Tree._build_out
        with pytest.MonkeyPatch.context() as patch, uproot.open(source) as whole:
            patch.setattr(_cascadetree.Tree, "_build_out", lambda self: _with_aliases(plain(self), formulas))
            names = set(whole["Events"].keys()) - set(formulas)
            events = whole["Events"].arrays(sorted(names))
            with uproot.recreate(target) as file:
                extend_events(file, grouped({name: events[name] for name in events.fields}))
                for name in whole.keys(filter_classname="TObjString", cycle=False):
                    file[name] = str(whole[name])
        return target

    return copy
