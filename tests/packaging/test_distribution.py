"""The price of generic package names, paid: nobody else owns them, and no decoy is imported."""

import importlib.metadata
import os
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PACKAGES: list[str] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["hatch"]["build"][
    "targets"
]["wheel"]["packages"]


def test_no_other_distribution_owns_our_names() -> None:
    owners = importlib.metadata.packages_distributions()
    foreign = {name: sorted(set(owners.get(name, [])) - {"advtag"}) for name in PACKAGES}
    assert {name: others for name, others in foreign.items() if others} == {}


def test_the_wheel_lists_every_package() -> None:
    assert sorted(PACKAGES) == sorted(path.parent.name for path in REPOSITORY.glob("*/__init__.py"))


@pytest.fixture(scope="module")
def wheel_environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the built wheel; it sees the libraries here, but not the editable install."""
    folder = tmp_path_factory.mktemp("wheel")
    run = {"check": True, "capture_output": True, "text": True}
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, REPOSITORY], **run
    )
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], **run)
    python = environment / "bin" / "python"
    wheel = next(folder.glob("advtag-*.whl"))
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--quiet", wheel], **run
    )
    site = next((environment / "lib").glob("python*/site-packages"))
    (site / "libraries_of_the_test_environment.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return environment


def test_the_wheel_holds_every_file_beside_the_code(wheel_environment: Path) -> None:
    """Profiles of sites, taggers, embedded events, templates: all that a command reads from the package."""

    def beside_the_code(folder: Path) -> set[Path]:
        return {
            path.relative_to(folder)
            for package in PACKAGES
            for path in (folder / package).rglob("*")
            if path.is_file() and path.suffix not in (".py", ".pyc")
        }

    [site] = (wheel_environment / "lib").glob("python*/site-packages")
    assert Path("condor/profiles/lxplus.yaml") in beside_the_code(site)
    assert beside_the_code(site) == beside_the_code(REPOSITORY)


def test_wheel_runs_beside_a_decoy_of_our_names(wheel_environment: Path, tmp_path: Path) -> None:
    for name in PACKAGES:
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the decoy was imported')\n")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {
        "PYTHONSAFEPATH": "1"
    }
    help_text = subprocess.run(
        [wheel_environment / "bin" / "advtag", "--help"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "demo" in help_text
    imported = subprocess.run(
        [wheel_environment / "bin" / "python", "-c",
         f"import importlib\nfor name in {PACKAGES!r}: print(importlib.import_module(name).__file__)"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert len(imported) == len(PACKAGES)
    assert all(Path(path).is_relative_to(wheel_environment) for path in imported)


def test_wheel_holds_the_pretrained_taggers(wheel_environment: Path, tmp_path: Path) -> None:
    script = (
        "from pathlib import Path\n"
        "from models.tagger import load_taggers\n"
        "print(load_taggers([Path('pretrained')]))"
    )
    printed = subprocess.run(
        [wheel_environment / "bin" / "python", "-c", script],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "basic@20" in printed
    assert "adversarial@20" in printed
