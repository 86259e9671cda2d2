"""The page's server: who gets in, and what it takes."""

from __future__ import annotations

import http.client
import json
import os
import socket
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.audio.parts import wait_for
from tui.audio import page_server
from tui.audio.page_server import LARGEST_BODY, MOST_CONNECTIONS, PageServer

TOKEN = "the-secret-token"


class Audience:
    """Remembers what the page's owner would be told."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.told: list[tuple[int, dict[str, Any]]] = []
        self.gone: list[int] = []

    def greeting(self, client: int) -> list[dict[str, Any]]:
        return [{"do": "hello", "client": client}]

    def clip(self, name: str) -> tuple[bytes, str] | None:
        return (b"RIFF", "audio/wav") if name == "abc" else None

    def acknowledged(self, client: int, message: dict[str, Any]) -> None:
        self.told.append((client, {"audio": message["audio"]}))

    def left(self, client: int) -> None:
        self.gone.append(client)


@pytest.fixture
def audience() -> Audience:
    return Audience()


@pytest.fixture
def server(audience: Audience) -> Iterator[PageServer]:
    made = PageServer(audience, audience.lock, TOKEN, 0)
    yield made
    made.close()


def ask(server: PageServer, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Any:
    """One request with a page's own headers, unless told otherwise; the answer with its body read."""
    line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    host = f"127.0.0.1:{server.port}"
    own = {"Host": host, **({"Origin": f"http://{host}"} if method == "POST" else {})}
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    line.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in {**own, **given}.items():
        if value:
            line.putheader(name, value)
    if body is not None and "Content-Length" not in given:
        line.putheader("Content-Length", str(len(body)))
    line.endheaders(body)
    answer = line.getresponse()
    answer.content = answer.read()  # type: ignore[attr-defined]
    line.close()
    return answer


class Stream:
    """A page's stream of events."""

    def __init__(self, server: PageServer) -> None:
        self._line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        self._line.request("GET", f"/{TOKEN}/events")
        self._answer = self._line.getresponse()
        assert self._answer.status == 200

    def next(self) -> dict[str, Any]:
        """The next message that is no ping."""
        while True:
            line = self._answer.readline()
            if line.startswith(b"data: "):
                message: dict[str, Any] = json.loads(line[6:])
                if message["do"] != "ping":
                    return message
            assert line, "the stream has ended"

    def close(self) -> None:
        self._answer.close()
        self._line.close()


def test_the_page_and_its_parts_are_served_under_the_token(server: PageServer) -> None:
    page = ask(server, f"/{TOKEN}/")
    assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    for name in ("page.css", "page.js", "mixer.js", "clip/abc"):
        assert ask(server, f"/{TOKEN}/{name}").status == 200, name


def test_every_answer_forbids_what_the_page_does_not_need(server: PageServer) -> None:
    headers = ask(server, f"/{TOKEN}/").headers
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"
    assert "Access-Control-Allow-Origin" not in headers
    assert "Python" not in headers["Server"]


@pytest.mark.parametrize("path", ["/", "/wrong/", f"/{TOKEN}x/", f"/{TOKEN[:-1]}/", "//", "/t%C3%B6ken/"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_wrong_token_finds_nothing(server: PageServer, path: str, method: str) -> None:
    assert ask(server, path, method, b"{}" if method == "POST" else None).status == 404


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "192.168.0.4:8765", "localhost@evil", ""])
def test_a_foreign_host_is_misdirected(server: PageServer, host: str) -> None:
    assert ask(server, f"/{TOKEN}/", Host=host).status == 421


@pytest.mark.parametrize("host", ["127.0.0.1:9000", "localhost:9000", "[::1]:9000", "localhost"])
def test_any_local_end_of_the_tunnel_may_be_used(server: PageServer, host: str) -> None:
    assert ask(server, f"/{TOKEN}/", Host=host).status == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1", "http://127.0.0.1:1", "file://"]
)
def test_a_foreign_origin_is_refused(server: PageServer, origin: str) -> None:
    assert ask(server, f"/{TOKEN}/", Origin=origin).status == 403
    assert ask(server, f"/{TOKEN}/ack", "POST", b"{}", Origin=origin).status == 403


def test_what_changes_something_must_name_its_origin(server: PageServer) -> None:
    assert ask(server, f"/{TOKEN}/ack", "POST", b"{}", Origin="").status == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_site_cannot_even_load_the_page(server: PageServer, site: str) -> None:
    assert ask(server, f"/{TOKEN}/", Sec_Fetch_Site=site).status == 403


OUTSIDE = "../worker.py ..%2fworker.py %2e%2e/worker.py clip/../../worker.py clip//etc/passwd clip/ index.html/"


@pytest.mark.parametrize("path", [*OUTSIDE.split(), "page.js/..", "./page.js", "page.js%00", "page.js?x", "\\page.js"])
def test_no_path_leads_out_of_what_is_served(server: PageServer, path: str) -> None:
    assert ask(server, f"/{TOKEN}/{path}").status == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "TRACE", "HEAD", "CONNECT"])
def test_other_methods_are_unknown(server: PageServer, method: str) -> None:
    assert ask(server, f"/{TOKEN}/", method).status == 501


