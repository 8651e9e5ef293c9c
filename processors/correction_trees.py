"""A correction as the tree of plain values that its file holds: checked and changed before it is parsed.

correctionlib parses formulas by recursion and has no limits: a deep one ends the process.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

Tree = dict[str, Any]

MOST_NODES = 2_000_000
"""Of all parts of a correction; the largest of CMS (energy of jets by source) have some ten thousand."""
LONGEST_FORMULA = 5_000
"""Characters; parsing takes time as the square of their number, 3 s for this."""
DEEPEST_FORMULA = 100
"""Parentheses inside each other; some two thousand exhaust the stack of a process."""

_BINNED = ("binning", "multibinning")
_CLAMP, _WRAP = "clamp", "wrap"


class MissingKey(NamedTuple):
    """A label that a tree does not know where it is needed."""

    input: str
    label: str | int
    known: tuple[str | int, ...]


def refuse_unsound(correction: Tree) -> None:
    """Raise if a correction could exhaust the memory or the stack of a process, or has no place to look up.

    How deep its nodes are nested is limited where its file is read.

    Raises:
        ValueError: If it has too many nodes, a formula that is too long or too deep, or a binning without
            bins.
    """
    for n_nodes, node in enumerate(_nodes(correction), start=1):
        if n_nodes > MOST_NODES:
            raise ValueError(f"it has more than {MOST_NODES} nodes")
        _refuse_formula(node.get("expression"))
        _refuse_no_bins(node)


def clamped(node: Any) -> Any:
    """Return a copy of a correction whose tables clamp; what wraps or has a formula beyond its edge stays."""
    if isinstance(node, list):
        return [clamped(part) for part in node]
    if not isinstance(node, dict):
        return node
    copy = {key: clamped(value) for key, value in node.items()}
    if copy.get("nodetype") in _BINNED:
        if not isinstance(copy.get("flow"), dict) and copy.get("flow") != _WRAP:
            copy["flow"] = _CLAMP
        copy["edges"] = _real(copy.get("edges"))
    return copy


def outside_its_tables(correction: Tree) -> Tree | None:
    """Return a correction that is 1 where a clamped one is looked up outside of a table, and 0 elsewhere.

    Args:
        correction: What `clamped` returned.

    Returns:
        None if it has no table that clamps.
    """
    if not any(node.get("flow") == _CLAMP for node in _nodes(correction)):
        return None
    return correction | {"data": _outside(correction["data"])}


def first_missing_key(node: Any, labels: Mapping[str, str | int]) -> MissingKey | None:
    """Return a label that would not be found on some way through a tree; None if all are.

    Args:
        node: The tree.
        labels: The value of each input that is the same for all objects.
    """
    if not isinstance(node, dict):
        return None
    if node.get("nodetype") == "category" and node.get("input") in labels:
        label, by_key = labels[node["input"]], {one["key"]: one["value"] for one in node["content"]}
        if label in by_key:
            return first_missing_key(by_key[label], labels)
        if node.get("default") is None:
            return MissingKey(node["input"], label, tuple(by_key))
        return first_missing_key(node["default"], labels)
    if node.get("nodetype") == "transform":
        rewritten = {name: label for name, label in labels.items() if name != node.get("input")}
        return first_missing_key(node.get("rule"), labels) or first_missing_key(node["content"], rewritten)
    ways = (first_missing_key(part, labels) for part in _ways(node))
    return next((missing for missing in ways if missing is not None), None)


def keys_of(correction: Tree, name: str) -> tuple[str | int, ...] | None:
    """Return all keys that an input may have; None if it may have any."""
    nodes = [
        node
        for node in _nodes(correction)
        if node.get("nodetype") == "category" and node.get("input") == name and node.get("default") is None
    ]
    keys = {one["key"] for node in nodes for one in node["content"]}
    return tuple(sorted(keys, key=str)) if nodes else None


def _outside(node: Any) -> Any:
    if not isinstance(node, dict):
        return 0.0
    match node.get("nodetype"):
        case "binning" | "multibinning":
            flow = node["flow"] if node["flow"] == _WRAP else float(node["flow"] == _CLAMP)
            return node | {"content": [_outside(part) for part in node["content"]], "flow": flow}
        case "category":
            content = [one | {"value": _outside(one["value"])} for one in node["content"]]
            default = {} if node.get("default") is None else {"default": _outside(node["default"])}
            return node | {"content": content} | default
        case "transform":
            return node | {"content": _outside(node["content"])}
    return 0.0


def _ways(node: Tree) -> Iterator[Any]:
    """Yield the nodes of which a look-up takes one."""
    for part in node.get("content", ()) if isinstance(node.get("content"), list) else ():
        yield part["value"] if isinstance(part, dict) and "key" in part else part
    yield from (node.get("flow"), node.get("default"))


def _nodes(correction: Tree) -> Iterator[Tree]:
    stack: list[Any] = [correction]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            yield node
        stack += _parts(node)


def _parts(node: Any) -> list[Any]:
    """Return what is inside of a value, but for plain numbers, which tables have by the thousand."""
    inside = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return [part for part in inside if not isinstance(part, int | float)]


def _refuse_formula(expression: Any) -> None:
    if not isinstance(expression, str):
        return
    if len(expression) > LONGEST_FORMULA:
        raise ValueError(f"a formula of {len(expression)} characters, more than {LONGEST_FORMULA}")
    depth = deepest = 0
    for character in expression:
        depth += (character == "(") - (character == ")")
        deepest = max(deepest, depth)
    if deepest > DEEPEST_FORMULA:
        raise ValueError(f"a formula with {deepest} parentheses inside each other, over {DEEPEST_FORMULA}")


def _refuse_no_bins(node: Tree) -> None:
    if node.get("nodetype") not in _BINNED:
        return
    edges = node.get("edges")
    of_each = [edges] if node["nodetype"] == "binning" else edges
    for one in of_each if isinstance(of_each, list) else ():
        if isinstance(one, list) and len(one) < 2:
            raise ValueError(f"a binning in {node.get('input') or node.get('inputs')} has no bin")


def _real(edges: Any) -> Any:
    """Return edges with whole numbers as correctionlib takes them: as floating-point ones."""
    if isinstance(edges, list):
        return [_real(edge) for edge in edges]
    if isinstance(edges, dict):
        return {key: value if key == "n" else _real(value) for key, value in edges.items()}
    return float(edges) if isinstance(edges, int) and not isinstance(edges, bool) else edges
