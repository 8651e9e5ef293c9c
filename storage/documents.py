"""Reading YAML and JSON that others wrote: cards, filesets, manifests, states.

Both formats let a key stand twice, of which the last silently wins. Both have numbers that are not finite and
nest without limit, and a few lines of YAML may stand for billions of values. All that is refused here, in one
sentence with the file, the line where there is one, and what to do.
"""

import errno
import json
import math
import re
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import yaml

from storage.names import printable
from storage.wording import few

MOST_YAML_BYTES = 5_000_000
MOST_JSON_BYTES = 50_000_000
DEEPEST = 64
"""Levels of lists and keys inside each other; a correction of six variables has about twenty."""
MOST_REPEATED = 100_000
"""Values that references (``*name``) of a YAML may stand for, all together."""

_MAY_BE_INFINITE = re.compile(r"NaN|Infinity|[eE]\+?0*[1-9]\d\d|\d{300}")


def read_yaml(path: Path, *, kind: str = "file", most_bytes: int = MOST_YAML_BYTES) -> Any:
    """Return the content of a YAML file: None, values, lists and dicts.

    Args:
        path: The file.
        kind: What it is meant to be, for the message where there is none.
        most_bytes: How large it may be.

    Raises:
        FileNotFoundError: If there is no such file.
        IsADirectoryError: If it is a folder.
        PermissionError: If it may not be read.
        ValueError: If it is no YAML, too large or too deep, a key is there twice, or a number is not finite.
    """
    return parse_yaml(read_bytes(path, kind=kind, most_bytes=most_bytes), source=str(path))


def read_json(
    path: Path, *, kind: str = "file", most_bytes: int = MOST_JSON_BYTES, finite: bool = True
) -> Any:
    """Return the content of a JSON file.

    Args:
        path: The file.
        kind: What it is meant to be, for the message where there is none.
        most_bytes: How large it may be.
        finite: Whether numbers that are not finite are refused.

    Raises:
        FileNotFoundError: If there is no such file.
        IsADirectoryError: If it is a folder.
        PermissionError: If it may not be read.
        ValueError: If it is no JSON, too large or too deep, a key is there twice, or a number is not finite.
    """
    return parse_json(read_bytes(path, kind=kind, most_bytes=most_bytes), source=str(path), finite=finite)


def read_bytes(path: Path, *, kind: str = "file", most_bytes: int = MOST_JSON_BYTES) -> bytes:
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
        raise FileNotFoundError(f"{shown}: no such {kind}: check the path") from None
    except PermissionError:
        raise PermissionError(f"{shown}: may not be read: change its rights or those of its folder") from None
    except OSError as error:
        if error.errno not in {errno.ENAMETOOLONG, errno.ENOTDIR, errno.ELOOP, errno.EIO, errno.ESTALE}:
            raise
        raise OSError(f"{shown}: cannot be read ({error.strerror}): check the path") from error
    if len(content) > most_bytes:
        raise ValueError(f"{shown}: larger than {most_bytes / 1e6:.0f} MB: check that it is the right {kind}")
    return content


def parse_yaml(text: str | bytes, *, source: str, most_bytes: int = MOST_YAML_BYTES) -> Any:
    """Return the content of a YAML text: None, values, lists and dicts.

    Args:
        text: The text, or its bytes in UTF-8.
        source: Where it comes from, for messages.
        most_bytes: How large it may be.

    Raises:
        ValueError: If it is no YAML, too large or too deep, a key is there twice, or a number is not finite.
    """
    source = printable(source)
    decoded = _decoded(text, source, most_bytes)
    try:
        content = yaml.load(decoded, Loader=_CarefulLoader)
    except yaml.YAMLError as error:
        raise ValueError(f"{source}: not valid YAML ({_reason(error)}): fix it there") from error
    except (ValueError, LookupError, AttributeError, TypeError, ArithmeticError, RecursionError) as error:
        # What PyYAML lets through for values like `!!bool maybe` or the 31st of February.
        reason = f"a value is not what it is marked as: {' '.join(str(error).split())}"
        raise ValueError(f"{source}: not valid YAML ({printable(reason)}): fix it there") from error
    _refuse_infinite(content, source)
    return content