def test_the_newest_page_plays_and_the_one_before_is_told(server: PageServer, audience: Audience) -> None:
    first = Stream(server)
    assert first.next() == {"do": "hello", "client": 1}
    second = Stream(server)
    assert second.next() == {"do": "hello", "client": 2}
    assert first.next() == {"do": "replaced"}
    server.send({"do": "play"})
    assert second.next() == {"do": "play"}
    late = json.dumps({"client": 1, "audio": "running"}).encode()
    assert ask(server, f"/{TOKEN}/ack", "POST", late).status == 409
    good = json.dumps({"client": 2, "audio": "running"}).encode()
    assert ask(server, f"/{TOKEN}/ack", "POST", good).status == 204
    assert audience.told == [(2, {"audio": "running"})]
    first.close()
    second.close()
    wait_for(lambda: audience.gone == [2], what="the end of the second page")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"{}", b'{"client": 1}', b'{"client": [1]}', b"\xff\xfe", b"[" * 5000]
)
def test_nonsense_is_a_bad_request_and_nothing_else(server: PageServer, audience: Audience, body: bytes) -> None:
    stream = Stream(server)
    stream.next()
    assert ask(server, f"/{TOKEN}/ack", "POST", body).status in (400, 409)
    assert audience.told == []
    server.send({"do": "still here"})
    assert stream.next() == {"do": "still here"}
    stream.close()


@pytest.mark.parametrize("length", [str(LARGEST_BODY + 1), "1000000000000", "9" * 5000])
def test_a_huge_request_is_refused_unread(server: PageServer, length: str) -> None:
    assert ask(server, f"/{TOKEN}/ack", "POST", b"x", Content_Length=length).status == 413


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "٣"])
def test_a_length_must_be_a_number(server: PageServer, length: str) -> None:
    assert ask(server, f"/{TOKEN}/ack", "POST", b"x", Content_Length=length.encode().decode("latin-1")).status == 411


def test_a_huge_header_is_refused(server: PageServer) -> None:
    assert ask(server, f"/{TOKEN}/", X="y" * 100_000).status == 431
    assert ask(server, "/" + "y" * 100_000).status == 414


def test_a_request_that_trickles_in_is_cut_off(server: PageServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_server, "REQUEST_SECONDS", 0.6)
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as line:
        assert _trickle(line, 8.0)


def _trickle(line: socket.socket, seconds: float) -> bool:
    """Send a byte now and then; whether the other side ends it within that time."""
    line.setblocking(False)
    deadline = time.monotonic() + seconds
    line.sendall(b"GET /")
    while time.monotonic() < deadline:
        time.sleep(0.05)
        try:
            line.send(b"x")
            if line.recv(1000) == b"":
                return True
        except BlockingIOError:
            continue
        except OSError:
            return True
    return False


def test_connections_that_somebody_holds_open_never_shut_the_page_out(server: PageServer) -> None:
    stream = Stream(server)
    stream.next()
    idle = [socket.create_connection(("127.0.0.1", server.port), timeout=10) for _ in range(2 * MOST_CONNECTIONS)]
    assert ask(server, f"/{TOKEN}/").status == 200
    server.send({"do": "play"})
    assert stream.next() == {"do": "play"}
    assert idle[0].recv(1) == b"", "the oldest had to go"
    idle += [socket.create_connection(("127.0.0.1", server.port), timeout=10) for _ in range(MOST_CONNECTIONS)]
    assert ask(server, f"/{TOKEN}/").status == 200
    for line in idle:
        line.close()
    stream.close()


def test_a_stranger_may_be_silent_for_no_longer_than_a_request_takes(
    server: PageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_server, "REQUEST_SECONDS", 0.3)
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as line:
        assert line.recv(1) == b""


def test_more_pages_than_there_is_room_for_are_told_so(server: PageServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_server, "MOST_CONNECTIONS", 1)
    stream = Stream(server)
    stream.next()
    assert ask(server, f"/{TOKEN}/").status == 503
    stream.close()
    wait_for(lambda: ask(server, f"/{TOKEN}/").status == 200, what="room for a request")


def test_a_taken_port_is_left_for_the_next_one(audience: Audience) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        server = PageServer(audience, audience.lock, TOKEN, taken)
        assert taken < server.port < taken + 10
        server.close()


def test_a_unix_socket_is_for_its_owner_alone(audience: Audience, short_folder: Path) -> None:
    path = short_folder / "page.sock"
    with socket.socket(socket.AF_UNIX) as killed:  # a session that was killed leaves its socket
        killed.bind(str(path))
    before = os.umask(0o022)
    try:
        server = PageServer(audience, audience.lock, TOKEN, 8765, str(path))
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(str(path))
        line.sendall(f"GET /{TOKEN}/ HTTP/1.1\r\nHost: localhost:8765\r\nConnection: close\r\n\r\n".encode())
        assert line.recv(100).startswith(b"HTTP/1.1 200")
    server.close()


def test_neither_a_file_nor_the_socket_of_a_living_session_is_taken_away(
    audience: Audience, short_folder: Path
) -> None:
    file = short_folder / "notes.txt"
    file.write_text("mine")
    with pytest.raises(OSError, match="in use"):
        PageServer(audience, audience.lock, TOKEN, 0, str(file))
    assert file.read_text() == "mine"
    living = PageServer(audience, audience.lock, TOKEN, 0, str(short_folder / "page.sock"))
    with pytest.raises(OSError, match="in use"):
        PageServer(audience, audience.lock, TOKEN, 0, str(short_folder / "page.sock"))
    living.close()
