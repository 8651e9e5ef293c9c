from pathlib import Path

import numba
import pytest

from simulation import compiled


@pytest.fixture
def no_cache_setting(monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")


def test_the_cache_lies_in_the_users_cache_folder(monkeypatch, tmp_path, no_cache_setting):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert compiled._cache_root() == tmp_path / "advtag" / "numba"


def test_a_folder_that_cannot_be_made_is_replaced_by_a_temporary_one(monkeypatch, tmp_path, no_cache_setting):
    (tmp_path / "file").write_text("no folder can be made below a file")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert compiled._cache_root().name.startswith("advtag-numba-")


def test_the_users_own_setting_counts(monkeypatch, tmp_path):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    assert compiled._cache_root() == tmp_path


def test_the_name_of_the_cache_changes_with_any_source(monkeypatch, tmp_path):
    (tmp_path / "a.py").write_text("one = 1")
    monkeypatch.setattr(compiled, "__file__", str(tmp_path / "a.py"))
    before = compiled._sources_fingerprint()
    assert compiled._sources_fingerprint() == before
    Path(tmp_path / "b.py").write_text("two = 2")
    assert compiled._sources_fingerprint() != before


def test_compiling_leaves_the_settings_of_numba_alone():
    before = numba.config.CACHE_DIR

    @compiled.kernel
    def double(x: float) -> float:
        return 2 * x

    assert before == numba.config.CACHE_DIR
    assert double(2.0) == 4.0
