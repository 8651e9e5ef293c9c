"""ROOT files are written where their path says, whatever it is."""

from pathlib import Path

import pytest
import uproot

from storage.trees import replaced_root_file

NAMES = [
    "a b", "[red]", "{y}", "%s", "é", "q'\"", "#c", "c:d", "d::e", "file::x", "http:", "*", "?", "&;", "$x",
    "\\", "a\nb",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_where_its_path_says_and_nowhere_else(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "out" / name / f"{name}.root"
    with replaced_root_file(path, uproot.ZSTD(1)) as file:
        file["text"] = name
    assert [found for found in tmp_path.rglob("*") if found.is_file()] == [path]
    with path.open("rb") as opened, uproot.open(opened) as file:
        assert str(file["text"]) == name


def test_what_fails_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no"), replaced_root_file(tmp_path / "f.root"):
        raise ValueError("no")
    assert list(tmp_path.iterdir()) == []
