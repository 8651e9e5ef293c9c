"""Files with an address: the reason why one cannot be read is that of the server, where it is."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from events.files import FileError, open_root
from processors.filesets import parse_fileset
from processors.planning import UnreadableFilesError, make_plan
from selections.branches import branches_of
from selections.parameters import parameters_of
from simulation.fixture import fixture_files


class Server(SimpleHTTPRequestHandler):
    """Knows no ranges, and refuses, fails or sends a page in place of a file, by its name."""

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        name = self.path.strip("/").removesuffix(".root")
        if name.isdigit():
            self.send_error(int(name))
        elif name == "login":
            page = b"<html>who are you</html>"
            self.send_response(200)
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)
        else:
            super().do_GET()

    do_HEAD = do_GET  # noqa: N815


class RangeServer(Server):
    """Knows ranges."""

    def do_GET(self) -> None:
        asked = self.headers.get("Range", "")
        content = fixture_files()["dy"].read_bytes()
        start, _, stop = asked.removeprefix("bytes=").partition("-")
        part = content[int(start or 0) : int(stop or len(content) - 1) + 1]
        self.send_response(206)
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)

    do_HEAD = do_GET  # noqa: N815


def served(handler: type[Server]) -> Iterator[str]:
    folder = fixture_files()["dy"].parent
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    yield from served(Server)


@pytest.fixture(scope="module")
def range_server() -> Iterator[str]:
    yield from served(RangeServer)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("dy.root", "the server knows no range requests"),
        ("absent.root", "no such file there"),
        ("403.root", "the server answers 403"),
        ("500.root", "the server answers 500"),
        ("login.root", "what the server sends is no ROOT file"),
    ],
)
def test_the_reason_is_told(server: str, name: str, reason: str) -> None:
    with pytest.raises(FileError, match=f"{name}: {reason}") as caught, open_root(f"{server}/{name}"):
        pass
    assert "\n" not in str(caught.value)


def test_files_are_read_where_ranges_are_known(range_server: str) -> None:
    with open_root(f"{range_server}/dy.root") as file:
        assert file.tree("Events").column("event").tolist() == list(range(1, 231))


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:9/f.root", "the server cannot be reached"),
        ("nonsense://there/f.root", "rotocol not known: nonsense"),
    ],
)
def test_servers_that_are_not_there_are_said(url: str, reason: str) -> None:
    with pytest.raises(FileError, match=reason), open_root(url):
        pass


def test_reasons_arrive_at_the_user(server: str) -> None:
    parameters = parameters_of("dy")
    fileset = parse_fileset({"dy": [f"{server}/dy.root", f"{server}/403.root"]})
    with pytest.raises(UnreadableFilesError, match=r"dy.root: the server knows .*403.root: the server"):
        make_plan(fileset, parameters, branches_of(parameters))
