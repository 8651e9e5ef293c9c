"""Reading YAML and JSON that others wrote: cards, filesets, manifests, states.

Both formats let a key stand twice, of which the last silently wins. Both have numbers that are not finite and
nest without limit, and a few lines of YAML may stand for billions of values. All that is refused here, in one
sentence with the file, the line where there is one, and what to do.
"""

import errno
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import yaml

from storage.careful_yaml import DEEPEST, CarefulLoader, reason_of
from storage.names import printable
from storage.wording import few

MOST_YAML_BYTES = 5_000_000
MOST_JSON_BYTES = 50_000_000
MOST_LIST_BYTES = 1_000_000_000
"""How large lists of files and ledgers may be: a million files have about 200 MB."""

_MAY_BE_INFINITE = re.compile(r"NaN|Infinity|[eE]\+?0*[1-9]\d\d|\d{300}")


class _FaultError(ValueError):
    """A reason why a text is not read, and what to do about it."""

    def __init__(self, reason: str, advice: str) -> None:
        super().__init__(reason, advice)
        self.reason, self.advice = reason, advice


def read_yaml(
    path: Path, *, kind: str = "file", advice: str = "check the path", most_bytes: int = MOST_YAML_BYTES
) -> Any:
    """Return the content of a YAML file: None, values, lists and dicts.

    Args:
        path: The file.
        kind: What it is meant to be, for messages.
        advice: What to do where there is no such file.
        most_bytes: How large it may be.

    Raises:
        FileNotFoundError: If there is no such file.
        IsADirectoryError: If it is a folder.
        PermissionError: If it may not be read.
        ValueError: If it is no YAML, too large or too deep, a key is there twice, or a number is not finite.
    """
    text = read_bytes(path, kind=kind, advice=advice, most_bytes=most_bytes)
    return parse_yaml(text, source=str(path))


def read_json(
    path: Path,
    *,
    kind: str = "file",
    advice: str = "check the path",
    remedy: str | None = None,
    most_bytes: int = MOST_JSON_BYTES,
    finite: bool = True,
) -> Any:
    """Return the content of a JSON file.

    Args:
        path: The file.
        kind: What it is meant to be, for messages.
        advice: What to do where there is no such file.
        remedy: What to do about a file that a program wrote and that is damaged; None for one that a user
            wrote, who is told what to write.
        most_bytes: How large it may be.
        finite: Whether numbers that are not finite are refused.

    Raises:
        FileNotFoundError: If there is no such file.
        IsADirectoryError: If it is a folder.
        PermissionError: If it may not be read.
        ValueError: If it is no JSON, too large or too deep, a key is there twice, or a number is not finite.
    """
    text = read_bytes(path, kind=kind, advice=advice, most_bytes=most_bytes)
    return parse_json(text, source=str(path), remedy=remedy, finite=finite)


def read_bytes(
    path: Path, *, kind: str = "file", advice: str = "check the path", most_bytes: int = MOST_JSON_BYTES
) -> bytes:
    """Return the content of an ordinary file of limited size.

    Raises:
        FileNotFoundError: If there is no such file.
        IsADirectoryError: If it is a folder.
        PermissionError: If it may not be read.
        ValueError: If it is larger, or no ordinary file.
    """
    path = Path(path)
    shown = printable(str(path))
    try:
        if path.is_dir():
            raise IsADirectoryError(f"{shown}: a folder, where a {kind} is wanted: give the path of the file")
        if path.exists() and not path.is_file():
            raise ValueError(f"{shown}: no ordinary file: give the path of a {kind}")
        with path.open("rb") as file:
            content = file.read(most_bytes + 1)
    except FileNotFoundError:
        raise FileNotFoundError(f"{shown}: no such {kind}: {advice}") from None
    except PermissionError:
        raise PermissionError(f"{shown}: may not be read: change its rights or those of its folder") from None
    except OSError as error:
        if error.errno not in {errno.ENAMETOOLONG, errno.ENOTDIR, errno.ELOOP, errno.EIO, errno.ESTALE}:
            raise
        raise OSError(f"{shown}: cannot be read ({error.strerror}): check the path") from error
    if len(content) > most_bytes:
        raise ValueError(f"{shown}: larger than {most_bytes / 1e6:.0f} MB: check that it is the right {kind}")
    return content


def read_text(path: Path, *, kind: str = "file", advice: str = "check the path") -> str:
    """Return the content of a text file in UTF-8.

    Raises:
        FileNotFoundError: If there is no such file.
        IsADirectoryError: If it is a folder.
        PermissionError: If it may not be read.
        ValueError: If it is too large, or another encoding.
    """
    content = read_bytes(path, kind=kind, advice=advice)
    try:
        return _decoded(content)
    except _FaultError as fault:
        raise ValueError(f"{printable(str(path))}: {fault.reason}: {fault.advice}") from fault


