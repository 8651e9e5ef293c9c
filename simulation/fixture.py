"""A few simulated events in this package, for tests and for machines without PYTHIA.

They are plain simulation of scenario `mc` with the branches that an analysis reads. Make them again, after
the simulation has changed, with::

    python -m simulation.fixture
"""

import tempfile
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import uproot

from events.files import open_root
from simulation.provenance import METADATA_KEY
from simulation.rewriting import extend_events, grouped
from simulation.samples import SampleRequest
from simulation.simulate import simulate_sample
from storage.trees import make_tree, replaced_root_file

FIXTURE_EVENTS: Mapping[str, int] = {"dy": 230, "wc": 230, "ttsl": 150, "qcd": 110}
"""Generated events by process."""

MAX_BYTES = 1_000_000
"""Of all files together."""

FOLDER = "fixture_files"
SEED = 20

_KEPT_GROUPS = ("Jet_DeepCSV_", "HLT_", "Flag_")
_KEPT: Mapping[str, tuple[str, ...]] = {
    "Jet": (
        "pt", "eta", "phi", "mass", "muEF", "neEmEF", "jetId", "puId", "muonIdx1", "muonIdx2",
        "hadronFlavour", "partonFlavour", "nBHadrons", "nCHadrons",
        "btagDeepB_b", "btagDeepB_bb", "btagDeepC", "btagDeepL",
    ),
    "Muon": (
        "pt", "eta", "phi", "mass", "charge", "tightId", "pfRelIso04_all", "dxy", "dxyErr", "dz", "sip3d",
        "jetIdx", "genPartFlav",
    ),
    "Electron": ("pt", "eta", "phi", "mass", "charge", "deltaEtaSC", "mvaFall17V2Iso_WP80"),
}  # fmt: skip
_KEPT_OF_EVENTS = (
    "run", "luminosityBlock", "event", "genWeight", "Pileup_nTrueInt", "PV_x", "PV_y", "PV_npvsGood",
    "MET_pt", "MET_phi", "nPSWeight", "PSWeight", "nLHEScaleWeight", "LHEScaleWeight",
)  # fmt: skip
"""What selections, training and validation read: every branch of so few events weighs."""


def fixture_files() -> dict[str, Path]:
    """Return the file of each process.

    Raises:
        FileNotFoundError: If one is missing.
    """
    folder = Path(str(resources.files("simulation").joinpath(FOLDER)))
    files = {process: folder / f"{process}.root" for process in FIXTURE_EVENTS}
    for path in files.values():
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file: make it with python -m simulation.fixture")
    return files


def make_fixture(folder: Path) -> list[Path]:
    """Simulate the events again and return their files.

    Args:
        folder: Where they are written.

    Raises:
        ValueError: If the files are larger than `MAX_BYTES`; they are written all the same.
    """
    files = []
    with tempfile.TemporaryDirectory(prefix="advtag_fixture_") as scratch:
        for process, n_events in FIXTURE_EVENTS.items():
            whole = Path(scratch) / f"{process}.root"
            simulate_sample(SampleRequest(process, "mc", n_events, SEED), whole)
            files.append(slim(whole, folder / whole.name))
    size = sum(path.stat().st_size for path in files)
    if size > MAX_BYTES:
        raise ValueError(f"{folder}: {size} bytes are more than {MAX_BYTES}: ask for fewer events")
    return files


def slim(path: Path, output: Path) -> Path:
    """Write the events of a file with the branches that an analysis reads alone; return the new path."""
    with (
        open_root(path) as whole,
        replaced_root_file(output, uproot.LZMA(9)) as file,
    ):
        events = whole.tree("Events")
        kept = [name for name in events.names if _is_kept(name)]
        columns = events.read(kept)
        titles = {name: events.title(name) for name in kept if name.endswith("Weight")}
        extend_events(file, grouped({name: columns[name] for name in columns.fields}), titles)
        for name in ("Runs", "LuminosityBlocks"):
            tree = whole.tree(name)
            columns = tree.read(tree.names)
            content = grouped({branch: columns[branch] for branch in columns.fields})
            make_tree(file, name, content, {})
            file[name].extend(content)
        file[METADATA_KEY] = whole.text(METADATA_KEY)
    return output


def _is_kept(name: str) -> bool:
    collection, _, field = name.partition("_")
    return (
        name in _KEPT_OF_EVENTS
        or name.startswith(_KEPT_GROUPS)
        or name.removeprefix("n") in _KEPT
        or field in _KEPT.get(collection, ())
    )


if __name__ == "__main__":
    make_fixture(Path(__file__).parent / FOLDER)
