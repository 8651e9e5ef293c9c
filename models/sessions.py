"""ONNX Runtime's sessions: one per content and process, on one thread, run some jets at a time.

Nothing else in the project makes one.
"""

import hashlib
import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from storage.names import printable

SUB_BATCH = 1024
"""Jets per call of the runtime: small enough for the cache, large enough to hide the call."""

NUMBER_TYPES: Final[Mapping[str, type[np.generic]]] = {
    "tensor(float16)": np.float16,
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(bool)": np.bool_,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
}
"""The runtime's names of the types that inputs and outputs may have."""

_LONGEST_REASON = 500
_CODE = re.compile(
    r"\[ONNXRuntimeError\] : \d+ : \w+ : "
    r"|/onnxruntime_src/\S+:\d+ [^()]*\([^()]*\)( const)? "
)
"""Numbers and places in the runtime's own source, which stand before and in the reasons that it gives."""

Session: TypeAlias = onnxruntime.InferenceSession

_sessions: dict[str, Session] = {}
_sessions_lock = threading.Lock()

# For who loaded the runtime before this package could say so in the environment (models/__init__.py).
onnxruntime.disable_telemetry_events()


class ModelError(ValueError):
    """A model that ONNX Runtime cannot read or run, with the reason that it gives; one line."""


def hash_of(content: bytes) -> str:
    """Return the SHA-256 of a model's bytes, in hexadecimal: the key of its session."""
    return hashlib.sha256(content).hexdigest()


def session_of(key: str, content: bytes) -> Session:
    """Return the session of this content, made once per process.

    Raises:
        ModelError: If the runtime cannot read it as a model.
        MemoryError: If it does not fit into memory.
    """
    with _sessions_lock:
        if not _sessions:
            _share_memory()
        if key not in _sessions:
            options = _options()
            options.add_session_config_entry("session.use_env_allocators", "1")
            _sessions[key] = _made(content, options)
        return _sessions[key]


def session_as_written(content: bytes) -> Session:
    """Return a new session that runs the operators as they are: nothing is computed before it is run.

    Raises:
        ModelError: If the runtime cannot read it as a model.
        MemoryError: If it does not fit into memory.
    """
    options = _options()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return _made(content, options)


def run_in_parts(
    session: Session,
    inputs: Mapping[str, NDArray[Any]],
    outputs: Mapping[str, int],
) -> Sequence[NDArray[np.float32]]:
    """Return outputs of a session, which do not depend on how jets are cut into parts, bit by bit.

    Args:
        session: The session.
        inputs: Its inputs, one row a jet; they are cast to the types that it takes.
        outputs: What to compute, and the columns of each: float32 of shape ``(n_jets, n_columns)``.

    Raises:
        ModelError: If the runtime cannot run it.
        MemoryError: If that does not fit into memory.
    """
    n_jets = len(next(iter(inputs.values())))
    results = [np.empty((n_jets, width), dtype=np.float32) for width in outputs.values()]
    names = list(outputs)
    types = {node.name: NUMBER_TYPES[node.type] for node in session.get_inputs()}
    for start in range(0, n_jets, SUB_BATCH):
        part = slice(start, start + SUB_BATCH)
        with np.errstate(over="ignore"):  # what a narrow type does not hold is infinity
            feeds = {name: values[part].astype(types[name], copy=False) for name, values in inputs.items()}
        found = run_session(session, names, feeds)
        with np.errstate(over="ignore"):
            for result, values in zip(results, found, strict=True):
                result[part] = values
    return results


def run_session(
    session: Session,
    outputs: Sequence[str],
    feeds: Mapping[str, NDArray[Any]],
    *,
    seconds: float | None = None,
) -> list[NDArray[Any]]:
    """Return outputs of a session as it gives them.

    Args:
        session: The session.
        outputs: Their names.
        feeds: Its inputs.
        seconds: After how long it is told to stop; None for never. An operator that has begun is finished.

    Raises:
        ModelError: If the runtime cannot run it, or not in that time.
        MemoryError: If that does not fit into memory.
    """
    options, has_ended = onnxruntime.RunOptions(), threading.Event()

    def stop() -> None:
        if not has_ended.wait(seconds):
            options.terminate = True

    if seconds is not None:
        threading.Thread(target=stop, daemon=True).start()
    try:
        found: list[NDArray[Any]] = session.run(list(outputs), dict(feeds), options)
    except Exception as error:
        if options.terminate:
            raise ModelError(f"it needs more than {seconds:g} s for {_n_rows(feeds)} jets") from error
        raise _refusal(error, "run it") from error
    finally:
        has_ended.set()
    return found


def _n_rows(feeds: Mapping[str, NDArray[Any]]) -> int:
    return len(next(iter(feeds.values())))


def _options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors arrive as exceptions
    return options


def _made(content: bytes, options: onnxruntime.SessionOptions) -> Session:
    try:
        # What it falls back to is the same once more, with a banner on standard output.
        return Session(content, options, providers=["CPUExecutionProvider"], enable_fallback=0)
    except Exception as error:
        raise _refusal(error, "read it as a model") from error


def _refusal(error: Exception, what: str) -> Exception:
    """Return an error of the runtime, which has a class of its own for each failure, as one of ours."""
    reason = printable(_CODE.sub("", " ".join(str(error).split()))[:_LONGEST_REASON].rstrip("."))
    if isinstance(error, MemoryError) or "allocate memory" in reason or "bad_alloc" in reason:
        return MemoryError(reason)
    return ModelError(f"ONNX Runtime cannot {what} ({reason})")


def _share_memory() -> None:
    """Let all sessions of the process work in one memory arena; by default each keeps 10 to 30 MB."""
    arena = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    onnxruntime.create_and_register_allocator(arena, None)
