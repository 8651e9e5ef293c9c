"""The reader of YAML behind `storage.documents`."""

from collections.abc import Hashable, Iterator
from typing import Any, NoReturn

import yaml

from storage.names import printable

DEEPEST = 64
"""Levels of lists and keys inside each other; a correction of six variables has about twenty."""
MOST_REPEATED = 100_000
"""Values that references (``*name``) of a YAML may stand for, all together."""


class CarefulLoader(yaml.SafeLoader):
    """Safe YAML without doubled keys, deep nests, and references that stand for more than they seem."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0
        self._repeated = 0
        self._sizes: dict[int, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Return the next node, of limited depth and size."""
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
        """Return keys and values, each key once."""
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


def reason_of(error: yaml.YAMLError) -> str:
    """Return what PyYAML complains about, and where, in one line."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return printable(" ".join(str(error).split()))
    problem = " ".join(str(getattr(error, "problem", None) or error).split())
    return printable(f"{problem}, in line {mark.line + 1}, column {mark.column + 1}")
