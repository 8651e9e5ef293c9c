import ast
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from storage.documents import Pairs, parse_json, parse_yaml, read_json, read_yaml

REPOSITORY = Path(__file__).parents[2]
PACKAGES = sorted(path.parent for path in REPOSITORY.glob("*/__init__.py"))
Reader = Callable[[Path], Any]
READERS: dict[str, Reader] = {"yaml": read_yaml, "json": read_json}

TEXTS = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), max_size=8)
NUMBERS = st.integers(-(10**18), 10**18) | st.floats(allow_nan=False, allow_infinity=False)
PLAIN = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("abcdefgh<", min_size=1, max_size=4), inner, max_size=3)
    ),
    max_leaves=12,
)


def billion(levels: int = 9) -> str:
    """Nine lists, each of nine times the one before: 9**9 values in a few hundred bytes."""
    lists = [f"l{level}: &l{level} [{', '.join([f'*l{level - 1}'] * 9)}]" for level in range(1, levels + 1)]
    return "\n".join(["l0: &l0 [x]", *lists])


WRONG: dict[str, tuple[str, str | bytes, str]] = {
    "twice in yaml": ("yaml", "a: 1\nb: {c: 2,\n  c: 3}\n", "'c' is there twice, in line 3"),
    "twice by value": ("yaml", "2017: a\n0x7E1: b\n", "'0x7E1' is there twice, in line 2"),
    "twice merged": ("yaml", "a: &a {x: 1}\n<<: *a\n<<: *a\n", "'<<' is there twice, in line 3"),
    "twice in json": ("json", '{"a": [{"b": 1, "b": 2}]}', r"b listed twice: list it once \(in a.0\)"),
    "deep yaml": ("yaml", "[" * 100 + "]" * 100, "64 levels deep, in line 1, column 65"),
    "very deep yaml": ("yaml", "[" * 100_000, "64 levels deep"),
    "deep yaml in blocks": ("yaml", "\n".join(f"{' ' * n}a:" for n in range(100)), "64 levels deep"),
    "deep json": ("json", "[" * 100 + "]" * 100, "64 levels deep"),
    "very deep json": ("json", '{"a":' * 100_000, "64 levels deep"),
    "references": ("yaml", billion(), "references that stand for more"),
    "a circle": ("yaml", "a: &a [1, *a]", "a reference to what it is part of, in line 1"),
    "nan in yaml": ("yaml", "a: {b: [1, .nan]}", "a.b.1: got nan: write a finite number"),
    "inf in yaml": ("yaml", "a: -.inf", "a: got -inf"),
    "large in yaml": ("yaml", "a: 1.0e+999", "a: got inf"),
    "nan in json": ("json", '{"a": NaN}', "a: got nan: write a finite number"),
    "inf in json": ("json", '{"a": {"b": -Infinity}}', "a.b: got -inf"),
    "large in json": ("json", '{"a": [0, 1e999]}', "a.1: got inf"),
    "huge integer": ("json", f'{{"a": 1{"0" * 400}}}', "a: got an integer of more than 300 digits"),
    "integer past reading": ("json", "1" * 5000, "not a JSON file"),
    "integer past reading in yaml": ("yaml", f"a: {'1' * 5000}", "not valid YAML"),
    "latin-1 yaml": ("yaml", b"a: 1\nname: caf\xe9\n", "line 2 is not text in UTF-8 .byte 0xe9"),
    "latin-1 json": ("json", b'{"a":\n "\xe9"}', "line 2 is not text in UTF-8"),
    "utf-16": ("json", "{}".encode("utf-16"), "line 1 is not text in UTF-8"),
    "nul in yaml": ("yaml", b"a: \0", "not valid YAML"),
    "syntax of yaml": ("yaml", "a: [1,\nb: {", "not valid YAML .*in line 2"),
    "syntax of json": ("json", '{"a": 1,\n]', "not a JSON file .line 2, column 1"),
    "empty json": ("json", "", "not a JSON file"),
    "two documents": ("yaml", "a: 1\n---\nb: 2\n", "not valid YAML"),
    "python object": ("yaml", "!!python/object/apply:os.getcwd []", "not valid YAML"),
    "a truth that is none": ("yaml", "a: !!bool maybe", "not valid YAML"),
    "no date": ("yaml", "a: 2017-02-31", "not valid YAML"),
    "an empty integer": ("yaml", "a: !!int ''", "not valid YAML"),
    "a list as a key": ("yaml", "? [1, 2]\n: 3", "in the place of a key, in line 1"),
    "escape in a key": ("yaml", '{"\\e[31m": 1, "\\e[31m": 2}', r"'\\x1b\[31m' is there twice"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_one_sentence_with_the_file(tmp_path: Path, case: str) -> None:
    kind, content, said = WRONG[case]
    path = tmp_path / f"card.{kind}"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ValueError, match=said) as caught:
        READERS[kind](path)
    sentence = str(caught.value)
    assert sentence.startswith(f"{path}: ")
    assert sentence.isprintable()
    assert not isinstance(caught.value, UnicodeError | json.JSONDecodeError)


@pytest.mark.parametrize("kind", READERS)
def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path, kind: str) -> None:
    read = READERS[kind]
    with pytest.raises(FileNotFoundError, match=r"absent: no such file"):
        read(tmp_path / "absent")
    with pytest.raises(IsADirectoryError, match="a folder, where a file is wanted"):
        read(tmp_path)
    with pytest.raises(ValueError, match="/dev/null: no ordinary file"):
        read(Path("/dev/null"))
    with pytest.raises(OSError, match=r"cannot be read .*: check the path"):
        read(tmp_path / ("x" * 300))
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"cannot be read .*: check the path"):
        read(tmp_path / "file" / "below")


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "card.yaml"
    path.write_text("a: 1")

    def refuse(*arguments: Any) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(PermissionError, match=f"^{path}: may not be read: change its rights"):
        read_yaml(path)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "card.yaml"
    with path.open("wb") as file:
        file.truncate(10**10)  # a hole: takes no space
    with pytest.raises(ValueError, match="larger than 5 MB: check that it is the right card"):
        read_yaml(path, kind="card")
    with pytest.raises(ValueError, match="larger than 50 MB"):
        read_json(path)
    path.write_text('"' + "x" * 20 + '"')
    with pytest.raises(ValueError, match="larger than 0 MB"):
        read_json(path, most_bytes=21)
    assert read_json(path, most_bytes=22) == "x" * 20


