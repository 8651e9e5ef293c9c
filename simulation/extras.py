"""The optional packages of the simulation, and one sentence where they are missing."""

import importlib.util

_PACKAGES = ("pythia8mc", "fastjet", "numba")


class MissingExtraError(ImportError):
    """The extra ``[sim]`` is not installed."""


def require_extra() -> None:
    """Check that PYTHIA and numba can be imported, without importing them.

    Raises:
        MissingExtraError: If one of them is absent; the sentence says what to install.
    """
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"simulation needs the extra [sim] ({', '.join(missing)} not found): pip install 'advtag[sim]'"
        )
