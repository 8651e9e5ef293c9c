"""Ways to damage bytes and texts; the same random numbers make the same damage."""

from collections.abc import Callable, Mapping
from random import Random

Mutation = Callable[[bytes, Random], bytes]


def _flip(content: bytes, rng: Random, *, bits: int = 1, within: tuple[int, int] | None = None) -> bytes:
    changed = bytearray(content)
    start, stop = within or (0, len(content))
    for _ in range(bits):
        changed[rng.randrange(start, min(stop, len(content)))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _zeroed(content: bytes, rng: Random) -> bytes:
    start, stop = _block(content, rng)
    return content[:start] + bytes(stop - start) + content[stop:]


def _doubled(content: bytes, rng: Random) -> bytes:
    start, stop = _block(content, rng)
    return content[:stop] + content[start:]


def _overwritten(content: bytes, rng: Random) -> bytes:
    """Return the bytes with a block of them written over another place, as a wrong sector is."""
    start, stop = _block(content, rng)
    there = rng.randrange(max(1, len(content) - (stop - start)))
    return content[:there] + content[start:stop] + content[there + stop - start :]


def _swapped(content: bytes, rng: Random) -> bytes:
    start, stop = _block(content, rng)
    size = min(stop - start, len(content) - stop)
    return (
        content[:start] + content[stop : stop + size] + content[start : start + size] + content[stop + size :]
    )


def _cut_out(content: bytes, rng: Random) -> bytes:
    start, stop = _block(content, rng)
    return content[:start] + content[stop:]


def _block(content: bytes, rng: Random) -> tuple[int, int]:
    start = rng.randrange(len(content))
    return start, min(len(content), start + rng.choice((1, 16, 512, 4096)))


BYTES: Mapping[str, Mutation] = {
    "one bit": _flip,
    "sixteen bits": lambda content, rng: _flip(content, rng, bits=16),
    "bits of the header": lambda content, rng: _flip(content, rng, bits=2, within=(0, 300)),
    "bits near the end": lambda content, rng: _flip(
        content, rng, bits=2, within=(len(content) - min(3000, len(content)), len(content))
    ),
    "truncated": lambda content, rng: content[: rng.randrange(len(content))],
    "zeroed": _zeroed,
    "a block twice": _doubled,
    "a block over another": _overwritten,
    "blocks swapped": _swapped,
    "a block missing": _cut_out,
    "bytes after the end": lambda content, rng: content + rng.randbytes(rng.choice((1, 100))),
}

_TOKENS = (
    "NaN", "-Infinity", "1e999", "-1", "0", "null", "[]", "{}", '""', "true", "'", '"', "\\", "&a [*a, *a]",
    "!!python/object/apply:os.system ['touch CANARY']", "../../..", "$(touch CANARY)", "99999999999999999999",
    "\x00", "\x1b[31m", "\u202e", "é", "x" * 20_000, "[" * 3000, "{a: " * 2000, "- " * 2000, "\n", "\t", "#",
)  # fmt: skip


def _token(content: bytes, rng: Random) -> bytes:
    """Return the text with a word of it replaced by something else."""
    words = content.split(b" ")
    words[rng.randrange(len(words))] = rng.choice(_TOKENS).encode()
    return b" ".join(words)


def _value(content: bytes, rng: Random) -> bytes:
    """Return the text with what follows a colon or comma in one line replaced by something else."""
    lines = content.split(b"\n")
    places = [number for number, line in enumerate(lines) if b":" in line or b"," in line]
    if not places:
        return _token(content, rng)
    number = rng.choice(places)
    separator = b":" if b":" in lines[number] else b","
    head, _, tail = lines[number].partition(separator)
    ending = b"," if tail.rstrip().endswith(b",") else b""
    lines[number] = head + separator + b" " + rng.choice(_TOKENS).encode() + ending
    return b"\n".join(lines)


def _line_twice(content: bytes, rng: Random) -> bytes:
    lines = content.split(b"\n")
    number = rng.randrange(len(lines))
    return b"\n".join([*lines[:number], lines[number], *lines[number:]])


def _line_missing(content: bytes, rng: Random) -> bytes:
    lines = content.split(b"\n")
    del lines[rng.randrange(len(lines))]
    return b"\n".join(lines)


TEXTS: Mapping[str, Mutation] = {
    "one bit": _flip,
    "truncated": lambda content, rng: content[: rng.randrange(len(content))],
    "a word replaced": _token,
    "a value replaced": _value,
    "a line twice": _line_twice,
    "a line missing": _line_missing,
    "another encoding": lambda content, rng: content.decode().encode(rng.choice(("utf-16", "utf-8-sig"))),
    "bytes of no text": lambda content, _rng: content + b"\xff\xfe\x80",
    "line ends of Windows": lambda content, _rng: content.replace(b"\n", b"\r\n"),
    "nothing": lambda _content, _rng: b"",
    "noise": lambda _content, rng: rng.randbytes(500),
}


def mutant(content: bytes, mutations: Mapping[str, Mutation], rng: Random) -> tuple[str, bytes]:
    """Return a way of damaging and the damaged bytes."""
    name = rng.choice(sorted(mutations))
    return name, mutations[name](content, rng)
