"""Files that have an address: what it means when one cannot be read."""

from collections.abc import Iterator

import fsspec

TIMEOUT_SECONDS = 60
"""Of remote files; coffea's own number."""

_BEGIN = b"root"
"""The first bytes of a ROOT file."""


def is_remote(path: str) -> bool:
    """Say whether a file has an address, not a path."""
    return "://" in path


def reason_of(url: str, error: BaseException) -> str | None:
    """Return why a remote file cannot be read, as far as that is not the fault of the file.

    Args:
        url: Its address.
        error: What was raised.
    """
    for one in _chain(error):
        if isinstance(one, FileNotFoundError):
            return "no such file there (the server does not have it)"
        if isinstance(status := getattr(one, "status", None), int):
            return f"the server answers {status} ({getattr(one, 'message', '')})"
        if isinstance(one, ImportError) or "rotocol not known" in str(one):
            return " ".join(str(one).split())
        if isinstance(one, TimeoutError):
            return f"the server does not answer within {TIMEOUT_SECONDS} s"
        if isinstance(one, ConnectionError) or hasattr(one, "os_error"):
            return f"the server cannot be reached ({' '.join(str(one).split())})"
    return _reason_of_server(url) if url.startswith(("http://", "https://")) else None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _reason_of_server(url: str) -> str | None:
    """Ask for a few bytes: a server that knows no ranges sends all, one that wants a log-in sends a page."""
    try:
        filesystem, path = fsspec.core.url_to_fs(url)
        content = filesystem.cat_file(path, start=0, end=len(_BEGIN))
    except Exception:  # what was raised before says more
        return None
    if not content.startswith(_BEGIN):
        return "what the server sends is no ROOT file"
    if len(content) > len(_BEGIN):
        return (
            "the server knows no range requests, so that no part of a file can be read: copy the file, or "
            f"read it by way of simplecache::{url}"
        )
    return None
