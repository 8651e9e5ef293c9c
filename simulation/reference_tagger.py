"""The tagger that comes with the package, and its scores as the files hold them: `Jet_btagDeepB` and others.

CMS files hold the scores of CMS's own DeepCSV. Here the same branches hold those of one network that was
trained once, on simulated events; docs/reference_tagger.md is its model card. It stands for "the tagger in
the file" that a new training is compared with. Make it again with ``make reference-tagger``.
"""

import functools
import hashlib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.features import JET_FIELDS, feature_matrix

if TYPE_CHECKING:
    from models.tagger import Tagger

FILE_NAME = "reference_tagger.onnx"

NO_SCORE = -1.0
"""Of a jet without any selected track. Source: PFNano files of CMS."""

BRANCHES = (
    "btagDeepB",
    "btagDeepB_b",
    "btagDeepB_bb",
    "btagDeepC",
    "btagDeepL",
    "btagDeepCvB",
    "btagDeepCvL",
)
"""Fields of jets. Source: PFNano; btagDeepB is b + bb, CvB is c / (c + b + bb), CvL is c / (c + udsg)."""

_N_TRACKS = JET_FIELDS.index("DeepCSV_jetNSelectedTracks")


def reference_tagger_path() -> Path:
    """Return where the tagger lies; it may be absent, and then files hold no scores."""
    return Path(str(resources.files("simulation").joinpath(FILE_NAME)))


def reference_fingerprint() -> str | None:
    """Return a short name for the content of the tagger, or None without one."""
    path = reference_tagger_path()
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12] if path.is_file() else None


def load_reference_tagger() -> "Tagger | None":
    """Return the tagger that comes with the package, or None without one."""
    path = reference_tagger_path()
    return _loaded(path) if path.is_file() else None


@functools.cache
def _loaded(path: Path) -> "Tagger":
    # Only who makes or reads scores pays for the runtime.
    from models.tagger import load_tagger

    return load_tagger(path)


def btag_scores(
    fields: Mapping[str, NDArray[np.generic]], tagger: "Tagger"
) -> dict[str, NDArray[np.float32]]:
    """Return the scores of jets as float32, by the name of the field, shape ``(n_jets,)`` each.

    They are those of the inputs as they are written, so whoever applies the tagger to the file finds them.

    Args:
        fields: The inputs as they are written, by field of a jet, shape ``(n_jets,)`` each.
        tagger: Whose scores they are.
    """
    from models.discriminators import scores

    raw = feature_matrix({field: fields[field] for field in JET_FIELDS})
    values = scores(tagger.logits(raw))
    columns = (
        values["b"] + values["bb"], values["b"], values["bb"], values["c"], values["udsg"],
        values["CvsB"], values["CvsL"],
    )  # fmt: skip
    has_score = (raw[:, _N_TRACKS] > 0) & (values["b"] >= 0)
    return {
        name: np.where(has_score, column, NO_SCORE).astype(np.float32)
        for name, column in zip(BRANCHES, columns, strict=True)
    }
