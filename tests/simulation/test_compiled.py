import os
import stat
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


def cache_in(monkeypatch, folder):
    """Without a home that can be written."""
    (folder / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return compiled._cache_root()


def test_what_is_executed_lies_in_a_folder_of_the_users_own(monkeypatch, tmp_path, no_cache_setting):
    root = cache_in(monkeypatch, tmp_path)
    assert root == tmp_path / f"advtag-numba-{os.geteuid()}"
    assert stat.S_IMODE(root.stat().st_mode) == 0o700
    assert cache_in(monkeypatch, tmp_path) == root  # kept between sessions


@pytest.mark.parametrize("trap", ["open to others", "a link", "a file"])
def test_a_folder_that_another_may_have_made_is_not_used(monkeypatch, tmp_path, no_cache_setting, trap):
    taken = tmp_path / f"advtag-numba-{os.geteuid()}"
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    if trap == "a file":
        taken.touch()
    elif trap == "a link":
        taken.symlink_to(tmp_path / "elsewhere")
    else:
        taken.mkdir()
        taken.chmod(0o777)
    root = cache_in(monkeypatch, tmp_path)
    assert root != taken
    assert root.parent == tmp_path
    assert stat.S_IMODE(root.stat().st_mode) == 0o700


def test_a_folder_of_another_user_is_not_used(monkeypatch, tmp_path, no_cache_setting):
    taken = cache_in(monkeypatch, tmp_path)
    another = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: another)
    taken.rename(tmp_path / f"advtag-numba-{os.geteuid()}")
    assert cache_in(monkeypatch, tmp_path).name != f"advtag-numba-{os.geteuid()}"


@pytest.mark.parametrize("umask", [0o002, 0o022, 0o077])
def test_the_cache_is_the_users_alone_whatever_the_umask(monkeypatch, tmp_path, no_cache_setting, umask):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    before = os.umask(umask)
    (tmp_path / "cache" / "advtag").mkdir(parents=True)  # as an older version left it
    try:
        root = compiled._cache_root()
    finally:
        os.umask(before)
    assert root == tmp_path / "cache" / "advtag" / "numba"
    assert [stat.S_IMODE(path.stat().st_mode) for path in (root, root.parent)] == [0o700, 0o700]


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
