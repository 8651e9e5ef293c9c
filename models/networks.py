"""The part of a tagger behind its scaling, for jets that many taggers score.

A tagger's file takes features as read, so whoever uses it cannot clean or scale them wrongly. All epochs of
a training clean and scale alike, though, and its attack computes the logits on its way. Cut out of the files
(`models.cutting`), the network takes features that were scaled once, and gives the logits together with the
attack. The numbers are those of the files, bit by bit.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.features import FLAVOURS, N_FEATURES
from models.scaler import FeatureScaler
from models.sessions import hash_of, run_in_parts, session_of


class Inputs(NamedTuple):
    """Features, and the same once they are cleaned and scaled; shape ``(n_jets, 67)`` each."""

    features: NDArray[np.float32]
    scaled: NDArray[np.float32]
    is_default: NDArray[np.bool_]


def scaled_inputs(features: NDArray[np.float32], scaler: FeatureScaler) -> Inputs:
    """Return features in physical units with what `scaler` makes of them."""
    return Inputs(features, *scaler.scale(features))


@dataclass(frozen=True)
class Network:
    """The networks of a tagger and of its attack as ONNX models; it pickles to its bytes.

    Attributes:
        tagger_bytes: From ``scaled`` to ``logits``.
        attack_bytes: From ``scaled``, ``is_default`` and ``labels`` to ``logits`` and ``gradient_sign``; None
            without an attack.
    """

    tagger_bytes: bytes
    attack_bytes: bytes | None = None

    @cached_property
    def _tagger_hash(self) -> str:
        return hash_of(self.tagger_bytes)

    @cached_property
    def _attack_hash(self) -> str:
        return hash_of(self.attack_bytes or b"")

    def logits(self, inputs: Inputs) -> NDArray[np.float32]:
        """Return what `Tagger.logits` does, shape ``(n_jets, 4)``."""
        session = session_of(self._tagger_hash, self.tagger_bytes)
        (logits,) = run_in_parts(session, {"scaled": inputs.scaled}, {"logits": len(FLAVOURS)})
        return logits

    def logits_and_sign(
        self, inputs: Inputs, labels: NDArray[np.integer]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return what `Tagger.logits` and `Tagger.gradient_sign` do, for little more than the second.

        Args:
            inputs: Where.
            labels: True flavours, 0 to 3, shape ``(n_jets,)``.

        Raises:
            ValueError: If there is no attack.
        """
        if self.attack_bytes is None:
            raise ValueError("this network has no attack")
        session = session_of(self._attack_hash, self.attack_bytes)
        truth = labels.astype(np.int64, copy=False)
        feeds = {"scaled": inputs.scaled, "is_default": inputs.is_default, "labels": truth}
        logits, sign = run_in_parts(session, feeds, {"logits": len(FLAVOURS), "gradient_sign": N_FEATURES})
        return logits, sign
