"""With which settings the parts of a study were made, beside them: `study.json`."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from storage.documents import read_json
from storage.files import write_text
from storage.wording import few

Settings = Mapping[str, Any]


class Records(NamedTuple):
    """The settings of everything in a study's folder, by its place there."""

    path: Path

    def require_same(self, made: Path, settings: Settings, *, remove: Sequence[Path] = ()) -> None:
        """Note the settings of what is about to be made, or raise if it is there with others.

        Args:
            made: A file or folder.
            settings: Plain JSON values.
            remove: What was made of it, and has to be removed with it.

        Raises:
            ValueError: If it is there, made otherwise.
        """
        found = self._read().get(self._key(made))
        if made.exists() and found is not None and found != _plain(settings):
            names = " and ".join(str(path) for path in (made, *remove) if path.exists())
            raise ValueError(
                f"{made}: the card has changed ({difference(found, _plain(settings))}):"
                f" change it back, or remove {names}"
            )
        self.note(made, settings)

    def is_same(self, made: Path, settings: Settings) -> bool:
        """Say whether something is there and was made with these settings."""
        return made.exists() and self._read().get(self._key(made)) == _plain(settings)

    def note(self, made: Path, settings: Settings) -> None:
        """Write down with which settings something was made."""
        content = self._read() | {self._key(made): _plain(settings)}
        write_text(self.path, json.dumps(content, indent=1) + "\n")

    def _key(self, made: Path) -> str:
        return made.relative_to(self.path.parent).as_posix()

    def _read(self) -> dict[str, Any]:
        if not self.path.is_file():
            return {}
        remedy = "remove it, or choose another output"
        content = read_json(self.path, remedy=f"not the record of a study: {remedy}", finite=False)
        if not isinstance(content, dict):
            raise ValueError(f"{self.path}: not the record of a study: {remedy}")
        return content


def difference(before: Settings, after: Settings) -> str:
    """Return the settings that differ, each as `key: there, here`; of long lists the entries that differ."""
    keys = [key for key in dict.fromkeys([*before, *after]) if before.get(key) != after.get(key)]
    return "; ".join(f"{key}: {_told(key, before, after)}" for key in keys)


def _told(key: str, before: Settings, after: Settings) -> str:
    there, here = before.get(key), after.get(key)
    if isinstance(there, list) and isinstance(here, list):
        gone, new = (
            [each for each in one if each not in other] for one, other in ((there, here), (here, there))
        )
        gone_words, new_words = (few(each, most=2, joint=", ") or "nothing else" for each in (gone, new))
        return f"{gone_words} there, {new_words} here"
    return f"{there} there, {here} here"


def _plain(settings: Settings) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(settings, default=str))
    return plain
