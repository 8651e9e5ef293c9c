"""Compilation of the loops over particles, tracks and jets, kept between sessions.

numba looks whether the file of a function has changed before it trusts its cache, but not whether a function
that it calls has: an edit of `vertexing.py` would leave the old fit inside `tagging_inputs.py`. The cache
therefore lies in a folder named after all sources of this package, which also works where the package itself
is read-only.
"""

import atexit
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba

from storage.disk import make_private_folder

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
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        cache.mkdir(parents=True, exist_ok=True)
        root = cache / "advtag" / "numba"
        if all(make_private_folder(folder, tighten=True) for folder in (root.parent, root)):
            return root
    except (OSError, RuntimeError):  # a batch node may have no home, or one that cannot be written
        pass
    return _temporary_root()


def _temporary_root() -> Path:
    """Return a folder of the user's own among the temporary ones: what lies in it is executed.

    Where another user has taken its name, it is one for this process alone.
    """
    root = Path(tempfile.gettempdir()) / f"advtag-numba-{os.geteuid()}"
    if make_private_folder(root):
        return root
    root = Path(tempfile.mkdtemp(prefix="advtag-numba-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
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