def parse_yaml(text: str | bytes, *, source: str) -> Any:
    """Return the content of a YAML text: None, values, lists and dicts.

    Args:
        text: The text, or its bytes in UTF-8.
        source: Where it comes from, for messages.

    Raises:
        ValueError: If it is no YAML, too deep, a key is there twice, or a number is not finite.
    """
    try:
        content = _yaml_of(_decoded(text))
        _refuse_infinite(content)
    except _FaultError as fault:
        raise ValueError(f"{printable(source)}: {printable(fault.reason)}: {fault.advice}") from fault
    return content


def parse_json(
    text: str | bytes,
    *,
    source: str,
    remedy: str | None = None,
    finite: bool = True,
    pairs: bool = False,
) -> Any:
    """Return the content of a JSON text.

    Args:
        text: The text, or its bytes in UTF-8.
        source: Where it comes from, for messages.
        remedy: As for `read_json`.
        finite: Whether numbers that are not finite are refused.
        pairs: Whether objects come as `Pairs` and not as dicts, for formats where a key may be there twice.

    Raises:
        ValueError: If it is no JSON, too deep, a key is there twice, or a number is not finite.
    """
    try:
        decoded = _decoded(text)
        content = _json_of(decoded, pairs=pairs)
        if finite and _MAY_BE_INFINITE.search(decoded):
            _refuse_infinite(content)
    except _FaultError as fault:
        raise ValueError(
            f"{printable(source)}: {printable(fault.reason)}: {remedy or fault.advice}"
        ) from fault
    return content


def _yaml_of(text: str) -> Any:
    try:
        return yaml.load(text, Loader=CarefulLoader)
    except yaml.YAMLError as error:
        raise _FaultError(f"not valid YAML ({reason_of(error)})", "fix it there") from error
    except (ValueError, LookupError, AttributeError, TypeError, ArithmeticError, RecursionError) as error:
        # What PyYAML lets through for values like `!!bool maybe` or the 31st of February.
        reason = " ".join(str(error).split())
        raise _FaultError(
            f"not valid YAML (a value is not what it is marked as: {reason})", "fix it there"
        ) from error


def _json_of(text: str, *, pairs: bool) -> Any:
    twice: list[str] = []

    def object_of(items: list[tuple[str, Any]]) -> dict[str, Any]:
        content = dict(items)
        if len(content) == len(items):
            return content
        keys = [key for key, _ in items]
        twice.extend(key for key in content if keys.count(key) > 1)
        return _Doubled(content)

    try:
        content = json.loads(text, object_pairs_hook=Pairs if pairs else object_of)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}: {error.msg}"
        raise _FaultError(f"not a JSON file ({where})", "fix it there") from error
    except RecursionError:
        _refuse_depth()
    except ValueError as error:  # a number of more digits than Python reads
        raise _FaultError(f"not a JSON file ({' '.join(str(error).split())})", "fix it there") from error
    if _is_deep(content):
        _refuse_depth()
    if twice:
        place = next(place for place, value in _leaves(content) if isinstance(value, _Doubled))
        raise _FaultError(
            f"{few(twice)} listed twice", f"list it once{f' (in {printable(place)})' if place else ''}"
        )
    return content


@dataclass(frozen=True)
class Pairs:
    """A JSON object as keys and values, in which a key may be there twice."""

    items: list[tuple[str, Any]]


class _Doubled(dict[str, Any]):
    """A JSON object of which a key stands twice."""


def _decoded(text: str | bytes) -> str:
    if isinstance(text, str):
        return text.removeprefix("\ufeff")
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        byte = f"byte 0x{text[error.start]:02x}"
        raise _FaultError(f"line {line} is not text in UTF-8 ({byte})", "save the file as UTF-8") from error


def _refuse_depth() -> NoReturn:
    raise _FaultError(
        f"lists and keys inside each other more than {DEEPEST} levels deep", "write it flatter"
    ) from None


def _is_deep(content: Any) -> bool:
    level = [content]
    for _ in range(DEEPEST + 1):
        level = [part for value in level for part in _inside(value)]
        if not level:
            return False
    return True


def _inside(value: Any) -> Any:
    if isinstance(value, dict):
        return value.values()
    if isinstance(value, Pairs):
        return [inner for _, inner in value.items]
    return value if isinstance(value, (list, tuple, set)) else ()


def _refuse_infinite(content: Any) -> None:
    for place, value in _leaves(content):
        if isinstance(value, (float, int)) and not _is_finite(value):
            shown = value if isinstance(value, float) else "an integer of more than 300 digits"
            raise _FaultError(f"{place or 'the value'}: got {shown}", "write a finite number")


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _leaves(content: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Yield all values with their places, as ``key.key.2``; dicts and lists come before what is in them."""
    yield place, content
    pairs: Any = ()
    if isinstance(content, Mapping):
        pairs = content.items()
    elif isinstance(content, Pairs):
        pairs = content.items
    elif isinstance(content, (list, tuple, set)):
        pairs = enumerate(content)
    for key, value in pairs:
        if isinstance(value, (str, bool)) or value is None:
            continue
        yield from _leaves(value, f"{place}.{key}" if place else str(key))