def parse_json(
    text: str | bytes, *, source: str, most_bytes: int = MOST_JSON_BYTES, finite: bool = True
) -> Any:
    """Return the content of a JSON text.

    Args:
        text: The text, or its bytes in UTF-8.
        source: Where it comes from, for messages.
        most_bytes: How large it may be.
        finite: Whether numbers that are not finite are refused.

    Raises:
        ValueError: If it is no JSON, too large or too deep, a key is there twice, or a number is not finite.
    """
    source = printable(source)
    decoded = _decoded(text, source, most_bytes)
    twice: list[str] = []

    def object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        content = dict(pairs)
        if len(content) == len(pairs):
            return content
        keys = [key for key, _ in pairs]
        twice.extend(key for key in content if keys.count(key) > 1)
        return _Doubled(content)

    try:
        content = json.loads(decoded, object_pairs_hook=object_of)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}: {error.msg}"
        raise ValueError(f"{source}: not a JSON file ({where}): fix it there") from error
    except RecursionError:
        _refuse_depth(source)
    except ValueError as error:  # a number of more digits than Python reads
        raise ValueError(
            f"{source}: not a JSON file ({' '.join(str(error).split())}): fix it there"
        ) from error
    if _is_deep(content):
        _refuse_depth(source)
    if twice:
        place = next(place for place, value in _leaves(content) if isinstance(value, _Doubled))
        where = f" (in {printable(place)})" if place else ""
        raise ValueError(
            f"{source}: {few([printable(key) for key in twice])} listed twice: list it once{where}"
        )
    if finite and _MAY_BE_INFINITE.search(decoded):
        _refuse_infinite(content, source)
    return content


class _Doubled(dict[str, Any]):
    """A JSON object of which a key stands twice."""


class _CarefulLoader(yaml.SafeLoader):
    """Safe YAML without doubled keys, deep nests, and references that stand for more than they seem."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0
        self._repeated = 0
        self._sizes: dict[int, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        self._depth += 1
        if self._depth > DEEPEST:
            _refuse(f"lists and keys inside each other more than {DEEPEST} levels deep", event.start_mark)
        is_reference = isinstance(event, yaml.AliasEvent)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if is_reference:
            if id(node) not in self._sizes:
                _refuse("a reference to what it is part of", event.start_mark)
            self._repeated += self._sizes[id(node)]
            if self._repeated > MOST_REPEATED:
                _refuse(f"references that stand for more than {MOST_REPEATED} values", event.start_mark)
        elif node is not None:
            self._sizes[id(node)] = 1 + sum(self._sizes[id(part)] for part in _parts(node))
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        keys: set[Hashable] = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                _refuse("a list or keys in the place of a key", key_node.start_mark)
            merges = key_node.tag == "tag:yaml.org,2002:merge"
            key = "<<" if merges else self.construct_object(key_node, deep=True)
            if key in keys:
                _refuse(f"the key '{printable(key_node.value)}' is there twice", key_node.start_mark)
            keys.add(key)
        return node


def _parts(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif isinstance(node, yaml.MappingNode):
        for pair in node.value:
            yield from pair


def _refuse(problem: str, mark: yaml.Mark) -> NoReturn:
    raise yaml.MarkedYAMLError(None, None, problem, mark)


def _reason(error: yaml.YAMLError) -> str:
    """Return what PyYAML complains about, and where, in one line."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return printable(" ".join(str(error).split()))
    problem = " ".join(str(getattr(error, "problem", None) or error).split())
    return printable(f"{problem}, in line {mark.line + 1}, column {mark.column + 1}")


def _decoded(text: str | bytes, source: str, most_bytes: int) -> str:
    if len(text) > most_bytes:
        raise ValueError(f"{source}: larger than {most_bytes / 1e6:.0f} MB: check that it is the right one")
    if isinstance(text, str):
        return text.removeprefix("\ufeff")
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{source}: line {line} is not text in UTF-8 (byte 0x{text[error.start]:02x}): "
            "save the file as UTF-8"
        ) from error


def _refuse_depth(source: str) -> NoReturn:
    raise ValueError(
        f"{source}: lists and keys inside each other more than {DEEPEST} levels deep: write it flatter"
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
    return value if isinstance(value, (list, tuple, set)) else ()


def _refuse_infinite(content: Any, source: str) -> None:
    for place, value in _leaves(content):
        if isinstance(value, (float, int)) and not _is_finite(value):
            shown = value if isinstance(value, float) else "an integer of more than 300 digits"
            raise ValueError(f"{source}: {printable(place) or 'the value'} is {shown}: write a finite number")


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
    elif isinstance(content, (list, tuple, set)):
        pairs = enumerate(content)
    for key, value in pairs:
        if isinstance(value, (str, bool)) or value is None:
            continue
        yield from _leaves(value, f"{place}.{key}" if place else str(key))
