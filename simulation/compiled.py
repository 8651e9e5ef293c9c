"""Compilation of the loops over particles, tracks and jets, kept between sessions.

numba looks whether the file of a function has changed before it trusts its cache, but not whether a function
that it calls has: an edit of `vertexing.py` would leave the old fit inside `tagging_inputs.py`. The cache
therefore lies in a folder named after all sources of this package, which also works where the package itself
is read-only.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba

_Function = TypeVar("_Function", bound=Callable[..., Any])


def _sources_fingerprint() -> str:
    digest = hashlib.sha256(numba.__version__.encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.name.encode())
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def _cache_root() -> Path:
    if numba.config.CACHE_DIR:
        return Path(numba.config.CACHE_DIR)
    try:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "advtag" / "numba"
        root.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # a batch node may have no home, or one that cannot be written
        root = Path(tempfile.gettempdir()) / f"advtag-numba-{os.getuid()}"
    return root


_CACHE = str(_cache_root() / _sources_fingerprint())


def _compiled(function: _Function, **options: Any) -> _Function:
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = _CACHE
    try:
        compiled: _Function = numba.njit(cache=True, **options)(function)
    finally:
        numba.config.CACHE_DIR = before
    return compiled


def kernel(function: _Function) -> _Function:
    """Compile a function to machine code when it is first called, and keep the code for the next session."""
    return _compiled(function)


def lean_kernel(function: _Function) -> _Function:
    """Compile a function that makes no array and is often called: references to its arrays go uncounted.

    Nor may a value be NaN, so that loops can go to the vector units; sums are done in the order written.
    """
    return _compiled(function, fastmath={"nnan", "nsz"}, _nrt=False)