@given(PLAIN)
def test_json_is_read_as_the_standard_library_does(content: Any) -> None:
    text = json.dumps(content)
    assert (
        parse_json(text, source="f") == parse_json(text.encode(), source="f") == json.loads(text) == content
    )


@given(PLAIN)
def test_yaml_is_read_as_pyyaml_does(content: Any) -> None:
    text = yaml.safe_dump(content)
    assert parse_yaml(text, source="f") == yaml.safe_load(text)


def test_references_and_merged_keys_go_on_working() -> None:
    text = "a: &a {x: 1, y: 2}\nb: {d: &b {<<: *a, x: 3}, e: {<<: *b, y: 4}}\nc: [*a, *a]\n"
    a = {"x": 1, "y": 2}
    assert parse_yaml(text, source="f") == {
        "a": a,
        "b": {"d": {"x": 3, "y": 2}, "e": {"x": 3, "y": 4}},
        "c": [a, a],
    }


def test_a_byte_order_mark_is_no_content(tmp_path: Path) -> None:
    for kind, text in {"yaml": "a: é\n", "json": '{"a": "é"}'}.items():
        path = tmp_path / f"card.{kind}"
        path.write_text(text, encoding="utf-8-sig")
        assert READERS[kind](path) == {"a": "é"}


def test_numbers_that_are_not_finite_can_be_asked_for() -> None:
    inf, nan = parse_json("[Infinity, NaN]", source="f", finite=False)
    assert math.isinf(inf)
    assert math.isnan(nan)
    # In a text they are none.
    assert parse_json('["NaN", "1e999"]', source="f") == ["NaN", "1e999"]


