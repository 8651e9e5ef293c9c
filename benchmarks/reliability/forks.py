"""An `advtag` that starts at once, for scripts that call it hundreds of times.

A process that has imported everything waits at a socket; the command in its folder `bin` hands over its
arguments, folder, environment and open files, and ends as the process ends that is forked for it.
"""

import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.reliability.trials import run_main

_COMMAND = """#!{python} -IS
import array, json, os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
request = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
files = socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2])
server.sendmsg([len(request).to_bytes(8, "big")], [files])
server.sendall(request)
sys.exit(int(server.makefile().readline() or 70))
"""


@contextmanager
def quick_prefix(folder: Path) -> Iterator[Path]:
    """Yield a folder with `bin/advtag`, which works as long as the block lasts."""
    address = str(folder / "socket")
    (folder / "bin").mkdir(parents=True, exist_ok=True)
    command = folder / "bin" / "advtag"
    command.write_text(_COMMAND.format(python=sys.executable, address=address))
    command.chmod(0o755)
    Path(address).unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(address)
        door.listen(16)
        sys.stdout.flush()
        server = os.fork()
        if server == 0:
            _serve(door)
        try:
            yield folder
        finally:
            os.kill(server, signal.SIGKILL)
            os.waitpid(server, 0)


def _serve(door: socket.socket) -> None:
    """Answer one request after the other, each by a process of its own; never returns."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        client, _ = door.accept()
        keeper = os.fork()
        if keeper == 0:
            os._exit(_keep(client))
        client.close()
        os.waitpid(keeper, 0)


def _keep(client: socket.socket) -> int:
    """Run one request and tell its exit code, as a shell says it."""
    head, descriptors, _, _ = socket.recv_fds(client, 8, 3)
    request = b""
    while len(request) < int.from_bytes(head, "big"):
        request += client.recv(1 << 16)
    child = os.fork()
    if child == 0:
        code = 70
        try:
            arguments, folder, environment = json.loads(request)
            for number, descriptor in enumerate(descriptors):
                os.dup2(descriptor, number)
            os.chdir(folder)
            os.environ.clear()
            os.environ.update(environment)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            code = run_main(arguments)
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    client.sendall(f"{code if code >= 0 else 128 - code}\n".encode())
    return 0
