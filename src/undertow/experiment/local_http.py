"""HTTP for pages on this machine: the least of it that a browser needs.

One connection carries one request and one answer (HTTP/1.0). Nothing but the head of a request is ever read, up to a size and for
a time; a request with a body is refused, and what follows a head is thrown away. Connections are counted.
"""

from __future__ import annotations

import contextlib
import hmac
import io
import logging
import re
import socket
import socketserver
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, NamedTuple

from undertow._checks import UndertowError

_log = logging.getLogger(__name__)

CONNECTIONS = 32
"""So many at a time; one more is closed at once."""
HEAD_BYTES, HEAD_SECONDS = 16 * 1024, 5.0
"""How long the head of a request may be, and how long it may take to come."""
ANSWER_SECONDS = 30.0
"""How long an answer may take to be read."""
_REST_BYTES, _REST_SECONDS = 64 * 1024, 0.5
TOKEN = "X-Undertow-Token"
"""The header of a POST that says the server's secret. No page of another site can send it: its browser asks first."""

_HOST = re.compile(r"(?:127\.0\.0\.1|localhost|\[::1\])(?::([0-9]{1,5}))?", re.IGNORECASE | re.ASCII)


class Answer(NamedTuple):
    """What a request gets: a text, its kind, and a status."""

    text: str
    kind: str = "text/plain; charset=utf-8"
    status: HTTPStatus = HTTPStatus.OK


def is_local(host: str) -> bool:
    """Whether a `Host` header names this machine, with any port: a tunnel may have another."""
    found = _HOST.fullmatch(host)
    return found is not None and (found[1] is None or 0 < int(found[1]) <= 65535)


class LocalServer(socketserver.ThreadingTCPServer):
    """Answers GET and POST on this machine's own address, to this machine's own pages.

    **Arguments:** `port`: 0 takes one that is free; `answer`: from method and path to what is answered, called in a thread of
    its own; `token`: what a POST has to bring in its header `X-Undertow-Token`.

    **Raises:** `UndertowError` if the port cannot be had.
    """

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = CONNECTIONS

    def __init__(self, port: int, answer: Callable[[str, str], Answer], token: str):
        self.answer, self.token = answer, token
        self._places = threading.BoundedSemaphore(CONNECTIONS)
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except OSError as error:
            raise UndertowError(f"cannot serve at port {port}: {error.strerror}; choose another, or 0") from error

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        """A thread for a connection, if there is a place."""
        if not self._places.acquire(blocking=False):
            _log.debug("more than %d connections; one is closed", CONNECTIONS)
            self.close_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # no more threads
            self._places.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """One connection, from its request to its end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke is nobody's business but its own."""
        _log.debug("a connection broke", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"  # the connection ends with the answer
    server: LocalServer

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        self.rfile = io.BytesIO(_head(self.connection))  # all that will ever be read of the connection
        self.connection.settimeout(ANSWER_SECONDS)

    def do_GET(self) -> None:
        self._reply(self._refusal() or self._answer())

    def do_POST(self) -> None:
        self._reply(self._refusal() or self._without_token() or self._answer())

    def _answer(self) -> Answer:
        return self.server.answer(self.command, self.path)

    def _refusal(self) -> Answer | None:
        """Why a request is refused: it does not name this machine, another site sent it, or it has a body.

        A name on the internet may be given this machine's address; a page elsewhere may send what it likes here.
        """
        hosts = [each.strip(" \t") for each in self.headers.get_all("Host", [])]
        if len(hosts) != 1 or not is_local(hosts[0]):
            return Answer("this address serves this machine only", status=HTTPStatus.FORBIDDEN)
        own = f"http://{hosts[0]}".lower()
        foreign = any(each.strip(" \t").lower() != own for each in self.headers.get_all("Origin", []))
        if foreign or not (self._same_site() or self._opened()):
            return Answer("this page answers to itself only", status=HTTPStatus.FORBIDDEN)
        lengths = [each.strip(" \t") for each in self.headers.get_all("Content-Length", [])]
        if lengths not in ([], ["0"]) or "Transfer-Encoding" in self.headers:
            return Answer("no request has a body here", status=HTTPStatus.BAD_REQUEST)
        return None

    def _same_site(self) -> bool:
        """What the browser says; what is no browser says nothing."""
        return all(each in ("same-origin", "none") for each in self.headers.get_all("Sec-Fetch-Site", []))

    def _opened(self) -> bool:
        """Whether a link leads here: to look at the page is allowed from everywhere, to read or embed it is not."""
        says = {name: self.headers.get_all(f"Sec-Fetch-{name}", []) for name in ("Mode", "Dest")}
        return self.command == "GET" and says == {"Mode": ["navigate"], "Dest": ["document"]}

    def _without_token(self) -> Answer | None:
        given = self.headers.get_all(TOKEN, [])
        if len(given) == 1 and hmac.compare_digest(given[0].encode(), self.server.token.encode()):
            return None
        return Answer(f"a request needs the page's own {TOKEN}", status=HTTPStatus.FORBIDDEN)

    def _reply(self, answer: Answer) -> None:
        body = answer.text.encode("utf-8")
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def end_headers(self) -> None:
        """The same for every answer, those to malformed requests included."""
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Content-Security-Policy", "frame-ancestors 'none'")
        self.send_header("Referrer-Policy", "no-referrer")
        super().end_headers()

    def finish(self) -> None:
        super().finish()
        # To close on what was not read would take the answer away from who has just been sent it.
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            _receive(self.connection, _REST_BYTES, _REST_SECONDS)

    def log_message(self, format: str, *args: Any) -> None:
        _log.debug("%r", format % args)


def _head(connection: socket.socket) -> bytes:
    """The head of a request, to the empty line that ends it; nothing if it does not end, or not in time."""
    head = _receive(connection, HEAD_BYTES, HEAD_SECONDS, until=_END)
    found = _END.search(head)
    return head[: found.end()] if found else b""


_END = re.compile(rb"\r?\n\r?\n")


def _receive(connection: socket.socket, most: int, seconds: float, until: re.Pattern[bytes] | None = None) -> bytes:
    """What comes within a time, up to a size, or until it holds a pattern."""
    received, end = b"", time.monotonic() + seconds
    while len(received) < most and not (until is not None and until.search(received)):
        left = end - time.monotonic()
        if left <= 0:
            break
        connection.settimeout(left)
        try:
            data = connection.recv(most - len(received))
        except OSError:  # out of time, or broken
            break
        if not data:
            break
        received += data
    return received
