"""Which file it is: what tells it from others, from itself written anew, and what copies of it share."""

import socket
from pathlib import Path
from typing import NamedTuple

from events.files import RootFile, is_remote
from events.trees import Tree


class State(NamedTuple):
    """A local file as the file system has it; whoever writes it anew changes one of these."""

    size: int
    mtime_ns: int
    inode: int

    def fits(self, other: "State", *, same_machine: bool) -> bool:
        """Say whether a file is unchanged; another machine may number files and round times as it likes."""
        if same_machine:
            return self == other
        return self.size == other.size and self.mtime_ns // 10**9 == other.mtime_ns // 10**9


def state_of(path: str) -> State | None:
    """Return the state of a local file; None of a remote one, or of one that is not there."""
    if is_remote(path) or not Path(path).is_file():
        return None
    status = Path(path).stat()
    return State(status.st_size, status.st_mtime_ns, status.st_ino)


def identity_of(file: RootFile, tree: Tree) -> str:
    """Return what a tree of a file has in common with that of its copies, and with no other.

    ROOT's mark of the file alone does not do: files that are made reproducibly all have the same one.
    """
    return f"{file.uuid.hex()}-{file.size}-{tree.n_events}-{tree.name}"


def machine() -> str:
    """Return the name of this machine."""
    return socket.gethostname()
