import subprocess
import sys
from pathlib import Path

import pytest

from simulation import MissingExtraError, SampleRequest, extras, simulate_sample

WITHOUT_EXTRA = """
import sys
for name in ("pythia8mc", "fastjet", "numba"):
    sys.modules[name] = None  # importing it fails
import simulation
from simulation.generate import simulate_samples
print(simulation.SampleRequest("dy", "mc", 10).process)
"""


def test_the_package_is_imported_without_the_extra():
    folder = Path(__file__).parents[2]
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRA], cwd=folder, capture_output=True, text=True, check=False
    )
    assert result.stdout == "dy\n", result.stderr


def test_simulating_without_the_extra_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(extras, "_PACKAGES", ("pythia8mc", "a_package_nobody_has"))
    with pytest.raises(MissingExtraError, match=r"\[sim\] \(a_package_nobody_has not found\): pip install"):
        simulate_sample(SampleRequest("dy", "mc", 10), tmp_path / "f.root")
    assert list(tmp_path.iterdir()) == []
