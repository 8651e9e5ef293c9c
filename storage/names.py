"""Names as users and other people's files give them, made fit for file names and for terminals."""

import hashlib
import re

LONGEST_NAME = 150
"""Characters of a file name before endings are added; file systems take 255 bytes for all of it."""

_PLAIN = re.compile(r"[A-Za-z0-9_+-][A-Za-z0-9_.+-]*", re.ASCII)
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9_.+-]+", re.ASCII)
_VARIANT = re.compile(r"[a-z]+(_[a-z]+)?(:[0-9.]+)*(:[A-Za-z]\w*=[0-9.]+)*", re.ASCII)
"""A variant as `models.variants` writes it, e.g. ``pgd:0.1:steps=5``."""
_HASH_DIGITS = 16
_READABLE = 80


def file_name(text: str) -> str:
    """Return one path component for a dataset, tagger, process or training of any name.

    A name of letters, digits and ``_.+-`` that does not begin with a dot stays as it is. Any other is
    written with ``_`` for other characters, and ends with ``@`` and a hash of the whole name: two names never
    share a file. The result holds nothing that shells, submit files or HTML attributes treat specially.

    Args:
        text: The name; may be empty, and hold any character.

    Returns:
        At most `LONGEST_NAME` characters of ASCII.
    """
    return text if len(text) <= LONGEST_NAME and _PLAIN.fullmatch(text) else _hashed(text)


def variant_name(variant: str, *, joint: str) -> str:
    """Return a part of a file name for a variant, with `joint` in place of each colon.

    A text that is no variant is written with its hash: no two texts share a name.
    """
    return variant.replace(":", joint) if _is_variant(variant) else _hashed(variant)


def _is_variant(text: str) -> bool:
    return len(text) <= _READABLE and _VARIANT.fullmatch(text) is not None


def figure_name(*parts: object) -> str:
    """Return the name of a figure's file, without its ending, from what it shows.

    Args:
        parts: Words, taggers, epochs, scores; in variants, dashes stand for colons and equal signs.
    """
    texts = [str(part) for part in parts]
    name = "_".join(
        variant_name(text, joint="-").replace("=", "-") if _is_variant(text) else file_name(text)
        for text in texts
    )
    return name if len(name) <= LONGEST_NAME else _hashed(name)


def _hashed(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_DIGITS]
    readable = _NOT_PLAIN.sub("_", text).strip("._")[:_READABLE]
    return f"{readable}@{digest}"


def printable(text: str) -> str:
    r"""Return a text with control, escape and invisible characters written out, as ``\x1b``.

    Terminals obey such characters: they recolour, rename and overwrite what a command prints. Letters of any
    script stay as they are.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
