"""A process of the pool: takes chunks from a pipe, sends back what they gave, ends with its parent."""

import os
import pickle
import queue
import signal
import threading
import traceback
from multiprocessing.connection import Connection
from typing import Any

import cloudpickle

_IDLE_SECONDS = 300
"""Without work for so long, a process ends and gives its memory back."""
_WITHOUT_PARENT = 1
"""The exit code of a process whose parent is gone; nobody is there to see it."""

Messages = queue.SimpleQueue[tuple[str, bytes]]


def work(descriptor: int) -> None:
    """Answer what comes through a pipe until it is closed.

    A message is a pair: `task` and the pickled function, then `item` and a pickled argument, again and again.
    The answer to an argument is a pair, too: the result and None, or the error and its traceback as text.

    Args:
        descriptor: Of the pipe; this process inherited it.
    """
    # Ctrl-C in a terminal reaches all its processes; this one is ended by the one that started it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pipe = Connection(descriptor)
    messages: Messages = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(pipe, messages), daemon=True).start()
    task: Any = None
    while True:
        kind, content = _next(messages)
        try:
            if kind == "task":
                task = content
                continue
            if isinstance(task, bytes):
                task = pickle.loads(task)
            answer = cloudpickle.dumps((task(pickle.loads(content)), None))
        except Exception as error:
            there = "".join(traceback.format_exception(error))
            answer = cloudpickle.dumps((_that_travels(error), there))
        pipe.send_bytes(answer)


def _next(messages: Messages) -> tuple[str, bytes]:
    try:
        return messages.get(timeout=_IDLE_SECONDS)
    except queue.Empty:
        os._exit(0)


def _receive(pipe: Connection, messages: Messages) -> None:
    """Pass messages on; end this process, also in the midst of its work, when the pipe is closed.

    The parent closes it, or is dead: then nobody takes a result any more.
    """
    try:
        while True:
            messages.put(pickle.loads(pipe.recv_bytes()))
    except (EOFError, OSError):
        os._exit(_WITHOUT_PARENT)


def _that_travels(error: Exception) -> Exception:
    """Return an error that survives the way to the parent."""
    # What lies behind it may not survive, and the error would be lost with it.
    error.__cause__ = error.__context__ = None
    try:
        pickle.loads(cloudpickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