def test_keys_that_may_be_there_twice_come_as_pairs() -> None:
    content = parse_json('{"a": 1, "a": {"b": [2]}}', source="f", pairs=True)
    assert content == Pairs([("a", 1), ("a", Pairs([("b", [2])]))])
    with pytest.raises(ValueError, match="64 levels deep"):
        parse_json('{"a":' * 65 + "1" + "}" * 65, source="f", pairs=True)
    with pytest.raises(ValueError, match=r"a\.b\.0: got nan"):
        parse_json('{"a": {"b": [NaN]}}', source="f", pairs=True)


def test_sixty_four_levels_are_read() -> None:
    text = "[" * 64 + "]" * 64
    assert parse_json(text, source="f") == parse_yaml(text, source="f")


def test_of_a_damaged_file_of_a_program_it_is_said_how_to_make_it_anew(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_text('{"a": 1')
    with pytest.raises(ValueError, match=r"not a JSON file \(line 1, column 8: .*\): submit anew$"):
        read_json(path, remedy="submit anew")
    with pytest.raises(FileNotFoundError, match=r"none: no such manifest: submit first$"):
        read_json(tmp_path / "none", kind="manifest", advice="submit first")


def name_of(call: ast.Call) -> str:
    return ast.unparse(call.func)


def is_plain_copy(call: ast.Call) -> bool:
    """Whether JSON is read that was written in the same breath."""
    return isinstance(call.args[0], ast.Call) and name_of(call.args[0]).endswith(
        ("json.dumps", "model_dump_json")
    )


def option(call: ast.Call, name: str) -> str | None:
    return next((ast.unparse(keyword.value) for keyword in call.keywords if keyword.arg == name), None)


def believes_too_easily(call: ast.Call) -> bool:
    """Whether a call takes what a file says without the checks that `storage` makes, or executes it."""
    name = name_of(call)
    if name in {"yaml.load", "yaml.safe_load", "yaml.full_load", "yaml.unsafe_load", "yaml.safe_load_all"}:
        return True
    if name in {"json.load", "json.loads"}:
        return not is_plain_copy(call)
    if name.endswith(("validate_json", "yaml.load_all")) or name in {
        "gzip.open",
        "gzip.decompress",
        "zlib.decompress",
    }:
        return True
    if name == "zipfile.ZipFile":
        return len(call.args) < 2 or ast.unparse(call.args[1]) != "'w'"
    if name == "np.load":
        return option(call, "allow_pickle") != "False"
    if name == "torch.load":
        return option(call, "weights_only") != "True"
    return name.split(".")[0] in {"pickle", "cloudpickle", "joblib", "marshal", "shelve"} and "load" in name


READERS_OF_FILES = {"storage/documents.py", "storage/archives.py", "storage/arrays.py"}
TALK = {"processors/pool.py", "processors/pool_worker.py"}
"""Pickles go through the pipes between the processes of a command, and lie in no file."""


def test_nothing_else_reads_yaml_json_archives_or_pickles() -> None:
    found = [
        f"{path.relative_to(REPOSITORY)}:{node.lineno}: {ast.unparse(node)}"
        for package in PACKAGES
        for path in sorted(package.rglob("*.py"))
        if str(path.relative_to(REPOSITORY)) not in READERS_OF_FILES | TALK
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and believes_too_easily(node)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("code", "refused"),
    [
        ("yaml.safe_load(text)", True),
        ("yaml.safe_dump(content)", False),
        ("json.loads(path.read_text())", True),
        ("json.loads(json.dumps(content))", False),
        ("Card.model_validate_json(text)", True),
        ("Card.model_validate(content)", False),
        ("zipfile.ZipFile(path)", True),
        ("zipfile.ZipFile(path, 'w')", False),
        ("np.load(path)", True),
        ("np.load(path, allow_pickle=False)", False),
        ("torch.load(path, weights_only=False)", True),
        ("torch.load(path, weights_only=True)", False),
        ("pickle.loads(content)", True),
    ],
)
def test_the_rule_knows_what_believes_too_easily(code: str, refused: bool) -> None:
    call = ast.parse(code, mode="eval").body
    assert isinstance(call, ast.Call)
    assert believes_too_easily(call) is refused
