import math
from pathlib import Path
from typing import NamedTuple

import pytest

from storage.tables import read_table, write_table


class Area(NamedTuple):
    tagger: str
    epoch: int
    auc: float


class Other(NamedTuple):
    name: str


ROWS = [Area("basic, first", 1, 0.1 + 0.2), Area("adversarial", 20, math.inf)]


def test_numbers_and_texts_come_back_exactly(tmp_path: Path) -> None:
    write_table(ROWS, tmp_path / "deep" / "areas.csv", kind=Area)
    assert read_table(tmp_path / "deep" / "areas.csv", kind=Area) == ROWS


def test_an_empty_table_still_names_its_columns(tmp_path: Path) -> None:
    write_table([], tmp_path / "areas.csv", kind=Area)
    assert (tmp_path / "areas.csv").read_text().split() == ["tagger,epoch,auc"]
    assert read_table(tmp_path / "areas.csv", kind=Area) == []


def test_a_missing_another_or_a_damaged_table_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "areas.csv"
    with pytest.raises(FileNotFoundError, match=r"areas\.csv: no such table"):
        read_table(path, kind=Area)
    write_table(ROWS, path, kind=Area)
    with pytest.raises(ValueError, match="not a table of Other: its columns are not name"):
        read_table(path, kind=Other)
    path.write_text("tagger,epoch,auc\nbasic,one,0.5\n")
    with pytest.raises(ValueError, match="line 2"):
        read_table(path, kind=Area)
    path.write_text("tagger,epoch,auc\nbasic,1\n")
    with pytest.raises(ValueError, match="line 2: 2 values for 3 columns: write it again or remove it"):
        read_table(path, kind=Area)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"tagger,epoch,auc\nb\xe9,1,0.5\n", "line 2 is not text in UTF-8"),
        (b'tagger,epoch,auc\n"' + b"x" * 200_000 + b'",1,0.5\n', "not a table .*field"),
        (b"\x00\x01\x02", "not a table"),
        (b"", "not a table of Area"),
    ],
)
def test_what_is_no_table_is_one_sentence(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "areas.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=said) as caught:
        read_table(path, kind=Area)
    assert str(caught.value).startswith(f"{path}: ")
