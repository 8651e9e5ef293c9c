"""Who may import whom, read from the source: an arrow that points up is a circle to come."""

import ast
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]

MAY_IMPORT: dict[str, set[str]] = {
    "storage": set(),
    "models": {"storage"},
    "selections": set(),
    "events": {"models", "selections", "storage"},
    "datamc": {"events.files", "selections", "storage"},
    "simulation": {"events", "models.features", "models.discriminators", "models.tagger", "storage"},
    "training": {"events", "models", "storage"},
    "processors": {"events", "models", "selections", "storage", "datamc.results"},
    "plotting": {"datamc", "models", "storage"},
    "condor": {"datamc", "events", "processors", "selections", "storage"},
}
MAY_IMPORT["advtag"] = set(MAY_IMPORT)

LIVES_ONLY_IN: dict[str, tuple[str, ...]] = {
    "torch": ("training/", "models/network.py"),
    "matplotlib": ("plotting/",),
    "mplhep": ("plotting/",),
    "plotly": ("plotting/",),
    "pythia8mc": ("simulation/",),
    "fastjet": ("simulation/",),
    "numba": ("simulation/",),
}


def imported_modules(path: Path) -> set[str]:
    """Return every module a file names in an import, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def source_files() -> list[Path]:
    return [path for package in MAY_IMPORT for path in sorted((REPOSITORY / package).rglob("*.py"))]


def lies_within(module: str, allowed: str) -> bool:
    return module == allowed or module.startswith(f"{allowed}.")


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_point_down(package: str) -> None:
    allowed = MAY_IMPORT[package] | {package}
    wrong = [
        f"{path.relative_to(REPOSITORY)} imports {module}"
        for path in sorted((REPOSITORY / package).rglob("*.py"))
        for module in sorted(imported_modules(path))
        if module.split(".")[0] in MAY_IMPORT and not any(lies_within(module, name) for name in allowed)
    ]
    assert wrong == []


@pytest.mark.parametrize("library", LIVES_ONLY_IN)
def test_heavy_library_stays_in_its_room(library: str) -> None:
    importers = [
        str(path.relative_to(REPOSITORY))
        for path in source_files()
        if any(lies_within(module, library) for module in imported_modules(path))
    ]
    assert importers, f"nothing imports {library} any more: drop its row"
    assert [name for name in importers if not name.startswith(LIVES_ONLY_IN[library])] == []


def test_every_package_of_the_project_has_its_row() -> None:
    packages = {path.parent.name for path in REPOSITORY.glob("*/__init__.py")}
    assert packages == set(MAY_IMPORT)
