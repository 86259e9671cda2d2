"""The web server of the page that plays in a browser: one page, its clips, one stream of events.

It listens on 127.0.0.1 or on a Unix socket of mode 0600, and trusts nobody: other users of a shared server reach
the port, and any web page that the listener's browser shows can send requests to it. So the address holds a
secret token; Host must be the loopback (against DNS rebinding); foreign or missing Origin is refused where
something is changed; requests are small, quick and few; who has not shown the token yet makes room for who comes
next, so that nobody can shut the listener out by holding connections open.
"""

from __future__ import annotations

import errno
import hmac
import io
import json
import os
import queue
import re
import socket
import socketserver
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Protocol

PAGE = Path(__file__).parent / "page"
FILES = {
    "": ("index.html", "text/html; charset=utf-8"),
    "page.css": ("page.css", "text/css; charset=utf-8"),
    "page.js": ("page.js", "text/javascript; charset=utf-8"),
    "mixer.js": ("mixer.js", "text/javascript; charset=utf-8"),
}
LOOPBACK = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?")
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
PING_SECONDS = 0.4
REQUEST_SECONDS = 5.0  # for a whole request, however slowly its bytes come
IDLE_SECONDS = 60.0  # a kept-open connection without a request, once it has shown the token
LARGEST_BODY = 8192
MOST_CONNECTIONS = 24  # of those that have shown the token
MOST_STRANGERS = 16  # of those that have not: the oldest is closed when another comes
PORTS_TRIED = 10


class Audience(Protocol):
    """Who owns the page: called in the server's threads."""

    def greeting(self, client: int) -> list[dict[str, Any]]:
        """What a page that has just come needs to hear."""

    def clip(self, name: str) -> tuple[bytes, str] | None:
        """Bytes and media type of a clip, None if there is none of this name."""

    def acknowledged(self, client: int, message: dict[str, Any]) -> None:
        """The current page has sent this. Raises ValueError, TypeError or KeyError when it makes no sense."""

    def left(self, client: int) -> None:
        """The stream of the current page has broken."""


@dataclass(eq=False)
class Client:
    """A page with an open stream of events."""

    number: int
    messages: queue.Queue[dict[str, Any]] = field(default_factory=queue.Queue)


class PageServer:
    """Serves the page to one client at a time: the newest; the one before is told that it was replaced."""

    def __init__(self, audience: Audience, lock: threading.RLock, token: str, port: int, unix_socket: str = "") -> None:
        """Listen, on the first free port from ``port`` on. Raises OSError.

        ``lock`` is the audience's: one for both, or the two would wait for each other.
        """
        self.audience = audience
        self.token = token
        self._lock = lock
        self._client: Client | None = None
        self._count = 0
        self._server = _listen_unix(unix_socket, self) if unix_socket else _listen_tcp(port, self)
        self.port = port if unix_socket else int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, name="page", daemon=True)
        self._thread.start()

    def send(self, message: dict[str, Any]) -> None:
        """To the current page, if there is one."""
        with self._lock:
            if self._client:
                self._client.messages.put(message)

    def join(self) -> Client:
        with self._lock:
            self._count += 1
            client = Client(self._count)
            if self._client:
                self._client.messages.put({"do": "replaced"})
            for message in self.audience.greeting(client.number):
                client.messages.put(message)
            self._client = client
        return client

    def leave(self, client: Client) -> None:
        with self._lock:
            if self._client is not client:
                return
            self._client = None
        self.audience.left(client.number)

    def is_current(self, number: object) -> bool:
        with self._lock:
            return self._client is not None and self._client.number == number

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(2.0)


