"""ONNX Runtime makes files and connections of its own; here it does not."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    return names


def test_only_models_loads_the_runtime() -> None:
    """Whose first module switches the reports off before anything of the runtime is loaded."""
    users = [
        str(path.relative_to(REPOSITORY))
        for folder in REPOSITORY.iterdir()
        if (folder / "__init__.py").is_file()
        for path in folder.rglob("*.py")
        if "onnxruntime" in imported(path)
    ]
    assert sorted(users) == ["models/sessions.py"]


@pytest.mark.parametrize("before", ["", "1", "0"])
def test_the_runtime_writes_nothing_into_the_home_folder(tmp_path: Path, before: str) -> None:
    """Nor into those that systems have for caches, states and temporary files."""
    folders = {name: str(tmp_path / name) for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "TMPDIR")}
    folders |= {name: str(tmp_path / name) for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME")}
    for folder in folders.values():
        Path(folder).mkdir()
    code = (
        "import numpy, os; from pathlib import Path; from models.tagger import load_taggers\n"
        "(tagger,) = load_taggers([Path('pretrained:basic')], epochs=[20])\n"
        "tagger.logits(numpy.zeros((10, 67), numpy.float32))\n"
        "print(os.environ['ORT_DISABLE_TELEMETRY'])"
    )
    environment = os.environ | folders | {"ORT_DISABLE_TELEMETRY": before}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "1"  # for the processes that it starts, too
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
