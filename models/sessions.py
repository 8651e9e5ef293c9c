"""ONNX Runtime's sessions: one per content and process, on one thread, run some jets at a time."""

import hashlib
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

SUB_BATCH = 1024
"""Jets per call of the runtime: small enough for the cache, large enough to hide the call."""

_sessions: dict[str, onnxruntime.InferenceSession] = {}
_sessions_lock = threading.Lock()


def hash_of(content: bytes) -> str:
    """Return the SHA-256 of a model's bytes, in hexadecimal: the key of its session."""
    return hashlib.sha256(content).hexdigest()


def session_of(key: str, content: bytes) -> onnxruntime.InferenceSession:
    """Return the session of this content, made once per process."""
    with _sessions_lock:
        if not _sessions:
            _share_memory()
        if key not in _sessions:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1
            options.inter_op_num_threads = 1
            options.log_severity_level = 4  # errors arrive as exceptions
            options.add_session_config_entry("session.use_env_allocators", "1")
            _sessions[key] = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
        return _sessions[key]


def run_in_parts(
    session: onnxruntime.InferenceSession,
    inputs: Mapping[str, NDArray[Any]],
    outputs: Mapping[str, int],
) -> Sequence[NDArray[np.float32]]:
    """Return outputs of a session, which do not depend on how jets are cut into parts, bit by bit.

    Args:
        session: The session.
        inputs: Its inputs, one row a jet.
        outputs: What to compute, and the columns of each: float32 of shape ``(n_jets, n_columns)``.
    """
    n_jets = len(next(iter(inputs.values())))
    results = [np.empty((n_jets, width), dtype=np.float32) for width in outputs.values()]
    names = list(outputs)
    for start in range(0, n_jets, SUB_BATCH):
        part = slice(start, start + SUB_BATCH)
        found = session.run(names, {name: values[part] for name, values in inputs.items()})
        for result, values in zip(results, found, strict=True):
            result[part] = values
    return results


def _share_memory() -> None:
    """Let all sessions of the process work in one memory arena; by default each keeps 10 to 30 MB."""
    arena = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    onnxruntime.create_and_register_allocator(arena, None)