class _Request(io.RawIOBase):
    """The socket as a stream whose reads all end at one deadline."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.deadline = time.monotonic() + REQUEST_SECONDS

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self._admitted = False
        self._request = _Request(self.connection)
        self._buffered = io.BufferedReader(self._request)
        self.rfile = self._buffered

    def handle_one_request(self) -> None:
        self._request.deadline = time.monotonic() + (IDLE_SECONDS if self._admitted else REQUEST_SECONDS)
        try:
            self._buffered.peek(1)
        except (TimeoutError, OSError):
            self.close_connection = True
            return
        self._request.deadline = time.monotonic() + REQUEST_SECONDS
        super().handle_one_request()
        self.connection.settimeout(REQUEST_SECONDS)

    def do_GET(self) -> None:
        name = self._admit()
        if name is None:
            return
        if name == "events":
            self._stream()
        elif name in FILES:
            file, kind = FILES[name]
            self._answer(200, (PAGE / file).read_bytes(), kind)
        elif found := self.server.page.audience.clip(name.removeprefix("clip/")) if name.startswith("clip/") else None:
            self._answer(200, *found)
        else:
            self._answer(404)

    def do_POST(self) -> None:
        name = self._admit()
        if name is None:
            return
        if "Origin" not in self.headers:
            self._answer(403)
        elif name != "ack":
            self._answer(404)
        elif (length := self._length()) is not None:
            self._acknowledge(self.rfile.read(length))

    def _length(self) -> int | None:
        text = self.headers.get("Content-Length", "")
        if not text.isdecimal():
            self._answer(411)
        elif len(text) > 9 or int(text) > LARGEST_BODY:
            self._answer(413)
        else:
            return int(text)
        return None

    def _admit(self) -> str | None:
        """The name after the token of a request that may come in; None after an answer that says no."""
        host, origin = self.headers.get("Host", ""), self.headers.get("Origin")
        site = self.headers.get("Sec-Fetch-Site", "none")
        _, token, *rest = [*self.path.split("/", 2), ""]
        if not LOOPBACK.fullmatch(host):
            self._answer(421)
        elif origin not in (None, f"http://{host}") or site not in ("none", "same-origin"):
            self._answer(403)
        elif not hmac.compare_digest(token.encode(), self.server.page.token.encode()):
            self._answer(404)
        elif not self._admitted and not self.server.admit(self.request):
            self._answer(503)
        else:
            self._admitted = True
            return rest[0]
        return None

    def _acknowledge(self, body: bytes) -> None:
        page = self.server.page
        try:
            message = json.loads(body)
            if not page.is_current(message["client"]):
                self._answer(409)
                return
            page.audience.acknowledged(message["client"], message)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            self._answer(400)
        else:
            self._answer(204)

    def _stream(self) -> None:
        self.close_connection = True
        self.send_response(200)
        self._send_headers("text/event-stream", {"Connection": "close", "X-Accel-Buffering": "no"})
        client = self.server.page.join()
        try:
            while True:
                try:
                    message = client.messages.get(timeout=PING_SECONDS)
                except queue.Empty:
                    message = {"do": "ping"}
                self.wfile.write(f"data: {json.dumps(message)}\n\n".encode())
                if message["do"] == "replaced":
                    return
        except OSError:
            pass  # the page or the tunnel is gone
        finally:
            self.server.page.leave(client)

    def _answer(self, status: int, body: bytes = b"", kind: str = "text/plain; charset=utf-8") -> None:
        if status >= 400:
            self.close_connection = True  # what else was sent is not read
            body = f"{status}\n".encode()
        self.send_response(status)
        self._send_headers(kind, {"Connection": "close"} if self.close_connection else {}, len(body))
        self.wfile.write(body)

    def _send_headers(self, kind: str, more: dict[str, str], length: int | None = None) -> None:
        self.send_header("Content-Type", kind)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in {**HEADERS, **more}.items():
            self.send_header(name, value)
        self.end_headers()

    def version_string(self) -> str:
        return "mgl-tui"

    def log_message(self, format: str, *args: Any) -> None:
        pass  # stderr belongs to what goes wrong


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 32
    page: PageServer

    def __init__(self, address: Any, page: PageServer) -> None:
        self.page = page
        self._lock = threading.Lock()
        self._strangers: dict[socket.socket, None] = {}
        """Open connections that have not shown the token, the oldest first."""
        self._admitted: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if request.family == socket.AF_INET:
            request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            if len(self._strangers) >= MOST_STRANGERS:
                oldest = next(iter(self._strangers))
                del self._strangers[oldest]
                _hang_up(oldest)
            self._strangers[request] = None
        super().process_request(request, client_address)

    def admit(self, request: socket.socket) -> bool:
        """A connection has shown the token; whether there is room for it. It may have been closed meanwhile."""
        with self._lock:
            if request not in self._strangers or len(self._admitted) >= MOST_CONNECTIONS:
                return False
            del self._strangers[request]
            self._admitted.add(request)
            return True

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._lock:
                self._strangers.pop(request, None)
                self._admitted.discard(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a connection that broke: the next one is as good


def _hang_up(connection: socket.socket) -> None:
    """End a connection that a thread of its own reads from: the thread closes it."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it has ended already


class _UnixServer(_Server):
    address_family = socket.AF_UNIX


def _listen_tcp(port: int, page: PageServer, tries: int = PORTS_TRIED) -> _Server:
    try:
        return _Server(("127.0.0.1", port), page)
    except OSError as error:
        if error.errno != errno.EADDRINUSE or tries == 1:
            raise
    return _listen_tcp(port + 1, page, tries - 1)


def _listen_unix(path: str, page: PageServer) -> _Server:
    _clear(path)
    before = os.umask(0o177)
    try:
        return _UnixServer(path, page)
    finally:
        os.umask(before)


def _clear(path: str) -> None:
    """Remove a socket that a killed worker left behind; never another file, nor the socket of a living one."""
    if not Path(path).is_socket():
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(0.5)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink()
